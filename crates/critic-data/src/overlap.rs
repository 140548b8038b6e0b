use crate::{
    AnnotatedPair, DataError, PairFormat, PairReader, PairWriter, ReadOptions, prompt_digest,
};
use critic_types::{Conversation, Role};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Words in a gram; 13 is the field's habit since GPT-3 (arXiv 2005.14165, appendix C).
const GRAM: usize = 13;

/// How a pair meets a bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapKind {
    /// Its prompt is a bench's prompt, after normalisation.
    SamePrompt,
    /// Its prompt or responses share 13 words in a row with a bench's.
    SharedWords,
}

/// What a bench holds, for pairs to be held against.
#[derive(Debug, Default)]
pub struct OverlapIndex {
    prompts: HashMap<u64, u32>,
    grams: HashMap<u64, u32>,
    names: Vec<String>,
}

impl OverlapIndex {
    /// Adds a bench's pair: its prompt, and the words of its prompt and responses.
    pub fn add(&mut self, bench: &AnnotatedPair) {
        let index = self.names.len() as u32;
        self.names.push(bench.pair.id.clone());
        self.prompts.entry(prompt_digest(&bench.pair.prompt)).or_insert(index);
        for text in texts(bench) {
            grams(text, |gram| {
                self.grams.entry(gram).or_insert(index);
                false
            });
        }
    }

    /// How a pair meets the bench, and the id of the bench's pair it meets first.
    pub fn find(&self, pair: &AnnotatedPair) -> Option<(OverlapKind, &str)> {
        let name = |index: &u32| self.names[*index as usize].as_str();
        if let Some(index) = self.prompts.get(&prompt_digest(&pair.pair.prompt)) {
            return Some((OverlapKind::SamePrompt, name(index)));
        }
        let mut found = None;
        for text in texts(pair) {
            grams(text, |gram| {
                found = self.grams.get(&gram);
                found.is_some()
            });
            if let Some(index) = found {
                return Some((OverlapKind::SharedWords, name(index)));
            }
        }
        None
    }
}

/// What people and models wrote, turn by turn.
fn texts(pair: &AnnotatedPair) -> impl Iterator<Item = &str> {
    let Conversation(turns) = &pair.pair.prompt;
    let turns = turns.iter().filter(|turn| turn.role != Role::System);
    turns
        .map(|turn| turn.content.as_str())
        .chain([pair.pair.chosen.as_str(), pair.pair.rejected.as_str()])
}

/// Hands the hash of every 13 words in a row to `take` until it says stop. Words are runs of letters and
/// digits in lower case.
fn grams(text: &str, mut take: impl FnMut(u64) -> bool) {
    let words: Vec<u64> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| {
            let mut hasher = DefaultHasher::new();
            word.chars().flat_map(char::to_lowercase).for_each(|c| c.hash(&mut hasher));
            hasher.finish()
        })
        .collect();
    for window in words.windows(GRAM) {
        let mut hasher = DefaultHasher::new();
        window.hash(&mut hasher);
        if take(hasher.finish()) {
            return;
        }
    }
}

/// How much of a source meets the benches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverlapReport {
    /// Pairs of the source.
    pub n_pairs: usize,
    /// Pairs that meet no bench.
    pub n_clean: usize,
    /// Each bench, in order.
    pub benches: Vec<BenchOverlap>,
}

/// How much of a source meets one bench.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchOverlap {
    /// The bench.
    pub path: PathBuf,
    /// Its pairs.
    pub n_bench: usize,
    /// Pairs of the source with a prompt of the bench.
    pub n_same_prompt: usize,
    /// Pairs of the source that share 13 words in a row, and no prompt.
    pub n_shared_words: usize,
    /// Pairs of the bench that were met first by one of the source's; at least so many are known to it.
    pub n_bench_met: usize,
    /// The first few: the source's id, the bench's id, how.
    pub examples: Vec<(String, String, OverlapKind)>,
}

const N_EXAMPLES: usize = 3;

