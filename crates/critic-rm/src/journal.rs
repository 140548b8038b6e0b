use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_types::{ContentId, atomic_file};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Results beside an output file, a line each as it comes, so that the work can be gone on with.
///
/// The first line is the address of the work: a journal of other work is begun anew.
#[derive(Debug)]
pub(crate) struct Journal<K, V> {
    path: PathBuf,
    file: File,
    done: BTreeMap<K, V>,
}

impl<K: Ord + Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Journal<K, V> {
    /// Opens the journal of this very work; a torn last line is work that was in flight.
    pub(crate) fn open(path: PathBuf, work: &ContentId) -> Result<Self> {
        let header = format!("# {work}");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut lines = text.lines();
        let done: BTreeMap<K, V> = match lines.next() == Some(header.as_str()) {
            true => lines.filter_map(|line| serde_json::from_str(line).ok()).collect(),
            false => BTreeMap::new(),
        };
        let mut whole = header + "\n";
        for entry in &done {
            whole += &serde_json::to_string(&entry)?;
            whole.push('\n');
        }
        atomic_file::write(&path, whole.as_bytes()).map_err(|error| denied(&path, &error))?;
        let file =
            File::options().append(true).open(&path).map_err(|error| denied(&path, &error))?;
        Ok(Self { path, file, done })
    }

    /// What is there so far.
    pub(crate) fn done(&self) -> &BTreeMap<K, V> {
        &self.done
    }

    /// Adds a result.
    pub(crate) fn add(&mut self, key: K, value: V) -> Result<()> {
        let line = serde_json::to_string(&(&key, &value))? + "\n";
        self.file.write_all(line.as_bytes()).map_err(|error| denied(&self.path, &error))?;
        self.done.insert(key, value);
        Ok(())
    }
}

fn denied(path: &Path, error: &dyn std::fmt::Display) -> anyhow::Error {
    Fault::store(anyhow!("{} cannot be written: {error}; name another place", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::ContentHasher;

    #[test]
    fn a_torn_line_is_done_again_and_other_work_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("work.partial");
        let work = |name: &str| ContentHasher::new(name).finish();
        let open = |name: &str| Journal::<(usize, usize), f64>::open(path.clone(), &work(name));
        let mut journal = open("a").unwrap();
        journal.add((0, 1), 0.5).unwrap();
        journal.add((2, 0), 1.5).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"[[3,0],1.").unwrap();
        let mut again = open("a").unwrap();
        assert_eq!(again.done(), &BTreeMap::from([((0, 1), 0.5), ((2, 0), 1.5)]));
        again.add((3, 0), 2.5).unwrap();
        assert_eq!(open("a").unwrap().done().len(), 3);
        assert!(open("b").unwrap().done().is_empty());
    }
}
