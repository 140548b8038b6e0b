use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_data::{ReadOptions, ResponseRow, read_pairs, read_responses};
use critic_eval::benches::{Arithmetic, Bench, DataOrigin, Source, find_bench};
use critic_types::{ContentHasher, ContentId, Conversation, PreferencePair, Side};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A prompt with the responses that every contestant puts a number on.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) prompt: Conversation,
    /// The chosen one first where the item is a pair.
    pub(super) responses: Vec<String>,
    /// Every column of the row; nothing for pairs.
    pub(super) row: Value,
}

/// The rows of one bench, or of a file.
#[derive(Debug)]
pub(super) struct BenchData {
    /// What it may be called.
    pub(super) origin: DataOrigin,
    /// What its files are called.
    pub(super) slug: String,
    pub(super) arithmetic: Arithmetic,
    pub(super) items: Vec<Item>,
    /// The items where each is a pair; otherwise empty.
    pub(super) pairs: Vec<PreferencePair>,
}

impl BenchData {
    /// A bench by its name, whose file lies in `folder`, or any file of preference pairs or of prompts with
    /// candidates.
    pub(super) fn read(name: &str, folder: &Path, limit: Option<usize>) -> Result<Self> {
        let (bench, path) = match find_bench(name) {
            Ok(bench) => (Some(bench), place(bench, folder)?),
            Err(_) if Path::new(name).exists() || name.starts_with("hub:") => {
                (None, PathBuf::from(name))
            }
            Err(unknown) => {
                return Err(Fault::config(anyhow!(
                    "{unknown}; a file of pairs can be named as well"
                )));
            }
        };
        let arithmetic = bench.map_or(Arithmetic::Pairs, |bench| bench.arithmetic);
        let (items, pairs, n_rows) = match arithmetic {
            Arithmetic::Pairs => {
                let options = ReadOptions { limit, ..ReadOptions::default() };
                let pairs = read_pairs(&path, &options)?.pairs;
                let n = pairs.len();
                (pairs.iter().map(of_pair).collect(), pairs, n)
            }
            Arithmetic::CriticBench | Arithmetic::CrossEval => {
                return Err(Fault::config(anyhow!(
                    "{name} is not about preferences and has no contestants here; its arithmetic is in the library critic-eval"
                )));
            }
            _ => {
                let mut rows = read_responses(&path)?.rows;
                rows.truncate(limit.unwrap_or(usize::MAX));
                let n = rows.len();
                let (items, pairs) = of_rows(rows, arithmetic)?;
                (items, pairs, n)
            }
        };
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let counts = counts(&items, &pairs);
        let origin = match bench.map(|bench| DataOrigin::original(bench, &counts)) {
            Some(Ok(origin)) if limit.is_none() => origin,
            _ => DataOrigin::named(&format!("{file}, {n_rows} rows"))?,
        };
        let stem = file.split('.').next().unwrap_or_default();
        let slug = bench.map_or(stem, |bench| bench.name).to_owned();
        Ok(Self { origin, slug, arithmetic, items, pairs })
    }

    /// The name of a response in predictions.
    pub(super) fn key(&self, item: usize, response: usize) -> (String, Side) {
        match self.pairs.get(item) {
            Some(pair) => (pair.id.clone(), Side::BOTH[response]),
            None => (format!("{}/{response}", self.items[item].id), Side::Chosen),
        }
    }

    /// The address of a response among those of its item.
    pub(super) fn address(&self, (item, response): (usize, usize)) -> ContentId {
        let found = &self.items[item];
        let mut hasher = ContentHasher::new("contest response");
        hasher.text(&found.id).conversation(&found.prompt);
        found.responses.iter().for_each(|response| {
            hasher.text(response);
        });
        hasher.bytes(&(response as u64).to_le_bytes());
        hasher.finish()
    }

