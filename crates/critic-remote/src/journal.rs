use crate::RemoteError;
use crate::usage::Counters;
use crate::wire::Reply;
use critic_types::{ContentHasher, ContentId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

/// The file in which replies are kept as they come, one JSON object a line, so that no call is paid
/// twice: a call whose reply stands there is not sent.
///
/// A line that a crash cut is taken off when the file is opened.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    file: File,
    /// Where each call's line begins, and its length.
    places: HashMap<ContentId, (u64, usize)>,
    end: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    call: ContentId,
    reply: Reply,
}

/// The address of a call: its body.
pub(crate) fn address(body: &str) -> ContentId {
    let mut hasher = ContentHasher::new("remote call");
    hasher.text(body);
    hasher.finish()
}

impl Journal {
    /// Opens or makes the file, and counts what its replies took.
    pub(crate) fn open(path: &Path, counters: &Counters) -> Result<Self, RemoteError> {
        let failed = |error: std::io::Error| RemoteError::Journal {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let mut options = File::options();
        let options = options.create(true).truncate(false).read(true).write(true);
        let file = options.open(path).map_err(failed)?;
        let mut reader = BufReader::new(file);
        let (mut places, mut end, mut bytes) = (HashMap::new(), 0, Vec::new());
        loop {
            bytes.clear();
            let n = reader.read_until(b'\n', &mut bytes).map_err(failed)?;
            let Ok(line) = serde_json::from_slice::<Line>(&bytes) else { break };
            if bytes.last() != Some(&b'\n') {
                break;
            }
            counters.calls.fetch_add(1, Relaxed);
            line.reply.count(counters);
            places.insert(line.call, (end, n));
            end += n as u64;
        }
        let mut file = reader.into_inner();
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(failed)?;
        Ok(Self { path: path.to_owned(), lines: Mutex::new(Lines { file, places, end }) })
    }

    /// The reply to a call that was answered before.
    pub(crate) fn get(&self, call: &ContentId) -> Option<Reply> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let &(start, n) = lines.places.get(call)?;
        let mut bytes = vec![0; n];
        lines.file.seek(SeekFrom::Start(start)).ok()?;
        lines.file.read_exact(&mut bytes).ok()?;
        serde_json::from_slice::<Line>(&bytes).ok().map(|line| line.reply)
    }

    /// Keeps a reply; it is on disk when this returns.
    pub(crate) fn put(&self, call: ContentId, reply: &Reply) -> Result<(), RemoteError> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Line { call, reply: reply.clone() };
        let written = serde_json::to_vec(&line).map_err(Into::into).and_then(|mut bytes| {
            bytes.push(b'\n');
            let end = lines.end;
            lines.file.seek(SeekFrom::Start(end))?;
            lines.file.write_all(&bytes)?;
            lines.file.sync_data()?;
            Ok(bytes.len())
        });
        let n = written.map_err(|error: std::io::Error| RemoteError::Journal {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        let start = lines.end;
        lines.places.insert(line.call, (start, n));
        lines.end += n as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Answer;
    use critic_types::FinishReason;

    fn reply(text: &str) -> Reply {
        let answer = Answer {
            text: text.to_owned(),
            finish_reason: Some(FinishReason::Stop),
            n_tokens: Some(3),
            log_probs: None,
        };
        Reply { answers: vec![answer], prompt_tokens: Some(5), completion_tokens: Some(3) }
    }

    #[test]
    fn a_kept_reply_comes_back_and_a_cut_line_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replies.jsonl");
        let journal = Journal::open(&path, &Counters::default()).unwrap();
        for text in ["first", "second\nline", "third"] {
            journal.put(address(text), &reply(text)).unwrap();
        }
        assert_eq!(journal.get(&address("second\nline")), Some(reply("second\nline")));
        drop(journal);
        let bytes = std::fs::read(&path).unwrap();
        critic_types::atomic_file::write(&path, &bytes[..bytes.len() - 7]).unwrap();
        let counters = Counters::default();
        let journal = Journal::open(&path, &counters).unwrap();
        assert_eq!(journal.get(&address("third")), None);
        assert_eq!(journal.get(&address("first")), Some(reply("first")));
        assert_eq!((counters.usage().n_calls, counters.usage().completion_tokens), (2, 6));
        journal.put(address("third"), &reply("third")).unwrap();
        drop(journal);
        let journal = Journal::open(&path, &Counters::default()).unwrap();
        assert_eq!(journal.get(&address("third")), Some(reply("third")));
    }
}
