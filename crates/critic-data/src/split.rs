use crate::{DataError, PairFormat, PairReader, PairWriter, ReadOptions, prompt_digest};
use critic_types::{DropReport, PreferencePair};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A part of a split: its name and its share of the prompts, above 0, at most 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The name, which becomes the file's.
    pub name: String,
    /// The share.
    pub share: f64,
}

impl FromStr for Part {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let bad = || DataError::Parts {
            what: format!("`{text}` is no part of a split"),
            way_out: "write a name and a share above 0 and at most 1, such as train=0.9",
        };
        let (name, share) = text.split_once('=').ok_or_else(bad)?;
        let share: f64 = share.trim().parse().map_err(|_| bad())?;
        let is_name = !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
        if !is_name || share.is_nan() || share <= 0.0 || share > 1.0 {
            return Err(bad());
        }
        Ok(Self { name: name.to_owned(), share })
    }
}

/// What went where.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitReport {
    /// Each part with its file and its pairs, in the order they were asked for.
    pub parts: Vec<(String, PathBuf, usize)>,
    /// Pairs that belong to no part, when the shares do not add up to 1.
    pub n_held_back: usize,
    /// What was read, and what was left out and why.
    pub report: DropReport,
}

/// The part a pair belongs to: parts lie side by side on [0, 1) in their order, and the digest of the
/// normalised prompt falls into one of them, or behind them all.
///
/// A pair's part depends on its prompt and the shares alone: data that grows moves nothing, and pairs of
/// one prompt stay together. Appending a part, or enlarging the last one, moves nothing either.
pub(crate) fn part_of(pair: &PreferencePair, parts: &[Part]) -> Option<usize> {
    let at = (prompt_digest(&pair.prompt) >> 11) as f64 / (1u64 << 53) as f64;
    let mut end = 0.0;
    parts.iter().position(|part| {
        end += part.share;
        // Shares such as 0.7 + 0.2 + 0.1 may end a little below 1.
        at < if end > 1.0 - 1e-9 { 1.0 } else { end }
    })
}

/// Splits a source into one file for each part, in the own format, under `folder` by the part's name.
///
/// # Errors
/// [`DataError`] when the shares exceed 1, a name comes twice, or reading or writing fails; then no part
/// appears.
pub fn split(
    path: &Path,
    options: &ReadOptions,
    parts: &[Part],
    folder: &Path,
    ending: &str,
) -> Result<SplitReport, DataError> {
    let total: f64 = parts.iter().map(|part| part.share).sum();
    if parts.is_empty() || total > 1.0 + 1e-9 {
        return Err(DataError::Parts {
            what: format!("the shares of the split add up to {total}"),
            way_out: "give parts whose shares add up to at most 1, such as train=0.9 eval=0.1",
        });
    }
    let mut files = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        if parts[..i].iter().any(|other| other.name == part.name) {
            return Err(DataError::Parts {
                what: format!("the part `{}` is named twice", part.name),
                way_out: "give each part a name of its own",
            });
        }
        files.push(folder.join(format!("{}.{ending}", part.name)));
    }
    let mut writers = files
        .iter()
        .map(|file| PairWriter::create(file, PairFormat::Own))
        .collect::<Result<Vec<_>, _>>()?;
    let mut reader = PairReader::open(path, options)?;
    let mut n_held_back = 0;
    while let Some(batch) = reader.next_batch().transpose()? {
        let indices: Vec<Option<usize>> =
            batch.par_iter().map(|annotated| part_of(&annotated.pair, parts)).collect();
        for (annotated, index) in batch.into_iter().zip(indices) {
            match index {
                Some(index) => writers[index].write(annotated)?,
                None => n_held_back += 1,
            }
        }
    }
    let report = reader.report().clone();
    if report.n_kept == 0 {
        return Err(DataError::NoRows { path: path.to_owned(), report });
    }
    let mut written = Vec::new();
    for ((part, file), writer) in parts.iter().zip(files).zip(writers) {
        written.push((part.name.clone(), file, writer.finish()?));
    }
    Ok(SplitReport { parts: written, n_held_back, report })
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::Conversation;

    fn pair(prompt: &str) -> PreferencePair {
        PreferencePair {
            id: prompt.to_owned(),
            prompt: Conversation::from_user(prompt),
            chosen: "a".to_owned(),
            rejected: "b".to_owned(),
            margin: None,
            domain: None,
            subset: None,
        }
    }

    fn parts(texts: &[&str]) -> Vec<Part> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn parts_get_their_shares_and_growing_data_moves_nothing() {
        let both = parts(&["train=0.7", "eval=0.2"]);
        let of = |i: usize| part_of(&pair(&format!("question {i}")), &both);
        let counts = [Some(0), Some(1), None].map(|p| (0..4000).filter(|i| of(*i) == p).count());
        assert!(counts[0].abs_diff(2800) < 120 && counts[1].abs_diff(800) < 100, "{counts:?}");
        let more = parts(&["train=0.7", "eval=0.2", "test=0.1"]);
        for i in 0..500 {
            let pair = pair(&format!("question {i}"));
            assert!(part_of(&pair, &more).is_some());
            assert!(part_of(&pair, &both).is_none_or(|p| Some(p) == part_of(&pair, &more)));
        }
        assert_eq!(part_of(&pair("A  b"), &both), part_of(&pair("a B"), &both));
    }

    #[test]
    fn files_appear_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("all.jsonl");
        let pairs: Vec<_> = (0..50).map(|i| pair(&format!("p{i}"))).collect();
        crate::write_pairs(&source, &pairs).unwrap();
        let options = ReadOptions::default();
        let into = folder.path().join("parts");
        let both = parts(&["train=0.5", "eval=0.5"]);
        let report = split(&source, &options, &both, &into, "jsonl.gz").unwrap();
        assert_eq!(report.parts[0].2 + report.parts[1].2, 50);
        let train = crate::read_pairs(&into.join("train.jsonl.gz"), &options).unwrap();
        assert_eq!(train.pairs.len(), report.parts[0].2);
        let broken = folder.path().join("broken.json");
        critic_types::atomic_file::write(&broken, b"[{").unwrap();
        let other = folder.path().join("other");
        assert!(split(&broken, &options, &both, &other, "jsonl").is_err());
        assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
        for bad in [parts(&["a=0.7", "b=0.7"]), parts(&["a=0.1", "a=0.1"]), Vec::new()] {
            assert!(matches!(
                split(&source, &options, &bad, &other, "jsonl"),
                Err(DataError::Parts { .. })
            ));
        }
        for bad in ["train", "=1", "train=0", "train=1.5", "../x=0.5", "a=NaN"] {
            assert!(bad.parse::<Part>().is_err(), "{bad}");
        }
    }
}
