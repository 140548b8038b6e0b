//! Contestants on the same items: reward models, judges, and always the controls.

mod asking;
mod contestant;
mod correction;
mod items;
mod numbers;
mod overview;
mod readings;
mod rereading;
mod tables;
mod truths;

use crate::cli::{ContestArgs, named};
use crate::commands::reward_servers::NamedServer;
use crate::commands::score::model_path;
use crate::exit::Fault;
use crate::progress::{Cancel, answer, say};
use crate::stages::{TrainedModel, critique_counts};
use anyhow::{Context, Result, anyhow};
use contestant::{Conduct, Entrant, Kind, Sampled};
use critic_data::{ReadOptions, read_pairs};
use critic_eval::benches::{Arithmetic, BENCHES, CorrectionScore};
use critic_eval::{
    Contestant, CorrectedComparison, CritiqueStudy, Diagnostics, LengthUnit, bag_of_words_control,
    compare_all, diagnose, length_control, study_critiques, write_reward_bench_outputs,
};
use critic_method::ScoreSettings;
use critic_stats::{Bootstrap, TieRule};
use critic_text::{PairwisePrompt, PromptSource, Prompts};
use critic_types::{PreferencePair, SeedTree, atomic_file};
use items::{BenchData, Part};
use numbers::{Numbers, numbers};
use overview::Overview;
use readings::{Extra, Way, parse_counts, position_counts, readings};
use rereading::{Rereading, complete, reread};
use serde::Serialize;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

/// Bars of the reliability diagram and of the margins.
const N_BINS: usize = 10;

/// Everyone on one bench.
#[derive(Debug, Serialize)]
struct BenchResult {
    /// Its name on the command line, or that of its file.
    bench: String,
    /// What the data may be called.
    title: String,
    arithmetic: Arithmetic,
    numbers: Vec<Numbers>,
    /// The first model at its most critiques against everyone; for pairs.
    comparisons: Vec<CorrectedComparison>,
    /// Margins, calibration, correlation with length and style; for pairs.
    diagnostics: Vec<Diagnostics>,
    /// What several critiques are worth; for pairs and models that wrote some.
    critiques: BTreeMap<String, CritiqueStudy>,
    /// What responses gain when their critics correct them; for benches of critiques.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    corrections: BTreeMap<String, CorrectionScore>,
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
    if args.meta_judge.as_deref() == Some("remote") && args.remote.settings().is_none() {
        return Err(Fault::config(anyhow!(
            "--meta-judge remote asks the model at --endpoint: name it with --endpoint and --remote-model"
        )));
    }
    let sampling = args.draws.sampling()?;
    let seed = SeedTree::new(args.draws.seed);
    let conduct = Conduct {
        critiques: ScoreSettings { n_critiques: args.n_critiques, sampling, seed },
        weights: args.engine.weights.unwrap_or_default(),
        explain: args.engine.explain,
        prompts: Prompts::builtin(),
        pairwise: pairwise(args)?,
        meta_judge: args.meta_judge.clone(),
        mixed: args.mixed,
        correct: args.correct.map(NonZeroUsize::get),
        remote: args.remote.settings(),
        folder: &args.out,
        cancel: Cancel::listen(),
    };
    let control = match &args.control_data {
        Some(path) => read_pairs(path, &ReadOptions::default())?.pairs,
        None => Vec::new(),
    };
    // Everything is read before anything is computed: a typo in the last name costs no night.
    let part = match (args.limit, args.sample) {
        (Some(n), _) => Part::First(n.get()),
        (None, Some(n)) => Part::Drawn(n.get(), &seed),
        (None, None) => Part::Whole,
    };
    let benches: Vec<BenchData> = args
        .on
        .iter()
        .map(|name| BenchData::read(name, &args.data, part))
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
    if let Some(overview) = Overview::of(&results) {
        answer(overview.terminal());
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
    let mut everyone: Vec<Contestant> = Vec::new();
    let mut all: Vec<Numbers> = Vec::new();
    let (mut critiques, mut corrections) = (BTreeMap::new(), BTreeMap::new());
    let mut notes = data.left_out.clone();
    let mut main = None;
    for entrant in entrants {
        if matches!(entrant.kind, Kind::Pairwise { .. }) && data.pairs.is_empty() {
            notes.push(format!(
                "{} compares two responses; the rows here are no pairs.",
                entrant.name
            ));
            continue;
        }
        let (mut sampled, samples) = entrant.sample(data, conduct)?;
        let ms = critique_counts(entrant.n_critiques(args.n_critiques));
        let is_critic = entrant.n_critiques(args.n_critiques) > 0;
        let is_of_critiques = data.arithmetic == Arithmetic::CriticBench;
        let mut verdicts = None;
        if is_critic {
            complete(entrant, data, (&mut sampled, &samples), conduct)?;
            if is_of_critiques && matches!(entrant.kind, Kind::Reward { .. }) {
                let asked = (&sampled, &samples);
                verdicts = Some(reread(Rereading::Verdict, entrant, data, asked, conduct)?);
            }
            if let (true, Some(n)) = (is_of_critiques, conduct.correct) {
                match correction::correct(entrant, data, (&sampled, &samples), n, conduct)? {
                    Some(found) => {
                        corrections.insert(entrant.name.clone(), found);
                    }
                    None => notes.push(format!(
                        "{}: nothing was corrected: no row has a gold answer.",
                        entrant.name
                    )),
                }
            }
        }
        let games = matches!(entrant.kind, Kind::Pairwise { .. }).then_some(&sampled);
        let extra = Extra {
            gate: args.gate,
            mixed: args.mixed,
            meta_judge: args.meta_judge.is_some(),
            verdicts: verdicts.as_ref(),
        };
        for way in readings(entrant, &sampled, data, &ms, extra)? {
            all.push(numbers(data, &way, games, bootstrap)?);
            everyone.push(way.contestant);
        }
        if main.is_none() && matches!(entrant.kind, Kind::Reward { .. }) {
            // The ways are in the order of m.
            main = everyone.iter().rposition(|one| one.family == entrant.name);
        }
        notes.extend(told(entrant, &sampled));
        if is_critic && !data.pairs.is_empty() {
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
        let way = Way { contestant, threshold: None };
        all.push(numbers(data, &way, None, bootstrap)?);
        everyone.push(way.contestant);
    }
    notes.extend(everyone_wrong(data));
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
        bench: data.slug.clone(),
        title: data.origin.title().to_owned(),
        arithmetic: data.arithmetic,
        numbers: all,
        comparisons,
        diagnostics,
        critiques,
        corrections,
        notes,
    })
}

