//! Results of the local engine depend on the request alone: not on its neighbours, the limits or the order.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{
    Dice, NARROW, WIDE, all, engine, engine_in, engine_of, generate, generate_request, generations,
    model, named_model, score, score_request, scores,
};
use critic_engine::{
    ChoiceRequest, Completion, EngineErrorKind, GenerateRequest, Generator, RequestControl,
    ScoreRequest, collect,
};
use critic_forest::{PairSequences, TrainingForest};
use critic_local::{EngineLimits, LocalEngine};
use critic_model::sources::load_gguf;
use critic_model::{Decoder, ForestAttention, RewardHead, WeightFormat};
use critic_text::{Ending, Prompts};
use critic_types::{Conversation, FinishReason, Role, SeedTree};
use std::ops::ControlFlow;
use std::path::Path;

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
fn matrices_of_few_bits_give_the_same_bits_under_any_limits_too() {
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden"));
    let (requests, scores) = (generations(), scores());
    for (file, format) in [
        ("tiny_llama_q8_0.gguf", WeightFormat::Source),
        ("tiny_llama_f32.gguf", WeightFormat::Q4_1),
        ("tiny_llama_f32.gguf", WeightFormat::Bf16),
    ] {
        let engine = |limits| engine_in(load_gguf(&golden.join(file)).unwrap(), limits, format);
        let (mut wide, mut narrow) = (engine(&WIDE), engine(&NARROW));
        assert_eq!(generate(&mut wide, &requests), generate(&mut narrow, &requests), "{format:?}");
        assert_eq!(score(&mut wide, &scores), score(&mut narrow, &scores), "{format:?}");
    }
}

#[test]
fn any_batch_order_limit_and_cache_give_the_results_of_each_request_alone() {
    let (generations, scores) = (generations(), scores());
    let alone = |request: &GenerateRequest| {
        generate(&mut engine(&WIDE), std::slice::from_ref(request)).remove(0)
    };
    let expected: Vec<Vec<Completion>> = generations.iter().map(alone).collect();
    let expected_scores = score(&mut engine(&WIDE), &scores);
    let mut dice = Dice::new(3);
    for _ in 0..6 {
        let limits = EngineLimits {
            max_leaves: 1 + dice.roll(9),
            prefill_tokens: 1 + dice.roll(60),
            kv_tokens: 350 + dice.roll(700),
        };
        let mut engine = engine(&limits);
        // What is in the memory from one call must not show in the next.
        for _ in 0..3 {
            let mut places: Vec<usize> =
                (0..generations.len()).filter(|_| dice.roll(3) > 0).collect();
            for i in (1..places.len()).rev() {
                places.swap(i, dice.roll(i + 1));
            }
            let batch: Vec<GenerateRequest> =
                places.iter().map(|&place| generations[place].clone()).collect();
            for (&place, found) in places.iter().zip(generate(&mut engine, &batch)) {
                assert_eq!(found, expected[place], "request {place} under {limits:?}");
            }
            assert_eq!(score(&mut engine, &scores), expected_scores, "{limits:?}");
            assert!(engine.stats().peak_kv_tokens <= limits.kv_tokens);
        }
        engine.drop_prefixes();
        assert_eq!(engine.stats().kept_kv_tokens, 0);
    }
}

#[test]
fn windows_bounded_scores_and_norms_on_heads_see_no_more_of_the_batch() {
    let question = "w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20 w21 w22 w23";
    let generations: Vec<GenerateRequest> = (0..5)
        .map(|i| GenerateRequest {
            n: 1 + i % 3,
            ..generate_request(&format!("g{i}"), &format!("{question} w{}", 24 + i / 2))
        })
        .collect();
    let scores: Vec<ScoreRequest> =
        (0..3).map(|i| score_request(&format!("s{i}"), question, "w30 w31 yes", i)).collect();
    for name in ["mistral", "qwen3", "gemma2", "gemma3", "phi3"] {
        let engine = |limits| engine_of(named_model(&format!("families/{name}")), limits);
        let expected = generate(&mut engine(&WIDE), &generations);
        assert_eq!(generate(&mut engine(&NARROW), &generations), expected, "{name}");
        let expected = score(&mut engine(&WIDE), &scores);
        assert_eq!(score(&mut engine(&NARROW), &scores), expected, "{name}");
        let alone = score(&mut engine(&WIDE), &scores[1..2]);
        assert_eq!(alone[0], expected[1], "{name}");
    }
}

#[test]
fn the_least_memory_that_is_accepted_is_enough() {
    let requests = generations();
    let limits = EngineLimits { kv_tokens: 10, ..WIDE };
    let results = collect(requests.len(), |sink| engine(&limits).generate(&requests, sink));
    let needed = |result: &Option<Result<Vec<Completion>, _>>| match result {
        Some(Err(critic_engine::EngineError {
            kind: EngineErrorKind::OutOfMemory { n_tokens, .. },
            ..
        })) => *n_tokens,
        other => panic!("{other:?}"),
    };
    let most = results.iter().map(needed).max().unwrap();
    let expected = generate(&mut engine(&WIDE), &requests);
    let mut tight = engine(&EngineLimits { kv_tokens: most, ..WIDE });
    assert_eq!(generate(&mut tight, &requests), expected);
    assert!(tight.stats().peak_kv_tokens <= most);
}

#[test]
fn more_answers_than_fit_at_once_are_written_in_turn() {
    let mut request = common::generate_request("many", "Say something");
    request.n = 150;
    let expected = generate(&mut engine(&WIDE), std::slice::from_ref(&request));
    assert_eq!(expected[0].len(), 150);
    let mut narrow = engine(&EngineLimits { kv_tokens: 120, ..NARROW });
    assert_eq!(generate(&mut narrow, &[request]), expected);
    assert!(narrow.stats().peak_kv_tokens <= 120);
}

#[test]
fn a_reward_is_that_of_the_whole_sequence_run_at_once() {
    let model = model();
    let head = RewardHead::random_linear(model.config.d_model, &SeedTree::new(2));
    let decoder = Decoder::new(&model.config, &model.weights, WeightFormat::F32).unwrap();
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
    let decoder = Decoder::new(&model.config, &model.weights, WeightFormat::F32).unwrap();
    let conversation = Conversation::from_user("Pick a number");
    let choices: Vec<String> = ["1", "10", "Yes", "abc"].map(str::to_owned).to_vec();
    let request = ChoiceRequest {
        id: "c".to_owned(),
        conversation: conversation.clone(),
        choices: choices.clone(),
        control: RequestControl::default(),
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
    let decoder = Decoder::new(&model.config, &model.weights, WeightFormat::F32).unwrap();
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
