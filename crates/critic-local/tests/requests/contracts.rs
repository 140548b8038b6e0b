//! Streaming, cancellation, deadlines, stop strings, log-probabilities and bad input.

use crate::common::{
    NARROW, WIDE, engine, engine_of, generate, generate_request, generations, model, named_model,
    sampling, score, score_request,
};
use critic_engine::{
    CancelToken, ChoiceRequest, Completion, EngineErrorKind, GenerateRequest, Generator, Overflow,
    Probe, ProbeTurn, RequestControl, Sampling, Scorer, collect,
};
use critic_local::{EngineLimits, LocalEngine, LocalError};
use critic_model::{Decoder, Weight, WeightFormat};
use critic_text::{Prompts, Renderer};
use critic_types::{Conversation, FinishReason, Role, SeedTree};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

type Results = Vec<Option<Result<Vec<Completion>, EngineErrorKind>>>;

fn run(
    engine: &mut LocalEngine,
    requests: &[GenerateRequest],
    pieces: &mut critic_engine::PieceSink<'_>,
) -> Results {
    let mut results: Results = requests.iter().map(|_| None).collect();
    engine.stream(requests, pieces, &mut |index, result| {
        assert!(results[index].is_none(), "a second result");
        results[index] = Some(result.map_err(|error| {
            assert_eq!(error.id, requests[index].id);
            error.kind
        }));
        ControlFlow::Continue(())
    });
    results
}

#[test]
fn pieces_join_to_the_texts_whatever_the_limits() {
    let requests = generations();
    for limits in [WIDE, NARROW, EngineLimits { kv_tokens: 330, ..WIDE }] {
        let mut told: BTreeMap<(usize, usize), (String, Option<FinishReason>)> = BTreeMap::new();
        let mut engine = engine(&limits);
        let results = run(&mut engine, &requests, &mut |piece| {
            let answer = told.entry((piece.request, piece.answer)).or_default();
            assert!(answer.1.is_none(), "a piece after the last");
            answer.0.push_str(piece.text);
            answer.1 = piece.finish_reason;
            ControlFlow::Continue(())
        });
        for (index, result) in results.into_iter().enumerate() {
            for (answer, written) in result.unwrap().unwrap().into_iter().enumerate() {
                let told = told.remove(&(index, answer)).unwrap();
                assert_eq!(told, (written.text, Some(written.finish_reason)));
            }
        }
        assert!(told.is_empty());
    }
}

