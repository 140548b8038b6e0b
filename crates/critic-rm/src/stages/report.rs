use super::eval::Results;
use super::score::Predictions;
use super::session::{Session, Split};
use crate::progress::say;
use anyhow::Result;
use critic_eval::Accuracy;
use critic_report::{
    DataRecord, ItemRecord, ModelRecord, RunRecord, ScoreAgreement, SettingRecord, SplitRecord,
    StepPoint, TrainingCurve, html, markdown,
};
use critic_stats::TieRule;
use critic_types::{PreferencePair, Side, atomic_file};
use std::collections::BTreeMap;

/// How many pairs the report shows with their critiques.
const N_ITEMS: usize = 8;

/// Writes `report.html`, `report.md` and `run-record.json`.
pub(crate) fn run(
    session: &mut Session,
    results: &Results,
    predictions: &[Predictions],
) -> Result<()> {
    let record = record(session, results, predictions)?;
    let folder = session.folder.path();
    atomic_file::write(&folder.join("run-record.json"), record.to_json()?.as_bytes())?;
    atomic_file::write(&folder.join("report.md"), markdown(&record).as_bytes())?;
    let page = folder.join("report.html");
    atomic_file::write(&page, html(&record)?.as_bytes())?;
    say(format!("report: {}", page.display()));
    say(format!(
        "score a file of your own: critic-rm score FILE.jsonl --model {}",
        folder.display()
    ));
    Ok(())
}

fn record(session: &Session, results: &Results, predictions: &[Predictions]) -> Result<RunRecord> {
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
        steps: steps
            .iter()
            .map(|step| StepPoint {
                step: step.step + 1,
                critique_weight: step.critique_weight,
                critique_loss: step.critique_loss,
                preference_loss: step.preference_loss,
                joint_loss: step.joint_loss,
                accuracy: step.accuracy,
                learning_rate: step.learning_rate,
                grad_norm: step.grad_norm,
            })
            .collect(),
    });
    Ok(RunRecord {
        format_version: RunRecord::FORMAT_VERSION,
        title: format!("Critic-RM on {}", session.train.file),
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
        funnel: session.records.funnel.clone(),
        score_agreement: score_agreement(session)?,
        contestants: results.contestants.clone(),
        comparisons: results.comparisons.clone(),
        training: training.collect(),
        items: items(session, predictions),
        notes: session.records.notes.clone(),
    })
}

/// How far each kind of score agrees with the label, from the filter's counts.
fn score_agreement(session: &Session) -> Result<Vec<ScoreAgreement>> {
    let Some(report) = &session.records.filter else { return Ok(Vec::new()) };
    let agreement = |score: &critic_method::ScoreReport| {
        let n_below = score.n_pairs - score.n_agree - score.n_ties;
        let mut pairs = vec![(1.0, 0.0); score.n_agree];
        pairs.extend(vec![(0.0, 0.0); score.n_ties]);
        pairs.extend(vec![(0.0, 1.0); n_below]);
        Ok(ScoreAgreement {
            kind: score.score,
            n_pairs: report.pairs.n_seen(),
            accuracy: Accuracy::of(&pairs, TieRule::Wrong)?,
        })
    };
    report.scores.iter().map(agreement).collect()
}

/// A handful of pairs of every domain: right and wrong ones, those with the widest margins first.
fn items(session: &Session, predictions: &[Predictions]) -> Vec<ItemRecord> {
    let Some(critic) = Predictions::main(predictions) else { return Vec::new() };
    let scored = critic.at(critic.n_critiques);
    let item = |pair: &PreferencePair| {
        let chosen = scored.get(&(pair.id.clone(), Side::Chosen))?.clone();
        let rejected = scored.get(&(pair.id.clone(), Side::Rejected))?.clone();
        Some(ItemRecord {
            pair_id: pair.id.clone(),
            domain: pair.domain.clone(),
            prompt: pair.prompt.clone(),
            chosen: pair.chosen.clone(),
            rejected: pair.rejected.clone(),
            correct: chosen.mean.value() > rejected.mean.value(),
            chosen_prediction: chosen,
            rejected_prediction: rejected,
        })
    };
    let mut groups: BTreeMap<(bool, Option<String>), Vec<ItemRecord>> = BTreeMap::new();
    for item in session.eval.pairs.iter().filter_map(item) {
        groups.entry((!item.correct, item.domain.clone())).or_default().push(item);
    }
    let margin = |item: &ItemRecord| {
        (item.chosen_prediction.mean.value() - item.rejected_prediction.mean.value()).abs()
    };
    for group in groups.values_mut() {
        group.sort_by(|a, b| margin(b).total_cmp(&margin(a)));
    }
    let mut items = Vec::new();
    for rank in 0.. {
        let before = items.len();
        items.extend(groups.values().filter_map(|group| group.get(rank)).cloned());
        if items.len() == before || items.len() >= N_ITEMS {
            break;
        }
    }
    items.truncate(N_ITEMS);
    items
}
