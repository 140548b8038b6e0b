use super::explain::explain;
use crate::cli::{RunArgs, ScoreArgs};
use crate::exit::Fault;
use crate::journal::Journal;
use crate::progress::{Cancel, Meter, answer, say};
use crate::screen::Screen;
use crate::stages::{Stage, TrainedModel};
use anyhow::{Result, anyhow};
use critic_data::{ResponseRow, read_responses};
use critic_engine::{ScoreRequest, Scorer};
use critic_local::EngineLimits;
use critic_method::{ScoreSettings, predict, score_request};
use critic_model::sources::load_path_as;
use critic_types::{ContentHasher, RewardPrediction, SeedTree, atomic_file};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Critiques of a response where nothing else is asked for.
const N_CRITIQUES: usize = 4;

/// Answers under way at once, and so on; no limit changes a reward.
const LIMITS: EngineLimits =
    EngineLimits { max_leaves: 64, prefill_tokens: 512, kv_tokens: 24_576 };

/// Scores the held-out pairs of a run, or a file of prompts and responses.
pub(crate) fn score(args: &ScoreArgs) -> Result<()> {
    if args.target.is_dir() {
        if args.engine.explain {
            return Err(Fault::config(anyhow!(
                "--explain is for a file of prompts and responses; `critic-rm run {} --explain` prints the settings of a run",
                args.target.display()
            )));
        }
        let weights = args.engine.weights.map(|format| format!("engine.weights={}", format.name()));
        let set = args.set.iter().cloned().chain(weights).collect();
        let (run, tui) = (Some(args.target.clone()), args.tui);
        let run = RunArgs { run, set, tui, ..RunArgs::default() };
        return super::run::run(&run, Stage::Score);
    }
    if !args.target.exists() && args.target.as_os_str() != "-" {
        return Err(Fault::data(anyhow!(
            "{} does not exist: name a file of prompts and responses, or the folder of a run",
            args.target.display()
        )));
    }
    score_file(args)
}

