//! Ten thousand random requests with random cancellations leave nothing behind.

use crate::common::{Dice, engine, generate_request, probes, score_request};
use critic_engine::{
    CancelToken, ChoiceRequest, GenerateRequest, Generator, Overflow, RequestControl, Sampling,
    ScoreRequest, Scorer,
};
use critic_local::EngineLimits;
use critic_types::{Conversation, Role};
use std::ops::ControlFlow;
use std::time::Instant;

const N_REQUESTS: usize = 10_000;

fn generation(dice: &mut Dice, id: usize) -> GenerateRequest {
    let prompt = format!("Item {} {}", dice.roll(40), "and so on ".repeat(dice.roll(4)));
    let mut request = generate_request(&format!("g{id}"), &prompt);
    if dice.roll(50) == 0 {
        let old = "very long ".repeat(60);
        let old = Conversation::from_user(old).with(Role::Assistant, "yes");
        request.conversation = old.with(Role::User, prompt);
        request.control.overflow =
            if dice.roll(2) == 0 { Overflow::Refuse } else { Overflow::DropOldestTurns };
    }
    request.n = dice.roll(4);
    request.sampling = Sampling {
        temperature: [0.0, 0.8, 1.5][dice.roll(3)],
        top_k: [0, 5][dice.roll(2)],
        repetition_penalty: [1.0, 1.2][dice.roll(2)],
        stop: if dice.roll(3) == 0 { vec!["e".to_owned()] } else { Vec::new() },
        ..Sampling::greedy([0, 1, 4, 8][dice.roll(4).max(usize::from(dice.roll(20) > 0))])
    };
    if dice.roll(4) == 0 {
        request.probes = probes();
    }
    request
}

#[test]
fn ten_thousand_random_requests_leave_the_memory_empty() {
    let mut dice = Dice::new(7);
    let limits = EngineLimits { max_leaves: 48, prefill_tokens: 200, kv_tokens: 2500 };
    let mut engine = engine(&limits);
    let (mut n_sent, mut n_ok, mut n_failed, mut n_broken) = (0, 0, 0, 0);
    while n_sent < N_REQUESTS {
        let n = 1 + dice.roll(400);
        let break_at = if dice.roll(4) == 0 { dice.roll(n) } else { usize::MAX };
        let mut seen = vec![false; n];
        let mut n_results = 0;
        let mut note = |index: usize, is_ok: bool| {
            assert!(!std::mem::replace(&mut seen[index], true), "a second result");
            n_results += 1;
            if is_ok {
                n_ok += 1;
            } else {
                n_failed += 1;
            }
            if n_results > break_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match dice.roll(6) {
            0 => {
                let request = |i: usize| ChoiceRequest {
                    id: format!("c{}", n_sent + i),
                    conversation: Conversation::from_user(format!("Item {}", i % 30)),
                    choices: vec!["Yes".to_owned(), "No".to_owned()],
                    control: RequestControl::default(),
                };
                let requests: Vec<ChoiceRequest> = (0..n).map(request).collect();
                engine.choose(&requests, &mut |index, result| note(index, result.is_ok()));
            }
            1 => {
                let request = |i: usize| {
                    let prompt = format!("Item {}", (i / 2) % 30);
                    let mut request =
                        score_request(&format!("s{}", n_sent + i), &prompt, "so it is", i % 3);
                    request.sampling.max_new_tokens = 1 + i % 6;
                    request
                };
                let requests: Vec<ScoreRequest> = (0..n).map(request).collect();
                engine.score(&requests, &mut |index, result| note(index, result.is_ok()));
            }
            _ => {
                let tokens: Vec<CancelToken> = (0..n).map(|_| CancelToken::new()).collect();
                let requests: Vec<GenerateRequest> = (0..n)
                    .map(|i| {
                        let mut request = generation(&mut dice, n_sent + i);
                        request.control.cancel = Some(tokens[i].clone());
                        if dice.roll(30) == 0 {
                            request.control.deadline = Some(Instant::now());
                        }
                        request
                    })
                    .collect();
                let mut pieces = |_: critic_engine::TextPiece<'_>| {
                    if dice.roll(10) == 0 {
                        tokens[dice.roll(n)].cancel();
                    }
                    if dice.roll(40) == 0 {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                };
                engine.stream(&requests, &mut pieces, &mut |index, result| {
                    note(index, result.is_ok())
                });
            }
        }
        n_broken += usize::from(n_results < n);
        assert!(n_results == n || n_results == break_at + 1);
        assert!(engine.stats().peak_kv_tokens <= limits.kv_tokens);
        n_sent += n;
    }
    assert!(
        n_ok > N_REQUESTS / 4 && n_failed > 100 && n_broken > 1,
        "{n_ok} {n_failed} {n_broken}"
    );
    engine.drop_prefixes();
    assert_eq!(engine.stats().kept_kv_tokens, 0);
}
