//! Results of the local engine depend on the request alone: not on its neighbours, the limits or the order.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use critic_engine::{
    ChoiceRequest, Completion, EngineError, EngineErrorKind, GenerateRequest, Generator, Probe,
    ProbeTurn, Sampling, ScoreRequest, ScoredResponse, Scorer, collect,
};
use critic_forest::{PairSequences, TrainingForest};
use critic_local::{EngineLimits, LocalEngine};
use critic_model::sources::{LoadedModel, load_folder};
use critic_model::{Decoder, ForestAttention, RewardHead};
use critic_text::{Ending, Prompts};
use critic_types::{Conversation, FinishReason, Role, SeedTree};
use std::ops::ControlFlow;
use std::path::Path;

const WIDE: EngineLimits = EngineLimits { max_leaves: 64, prefill_tokens: 512, kv_tokens: 20_000 };
const NARROW: EngineLimits = EngineLimits { max_leaves: 2, prefill_tokens: 7, kv_tokens: 900 };

fn model() -> LoadedModel {
    load_folder(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../reference/golden/tiny_llama"
    )))
    .unwrap()
}

fn engine(limits: &EngineLimits) -> LocalEngine {
    let model = model();
    let head = RewardHead::random_weight(model.config.d_model, &SeedTree::new(2));
    let head = RewardHead::new(head, model.config.d_model).unwrap();
    let decoder = Decoder::new(&model.config, &model.weights).unwrap();
    LocalEngine::new(decoder, Some(head), model.renderer, Prompts::builtin(), limits.clone())
        .unwrap()
}

fn sampling() -> Sampling {
    Sampling { temperature: 1.0, top_p: 0.95, top_k: 0, max_new_tokens: 12 }
}

fn scores() -> Vec<ScoreRequest> {
    let texts = [
        ("Add 2 and 2.", "4"),
        ("Add 2 and 2.", "five, I think"),
        ("Name a colour.", "Red is one."),
        ("Hi", "Hello!"),
    ];
    let request = |(i, (prompt, response)): (usize, &(&str, &str))| ScoreRequest {
        id: format!("r{i}"),
        prompt: Conversation::from_user(*prompt),
        response: (*response).to_owned(),
        n_critiques: i % 4,
        sampling: sampling(),
        seed: SeedTree::new(9).child(&format!("r{i}")),
    };
    texts.iter().enumerate().map(request).collect()
}

fn generations() -> Vec<GenerateRequest> {
    let probes = vec![
        Probe {
            turn: ProbeTurn::Appended("\nScore: ".to_owned()),
            choices: (1..=10).map(|i| i.to_string()).collect(),
        },
        Probe {
            turn: ProbeTurn::Question("Is it right? Yes or No.".to_owned()),
            choices: vec!["Yes".to_owned(), "No".to_owned()],
        },
    ];
    let request = |i: usize| GenerateRequest {
        id: format!("g{i}"),
        conversation: Conversation::from_user(format!("Question {} of many", i / 2)),
        n: 1 + i % 3,
        sampling: sampling(),
        seed: SeedTree::new(5).index(i as u64),
        probes: probes.clone(),
    };
    (0..6).map(request).collect()
}

fn all<T>(results: Vec<Option<Result<T, EngineError>>>) -> Vec<T> {
    results
        .into_iter()
        .map(|result| result.expect("every request gets a result").unwrap())
        .collect()
}

fn score(engine: &mut LocalEngine, requests: &[ScoreRequest]) -> Vec<ScoredResponse> {
    all(collect(requests.len(), |sink| engine.score(requests, sink)))
}

fn generate(engine: &mut LocalEngine, requests: &[GenerateRequest]) -> Vec<Vec<Completion>> {
    all(collect(requests.len(), |sink| engine.generate(requests, sink)))
}

#[test]
fn rewards_and_critiques_have_the_same_bits_alone_and_in_any_batch() {
    let requests = scores();
    let together = score(&mut engine(&WIDE), &requests);
    assert_eq!(score(&mut engine(&NARROW), &requests), together);
    let mut one = engine(&WIDE);
    for (request, expected) in requests.iter().zip(&together) {
        assert_eq!(&score(&mut one, std::slice::from_ref(request))[0], expected);
    }
    let reversed: Vec<ScoreRequest> = requests.iter().rev().cloned().collect();
    let mut results = score(&mut one, &reversed);
    results.reverse();
    assert_eq!(results, together);
    assert!(together.iter().zip(0..).all(|(scored, i)| scored.critiques.len() == i % 4));
}

#[test]
fn texts_and_probabilities_have_the_same_bits_under_any_limits() {
    let requests = generations();
    let expected = generate(&mut engine(&WIDE), &requests);
    assert_eq!(generate(&mut engine(&NARROW), &requests), expected);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| generate(&mut engine(&WIDE), &requests)), expected);
    let texts: Vec<&str> =
        expected.iter().flatten().map(|completion| completion.text.as_str()).collect();
    assert!(texts.windows(2).any(|pair| pair[0] != pair[1]), "every draw is the same");
}