/// Holds a source against benches; writes what meets none of them to `clean` in the own format.
///
/// # Errors
/// [`DataError`] when a source cannot be read or the file cannot be written.
pub fn overlap(
    path: &Path,
    benches: &[PathBuf],
    options: &ReadOptions,
    clean: Option<&Path>,
) -> Result<OverlapReport, DataError> {
    let mut held = Vec::new();
    for bench in benches {
        let mut index = OverlapIndex::default();
        let mut reader = PairReader::open(bench, &ReadOptions::default())?;
        for pair in &mut reader {
            index.add(&pair?);
        }
        if index.names.is_empty() {
            let report = reader.report().clone();
            return Err(DataError::NoRows { path: bench.clone(), report });
        }
        let overlap = BenchOverlap {
            path: bench.clone(),
            n_bench: index.names.len(),
            n_same_prompt: 0,
            n_shared_words: 0,
            n_bench_met: 0,
            examples: Vec::new(),
        };
        held.push((index, overlap, HashSet::new()));
    }
    let mut out = clean.map(|path| PairWriter::create(path, PairFormat::Own)).transpose()?;
    let mut reader = PairReader::open(path, options)?;
    let (mut n_pairs, mut n_clean) = (0, 0);
    for pair in &mut reader {
        let pair = pair?;
        n_pairs += 1;
        let mut is_clean = true;
        for (index, overlap, met) in &mut held {
            let Some((kind, name)) = index.find(&pair) else { continue };
            is_clean = false;
            match kind {
                OverlapKind::SamePrompt => overlap.n_same_prompt += 1,
                OverlapKind::SharedWords => overlap.n_shared_words += 1,
            }
            if overlap.examples.len() < N_EXAMPLES {
                overlap.examples.push((pair.pair.id.clone(), name.to_owned(), kind));
            }
            met.insert(name.to_owned());
        }
        if is_clean {
            n_clean += 1;
            if let Some(out) = &mut out {
                out.write(pair)?;
            }
        }
    }
    if n_pairs == 0 {
        let report = reader.report().clone();
        return Err(DataError::NoRows { path: path.to_owned(), report });
    }
    if let Some(out) = out {
        out.finish()?;
    }
    let finish = |(_, overlap, met): (_, BenchOverlap, HashSet<String>)| BenchOverlap {
        n_bench_met: met.len(),
        ..overlap
    };
    Ok(OverlapReport { n_pairs, n_clean, benches: held.into_iter().map(finish).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LONG: &str = "one two three four five six seven eight nine ten eleven twelve thirteen";

    fn file(folder: &Path, name: &str, rows: &[(&str, &str)]) -> PathBuf {
        let path = folder.join(name);
        let row = |(prompt, chosen): &(&str, &str)| {
            json!({"prompt": prompt, "chosen": chosen, "rejected": "no"}).to_string()
        };
        critic_types::atomic_file::write(
            &path,
            rows.iter().map(row).collect::<Vec<_>>().join("\n").as_bytes(),
        )
        .unwrap();
        path
    }

    #[test]
    fn same_prompts_and_thirteen_shared_words_are_found_and_twelve_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let bench = file(folder.path(), "bench.jsonl", &[("What is 3 + 4?", "7"), (LONG, "y")]);
        let twelve = LONG.rsplit_once(' ').unwrap().0;
        let source = file(
            folder.path(),
            "train.jsonl",
            &[
                ("what is  3 + 4?", "8"),
                ("What is 3 * 4?", "12"),
                ("Repeat.", &format!("Sure: {}!", LONG.to_uppercase().replace(' ', ", "))),
                ("Repeat less.", &format!("{twelve} xyz thirteen")),
            ],
        );
        let clean = folder.path().join("clean.jsonl");
        let options = ReadOptions::default();
        let report = overlap(&source, &[bench], &options, Some(&clean)).unwrap();
        assert_eq!((report.n_pairs, report.n_clean), (4, 2));
        let found = &report.benches[0];
        assert_eq!((found.n_same_prompt, found.n_shared_words, found.n_bench_met), (1, 1, 2));
        let kept = crate::read_pairs(&clean, &options).unwrap().pairs;
        let asked: Vec<_> = kept.iter().map(|pair| pair.prompt.last_user_text()).collect();
        assert_eq!(asked, ["What is 3 * 4?", "Repeat less."]);
    }
}
