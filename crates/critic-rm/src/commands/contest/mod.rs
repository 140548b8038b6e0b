//! Contestants on the same items: reward models, judges, and always the controls.

mod asking;
mod contestant;
mod items;
mod numbers;
mod readings;
mod tables;

use crate::cli::ContestArgs;
use crate::commands::score::model_path;
use crate::exit::Fault;
use crate::progress::{Cancel, answer, say};
use crate::stages::critique_counts;
use anyhow::{Context, Result, anyhow};
use contestant::{Conduct, Entrant, Kind, Sampled};
use critic_data::{ReadOptions, read_pairs};
use critic_eval::benches::BENCHES;
use critic_eval::{
    Contestant, CorrectedComparison, CritiqueStudy, Diagnostics, LengthUnit, bag_of_words_control,
    compare_all, diagnose, length_control, study_critiques, write_reward_bench_outputs,
};
use critic_method::ScoreSettings;
use critic_stats::{Bootstrap, TieRule};
use critic_text::{PairwisePrompt, PromptSource, Prompts};
use critic_types::{PreferencePair, SeedTree, atomic_file};
use items::BenchData;
use numbers::{Numbers, numbers};
use readings::{parse_counts, position_counts, readings};
use serde::Serialize;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

/// Bars of the reliability diagram and of the margins.
const N_BINS: usize = 10;

/// Everyone on one bench.
#[derive(Debug, Serialize)]
struct BenchResult {
    /// What the data may be called.
    title: String,
    arithmetic: critic_eval::benches::Arithmetic,
    numbers: Vec<Numbers>,
    /// The first model at its most critiques against everyone; for pairs.
    comparisons: Vec<CorrectedComparison>,
    /// Margins, calibration, correlation with length and style; for pairs.
    diagnostics: Vec<Diagnostics>,
    /// What several critiques are worth; for pairs and models that wrote some.
    critiques: BTreeMap<String, CritiqueStudy>,
    notes: Vec<String>,
}

/// How judges of two responses are asked.
fn pairwise(args: &ContestArgs) -> Result<PairwisePrompt> {
    let Some(path) = &args.pairwise_prompt else { return Ok(PairwisePrompt::builtin()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))
        .map_err(Fault::config)?;
    let source = PromptSource { file: path.display().to_string(), text };
    PairwisePrompt::new(&source).map_err(|error| Fault::config(error.into()))
}

/// Runs every contestant on every bench and writes tables and predictions.
pub(crate) fn contest(args: &ContestArgs) -> Result<()> {
    if args.on.iter().any(|name| name == "list") {
        return list();
    }
    let entrants = entrants(args)?;
    let sampling = args.draws.sampling()?;
    let seed = SeedTree::new(args.draws.seed);
    let conduct = Conduct {
        critiques: ScoreSettings { n_critiques: args.n_critiques, sampling, seed },
        weights: args.engine.weights.unwrap_or_default(),
        explain: args.engine.explain,
        prompts: Prompts::builtin(),
        pairwise: pairwise(args)?,
        folder: &args.out,
        cancel: Cancel::listen(),
    };
    let control = match &args.control_data {
        Some(path) => read_pairs(path, &ReadOptions::default())?.pairs,
        None => Vec::new(),
    };
    // Everything is read before anything is computed: a typo in the last name costs no night.
    let benches: Vec<BenchData> = args
        .on
        .iter()
        .map(|name| BenchData::read(name, &args.data, args.limit.map(NonZeroUsize::get)))
        .collect::<Result<_>>()?;
    for (i, data) in benches.iter().enumerate() {
        if benches[..i].iter().any(|earlier| earlier.slug == data.slug) {
            return Err(Fault::config(anyhow!(
                "--on names two sets called `{}`, and their files would be one: rename one, or hold two contests",
                data.slug
            )));
        }
    }
    let mut results = Vec::new();
    for data in &benches {
        let bootstrap = Bootstrap::new(seed.child("bootstrap").child(&data.slug));
        let result = run(data, &entrants, &control, args, &conduct, &bootstrap)?;
        answer(tables::terminal(&result));
        results.push(result);
        atomic_file::write(&args.out.join("contest.json"), &serde_json::to_vec_pretty(&results)?)?;
        atomic_file::write(&args.out.join("contest.md"), tables::markdown(&results).as_bytes())?;
    }
    say(format!("tables: {}", args.out.join("contest.md").display()));
    Ok(())
}

fn list() -> Result<()> {
    for bench in BENCHES {
        answer(format!("{:<22} {:<40} {}", bench.name, bench.title, bench.about));
    }
    Ok(())
}

