use super::args::CommonArgs;
use crate::commands::model::with_progress;
use crate::exit::Fault;
use crate::settings::{self, Overrides, Settings};
use anyhow::{Context, Result, anyhow};
use critic_data::{ReadOptions, read_pairs};
use critic_model::sources::{Cache, Fetched, LoadedModel, ModelRef, fetch};
use critic_text::Prompts;
use critic_train::{CritiqueText, TrainPair, build_pairs};
use critic_types::{PreferencePair, Side};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;
use toml::Value;

/// The pairs of the work and their critiques.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) pairs: Vec<PreferencePair>,
    /// By pair and side, in the order in which they were sampled.
    critiques: HashMap<(String, Side), Vec<String>>,
}

/// One line of `critiques.jsonl`.
#[derive(Debug, Deserialize)]
struct CritiqueLine {
    pair_id: String,
    side: Side,
    text: String,
}

impl Work {
    /// Reads the folder that the arguments name.
    pub(super) fn read(args: &CommonArgs) -> Result<Self> {
        let options = ReadOptions { strict: true, ..ReadOptions::default() };
        let pairs = read_pairs(&args.work.join("pairs.jsonl"), &options)?.pairs;
        let critiques = read_critiques(&args.work.join("critiques.jsonl"))?;
        Ok(Self { pairs, critiques })
    }

    /// The first `n` pairs, or all.
    pub(super) fn first(&self, n: Option<usize>) -> Result<&[PreferencePair]> {
        take(&self.pairs, n, "pairs")
    }

    /// The pairs that have critiques, the first `n` of them or all, each with the first `k` critiques of
    /// either response.
    pub(super) fn with_critiques(
        &self,
        n: Option<usize>,
        k: usize,
    ) -> Result<Vec<(&PreferencePair, Vec<CritiqueText>)>> {
        let critiqued: Vec<&PreferencePair> = self
            .pairs
            .iter()
            .filter(|pair| self.critiques.contains_key(&(pair.id.clone(), Side::Chosen)))
            .collect();
        let pairs = take(&critiqued, n, "pairs with critiques")?;
        pairs.iter().map(|pair| Ok((*pair, self.critiques_of(pair, k)?))).collect()
    }

    fn critiques_of(&self, pair: &PreferencePair, k: usize) -> Result<Vec<CritiqueText>> {
        let mut taken = Vec::with_capacity(2 * k);
        for side in Side::BOTH {
            let texts = self.critiques.get(&(pair.id.clone(), side)).map_or(&[][..], Vec::as_slice);
            if texts.len() < k {
                return Err(Fault::data(anyhow!(
                    "the work has {} critiques of `{}`, {}; {k} were asked for: ask for fewer",
                    texts.len(),
                    pair.id,
                    side.as_str()
                )));
            }
            taken.extend(texts[..k].iter().map(|text| CritiqueText { side, text: text.clone() }));
        }
        Ok(taken)
    }
}

fn read_critiques(path: &Path) -> Result<HashMap<(String, Side), Vec<String>>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))
        .map_err(Fault::data)?;
    let mut critiques: HashMap<(String, Side), Vec<String>> = HashMap::new();
    for (i, line) in text.lines().enumerate() {
        let line: CritiqueLine = serde_json::from_str(line)
            .with_context(|| format!("{}, line {}", path.display(), i + 1))
            .map_err(Fault::data)?;
        critiques.entry((line.pair_id, line.side)).or_default().push(line.text);
    }
    Ok(critiques)
}

fn take<'a, T>(items: &'a [T], n: Option<usize>, what: &str) -> Result<&'a [T]> {
    match n {
        None => Ok(items),
        Some(n) if (1..=items.len()).contains(&n) => Ok(&items[..n]),
        Some(n) => Err(Fault::config(anyhow!(
            "--pairs is {n}; the work has {} {what}: take 1 to {}",
            items.len(),
            items.len()
        ))),
    }
}

/// The default settings under these flags and `--set`.
pub(super) fn settings(args: &CommonArgs, flags: Vec<(&'static str, Value)>) -> Result<Settings> {
    Ok(settings::resolve(None, &Overrides { flags, set: args.set.clone() })?.settings)
}

/// Where the model's files lie.
pub(super) fn fetch_model(settings: &Settings) -> Result<Fetched> {
    let reference = ModelRef::parse(&settings.model)?;
    with_progress(|progress| fetch(&reference, &Cache::default_location(), progress))
}

/// Pairs and critiques as the trainer takes them.
pub(super) fn as_tokens(
    pairs: &[(&PreferencePair, Vec<CritiqueText>)],
    model: &LoadedModel,
    settings: &Settings,
) -> Result<Vec<TrainPair>> {
    let context = model.config.context_length;
    let longest = settings.train.max_pair_tokens.get();
    let built = build_pairs(pairs, &model.renderer, &Prompts::builtin(), context, 0, longest);
    Ok(built.into_iter().collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_cannot_be_taken() {
        assert_eq!(take(&[1, 2, 3], Some(2), "pairs").unwrap(), [1, 2]);
        assert_eq!(take(&[1, 2, 3], None, "pairs").unwrap(), [1, 2, 3]);
        for n in [0, 4] {
            let error = take(&[1, 2, 3], Some(n), "pairs").unwrap_err().to_string();
            assert!(error.contains(&format!("--pairs is {n}")), "{error}");
        }
    }

    #[test]
    fn a_torn_line_of_critiques_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("critiques.jsonl");
        let whole = r#"{"pair_id": "p", "side": "chosen", "index": 0, "text": "Good."}"#;
        let text = format!("{whole}\n{}\n", &whole[..20]);
        critic_types::atomic_file::write(&path, text.as_bytes()).unwrap();
        let error = format!("{:#}", read_critiques(&path).unwrap_err());
        assert!(error.contains("line 2"), "{error}");
    }
}
