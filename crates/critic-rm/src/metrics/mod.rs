//! What a training leaves for those who watch it: lines of JSON and TensorBoard events, step by step.

mod event_file;

use anyhow::{Context, Result};
use critic_train::StepRecord;
use event_file::EventFile;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

/// The metrics of one training while it runs.
///
/// `metrics-NAME.jsonl` holds one [`StepRecord`] a line; `tensorboard/NAME/` one event file a sitting.
#[derive(Debug)]
pub(crate) struct Metrics {
    lines: File,
    events: EventFile,
}

impl Metrics {
    /// Opens both at step `first`: lines of later steps, which a run that was cut off left, go, and
    /// TensorBoard is told to forget them.
    pub(crate) fn open(folder: &Path, name: &str, first: usize) -> Result<Self> {
        let path = folder.join(format!("metrics-{name}.jsonl"));
        let kept = kept_bytes(&path, first);
        let lines = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|mut file| {
                file.set_len(kept)?;
                std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
                Ok(file)
            })
            .with_context(|| format!("{} cannot be written", path.display()))?;
        let events = folder.join("tensorboard").join(name);
        fs::create_dir_all(&events)
            .and_then(|()| EventFile::create(&events, first))
            .with_context(|| format!("{} cannot be written", events.display()))
            .map(|events| Self { lines, events })
    }

    /// Adds a step.
    pub(crate) fn add(&mut self, record: &StepRecord) -> Result<()> {
        let line = serde_json::to_string(record)? + "\n";
        self.lines.write_all(line.as_bytes()).context("metrics cannot be written")?;
        self.events.add(record.step, &scalars(record)).context("events cannot be written")
    }
}

/// The steps before `first` that earlier sittings left; none where they cannot be read.
pub(crate) fn earlier(folder: &Path, name: &str, first: usize) -> Vec<StepRecord> {
    let Ok(file) = File::open(folder.join(format!("metrics-{name}.jsonl"))) else {
        return Vec::new();
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let records = lines.map_while(|line| serde_json::from_str::<StepRecord>(&line).ok());
    records.take_while(|record| record.step < first).collect()
}

/// The curves that TensorBoard shows.
fn scalars(record: &StepRecord) -> Vec<(String, f64)> {
    let mut scalars = vec![
        ("loss/joint", record.joint_loss),
        ("schedule/critique_weight", record.critique_weight),
        ("schedule/learning_rate", record.learning_rate),
        ("gradient/norm", record.grad_norm),
        ("speed/tokens_per_second", record.n_tokens as f64 / record.seconds.max(1e-9)),
    ];
    scalars.extend(record.critique_loss.map(|loss| ("loss/critique", loss)));
    scalars.extend(record.preference_loss.map(|loss| ("loss/preference", loss)));
    scalars.extend(record.accuracy.map(|accuracy| ("accuracy/train", accuracy)));
    let mut scalars: Vec<(String, f64)> =
        scalars.into_iter().map(|(tag, value)| (tag.to_owned(), value)).collect();
    for held_out in &record.evaluations {
        let set = &held_out.set;
        let named = [
            ("loss/preference", held_out.preference_loss),
            ("loss/critique", held_out.critique_loss),
            ("accuracy", held_out.accuracy),
        ];
        scalars.extend(
            named.into_iter().filter_map(|(tag, value)| Some((format!("{tag} on {set}"), value?))),
        );
    }
    scalars
}

/// Bytes of the whole lines of steps before `first`.
fn kept_bytes(path: &Path, first: usize) -> u64 {
    let Ok(file) = File::open(path) else { return 0 };
    let mut reader = BufReader::new(file);
    let (mut kept, mut line) = (0, String::new());
    for _ in 0..first {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(n) if n > 0 && line.ends_with('\n') => kept += n as u64,
            _ => break,
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: usize) -> StepRecord {
        StepRecord {
            step,
            epoch: 0,
            critique_weight: 1.0,
            learning_rate: 1e-5,
            critique_loss: Some(2.5),
            preference_loss: None,
            joint_loss: 2.5,
            accuracy: None,
            grad_norm: 0.5,
            n_tokens: 10,
            n_unshared_tokens: 20,
            seconds: 0.1,
            evaluations: Vec::new(),
        }
    }

    #[test]
    fn a_run_that_was_cut_off_goes_on_without_repeated_or_torn_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(folder.path(), "critic-rm", 0).unwrap();
        for step in 0..3 {
            metrics.add(&record(step)).unwrap();
        }
        metrics.lines.write_all(b"{\"step\":3,").unwrap();
        drop(metrics);
        let mut metrics = Metrics::open(folder.path(), "critic-rm", 2).unwrap();
        for step in 2..4 {
            metrics.add(&record(step)).unwrap();
        }
        let text = fs::read_to_string(folder.path().join("metrics-critic-rm.jsonl")).unwrap();
        let steps: Vec<usize> = text
            .lines()
            .map(|line| serde_json::from_str::<StepRecord>(line).unwrap().step)
            .collect();
        assert_eq!(steps, [0, 1, 2, 3]);
    }
}