#[test]
fn a_reward_is_that_of_the_whole_sequence_run_at_once() {
    let model = model();
    let head = RewardHead::random_weight(model.config.d_model, &SeedTree::new(2));
    let head = RewardHead::new(head, model.config.d_model).unwrap();
    let decoder = Decoder::new(&model.config, &model.weights).unwrap();
    let at_once = |conversation: &Conversation| {
        let tokens = model.renderer.render(conversation, Ending::Closed).unwrap().tokens;
        let row = PairSequences {
            responses: [tokens.clone(), tokens],
            read_without_critique: true,
            ..Default::default()
        };
        let forest = TrainingForest::build(&[row]).unwrap();
        let hidden = decoder
            .hidden(&forest.tokens, &forest.positions, &mut ForestAttention::new(&forest))
            .unwrap();
        let last = &hidden[hidden.len() - model.config.d_model..];
        f64::from(head.rewards(last).unwrap()[0])
    };
    let requests = scores();
    for (request, scored) in requests.iter().zip(score(&mut engine(&WIDE), &requests)) {
        let answered = request.prompt.clone().with(Role::Assistant, &*request.response);
        assert!((at_once(&answered) - scored.without_critique.value()).abs() < 1e-5);
        for critique in &scored.critiques {
            assert!(critique.n_tokens <= 12);
            assert!(critique.finish_reason == FinishReason::Stop || critique.n_tokens == 12);
        }
    }
}

#[test]
fn a_probability_is_that_of_the_choice_appended_to_the_prompt() {
    let model = model();
    let decoder = Decoder::new(&model.config, &model.weights).unwrap();
    let conversation = Conversation::from_user("Pick a number");
    let choices: Vec<String> = ["1", "10", "Yes", "abc"].map(str::to_owned).to_vec();
    let request = ChoiceRequest {
        id: "c".to_owned(),
        conversation: conversation.clone(),
        choices: choices.clone(),
    };
    let found = all(collect(1, |sink| engine(&WIDE).choose(&[request], sink))).remove(0);
    let prompt = model.renderer.render(&conversation, Ending::GenerationPrompt).unwrap().tokens;
    for (choice, found) in choices.iter().zip(found) {
        let continuation = model.renderer.tokenizer().encode(choice).unwrap();
        let tokens = [&prompt[..], &continuation].concat();
        let row = PairSequences {
            responses: [tokens.clone(), tokens.clone()],
            read_without_critique: true,
            ..Default::default()
        };
        let forest = TrainingForest::build(&[row]).unwrap();
        let hidden =
            decoder.hidden(&tokens, &forest.positions, &mut ForestAttention::new(&forest)).unwrap();
        let predicting = &hidden[(prompt.len() - 1) * model.config.d_model..];
        let mut logits = Vec::new();
        decoder.logits(predicting, &mut logits).unwrap();
        let expected: f64 = logits
            .chunks_exact(model.config.vocab_size)
            .zip(&continuation)
            .map(|(row, &token)| {
                let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
                f64::from(row[token as usize]) - sum.ln()
            })
            .sum();
        assert!((found - expected).abs() < 1e-4, "{choice}: {found} is not {expected}");
    }
}

#[test]
fn one_failing_request_does_not_fail_its_neighbours() {
    let mut requests = generations();
    requests[1].conversation = Conversation::from_user("word ".repeat(3000));
    requests[2].sampling.top_p = 0.0;
    let results = collect(requests.len(), |sink| engine(&WIDE).generate(&requests, sink));
    let kinds: Vec<Option<&EngineErrorKind>> = results
        .iter()
        .map(|result| result.as_ref().unwrap().as_ref().err().map(|error| &error.kind))
        .collect();
    assert!(matches!(kinds[1], Some(EngineErrorKind::TooLong { context: 512, .. })));
    assert!(matches!(kinds[2], Some(EngineErrorKind::Sampling(_))));
    assert!(kinds.iter().enumerate().all(|(i, kind)| kind.is_none() || i == 1 || i == 2));
}

#[test]
fn a_limit_too_small_for_one_request_is_an_error_and_not_a_hang() {
    let limits = EngineLimits { kv_tokens: 10, ..WIDE };
    let requests = generations();
    for result in collect(requests.len(), |sink| engine(&limits).generate(&requests, sink)) {
        assert!(matches!(
            result.unwrap().unwrap_err().kind,
            EngineErrorKind::OutOfMemory { limit: 10, .. }
        ));
    }
    let zero = EngineLimits { max_leaves: 0, ..WIDE };
    let model = model();
    let decoder = Decoder::new(&model.config, &model.weights).unwrap();
    assert!(LocalEngine::new(decoder, None, model.renderer, Prompts::builtin(), zero).is_err());
}

#[test]
fn a_break_cancels_the_rest_and_the_engine_goes_on_with_the_next_call() {
    let requests = generations();
    let mut engine = engine(&WIDE);
    let mut n_seen = 0;
    engine.generate(&requests, &mut |_, _| {
        n_seen += 1;
        ControlFlow::Break(())
    });
    assert_eq!(n_seen, 1);
    assert_eq!(generate(&mut engine, &requests).len(), requests.len());
}
