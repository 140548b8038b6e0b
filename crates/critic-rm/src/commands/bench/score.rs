use super::args::ScoreArgs;
use super::machine::Machine;
use super::memory;
use super::work::{Work, fetch_model, settings};
use crate::commands::explain::explain;
use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_engine::{ScoreRequest, ScoredResponse, Scorer, collect};
use critic_local::LocalEngine;
use critic_method::{ScoreSettings, score_requests};
use critic_model::{Decoder, RewardHead};
use critic_text::{Ending, Prompts};
use critic_types::{Role, SeedTree};
use serde::Serialize;
use std::time::Instant;

/// What the rewards of the work cost.
#[derive(Debug, Serialize)]
pub(super) struct Scoring {
    #[serde(flatten)]
    machine: Machine,
    model: String,
    /// How the matrices are held.
    weights: &'static str,
    n_pairs: usize,
    n_critiques: usize,
    max_new_tokens: usize,
    /// Tokens of all prompts with their responses, each sequence by itself.
    unshared_tokens: usize,
    /// Tokens of the critiques, without those that close them.
    critique_tokens: usize,
    /// Without loading the model.
    seconds: f64,
    pairs_per_second: f64,
    peak_memory_bytes: Option<u64>,
    /// The first rewards without critique, by a head drawn from the seed.
    rewards: Vec<f64>,
}

/// Scores both responses of every pair.
pub(super) fn measure(args: &ScoreArgs) -> Result<Scoring> {
    let mut settings = settings(&args.common, Vec::new())?;
    settings.score.max_new_tokens = args.max_new_tokens;
    let weights = args.engine.weights.unwrap_or(settings.engine.weights);
    let sampling = settings.score.sampling();
    sampling.validate().map_err(|error| Fault::config(error.into()))?;
    let work = Work::read(&args.common)?;
    let pairs = work.first(args.common.pairs)?;
    let seed = SeedTree::new(settings.seed);
    let requests =
        score_requests(pairs, &ScoreSettings { n_critiques: args.n_critiques, sampling, seed });

    let fetched = fetch_model(&settings)?;
    let model = fetched.load_as(weights)?;
    let mut unshared_tokens = 0;
    for request in &requests {
        let answered = request.prompt.clone().with(Role::Assistant, request.response.as_str());
        unshared_tokens += model.renderer.render(&answered, Ending::Closed)?.tokens.len();
    }
    let head = RewardHead::random_linear(model.config.d_model, &seed.child("train"));
    let decoder = Decoder::new(&model.config, &model.weights, weights)?;
    drop(model.weights);
    let (renderer, prompts) = (model.renderer, Prompts::builtin());
    let mut engine =
        LocalEngine::new(decoder, Some(head), renderer, prompts, settings.engine.limits())
            .map_err(|error| Fault::config(error.into()))?;

    let warm_up = ScoreRequest { n_critiques: 0, ..requests[0].clone() };
    score(&mut engine, &[warm_up])?;
    let started = Instant::now();
    let scored = score(&mut engine, &requests)?;
    let seconds = started.elapsed().as_secs_f64();
    if args.engine.explain {
        explain(&engine, weights);
    }
    let critique_tokens =
        scored.iter().flat_map(|response| &response.critiques).map(|critique| critique.n_tokens);
    Ok(Scoring {
        machine: Machine::this(),
        model: fetched.name,
        weights: weights.name(),
        n_pairs: pairs.len(),
        n_critiques: args.n_critiques,
        max_new_tokens: args.max_new_tokens,
        unshared_tokens,
        critique_tokens: critique_tokens.sum(),
        seconds,
        pairs_per_second: pairs.len() as f64 / seconds,
        peak_memory_bytes: memory::peak_bytes(),
        rewards: scored.iter().take(8).map(|response| response.without_critique.value()).collect(),
    })
}

fn score(engine: &mut LocalEngine, requests: &[ScoreRequest]) -> Result<Vec<ScoredResponse>> {
    collect(requests.len(), |sink| engine.score(requests, sink))
        .into_iter()
        .map(|result| Ok(result.ok_or_else(|| anyhow!("a request got no answer"))??))
        .collect()
}