fn score_file(args: &ScoreArgs) -> Result<()> {
    let folder = model_path(&args.model)?;
    let n_critiques = match args.n_critiques {
        Some(n) => n,
        None if TrainedModel::reads_critiques(&folder)? => N_CRITIQUES,
        None => 0,
    };
    let sampling = args.draws.sampling()?;
    let set = read_responses(&args.target)?;
    let (rows, report) = (set.rows, set.report);
    for (reason, n) in &report.dropped {
        say(format!(
            "{}: {n} rows left out: {reason} (first: {})",
            args.target.display(),
            report.examples[reason].join(", ")
        ));
    }
    let settings = ScoreSettings { n_critiques, sampling, seed: SeedTree::new(args.draws.seed) };
    let requests = requests(&rows, &settings);
    let cancel = Cancel::listen();
    let _screen = Screen::open(args.tui, &args.target.display().to_string(), &cancel)?;
    let mut rewards = Rewards::open(args, n_critiques, &folder, &rows)?;
    let n_done = rewards.done().len();
    let open: Vec<usize> =
        (0..requests.len()).filter(|&i| !rewards.done().contains_key(&requests[i].0)).collect();
    let mut failures: BTreeMap<Place, String> = BTreeMap::new();
    if !open.is_empty() {
        let weights = args.engine.weights.unwrap_or_default();
        let (model, prompts) = (load_path_as(&folder, weights)?, TrainedModel::prompts(&folder)?);
        let mut engine = TrainedModel::engine(model, &folder, &prompts, LIMITS, weights)?;
        let open_requests: Vec<ScoreRequest> =
            open.iter().map(|&i| requests[i].1.clone()).collect();
        let mut meter = Meter::new("scoring", requests.len() as u64, n_done as u64);
        let mut written = Ok(());
        engine.score(&open_requests, &mut |index, result| {
            let (place, request) = &requests[open[index]];
            let prediction = result.map_err(|error| error.to_string()).and_then(|scored| {
                predict(&request.id, &scored, n_critiques, true).map_err(|error| error.to_string())
            });
            match prediction {
                Ok(prediction) => written = rewards.add(*place, prediction),
                Err(reason) => {
                    failures.insert(*place, reason);
                }
            }
            meter.advance("");
            if written.is_err() || cancel.is_set() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        meter.finish();
        if args.engine.explain {
            explain(&engine, weights);
        }
        written?;
        if cancel.is_set() {
            return Err(Fault::interrupted("the same command"));
        }
    }
    let done = rewards.done();
    write_out(args, &rows, done, &failures)?;
    if let Some(output) = &args.output {
        // The output is whole; a journal that stays behind is read again and changes nothing.
        let _ = std::fs::remove_file(output.with_extension("partial"));
    }
    let n_critiques: usize = done.values().map(|prediction| prediction.critiques.len()).sum();
    say(format!(
        "{} responses scored with {n_critiques} critiques, {} failed",
        done.len(),
        failures.len()
    ));
    Ok(())
}

/// Where the reward model is: the folder or `.gguf` file itself, or the folder that a run has trained.
pub(super) fn model_path(path: &Path) -> Result<PathBuf> {
    let of_run = path.join("checkpoints").join("critic-rm");
    let is_gguf = path.is_file() && path.extension().is_some_and(|extension| extension == "gguf");
    if is_gguf || path.join("config.json").is_file() {
        Ok(path.to_owned())
    } else if of_run.join("config.json").is_file() {
        Ok(of_run)
    } else {
        Err(Fault::model(anyhow!(
            "{} holds no reward model: train one with `critic-rm run`, or name its folder with --model",
            path.display()
        )))
    }
}

/// One request for every response, by (row, response).
fn requests(rows: &[ResponseRow], settings: &ScoreSettings) -> Vec<(Place, ScoreRequest)> {
    let mut requests = Vec::new();
    for (row_idx, row) in rows.iter().enumerate() {
        for (response_idx, response) in row.responses.iter().enumerate() {
            let id = format!("{}/{response_idx}", row.id);
            requests.push((
                (row_idx, response_idx),
                score_request(&id, &row.prompt, response, settings),
            ));
        }
    }
    requests
}

/// A row and one of its responses.
type Place = (usize, usize);

/// The rewards so far: in a journal beside the output file; standard output has none.
enum Rewards {
    InMemory(BTreeMap<Place, RewardPrediction>),
    Stored(Journal<Place, RewardPrediction>),
}

impl Rewards {
    fn open(
        args: &ScoreArgs,
        n_critiques: usize,
        folder: &Path,
        rows: &[ResponseRow],
    ) -> Result<Self> {
        let Some(output) = &args.output else { return Ok(Self::InMemory(BTreeMap::new())) };
        let mut hasher = ContentHasher::new("score-file");
        let weights = if folder.is_file() { folder } else { &folder.join("model.safetensors") };
        let weights = std::fs::metadata(weights).map(|file| file.len()).unwrap_or(0);
        let trained = std::fs::read_to_string(folder.join("training.json")).unwrap_or_default();
        hasher.text(&folder.display().to_string()).text(&trained).bytes(&weights.to_le_bytes());
        hasher.text(&format!(
            "{n_critiques} {} {} {} {} {}",
            args.draws.seed,
            args.draws.max_new_tokens,
            args.draws.temperature,
            args.draws.top_p,
            args.engine.weights.unwrap_or_default().name()
        ));
        for row in rows {
            hasher.text(&row.id).conversation(&row.prompt);
            row.responses.iter().for_each(|response| {
                hasher.text(response);
            });
        }
        let journal = Journal::open(output.with_extension("partial"), &hasher.finish());
        Ok(Self::Stored(journal?))
    }

    fn done(&self) -> &BTreeMap<Place, RewardPrediction> {
        match self {
            Self::InMemory(done) => done,
            Self::Stored(journal) => journal.done(),
        }
    }

    fn add(&mut self, place: Place, prediction: RewardPrediction) -> Result<()> {
        match self {
            Self::InMemory(done) => {
                done.insert(place, prediction);
                Ok(())
            }
            Self::Stored(journal) => journal.add(place, prediction),
        }
    }
}

/// Writes each row with its rewards, in the order of the input.
fn write_out(
    args: &ScoreArgs,
    rows: &[ResponseRow],
    done: &BTreeMap<Place, RewardPrediction>,
    failures: &BTreeMap<Place, String>,
) -> Result<()> {
    let mut out = String::new();
    for (row_idx, row) in rows.iter().enumerate() {
        let rewards: Vec<serde_json::Value> = (0..row.responses.len())
            .map(|response| match done.get(&(row_idx, response)) {
                Some(p) => serde_json::json!({
                    "reward": p.mean,
                    "reward_std": p.std,
                    "reward_without_critique": p.without_critique,
                    "critiques": p.critiques,
                    "n_failed": p.n_failed,
                }),
                None => serde_json::json!({ "error": failures.get(&(row_idx, response)) }),
            })
            .collect();
        let mut object = row.row.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.insert("rewards".to_owned(), serde_json::Value::Array(rewards));
        }
        out += &serde_json::to_string(&object)?;
        out.push('\n');
    }
    match &args.output {
        Some(path) => Ok(atomic_file::write(path, out.as_bytes())?),
        None => {
            answer(out.trim_end());
            Ok(())
        }
    }
}
