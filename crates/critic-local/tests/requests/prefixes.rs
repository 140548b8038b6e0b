//! Prompts are computed once: within a call, between calls, and under a memory limit.

use crate::common::{
    NARROW, WIDE, engine, generate, generate_request, model, score, score_request,
};
use critic_engine::{EngineErrorKind, Generator, Overflow, RequestControl, ScoreRequest, collect};
use critic_local::{EngineLimits, KvArena};
use critic_text::{Ending, Prompts};
use critic_types::{Conversation, Role};

/// Tokens of the request for a critique of each response.
fn asked(requests: &[ScoreRequest]) -> Vec<Vec<u32>> {
    let (renderer, prompts) = (model().renderer, Prompts::builtin());
    let tokens = |request: &ScoreRequest| {
        let conversation = prompts.critique(&request.prompt, &request.response);
        renderer.render(&conversation, Ending::GenerationPrompt).unwrap().tokens
    };
    requests.iter().map(tokens).collect()
}

#[test]
fn a_prompt_is_computed_once_a_pair_and_a_response_once() {
    let prompt = "Add 2 and 2, and explain at length what you have done.";
    let pair = [
        score_request("chosen", prompt, "It is four: two and two more.", 8),
        score_request("rejected", prompt, "Five, as everybody knows.", 8),
    ];
    let tokens = asked(&pair);
    let n_common = tokens[0].iter().zip(&tokens[1]).take_while(|(a, b)| a == b).count();
    assert!(n_common > 20, "the prompt is shared");
    let mut engine = engine(&WIDE);
    let scored = score(&mut engine, &pair);
    assert!(scored.iter().all(|scored| scored.critiques.len() == 8));
    let stats = engine.stats();
    assert_eq!(stats.prompt_tokens_computed, tokens[0].len() + tokens[1].len() - n_common);
    assert_eq!(stats.prompt_tokens_reused, n_common);
    // The reward at the end of a critique costs the closing token.
    assert_eq!(stats.end_tokens_computed, 16);
    let n_written: usize = scored.iter().flat_map(|s| &s.critiques).map(|c| c.n_tokens).sum();
    assert_eq!(stats.answer_tokens_computed, n_written);
}

#[test]
fn a_later_call_computes_only_what_is_new_and_gives_the_same_bits() {
    let first = generate_request("a", "Tell me about rivers in the north");
    let second = generate_request("b", "Tell me about rivers in the south");
    let requests = [first, second];
    let expected = generate(&mut engine(&WIDE), &requests);
    let mut engine = engine(&WIDE);
    for (request, expected) in requests.iter().zip(&expected) {
        assert_eq!(&generate(&mut engine, std::slice::from_ref(request))[0], expected);
    }
    let before = engine.stats();
    assert!(before.prompt_tokens_reused > 10 && before.kept_kv_tokens > 0);
    assert_eq!(generate(&mut engine, &requests), expected);
    let after = engine.stats();
    // The token after which the first draw is read is computed again.
    assert_eq!(after.prompt_tokens_computed - before.prompt_tokens_computed, 2);
    engine.drop_prefixes();
    assert_eq!(engine.stats().kept_kv_tokens, 0);
    assert_eq!(generate(&mut engine, &requests), expected);
}

#[test]
fn the_memory_limit_is_kept() {
    let config = model().config;
    let row = KvArena::bytes_per_row(config.n_layers, config.n_kv_heads * config.head_dim);
    for kv_tokens in [90, 137, 400] {
        let limits = EngineLimits { kv_tokens, ..NARROW };
        let mut engine = engine(&limits);
        for i in 0..40 {
            generate(&mut engine, &[generate_request("a", &format!("Question {} please", i % 25))]);
            let stats = engine.stats();
            assert!(stats.peak_kv_tokens <= kv_tokens && stats.kept_kv_tokens <= kv_tokens);
            assert!(stats.kv_bytes <= kv_tokens * row);
        }
        assert!(engine.stats().kept_kv_tokens > kv_tokens / 3, "prefixes are kept");
    }
}

#[test]
fn a_prompt_beyond_the_context_loses_its_oldest_turns_when_asked() {
    let mut long = Conversation::default().with(Role::System, "Be brief.");
    for i in 0..30 {
        long = long.with(Role::User, format!("Question {i} about many things"));
        long = long.with(Role::Assistant, "An answer of some words.");
    }
    let long = long.with(Role::User, "And the last?");
    let mut request = generate_request("long", "");
    request.conversation = long.clone();
    let results = collect(1, |sink| engine(&WIDE).generate(std::slice::from_ref(&request), sink));
    let error = results.into_iter().next().unwrap().unwrap().unwrap_err();
    assert!(matches!(error.kind, EngineErrorKind::TooLong { context: 512, .. }));
    request.control = RequestControl { overflow: Overflow::DropOldestTurns, ..Default::default() };
    let written = generate(&mut engine(&WIDE), std::slice::from_ref(&request)).remove(0).remove(0);
    let n_dropped = written.n_dropped_turns;
    assert!(n_dropped > 0 && n_dropped.is_multiple_of(2), "{n_dropped}");
    // The same as asking without those turns.
    let mut kept = long.0;
    kept.drain(1..=n_dropped);
    request.conversation = Conversation(kept);
    request.control = RequestControl::default();
    let shorter = generate(&mut engine(&WIDE), std::slice::from_ref(&request)).remove(0).remove(0);
    assert_eq!((shorter.text, shorter.n_dropped_turns), (written.text, 0));
    // One round more would have been too long.
    request.conversation.0.splice(
        1..1,
        [
            (Role::User, "Question 9 about many things"),
            (Role::Assistant, "An answer of some words."),
        ]
        .map(|(role, content)| critic_types::Message { role, content: content.to_owned() }),
    );
    let results = collect(1, |sink| engine(&WIDE).generate(&[request], sink));
    assert!(results[0].as_ref().unwrap().is_err());
}

#[test]
fn a_last_turn_beyond_the_context_is_an_error_under_any_policy() {
    let mut request = generate_request("long", &"word ".repeat(3000));
    request.control.overflow = Overflow::DropOldestTurns;
    let results = collect(1, |sink| engine(&WIDE).generate(&[request], sink));
    let error = results.into_iter().next().unwrap().unwrap().unwrap_err();
    assert!(matches!(error.kind, EngineErrorKind::TooLong { .. }));
}
