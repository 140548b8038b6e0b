//! A grid of settings over seeds: one run a point, in one folder, sharing what is the same.

mod outcome;
mod recipe;

use crate::cli::{RunArgs, StudyArgs};
use crate::exit::{Fault, is_of_data};
use crate::progress::{Cancel, answer, duration, say};
use crate::run_folder::RunFolder;
use crate::screen::Screen;
use crate::settings::{Overrides, Resolved, StudyLayers, resolve_in_study};
use crate::stages::{self, Session, Stage};
use anyhow::{Context, Result, anyhow};
use critic_eval::StudyRun;
use critic_report::{StudyFailure, StudyRunRecord};
use recipe::{Configuration, Recipe, Values};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;
use toml::Value;

/// One run of the study before it is made.
#[derive(Debug)]
struct Point {
    configuration: Configuration,
    seed: u64,
    resolved: Resolved,
}

impl Point {
    fn name(&self) -> String {
        format!("{}, seed {}", self.configuration.name(), self.seed)
    }

    fn folder(&self, study: &Path) -> PathBuf {
        study.join("runs").join(format!("{}-seed-{}", self.configuration.slug(), self.seed))
    }
}

/// Runs a study, or goes on with it, and sets its configurations beside each other.
pub(crate) fn study(args: &StudyArgs) -> Result<()> {
    if args.recipe == "list" {
        for (name, title) in recipe::built_in()? {
            answer(format!("{name:<22} {title}"));
        }
        return Ok(());
    }
    let mut recipe = Recipe::read(&args.recipe)?;
    if !args.seeds.is_empty() {
        recipe.seeds.clone_from(&args.seeds);
    }
    let overrides = args.run.overrides();
    let points = points(&recipe, args.run.run.as_deref(), &overrides)?;
    if args.run.explain {
        answer(format!("{}: {} runs", recipe.title, points.len()));
        points.iter().for_each(|point| answer(format!("  {}", point.name())));
        return Ok(());
    }
    let folder = args.run.out.clone().unwrap_or_else(|| Path::new("studies").join(&recipe.name));
    let command = again(args, &folder);
    let _taken = RunFolder::take(&folder)?;
    let cancel = Cancel::listen();
    let _screen = Screen::open(args.run.tui, &folder.display().to_string(), &cancel)?;
    let (mut runs, mut failures, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
    for (i, point) in points.iter().enumerate() {
        say(format!(
            "\nrun {} of {}: {}{}",
            i + 1,
            points.len(),
            point.name(),
            left(&seconds, points.len() - i)
        ));
        let started = Instant::now();
        match run(point, &folder, &command, &cancel) {
            Ok(done) => runs.push(done),
            Err(error) if is_of_data(&error) => {
                say(format!("this run cannot be made: {error:#}"));
                failures.push(StudyFailure { run: point.name(), reason: format!("{error:#}") });
            }
            Err(error) => return Err(error),
        }
        seconds.push(started.elapsed().as_secs_f64());
    }
    if runs.is_empty() {
        return Err(Fault::data(anyhow!(
            "none of the {} runs could be made; the first one's reason: {}",
            points.len(),
            failures.first().map_or("", |failure| failure.reason.as_str())
        )));
    }
    let report = outcome::report(&recipe, runs, failures, command)?;
    answer(outcome::terminal(&report));
    outcome::write(&report, &folder)
}

/// The runs, each with its settings, so that a wrong one is found before the first is made.
fn points(recipe: &Recipe, run_file: Option<&Path>, overrides: &Overrides) -> Result<Vec<Point>> {
    let base = StudyLayers { base: recipe.base.clone(), point: Vec::new() };
    let plain = resolve_in_study(&base, run_file, overrides)?;
    let leaves_out_each = recipe.vary.iter().any(|vary| matches!(vary.values, Values::Each(_)));
    let domains: BTreeSet<String> = match leaves_out_each {
        false => BTreeSet::new(),
        true => {
            let pairs = stages::read_train(&plain.settings.data)?.pairs;
            pairs.into_iter().filter_map(|pair| pair.domain).collect()
        }
    };
    let mut points = Vec::new();
    for configuration in recipe.configurations(&domains)? {
        for &seed in &recipe.seeds {
            let mut point = configuration.settings.clone();
            point.push((recipe.seed_key.clone(), Value::Integer(seed.cast_signed())));
            let layers = StudyLayers { base: recipe.base.clone(), point };
            let resolved = resolve_in_study(&layers, run_file, overrides)
                .with_context(|| format!("the study {}: {}", recipe.name, configuration.name()))?;
            points.push(Point { configuration: configuration.clone(), seed, resolved });
        }
    }
    Ok(points)
}

/// Makes one run up to its report; what it shares with earlier ones is taken from them.
fn run(
    point: &Point,
    study: &Path,
    command: &str,
    cancel: &Cancel,
) -> Result<(StudyRunRecord, StudyRun)> {
    let folder = point.folder(study);
    let resolved = Resolved {
        settings: point.resolved.settings.clone(),
        values: point.resolved.values.clone(),
    };
    let taken = RunFolder::open(&folder, &resolved)?.sharing(study);
    let mut session = Session::open_in(taken, resolved, command.to_owned(), cancel.clone())?;
    let contestants = stages::run_to(&mut session, Stage::Report)?
        .ok_or_else(|| anyhow!("{} ended before its results", point.name()))?;
    let configuration = point.configuration.name();
    let stages = session.records.stages.iter();
    let report = folder.join("report.html");
    let record = StudyRunRecord {
        configuration: configuration.clone(),
        seed: point.seed,
        seconds: stages.map(|stage| (stage.name.clone(), stage.seconds)).collect(),
        report: report.strip_prefix(study).unwrap_or(&report).display().to_string(),
    };
    let pairs = session.eval.pairs;
    Ok((record, StudyRun { configuration, seed: point.seed, contestants, pairs }))
}

/// The command that goes on with the study.
fn again(args: &StudyArgs, folder: &Path) -> String {
    let StudyArgs { recipe, run, seeds } = args;
    let RunArgs {
        run: run_file,
        out: _,
        model,
        device,
        data,
        eval,
        seed,
        set,
        strict,
        explain: _,
        tui,
    } = run;
    let path = |path: &PathBuf| path.display().to_string();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let flags = [
        ("--out", Some(path(&folder.to_owned()))),
        ("--model", model.clone()),
        ("--device", device.clone()),
        ("--data", data.as_ref().map(path)),
        ("--eval", eval.as_ref().map(path)),
        ("--seed", seed.map(|seed| seed.to_string())),
        ("--seeds", (!seeds.is_empty()).then(|| seeds.join(","))),
    ];
    let mut words = vec!["critic-rm study".to_owned(), recipe.clone()];
    words.extend(run_file.as_ref().map(path));
    words.extend(flags.into_iter().filter_map(|(flag, value)| Some(format!("{flag} {}", value?))));
    words.extend(set.iter().map(|set| format!("--set '{set}'")));
    words.extend(strict.then(|| "--strict".to_owned()));
    words.extend(tui.then(|| "--tui".to_owned()));
    words.join(" ")
}

/// How long the runs that are left take if they take as long as those that were made.
fn left(seconds: &[f64], n_left: usize) -> String {
    // Runs that an earlier sitting made take a moment.
    let made: Vec<f64> = seconds.iter().copied().filter(|&seconds| seconds > 10.0).collect();
    if made.is_empty() {
        return String::new();
    }
    let mean = made.iter().sum::<f64>() / made.len() as f64;
    format!("; about {} left", duration(mean * n_left as f64))
}