#[test]
fn breaking_a_piece_cancels_its_request_alone_and_frees_it() {
    let requests = generations();
    let expected = generate(&mut engine(&WIDE), &requests);
    let mut engine = engine(&WIDE);
    let results = run(&mut engine, &requests, &mut |piece| {
        if piece.request == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    for (index, result) in results.into_iter().enumerate() {
        match result.unwrap() {
            Ok(found) => assert_eq!(found, expected[index]),
            Err(kind) => assert_eq!((index, kind), (2, EngineErrorKind::Cancelled)),
        }
    }
    engine.drop_prefixes();
    assert_eq!(engine.stats().kept_kv_tokens, 0);
}

#[test]
fn a_token_cancels_before_during_and_after() {
    let mut requests = generations();
    let expected = generate(&mut engine(&WIDE), &requests);
    let tokens: Vec<CancelToken> = requests.iter().map(|_| CancelToken::new()).collect();
    for (request, token) in requests.iter_mut().zip(&tokens) {
        request.control.cancel = Some(token.clone());
    }
    tokens[0].cancel();
    let guard = tokens[4].cancel_on_drop();
    let mut guard = Some(guard);
    let results = run(&mut engine(&WIDE), &requests, &mut |piece| {
        if piece.request == 5 {
            drop(guard.take());
        }
        ControlFlow::Continue(())
    });
    for (index, result) in results.into_iter().enumerate() {
        match result.unwrap() {
            Ok(found) => assert_eq!(found, expected[index]),
            Err(kind) => {
                assert!(index == 0 || index == 4, "{index}");
                assert_eq!(kind, EngineErrorKind::Cancelled);
            }
        }
    }
    assert!(tokens[4].is_cancelled());
}

#[test]
fn choices_heed_cancellation_deadline_and_overflow() {
    let request = |id: &str, control: RequestControl| ChoiceRequest {
        id: id.to_owned(),
        conversation: Conversation::from_user("word ".repeat(300))
            .with(Role::Assistant, "Well.")
            .with(Role::User, "Pick one"),
        choices: vec!["Yes".to_owned(), "No".to_owned()],
        control,
    };
    let cancel = CancelToken::new();
    cancel.cancel();
    let past = Instant::now().checked_sub(Duration::from_secs(1));
    let fits = Overflow::DropOldestTurns;
    let requests = [
        request("long", RequestControl::default()),
        request("short", RequestControl { overflow: fits, ..RequestControl::default() }),
        request("gone", RequestControl { cancel: Some(cancel), ..RequestControl::default() }),
        request("late", RequestControl { deadline: past, ..RequestControl::default() }),
    ];
    let results = collect(requests.len(), |sink| engine(&WIDE).choose(&requests, sink));
    let kinds: Vec<_> = results.into_iter().map(|r| r.unwrap().map_err(|e| e.kind)).collect();
    assert!(matches!(kinds[0], Err(EngineErrorKind::TooLong { .. })), "{:?}", kinds[0]);
    assert!(kinds[1].as_ref().is_ok_and(|p| p.len() == 2), "{:?}", kinds[1]);
    assert_eq!(kinds[2], Err(EngineErrorKind::Cancelled));
    assert_eq!(kinds[3], Err(EngineErrorKind::Deadline));
}

#[test]
fn a_neighbour_that_is_cancelled_while_its_prompt_is_read_leaves_the_rest_to_read_it() {
    // Both share a long prompt that takes many steps; the first is cancelled in the middle of it.
    let prompt = "rivers and mountains ".repeat(12);
    let mut first = generate_request("first", &format!("{prompt} one"));
    let second = generate_request("second", &format!("{prompt} two"));
    let third = GenerateRequest { n: 3, ..generate_request("third", "Hi") };
    let expected = generate(&mut engine(&WIDE), std::slice::from_ref(&second)).remove(0);
    let token = CancelToken::new();
    first.control.cancel = Some(token.clone());
    let limits = EngineLimits { max_leaves: 9, prefill_tokens: 24, kv_tokens: 5000 };
    let requests = [third, first, second];
    let mut n_pieces = 0;
    let results = run(&mut engine(&limits), &requests, &mut |piece| {
        assert_ne!(piece.request, 1);
        n_pieces += 1;
        if n_pieces == 2 {
            token.cancel();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(results[1], Some(Err(EngineErrorKind::Cancelled)));
    assert_eq!(results[2], Some(Ok(expected)));
}

#[test]
fn a_deadline_cuts_answers_that_have_begun_and_fails_requests_that_have_not() {
    let mut requests =
        [generate_request("late", "Say much"), generate_request("never", "Say more")];
    requests[0].sampling.max_new_tokens = 300;
    requests[0].sampling.stop = Vec::new();
    requests[0].probes = crate::common::probes();
    let deadline = Instant::now() + Duration::from_millis(1500);
    requests[0].control.deadline = Some(deadline);
    requests[1].control.deadline = Instant::now().checked_sub(Duration::from_secs(1));
    let results = run(&mut engine(&WIDE), &requests, &mut |_| {
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
        ControlFlow::Continue(())
    });
    let cut = &results[0].as_ref().unwrap().as_ref().unwrap()[0];
    assert_eq!(cut.finish_reason, FinishReason::Deadline);
    assert!(cut.n_tokens < 300 && cut.probes[0].iter().all(|p| p.is_finite()));
    assert_eq!(results[1], Some(Err(EngineErrorKind::Deadline)));
}

#[test]
fn a_cut_critique_is_closed_before_its_reward_is_read() {
    let mut request = score_request("r", "Add 2 and 2.", "4", 4);
    request.sampling.max_new_tokens = 3;
    let scored = score(&mut engine(&WIDE), std::slice::from_ref(&request)).remove(0);
    for critique in &scored.critiques {
        // The same critique given as the response's continuation has the same reward.
        let prompts = Prompts::builtin();
        let mut asked = request.clone();
        asked.prompt = prompts.critique(&request.prompt, &request.response);
        asked.response = critique.text.clone();
        asked.n_critiques = 0;
        let tokens = model().renderer.tokenizer().encode(&critique.text).unwrap();
        if tokens.len() == critique.n_tokens {
            let again = score(&mut engine(&WIDE), &[asked]).remove(0);
            assert_eq!(again.without_critique, critique.reward);
        }
    }
    assert!(scored.critiques.iter().any(|c| c.finish_reason == FinishReason::Length));
}

#[test]
fn a_critique_that_a_stop_string_ends_has_the_reward_of_its_text() {
    let mut n_checked = 0;
    for i in 0..40 {
        let mut request = score_request(&format!("r{i}"), "Add 2 and 2.", "4", 2);
        request.sampling.stop = ["e", "a", "in", "s"].map(str::to_owned).to_vec();
        let scored = score(&mut engine(&WIDE), std::slice::from_ref(&request)).remove(0);
        for critique in scored.critiques {
            assert!(request.sampling.stop.iter().all(|stop| !critique.text.contains(stop)));
            let tokens = model().renderer.tokenizer().encode(&critique.text).unwrap();
            if tokens.len() != critique.n_tokens || critique.text.trim() != critique.text {
                continue;
            }
            let mut asked = request.clone();
            asked.prompt = Prompts::builtin().critique(&request.prompt, &request.response);
            asked.response = critique.text.clone();
            asked.n_critiques = 0;
            if asked.response.is_empty() {
                continue;
            }
            let again = score(&mut engine(&WIDE), &[asked]).remove(0);
            assert_eq!(again.without_critique, critique.reward, "{:?}", critique.text);
            n_checked += 1;
        }
    }
    assert!(n_checked > 3, "{n_checked}");
}

#[test]
fn log_probabilities_are_of_the_models_own_distribution() {
    let mut request = generate_request("a", "Say something");
    request.n = 3;
    request.sampling = Sampling { temperature: 0.5, top_k: 3, ..sampling() };
    request.log_probs = Some(512);
    for written in generate(&mut engine(&WIDE), &[request]).remove(0) {
        assert!(!written.log_probs.is_empty());
        assert!(written.log_probs.len() >= written.n_tokens);
        for drawn in &written.log_probs {
            let sum: f64 = drawn.top.iter().map(|(_, log_prob)| log_prob.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
            assert!(drawn.top.windows(2).all(|pair| pair[0].1 >= pair[1].1));
            let rank = drawn.top.iter().position(|(token, _)| *token == drawn.token).unwrap();
            assert!(rank < 3 && drawn.top[rank].1 == drawn.log_prob);
        }
    }
}

#[test]
fn a_written_choice_is_read_where_it_stands() {
    let mut asked = generate_request("a", "Say something");
    asked.n = 400;
    asked.sampling = Sampling { temperature: 1.0, ..Sampling::greedy(4) };
    asked.log_probs = Some(0);
    let mut engine = engine(&WIDE);
    let mut n_checked = 0;
    for (i, written) in
        generate(&mut engine, std::slice::from_ref(&asked)).remove(0).iter().enumerate()
    {
        let names = |n: usize| -> String {
            let names = written.log_probs[..n].iter().map(|drawn| drawn.token.as_str());
            names.collect::<String>().replace('Ġ', " ").replace('Ċ', "\n")
        };
        if written.n_tokens != 4 || names(4) != written.text {
            continue;
        }
        let (marker, whole) = (names(2), names(3));
        let choice = whole[marker.len()..].trim_start();
        let is_word =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
        let behind = written.text[whole.len()..].chars().next();
        if !is_word(choice)
            || marker.trim().is_empty()
            || behind.is_some_and(|c| c.is_alphanumeric() || c == '.' || c == ',')
            || written.text.matches(marker.trim()).count() != 1
        {
            continue;
        }
        let probe = Probe {
            turn: ProbeTurn::Written(format!("\n{} ", marker.trim())),
            choices: vec![choice.to_owned(), "0".to_owned()],
        };
        let request = GenerateRequest { n: i + 1, probes: vec![probe], ..asked.clone() };
        let found = generate(&mut engine, &[request]).remove(0).swap_remove(i);
        assert_eq!(found.text, written.text);
        assert!(
            (found.probes[0][0] - written.log_probs[2].log_prob).abs() < 1e-12,
            "{:?}",
            written.text
        );
        n_checked += 1;
        if n_checked == 3 {
            break;
        }
    }
    assert!(n_checked > 0);
}

#[test]
fn a_choice_that_is_not_written_is_read_after_the_lead() {
    let mut request = generate_request("a", "Say something");
    let choices = vec!["1".to_owned(), "10".to_owned()];
    let lead = "\nScore: ".to_owned();
    request.probes = vec![
        Probe { turn: ProbeTurn::Appended(lead.clone()), choices: choices.clone() },
        Probe { turn: ProbeTurn::Written(lead), choices },
    ];
    let written = generate(&mut engine(&WIDE), &[request]).remove(0).remove(0);
    assert_eq!(written.probes[0], written.probes[1]);
}

#[test]
fn a_stop_string_that_is_a_special_token_ends_the_answer_there() {
    let mut request = generate_request("a", "Say something");
    request.n = 300;
    request.log_probs = Some(0);
    request.sampling.stop = vec!["<|im_start|>".to_owned()];
    let written = generate(&mut engine(&WIDE), &[request]).remove(0);
    let stopped = written.iter().filter(|w| w.log_probs.last().unwrap().token == "<|im_start|>");
    let mut n = 0;
    for completion in stopped {
        assert_eq!(completion.finish_reason, FinishReason::Stop);
        assert_eq!(completion.log_probs.len(), completion.n_tokens + 1);
        n += 1;
    }
    assert!(n > 0, "none of the answers has the token");
}

#[test]
fn a_nan_fails_its_request_alone() {
    let mut poisoned = named_model("tiny_llama3_untied");
    let sound = [generate_request("a", "Say this"), generate_request("c", "Say that")];
    let expected = generate(&mut engine_of(named_model("tiny_llama3_untied"), &WIDE), &sound);
    // A letter that the sound answers do not have.
    let is_unused = |letter: &char| expected.iter().flatten().all(|c| !c.text.contains(*letter));
    let letter = ('F'..='Z').find(is_unused).unwrap();
    let bad = poisoned.renderer.tokenizer().encode(&letter.to_string()).unwrap()[0] as usize;
    let name = "model.embed_tokens.weight";
    let embedding = poisoned.weights.remove(name).unwrap();
    let (shape, mut values) = (embedding.shape().to_vec(), embedding.into_values());
    values[bad * shape[1]..][..shape[1]].fill(f32::NAN);
    poisoned.weights.insert(name.to_owned(), Weight::new(shape, values).unwrap());
    let bad = generate_request("b", &format!("Say {letter}"));
    let requests = [sound[0].clone(), bad, sound[1].clone()];
    let mut engine = engine_of(poisoned, &WIDE);
    let results = run(&mut engine, &requests, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(results[1], Some(Err(EngineErrorKind::NonFinite { .. }))), "{:?}", results[1]);
    assert_eq!(results[0], Some(Ok(expected[0].clone())));
    assert_eq!(results[2], Some(Ok(expected[1].clone())));
    let bad = format!("Say {letter}");
    let scores = [score_request("r", &bad, "no", 1), score_request("s", "Say this", "no", 0)];
    let results = collect(2, |sink| engine.score(&scores, sink));
    assert_eq!(results[0].as_ref().unwrap().as_ref().unwrap_err().id, "r");
    assert!(results[1].as_ref().unwrap().is_ok());
}

#[test]
fn what_repeats_another_request_is_refused() {
    let first = generate_request("a", "Say this");
    let same_id = GenerateRequest { seed: SeedTree::new(77), ..first.clone() };
    let same_draws = GenerateRequest { id: "b".to_owned(), ..first.clone() };
    let mut greedy = GenerateRequest { id: "c".to_owned(), ..first.clone() };
    greedy.sampling = Sampling::greedy(3);
    let other_prompt = GenerateRequest { seed: first.seed, ..generate_request("d", "Say that") };
    let requests = [first, same_id, same_draws, greedy, other_prompt];
    let results = run(&mut engine(&WIDE), &requests, &mut |_| ControlFlow::Continue(()));
    assert_eq!(results[1], Some(Err(EngineErrorKind::DuplicateId)));
    let other = "a".to_owned();
    assert_eq!(results[2], Some(Err(EngineErrorKind::DuplicateSeed { other })));
    for index in [0, 3, 4] {
        assert!(results[index].as_ref().unwrap().is_ok(), "{index}");
    }
}

#[test]
fn settings_that_cannot_be_are_errors_with_their_value() {
    let mut requests: Vec<GenerateRequest> =
        (0..3).map(|i| generate_request(&format!("r{i}"), "Hi")).collect();
    requests[0].sampling.stop = vec![String::new()];
    requests[1].sampling.min_p = 2.0;
    let results = run(&mut engine(&WIDE), &requests, &mut |_| ControlFlow::Continue(()));
    let message = |i: usize| results[i].as_ref().unwrap().as_ref().unwrap_err().to_string();
    assert!(message(0).contains("sampling.stop is [\"\"]"), "{}", message(0));
    assert!(message(1).contains("min_p is 2"), "{}", message(1));
    assert!(results[2].as_ref().unwrap().is_ok());
}

#[test]
fn an_end_of_turn_token_that_the_model_lacks_is_an_error() {
    let model = model();
    let decoder = Decoder::new(&model.config, &model.weights, WeightFormat::F32).unwrap();
    let renderer =
        Renderer::new(model.renderer.tokenizer().clone(), model.renderer.template().clone(), 5000);
    let error = LocalEngine::new(decoder, None, renderer, Prompts::builtin(), WIDE).unwrap_err();
    assert!(matches!(error, LocalError::NoEndOfTurn { id: 5000, vocab_size: 512 }), "{error}");
}

#[test]
fn a_choice_goes_on_with_an_assistant_turn_that_is_not_finished() {
    let asked = Conversation::from_user("Say something");
    let request = |id: &str, conversation: Conversation, choices: &[&str]| ChoiceRequest {
        id: id.to_owned(),
        conversation,
        choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
        control: RequestControl::default(),
    };
    let begun = asked.clone().with(Role::Assistant, "Yes");
    let requests = [request("whole", asked, &["Yes", "Yes."]), request("begun", begun, &["."])];
    let results = collect(2, |sink| engine(&WIDE).choose(&requests, sink));
    let [whole, rest] = <[Vec<f64>; 2]>::try_from(crate::common::all(results)).unwrap();
    // ln P of both words less ln P of the first is ln P of the second after it.
    assert!((whole[1] - whole[0] - rest[0]).abs() < 1e-6, "{whole:?} {rest:?}");
}