fn run(
    data: &BenchData,
    entrants: &[Entrant],
    control: &[PreferencePair],
    args: &ContestArgs,
    conduct: &Conduct<'_>,
    bootstrap: &Bootstrap,
) -> Result<BenchResult> {
    let ms = critique_counts(args.n_critiques);
    let mut everyone: Vec<Contestant> = Vec::new();
    let mut all: Vec<Numbers> = Vec::new();
    let mut critiques = BTreeMap::new();
    let mut notes = data.left_out.clone();
    let mut main = None;
    for entrant in entrants {
        if matches!(entrant.kind, Kind::Pairwise { .. }) && data.pairs.is_empty() {
            notes.push(format!("{} compares two responses; rows here have more.", entrant.name));
            continue;
        }
        let sampled = entrant.sample(data, conduct)?;
        let games = matches!(entrant.kind, Kind::Pairwise { .. }).then_some(&sampled);
        for contestant in readings(entrant, &sampled, data, &ms, args.gate)? {
            all.push(numbers(data, &contestant, games, bootstrap)?);
            everyone.push(contestant);
        }
        if main.is_none() && matches!(entrant.kind, Kind::Reward { .. }) {
            // The ways are in the order of m.
            main = everyone.iter().rposition(|one| one.family == entrant.name);
        }
        notes.extend(told(entrant, &sampled));
        if args.n_critiques > 0 && !data.pairs.is_empty() && writes_critiques(entrant) {
            let samples = sampled
                .iter()
                .map(|(&(item, k), sample)| (data.key(item, k), sample.response.clone()))
                .collect();
            let study = study_critiques(&samples, &data.pairs, &ms, TieRule::Wrong, bootstrap)?;
            critiques.insert(entrant.name.clone(), study);
        }
    }
    let texts = data.as_pairs();
    let mut controls = vec![length_control(&texts, LengthUnit::Words)];
    if !control.is_empty() {
        controls.push(bag_of_words_control(control, &texts)?);
    }
    for contestant in controls {
        all.push(numbers(data, &contestant, None, bootstrap)?);
        everyone.push(contestant);
    }
    let (mut comparisons, mut diagnostics) = (Vec::new(), Vec::new());
    if !data.pairs.is_empty() {
        for contestant in &everyone {
            diagnostics.push(diagnose(contestant, &data.pairs, N_BINS)?);
            if !contestant.predictions.is_empty() {
                let path = args.out.join("predictions");
                let file = format!("{}--{}.jsonl", data.slug, file_name(&contestant.name));
                write_reward_bench_outputs(&path.join(file), contestant, &data.pairs)?;
            }
        }
        let one = &everyone[main.unwrap_or(0)];
        let others: Vec<&Contestant> = everyone
            .iter()
            .filter(|other| other.name != one.name && have_pairs_in_common(one, other, data))
            .collect();
        if !one.predictions.is_empty() {
            comparisons = compare_all(one, &others, &data.pairs, TieRule::Wrong, bootstrap)?;
        }
    }
    Ok(BenchResult {
        title: data.origin.title().to_owned(),
        arithmetic: data.arithmetic,
        numbers: all,
        comparisons,
        diagnostics,
        critiques,
        notes,
    })
}

fn have_pairs_in_common(one: &Contestant, other: &Contestant, data: &BenchData) -> bool {
    let has_both = |of: &Contestant, pair: &PreferencePair| matches!(of.rewards(pair), Ok(Some(_)));
    data.pairs.iter().any(|pair| has_both(one, pair) && has_both(other, pair))
}

fn writes_critiques(entrant: &Entrant) -> bool {
    matches!(entrant.kind, Kind::Reward { .. } | Kind::Judge { .. })
}

/// What a judge's table does not show.
fn told(entrant: &Entrant, sampled: &Sampled) -> Option<String> {
    let name = &entrant.name;
    match entrant.kind {
        Kind::Judge { .. } => {
            let (n, read) = parse_counts(sampled);
            (n > 0).then(|| format!("{name}: {read} of {n} critiques state a readable score."))
        }
        Kind::Pairwise { .. } => {
            let (n, swayed) = position_counts(sampled);
            Some(format!("{name}: {swayed} of {n} decisions change when the two are swapped."))
        }
        Kind::Reward { .. } | Kind::Implicit { .. } => None,
    }
}

fn entrants(args: &ContestArgs) -> Result<Vec<Entrant>> {
    let named = |text: &str| match text.split_once('=') {
        Some((name, model)) if !name.is_empty() && !name.contains('/') => {
            (Some(name.to_owned()), model.to_owned())
        }
        _ => (None, text.to_owned()),
    };
    let last = |path: &str| {
        let stem = Path::new(path).file_name().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    };
    let mut entrants = Vec::new();
    for text in &args.model {
        let (name, folder) = named(text);
        let kind = Kind::Reward { folder: model_path(Path::new(&folder))? };
        entrants.push(Entrant { name: name.unwrap_or_else(|| last(&folder)), kind });
    }
    for text in &args.judge {
        let (name, model) = named(text);
        let name = name.unwrap_or_else(|| format!("judge {}", last(&model)));
        entrants.push(Entrant { name, kind: Kind::Judge { model } });
    }
    for text in &args.pairwise {
        let (name, model) = named(text);
        let name = name.unwrap_or_else(|| format!("pairwise {}", last(&model)));
        entrants.push(Entrant { name, kind: Kind::Pairwise { model } });
    }
    for text in &args.implicit {
        let (name, policy) = named(text);
        let name = name.unwrap_or_else(|| format!("implicit {}", last(&policy)));
        let reference = args.reference.clone().unwrap_or_default();
        entrants.push(Entrant { name, kind: Kind::Implicit { policy, reference } });
    }
    for (i, entrant) in entrants.iter().enumerate() {
        if entrants[..i].iter().any(|earlier| earlier.name == entrant.name) {
            return Err(Fault::config(anyhow!(
                "two contestants are called `{}`: name them apart with NAME=FOLDER",
                entrant.name
            )));
        }
    }
    Ok(entrants)
}

fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' }).collect()
}