/// What saying "wrong" to everything gets on a bench of critiques.
fn everyone_wrong(data: &BenchData) -> Option<String> {
    if data.arithmetic != Arithmetic::CriticBench {
        return None;
    }
    let is_wrong = |item: &&items::Item| item.row["is_right"] == serde_json::Value::Bool(false);
    let (n, n_wrong) = (data.items.len(), data.items.iter().filter(is_wrong).count());
    let f1 = 200.0 * n_wrong as f64 / (n + n_wrong).max(1) as f64;
    Some(format!(
        "{n_wrong} of {n} responses are wrong: calling every one wrong gets an F1 of {f1:.1}. A fitted threshold was fitted on other prompts."
    ))
}

fn have_pairs_in_common(one: &Contestant, other: &Contestant, data: &BenchData) -> bool {
    let has_both = |of: &Contestant, pair: &PreferencePair| matches!(of.rewards(pair), Ok(Some(_)));
    data.pairs.iter().any(|pair| has_both(one, pair) && has_both(other, pair))
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
        Kind::Reward { .. } | Kind::Implicit { .. } | Kind::Server(_) => None,
    }
}

fn entrants(args: &ContestArgs) -> Result<Vec<Entrant>> {
    let last = |path: &str| {
        let stem = Path::new(path).file_name().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    };
    let mut entrants = Vec::new();
    for text in &args.model {
        let (name, folder) = named(text);
        let path = model_path(Path::new(&folder))?;
        let reads_critiques = TrainedModel::reads_critiques(&path)?;
        let kind = Kind::Reward { folder: path, reads_critiques };
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
    for server in NamedServer::all(&args.servers)? {
        let url = server.url();
        let bare = url.split_once("://").map_or(url, |(_, bare)| bare);
        let name = server.name.clone().unwrap_or_else(|| format!("server {bare}"));
        entrants.push(Entrant { name, kind: Kind::Server(Box::new(server)) });
    }
    for (i, entrant) in entrants.iter().enumerate() {
        if entrants[..i].iter().any(|earlier| earlier.name == entrant.name) {
            return Err(Fault::config(anyhow!(
                "two contestants are called `{}`: name them apart with NAME=FOLDER, or NAME=URL for servers",
                entrant.name
            )));
        }
    }
    Ok(entrants)
}

fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' }).collect()
}
