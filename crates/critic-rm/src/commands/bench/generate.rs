use super::args::GenerateArgs;
use super::machine::Machine;
use super::memory;
use super::work::{Work, fetch_model, settings};
use crate::commands::explain::explain;
use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_engine::{GenerateRequest, Generator, collect};
use critic_local::LocalEngine;
use critic_method::{CritiqueSettings, plan};
use critic_model::Decoder;
use critic_text::{Ending, Prompts};
use critic_types::SeedTree;
use serde::Serialize;
use std::time::Instant;

/// What the critiques of the work cost.
#[derive(Debug, Serialize)]
pub(super) struct Generation {
    #[serde(flatten)]
    machine: Machine,
    model: String,
    /// How the matrices are held.
    weights: &'static str,
    n_prompts: usize,
    n: usize,
    max_new_tokens: usize,
    /// Tokens of all prompts, each once.
    prompt_tokens: usize,
    /// Prompts included, without loading the model.
    seconds: f64,
    /// Tokens of the critiques, without those that close them.
    n_tokens: usize,
    tokens_per_second: f64,
    peak_memory_bytes: Option<u64>,
}

/// Writes the critiques of the first responses of the work.
pub(super) fn measure(args: &GenerateArgs) -> Result<Generation> {
    let mut settings = settings(&args.common, Vec::new())?;
    settings.critique.max_new_tokens = args.max_new_tokens;
    let weights = args.engine.weights.unwrap_or(settings.engine.weights);
    let sampling = settings.critique.sampling();
    sampling.validate().map_err(|error| Fault::config(error.into()))?;
    let work = Work::read(&args.common)?;
    let prompts = Prompts::builtin();
    let seed = SeedTree::new(settings.seed);
    let plan_settings =
        CritiqueSettings { n_candidates: args.n, sampling, seed, knows_label: false };
    let mut requests = plan(work.first(args.common.pairs)?, &prompts, &plan_settings);
    if !(1..=requests.len()).contains(&args.prompts) || args.n == 0 {
        return Err(Fault::config(anyhow!(
            "--prompts is {} and --n {}; the work has {} responses: take 1 to {} of them and at least one critique",
            args.prompts,
            args.n,
            requests.len(),
            requests.len()
        )));
    }
    requests.truncate(args.prompts);
    requests.iter_mut().for_each(|request| request.probes.clear());

    let fetched = fetch_model(&settings)?;
    let model = fetched.load_as(weights)?;
    let mut prompt_tokens = 0;
    for request in &requests {
        let rendered = model.renderer.render(&request.conversation, Ending::GenerationPrompt)?;
        prompt_tokens += rendered.tokens.len();
    }
    let decoder = Decoder::new(&model.config, &model.weights, weights)?;
    drop(model.weights);
    let mut engine =
        LocalEngine::new(decoder, None, model.renderer, prompts, settings.engine.limits())
            .map_err(|error| Fault::config(error.into()))?;

    write(&mut engine, &warm_up(&requests[0]))?;
    let started = Instant::now();
    let n_tokens = write(&mut engine, &requests)?;
    let seconds = started.elapsed().as_secs_f64();
    if args.engine.explain {
        explain(&engine, weights);
    }
    Ok(Generation {
        machine: Machine::this(),
        model: fetched.name,
        weights: weights.name(),
        n_prompts: requests.len(),
        n: args.n,
        max_new_tokens: args.max_new_tokens,
        prompt_tokens,
        seconds,
        n_tokens,
        tokens_per_second: n_tokens as f64 / seconds,
        peak_memory_bytes: memory::peak_bytes(),
    })
}

/// A few tokens of another draw.
fn warm_up(request: &GenerateRequest) -> [GenerateRequest; 1] {
    let mut request =
        GenerateRequest { n: 1, seed: request.seed.child("warm-up"), ..request.clone() };
    request.sampling.max_new_tokens = request.sampling.max_new_tokens.min(8);
    [request]
}

/// Writes all answers; gives how many tokens they have.
fn write(engine: &mut LocalEngine, requests: &[GenerateRequest]) -> Result<usize> {
    let mut n_tokens = 0;
    for result in collect(requests.len(), |sink| engine.generate(requests, sink)) {
        let completions = result.ok_or_else(|| anyhow!("a request got no answer"))??;
        n_tokens += completions.iter().map(|completion| completion.n_tokens).sum::<usize>();
    }
    Ok(n_tokens)
}
