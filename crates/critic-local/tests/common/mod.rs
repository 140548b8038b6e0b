//! What the tests of the engine share: the tiny model and requests of all kinds.

#![allow(dead_code, reason = "each test file uses some of it")]

use critic_engine::{
    Completion, EngineError, GenerateRequest, Generator, Probe, ProbeTurn, RequestControl,
    Sampling, ScoreRequest, ScoredResponse, Scorer, collect,
};
use critic_local::{EngineLimits, LocalEngine};
use critic_model::sources::{LoadedModel, load_folder};
use critic_model::{Decoder, RewardHead, WeightFormat};
use critic_text::Prompts;
use critic_types::{Conversation, SeedTree};
use std::path::Path;

pub(crate) const WIDE: EngineLimits =
    EngineLimits { max_leaves: 64, prefill_tokens: 512, kv_tokens: 20_000 };
pub(crate) const NARROW: EngineLimits =
    EngineLimits { max_leaves: 2, prefill_tokens: 7, kv_tokens: 900 };

pub(crate) fn model() -> LoadedModel {
    named_model("tiny_llama")
}

pub(crate) fn named_model(name: &str) -> LoadedModel {
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden"));
    load_folder(&golden.join(name)).unwrap()
}

pub(crate) fn engine(limits: &EngineLimits) -> LocalEngine {
    engine_of(model(), limits)
}

pub(crate) fn engine_of(model: LoadedModel, limits: &EngineLimits) -> LocalEngine {
    engine_in(model, limits, WeightFormat::F32)
}

pub(crate) fn engine_in(
    model: LoadedModel,
    limits: &EngineLimits,
    format: WeightFormat,
) -> LocalEngine {
    let head = RewardHead::random_linear(model.config.d_model, &SeedTree::new(2));
    let decoder = Decoder::new(&model.config, &model.weights, format).unwrap();
    let (renderer, prompts) = (model.renderer, Prompts::builtin());
    LocalEngine::new(decoder, Some(head), renderer, prompts, limits.clone()).unwrap()
}

pub(crate) fn sampling() -> Sampling {
    Sampling { temperature: 1.0, top_p: 0.95, ..Sampling::greedy(12) }
}

pub(crate) fn score_request(
    id: &str,
    prompt: &str,
    response: &str,
    n_critiques: usize,
) -> ScoreRequest {
    ScoreRequest {
        id: id.to_owned(),
        prompt: Conversation::from_user(prompt),
        response: response.to_owned(),
        n_critiques,
        sampling: sampling(),
        seed: SeedTree::new(9).child(id),
        control: RequestControl::default(),
    }
}

pub(crate) fn scores() -> Vec<ScoreRequest> {
    let texts = [
        ("Add 2 and 2.", "4"),
        ("Add 2 and 2.", "five, I think"),
        ("Name a colour.", "Red is one."),
        ("Hi", "Hello!"),
    ];
    let request = |(i, &(prompt, response)): (usize, &(&str, &str))| {
        score_request(&format!("r{i}"), prompt, response, i % 4)
    };
    texts.iter().enumerate().map(request).collect()
}

pub(crate) fn probes() -> Vec<Probe> {
    let scores: Vec<String> = (1..=10).map(|i| i.to_string()).collect();
    vec![
        Probe { turn: ProbeTurn::Appended("\nScore: ".to_owned()), choices: scores },
        Probe {
            turn: ProbeTurn::Question("Is it right? Yes or No.".to_owned()),
            choices: vec!["Yes".to_owned(), "No".to_owned()],
        },
    ]
}

pub(crate) fn generate_request(id: &str, prompt: &str) -> GenerateRequest {
    let seed = SeedTree::new(5).child(id);
    GenerateRequest::new(id, Conversation::from_user(prompt), sampling(), seed)
}

/// Requests whose settings differ in everything that a request can ask for.
pub(crate) fn generations() -> Vec<GenerateRequest> {
    let settings = [
        sampling(),
        Sampling { top_k: 20, repetition_penalty: 1.4, ..sampling() },
        Sampling { min_p: 0.1, temperature: 1.3, top_p: 1.0, ..sampling() },
        Sampling { stop: vec!["e".to_owned(), "the".to_owned()], ..sampling() },
        Sampling { repetition_penalty: 1.2, ..Sampling::greedy(9) },
        Sampling { temperature: 0.7, max_new_tokens: 1, ..sampling() },
    ];
    let request = |(i, sampling): (usize, &Sampling)| {
        let written = Probe {
            turn: ProbeTurn::Written("e".to_owned()),
            choices: vec!["a".into(), "b".into()],
        };
        GenerateRequest {
            n: 1 + i % 4,
            sampling: sampling.clone(),
            probes: if i % 3 == 2 { vec![written] } else { probes() },
            log_probs: (i % 2 == 1).then_some(i),
            ..generate_request(&format!("g{i}"), &format!("Question {} of many", i / 2))
        }
    };
    settings.iter().chain(&settings).enumerate().map(request).collect()
}

pub(crate) fn all<T>(results: Vec<Option<Result<T, EngineError>>>) -> Vec<T> {
    let result = |result: Option<Result<T, EngineError>>| result.expect("one result each").unwrap();
    results.into_iter().map(result).collect()
}

pub(crate) fn score(engine: &mut LocalEngine, requests: &[ScoreRequest]) -> Vec<ScoredResponse> {
    all(collect(requests.len(), |sink| engine.score(requests, sink)))
}

pub(crate) fn generate(
    engine: &mut LocalEngine,
    requests: &[GenerateRequest],
) -> Vec<Vec<Completion>> {
    all(collect(requests.len(), |sink| engine.generate(requests, sink)))
}

/// Draws of a test: whole numbers below `n`.
pub(crate) struct Dice(SeedTree, u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeedTree::new(seed).child("dice"), 0)
    }

    pub(crate) fn roll(&mut self, n: usize) -> usize {
        self.1 += 1;
        ((self.0.index(self.1).uniform() * n as f64) as usize).min(n - 1)
    }
}
