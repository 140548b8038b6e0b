use super::eval::Results;
use super::score::Predictions;
use super::session::{Session, Split};
use crate::exit::Fault;
use crate::progress::say;
use anyhow::{Result, anyhow};
use critic_report::{
    DataRecord, HeldOutPoint, ItemRecord, ModelRecord, RunRecord, SettingRecord, SplitRecord,
    StepPoint, TrainingCurve, csv_files, html, markdown,
};
use critic_train::StepRecord;
use critic_types::{PreferencePair, Side, atomic_file};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The folder of the tables as CSV files.
const TABLES: &str = "tables";

/// Writes `report.html`, `report.md`, `tables/*.csv` and `run-record.json`.
pub(crate) fn run(
    session: &mut Session,
    results: Results,
    predictions: &[Predictions],
) -> Result<()> {
    let record = record(session, results, predictions);
    let folder = session.folder.path();
    atomic_file::write(&folder.join("run-record.json"), record.to_json()?.as_bytes())?;
    write(folder, &html(&record)?, &markdown(&record), &csv_files(&record)?)?;
    say(format!("report: {}", folder.join("report.html").display()));
    if !session.folder.is_shared() {
        say(format!(
            "score a file of your own: critic-rm score FILE.jsonl --model {}",
            folder.display()
        ));
    }
    Ok(())
}

/// Writes a report's page, its Markdown and its tables into a folder; tables of an earlier report that
/// this one does not have are removed.
pub(crate) fn write(
    folder: &Path,
    page: &str,
    text: &str,
    tables: &[(String, String)],
) -> Result<()> {
    let of_tables = folder.join(TABLES);
    let unusable = |error: std::io::Error| {
        let folder = of_tables.display();
        Fault::store(anyhow!("{folder} cannot be used for a report's tables: {error}"))
    };
    fs::create_dir_all(&of_tables).map_err(unusable)?;
    for entry in fs::read_dir(&of_tables).map_err(unusable)? {
        let path = entry.map_err(unusable)?.path();
        let is_known = tables.iter().any(|(name, _)| path.file_name() == Some(name.as_ref()));
        if path.extension().is_some_and(|extension| extension == "csv") && !is_known {
            fs::remove_file(&path).map_err(unusable)?;
        }
    }
    for (name, table) in tables {
        atomic_file::write(&of_tables.join(name), table.as_bytes())?;
    }
    atomic_file::write(&folder.join("report.md"), text.as_bytes())?;
    atomic_file::write(&folder.join("report.html"), page.as_bytes())?;
    Ok(())
}

fn record(session: &Session, results: Results, predictions: &[Predictions]) -> RunRecord {
    let base = &session.base;
    let split = |split: &Split| SplitRecord {
        file: split.file.clone(),
        n_pairs: split.pairs.len(),
        dropped: split.report.dropped.clone(),
    };
    let settings = session.resolved.values.iter().map(|(key, value, origin)| SettingRecord {
        key: key.clone(),
        value: value.clone(),
        origin: origin.clone(),
    });
    let training = session.records.training.iter().map(|(name, steps)| TrainingCurve {
        name: name.clone(),
        steps: steps.iter().map(step).collect(),
        held_out: steps.iter().flat_map(held_out).collect(),
    });
    RunRecord {
        format_version: RunRecord::FORMAT_VERSION,
        title: format!("Critic-RM on {}", file_name(&session.train.file)),
        command: session.command.clone(),
        model: ModelRecord {
            name: base.identity.name.clone(),
            source: base.identity.source.clone(),
            digest: Some(base.identity.digest.to_string()),
            n_parameters: base.config.n_parameters() as u64,
        },
        data: DataRecord { train: split(&session.train), eval: Some(split(&session.eval)) },
        settings: settings.collect(),
        stages: session.records.stages.clone(),
        rounds: session.records.rounds.clone(),
        training: training.collect(),
        items: items(session, &results, predictions),
        contestants: results.contestants,
        comparisons: results.comparisons,
        diagnostics: results.diagnostics,
        critique_studies: results.studies,
        main: results.main,
        notes: session.records.notes.clone(),
    }
}

/// What stands in a title of a file, whose path is told elsewhere.
fn file_name(path: &str) -> Cow<'_, str> {
    Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy())
}

fn step(step: &StepRecord) -> StepPoint {
    StepPoint {
        step: step.step + 1,
        critique_weight: step.critique_weight,
        critique_loss: step.critique_loss,
        preference_loss: step.preference_loss,
        joint_loss: step.joint_loss,
        accuracy: step.accuracy,
        learning_rate: step.learning_rate,
        grad_norm: step.grad_norm,
    }
}

fn held_out(step: &StepRecord) -> Vec<HeldOutPoint> {
    let point = |found: &critic_train::EvaluationRecord| HeldOutPoint {
        set: found.set.clone(),
        step: step.step + 1,
        preference_loss: found.preference_loss,
        critique_loss: found.critique_loss,
        accuracy: found.accuracy,
    };
    step.evaluations.iter().map(point).collect()
}

/// Every held-out pair that the main model scored, with the numbers of every contestant.
fn items(session: &Session, results: &Results, predictions: &[Predictions]) -> Vec<ItemRecord> {
    let Some(critic) = Predictions::main(predictions) else { return Vec::new() };
    let scored = critic.at(critic.n_critiques);
    let item = |pair: &PreferencePair| {
        let chosen = scored.get(&(pair.id.clone(), Side::Chosen))?.clone();
        let rejected = scored.get(&(pair.id.clone(), Side::Rejected))?.clone();
        let mut rewards = BTreeMap::new();
        for entrant in &results.entrants {
            if let Ok(Some((chosen, rejected))) = entrant.rewards(pair) {
                rewards.insert(entrant.name.clone(), [chosen, rejected]);
            }
        }
        Some(ItemRecord {
            pair_id: pair.id.clone(),
            domain: pair.domain.clone(),
            prompt: pair.prompt.clone(),
            chosen: pair.chosen.clone(),
            rejected: pair.rejected.clone(),
            correct: chosen.mean.value() > rejected.mean.value(),
            chosen_prediction: chosen,
            rejected_prediction: rejected,
            rewards,
        })
    };
    session.eval.pairs.iter().filter_map(item).collect()
}
