use super::session::Session;
use super::train::TrainedModel;
use crate::progress::{Meter, News, say, tell};
use anyhow::Result;
use critic_engine::{ScoredResponse, Scorer};
use critic_method::{ScoreSettings, predict, response_id, score_requests};
use critic_model::sources::load_path_as;
use critic_types::{PreferencePair, RewardPrediction, Side};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The rewards of the held-out responses by one model, with all their critiques.
#[derive(Debug)]
pub(crate) struct Predictions {
    pub(crate) name: String,
    pub(crate) n_critiques: usize,
    /// Whether the model reads rewards after critiques.
    pub(crate) reads_critiques: bool,
    pub(crate) by_response: BTreeMap<(String, Side), RewardPrediction>,
}

impl Predictions {
    /// The model that a run is about: the first that reads critiques, else the first.
    pub(crate) fn main(all: &[Self]) -> Option<&Self> {
        all.iter().find(|model| model.reads_critiques).or(all.first())
    }

    /// The predictions from the first `m` critiques; a response that has none is left out.
    pub(crate) fn at(&self, m: usize) -> BTreeMap<(String, Side), RewardPrediction> {
        let predicted = self.by_response.iter().filter_map(|((pair, side), stored)| {
            let scored = ScoredResponse {
                without_critique: stored.without_critique?,
                critiques: stored.critiques.clone(),
                n_failed: stored.n_failed,
                n_dropped_turns: 0,
            };
            let prediction = predict(&response_id(pair, *side), &scored, m, true).ok()?;
            Some(((pair.clone(), *side), prediction))
        });
        predicted.collect()
    }
}

/// Inference on the held-out pairs: m critiques by Critic-RM, none by the scalar model.
pub(crate) fn run(session: &mut Session, trained: &[TrainedModel]) -> Result<Vec<Predictions>> {
    trained.iter().map(|model| score(session, model)).collect()
}

fn score(session: &mut Session, model: &TrainedModel) -> Result<Predictions> {
    let chosen = &session.resolved.settings.score;
    let n_critiques = if model.reads_critiques { chosen.n_critiques } else { 0 };
    let settings = ScoreSettings { n_critiques, sampling: chosen.sampling(), seed: session.seed() };
    let mut hasher = session.engine_hasher("score", &session.base);
    hasher
        .text(model.key.as_str())
        .text(&serde_json::to_string(chosen)?)
        .bytes(&(n_critiques as u64).to_le_bytes());
    let key = hasher.finish();
    let mut by_response = session.store.predictions(&key, &session.eval.pairs)?;
    for ((pair, side), one) in &by_response {
        tell(|| News::scored(&model.name, n_critiques, pair, *side, one));
    }
    let requests: Vec<_> = score_requests(&session.eval.pairs, &settings);
    let responses: Vec<(&PreferencePair, Side)> =
        session.eval.pairs.iter().flat_map(|pair| Side::BOTH.map(|side| (pair, side))).collect();
    let open: Vec<usize> = (0..requests.len())
        .filter(|&i| !by_response.contains_key(&(responses[i].0.id.clone(), responses[i].1)))
        .collect();
    let n_done = requests.len() - open.len();
    let mut seconds = 0.0;
    let mut failures = Vec::new();
    if !open.is_empty() {
        let settings = &session.resolved.settings.engine;
        let (limits, weights) = (settings.limits(), settings.weights);
        let (folder, prompts) = (&model.folder, &session.prompts);
        let read = load_path_as(folder, weights)?;
        let mut engine = TrainedModel::engine(read, folder, prompts, limits, weights)?;
        let open_requests: Vec<_> = open.iter().map(|&i| requests[i].clone()).collect();
        let mut meter = Meter::new(
            &format!("scoring with {}", model.name),
            requests.len() as u64,
            n_done as u64,
        );
        let (store, cancel) = (&mut session.store, session.cancel.clone());
        let mut stored = Ok(());
        engine.score(&open_requests, &mut |index, result| {
            let (pair, side) = responses[open[index]];
            let prediction = result.map_err(|error| error.to_string()).and_then(|scored| {
                predict(&response_id(&pair.id, side), &scored, n_critiques, true)
                    .map_err(|error| error.to_string())
            });
            match prediction {
                Ok(prediction) => {
                    tell(|| News::scored(&model.name, n_critiques, &pair.id, side, &prediction));
                    stored = store.put_prediction(&key, pair, side, &prediction).map(drop);
                    by_response.insert((pair.id.clone(), side), prediction);
                }
                Err(reason) => failures.push(reason),
            }
            meter.advance("");
            if stored.is_err() || cancel.is_set() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        seconds = meter.finish();
        stored?;
        if session.cancel.is_set() {
            return Err(session.interrupted());
        }
        failures.iter().take(3).for_each(|failure| say(format!("not scored: {failure}")));
    }
    let n_written: usize = by_response.values().map(|prediction| prediction.critiques.len()).sum();
    let mut facts =
        vec![("responses", by_response.len().to_string()), ("critiques", n_written.to_string())];
    if !failures.is_empty() {
        facts.push(("failed", failures.len().to_string()));
    }
    session.finish(&format!("score {}", model.name), &key, seconds, n_done > 0, facts)?;
    let (name, reads_critiques) = (model.name.clone(), model.reads_critiques);
    Ok(Predictions { name, n_critiques, reads_critiques, by_response })
}