    /// Every response as a place: item and response.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let of_item = |(item, found): (usize, &Item)| {
            (0..found.responses.len()).map(move |response| (item, response))
        };
        self.items.iter().enumerate().flat_map(of_item)
    }

    /// Pairs whose texts are these responses, with the ids of [`key`](Self::key): what controls read.
    pub(super) fn as_pairs(&self) -> Vec<PreferencePair> {
        if !self.pairs.is_empty() {
            return self.pairs.clone();
        }
        let pair = |(item, response): (usize, usize)| PreferencePair {
            id: self.key(item, response).0,
            prompt: self.items[item].prompt.clone(),
            chosen: self.items[item].responses[response].clone(),
            rejected: self.items[item].responses[response].clone(),
            margin: None,
            domain: None,
            subset: None,
        };
        self.places().map(pair).collect()
    }
}

/// Where the rows of a bench are: a file in `folder` called as the bench or as its source calls it, or the
/// hub.
fn place(bench: &'static Bench, folder: &Path) -> Result<PathBuf> {
    let of_bench = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.split_once('.').map(|(stem, _)| stem);
        let is_source = matches!(bench.source, Source::File { stem: known } if stem == Some(known));
        is_source || stem == Some(bench.name)
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(of_bench).collect();
    found.sort();
    match (found.into_iter().next(), bench.source) {
        (Some(file), _) => Ok(file),
        (None, Source::Hub { dataset, split }) => {
            Ok(PathBuf::from(format!("hub:{dataset}:{split}")))
        }
        (None, Source::File { stem }) => Err(Fault::data(anyhow!(
            "{} holds no file {stem}.jsonl of the bench {}: name its folder with --data",
            folder.display(),
            bench.name
        ))),
    }
}

fn of_pair(pair: &PreferencePair) -> Item {
    Item {
        id: pair.id.clone(),
        prompt: pair.prompt.clone(),
        responses: Side::BOTH.map(|side| pair.response(side).to_owned()).to_vec(),
        row: Value::Null,
    }
}

/// Rows as items; as pairs too where the bench is one of pairs.
fn of_rows(
    rows: Vec<ResponseRow>,
    arithmetic: Arithmetic,
) -> Result<(Vec<Item>, Vec<PreferencePair>)> {
    let (mut items, mut pairs) = (Vec::new(), Vec::new());
    for ResponseRow { id, prompt, responses, row } in rows {
        let text = |field: &str| row.get(field).and_then(Value::as_str).map(str::to_owned);
        let is_second = match arithmetic {
            Arithmetic::RewardBench => Some(false),
            Arithmetic::JudgeBench => {
                Some(text("label").is_some_and(|label| label.trim() == "B>A"))
            }
            Arithmetic::PpeHuman => match text("winner").as_deref() {
                Some("model_a") => Some(false),
                Some("model_b") => Some(true),
                _ => continue,
            },
            _ => None,
        };
        let Some(is_second) = is_second else {
            items.push(Item { id, prompt, responses, row });
            continue;
        };
        let [first, second] = <[String; 2]>::try_from(responses).map_err(|found| {
            Fault::data(anyhow!(
                "row `{id}` has {} responses; this bench compares two",
                found.len()
            ))
        })?;
        let (chosen, rejected) = if is_second { (second, first) } else { (first, second) };
        let subset = text("subset").or_else(|| text("source"));
        let pair = PreferencePair {
            id,
            prompt,
            chosen,
            rejected,
            margin: None,
            domain: text("domain"),
            subset,
        };
        items.push(of_pair(&pair));
        pairs.push(pair);
    }
    Ok((items, pairs))
}

/// Rows by subset, or by domain where there is none, as a bench's published counts name them.
fn counts(items: &[Item], pairs: &[PreferencePair]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        let column = |name: &str| item.row.get(name).and_then(Value::as_str).map(str::to_owned);
        let part = match pairs.get(i) {
            Some(pair) => pair.subset.clone().or_else(|| pair.domain.clone()),
            None => column("subset").or_else(|| column("domain")),
        };
        *counts.entry(part.unwrap_or_default()).or_insert(0) += 1;
    }
    counts
}
