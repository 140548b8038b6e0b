use super::truths::{Known, read_ratings, read_truths};
use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_data::{ReadOptions, ResponseRow, read_pairs, read_responses};
use critic_eval::benches::{Arithmetic, Bench, DataOrigin, Source, find_bench};
use critic_types::{
    ContentHasher, ContentId, Conversation, DropReport, PreferencePair, SeedTree, Side,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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

/// Which rows of a bench are used.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Whole,
    /// The first so many.
    First(usize),
    /// So many items, drawn.
    Drawn(usize, &'a SeedTree),
}

/// The places of the `n` items with the smallest draws, in order: an item's draw is its own, so that more
/// items are those of fewer and others.
fn drawn(items: &[Item], n: usize, seed: &SeedTree) -> BTreeSet<usize> {
    let mut draws: Vec<(f64, usize)> = items
        .iter()
        .enumerate()
        .map(|(place, item)| (seed.child(&item.id).uniform(), place))
        .collect();
    draws.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    draws.into_iter().take(n).map(|(_, place)| place).collect()
}

fn kept<T>(all: Vec<T>, places: &BTreeSet<usize>) -> Vec<T> {
    let numbered = all.into_iter().enumerate();
    numbered.filter(|(place, _)| places.contains(place)).map(|(_, one)| one).collect()
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
    /// Rows that are not among the items, by reason.
    pub(super) left_out: Vec<String>,
    /// The items where each is a pair; otherwise empty.
    pub(super) pairs: Vec<PreferencePair>,
}

impl BenchData {
    /// A bench by its name, whose file lies in `folder`, or any file of preference pairs or of prompts with
    /// candidates.
    pub(super) fn read(name: &str, folder: &Path, part: Part<'_>) -> Result<Self> {
        let limit = match part {
            Part::First(n) => Some(n),
            Part::Whole | Part::Drawn(..) => None,
        };
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
        let Rows { mut items, mut pairs, counts, mut left_out, report } = match arithmetic {
            Arithmetic::Pairs => {
                let options = ReadOptions { limit, ..ReadOptions::default() };
                let set = read_pairs(&path, &options)?;
                Rows::of_pairs(set.pairs, set.report)
            }
            Arithmetic::CriticBench => Rows::known(read_truths(&path, limit)?),
            Arithmetic::CrossEval => Rows::known(read_ratings(&path, limit)?),
            _ => {
                let mut set = read_responses(&path)?;
                set.rows.truncate(limit.unwrap_or(usize::MAX));
                Rows::of_responses(set.rows, set.report, arithmetic)?
            }
        };
        left_out.extend(report.dropped.iter().map(|(reason, n)| {
            let first = report.examples[reason].join(", ");
            format!("{n} rows left out: {reason} (first: {first}).")
        }));
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let stem = file.split('.').next().unwrap_or_default();
        let slug = bench.map_or(stem, |bench| bench.name).to_owned();
        let n_all = items.len();
        if let Part::Drawn(n, seed) = part {
            let drawn = drawn(&items, n, &seed.child("sample").child(&slug));
            items = kept(items, &drawn);
            if !pairs.is_empty() {
                pairs = kept(pairs, &drawn);
            }
        }
        let original = |bench| DataOrigin::original(bench, &as_published(bench, &counts));
        let origin = match bench.map(original) {
            Some(Ok(origin)) if limit.is_none() && items.len() == n_all => origin,
            _ if items.len() < n_all => {
                DataOrigin::named(&format!("{file}, {} of {n_all} rows, drawn", items.len()))?
            }
            _ => DataOrigin::named(&format!("{file}, {} rows", items.len()))?,
        };
        Ok(Self { origin, slug, arithmetic, items, left_out, pairs })
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

/// Counts under the bench's own names: JudgeBench's are how its sources begin.
fn as_published(bench: &Bench, counts: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let published = bench.counts().unwrap_or_default();
    let mut grouped = BTreeMap::new();
    for (part, n) in counts {
        let begins = |name: &&&str| part.starts_with(**name);
        let own = match bench.arithmetic {
            Arithmetic::JudgeBench => published.keys().find(begins).map(|name| (*name).to_owned()),
            _ => None,
        };
        *grouped.entry(own.unwrap_or_else(|| part.clone())).or_insert(0) += n;
    }
    grouped
}

fn of_pair(pair: &PreferencePair) -> Item {
    Item {
        id: pair.id.clone(),
        prompt: pair.prompt.clone(),
        responses: Side::BOTH.map(|side| pair.response(side).to_owned()).to_vec(),
        row: Value::Null,
    }
}

/// What the rows of a file come to.
struct Rows {
    items: Vec<Item>,
    pairs: Vec<PreferencePair>,
    /// By subset, or by domain where there is none, as a bench's published counts name them.
    counts: BTreeMap<String, usize>,
    left_out: Vec<String>,
    report: DropReport,
}

impl Rows {
    fn known((items, counts, report): Known) -> Self {
        Self { items, pairs: Vec::new(), counts, left_out: Vec::new(), report }
    }

    fn of_pairs(pairs: Vec<PreferencePair>, report: DropReport) -> Self {
        let mut counts = BTreeMap::new();
        for pair in &pairs {
            let part = pair.subset.clone().or_else(|| pair.domain.clone());
            *counts.entry(part.unwrap_or_default()).or_insert(0) += 1;
        }
        let items = pairs.iter().map(of_pair).collect();
        Self { items, pairs, counts, left_out: Vec::new(), report }
    }

    fn of_responses(
        rows: Vec<ResponseRow>,
        report: DropReport,
        arithmetic: Arithmetic,
    ) -> Result<Self> {
        let (mut items, mut pairs, mut counts) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut n_ties = 0;
        for ResponseRow { id, prompt, responses, row } in rows {
            let text = |field: &str| row.get(field).and_then(Value::as_str).map(str::to_owned);
            let part = text("subset").or_else(|| text("source")).or_else(|| text("domain"));
            *counts.entry(part.unwrap_or_default()).or_insert(0) += 1;
            let chosen = match arithmetic {
                Arithmetic::RewardBench => Some(0),
                Arithmetic::JudgeBench => match text("label").as_deref().map(str::trim) {
                    Some("A>B") => Some(0),
                    Some("B>A") => Some(1),
                    _ => None,
                },
                Arithmetic::PpeHuman => match text("winner").as_deref() {
                    Some("model_a") => Some(0),
                    Some("model_b") => Some(1),
                    _ => None,
                },
                _ => {
                    items.push(Item { id, prompt, responses, row });
                    continue;
                }
            };
            let Some(chosen) = chosen else {
                n_ties += 1;
                continue;
            };
            let [first, second] = <[String; 2]>::try_from(responses).map_err(|found| {
                let n = found.len();
                Fault::data(anyhow!("row `{id}` has {n} responses; this bench compares two"))
            })?;
            let (chosen, rejected) = if chosen == 0 { (first, second) } else { (second, first) };
            let (domain, subset) = (text("domain"), text("subset").or_else(|| text("source")));
            let margin = None;
            let pair = PreferencePair { id, prompt, chosen, rejected, margin, domain, subset };
            items.push(of_pair(&pair));
            pairs.push(pair);
        }
        let left_out = match n_ties {
            0 => Vec::new(),
            n => vec![format!("{n} rows left out: neither response is preferred.")],
        };
        Ok(Self { items, pairs, counts, left_out, report })
    }
}
