//! The engine against a real TCP server whose replies are scripted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{reply, serve};
use critic_engine::{
    CancelToken, Completion, EngineErrorKind, GenerateRequest, Generator, Probe, ProbeTurn,
    RequestControl, Sampling, collect,
};
use critic_remote::{RemoteEngine, RemoteSettings, examine};
use critic_types::{Conversation, FinishReason, SeedTree};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

fn answers(n: u64) -> String {
    let choice = json!({"message": {"content": "Good. Score: 8"}, "finish_reason": "stop"});
    let choices = vec![choice; n as usize];
    json!({"choices": choices, "usage": {"prompt_tokens": 7, "completion_tokens": 5 * n}})
        .to_string()
}

fn settings(url: &str) -> RemoteSettings {
    RemoteSettings {
        endpoints: vec![url.to_owned()],
        model: "m".to_owned(),
        read_timeout: 2.0,
        total_timeout: 4.0,
        max_backoff: 2.0,
        retries: 2,
        max_concurrency: 4,
        ..RemoteSettings::default()
    }
}

fn request(id: &str) -> GenerateRequest {
    let seed = SeedTree::new(1).child(id);
    GenerateRequest::new(id, Conversation::from_user(id), Sampling::greedy(16), seed)
}

type Outcome = Result<Vec<Completion>, EngineErrorKind>;

fn run(engine: &mut RemoteEngine, requests: &[GenerateRequest]) -> Vec<Outcome> {
    collect(requests.len(), |sink| engine.generate(requests, sink))
        .into_iter()
        .map(|result| result.expect("every request has a result").map_err(|error| error.kind))
        .collect()
}

/// The outcome of one request against a server whose first reply is `bad` and whose others are well.
fn after_one(bad: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (Outcome, usize) {
    let (url, seen) = serve(move |number, _, stream| match number {
        0 => bad(stream),
        _ => reply(stream, 200, "", &answers(1)),
    });
    let mut engine = RemoteEngine::new(settings(&url), None, None).unwrap();
    let outcome = run(&mut engine, &[request("a")]).remove(0);
    let n = seen.lock().unwrap().len();
    (outcome, n)
}

#[test]
fn what_is_worth_trying_again_is_tried_again() {
    let recovers = |name: &str, (outcome, n): (Outcome, usize)| {
        let completions = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((completions[0].n_tokens, n), (5, 2), "{name}");
        assert_eq!(completions[0].finish_reason, FinishReason::Stop);
    };
    recovers("429", after_one(|s| reply(s, 429, "Retry-After: 0\r\n", "{}")));
    recovers("500", after_one(|s| reply(s, 500, "", "<html>oops</html>")));
    recovers("malformed", after_one(|s| reply(s, 200, "", "{\"choices\": [")));
    recovers("html", after_one(|s| reply(s, 200, "Content-Type: text/html\r\n", "<html>")));
    recovers("no choices", after_one(|s| reply(s, 200, "", "{\"choices\": []}")));
    recovers("closed", after_one(|_| {}));
    recovers(
        "cut",
        after_one(|s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"choices\"");
        }),
    );
    recovers("silent", after_one(|_| thread::sleep(Duration::from_secs(4))));
    recovers(
        "slow drips",
        after_one(|s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
            for _ in 0..40 {
                thread::sleep(Duration::from_millis(200));
                let _ = s.write_all(b" ");
            }
        }),
    );
}

#[test]
fn one_failing_item_fails_nothing_else() {
    let (url, _) = serve(|_, body, stream| match body["messages"][0]["content"].as_str() {
        Some("b") => {
            let error = json!({"error": {"message": "maximum context length is 16", "code": 400}});
            reply(stream, 400, "", &error.to_string());
        }
        _ => reply(stream, 200, "", &answers(1)),
    });
    let mut engine = RemoteEngine::new(settings(&url), None, None).unwrap();
    let outcomes = run(&mut engine, &["a", "b", "c"].map(request));
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    let error = outcomes[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("shorten the prompt"), "{error}");
    assert_eq!((engine.usage().prompt_tokens, engine.usage().n_retries), (14, 0));
}

#[test]
fn a_refused_key_stops_everything_and_is_not_quoted() {
    // PATH stands in for a key: a variable that every environment has.
    let key = std::env::var("PATH").unwrap();
    let quoted = key.clone();
    let (url, seen) = serve(move |_, _, stream| {
        let error = json!({"error": {"message": format!("bad key {quoted}")}});
        reply(stream, 401, "", &error.to_string());
    });
    let keyed =
        RemoteSettings { api_key_env: "PATH".to_owned(), max_concurrency: 1, ..settings(&url) };
    let mut engine = RemoteEngine::new(keyed, None, None).unwrap();
    assert!(!format!("{engine:?}").contains(&key));
    for outcome in run(&mut engine, &["a", "b", "c"].map(request)) {
        let error = outcome.unwrap_err();
        assert!(matches!(error, EngineErrorKind::RemoteRefused { .. }), "{error}");
        assert!(!format!("{error:?} {error}").contains(&key));
        assert!(error.to_string().contains("api_key_env"), "{error}");
    }
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn a_server_that_ignores_n_is_topped_up_and_remembered() {
    let (url, seen) = serve(|_, _, stream| reply(stream, 200, "", &answers(1)));
    let alone = RemoteSettings { max_concurrency: 1, ..settings(&url) };
    let mut engine = RemoteEngine::new(alone, None, None).unwrap();
    let three = |id| GenerateRequest { n: 3, ..request(id) };
    let outcomes = run(&mut engine, &[three("a"), three("b")]);
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().len() == 3));
    let seen = seen.lock().unwrap();
    let asked: Vec<Option<u64>> = seen.iter().map(|body| body["n"].as_u64()).collect();
    assert_eq!(asked, [Some(3), None, None, None, None, None]);
    assert_ne!(seen[1]["seed"], seen[2]["seed"]);
}

#[test]
fn a_server_with_a_bound_on_n_is_asked_for_that_many() {
    let (url, seen) = serve(|_, body, stream| match body["n"].as_u64().unwrap_or(1) {
        n if n > 4 => reply(stream, 400, "", "{\"error\": {\"message\": \"n is at most 4\"}}"),
        n => reply(stream, 200, "", &answers(n)),
    });
    let alone = RemoteSettings { max_concurrency: 1, ..settings(&url) };
    let mut engine = RemoteEngine::new(alone, None, None).unwrap();
    let nine = |id| GenerateRequest { n: 9, ..request(id) };
    let outcomes = run(&mut engine, &[nine("a"), nine("b")]);
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().len() == 9));
    let seen = seen.lock().unwrap();
    let asked: Vec<u64> = seen.iter().map(|body| body["n"].as_u64().unwrap_or(1)).collect();
    assert_eq!(asked, [9, 4, 4, 1, 4, 4, 1]);
}

fn verdict() -> Probe {
    let choices = vec!["Yes".to_owned(), "No".to_owned()];
    Probe { turn: ProbeTurn::Question("Right?".to_owned()), choices }
}

/// The reply to a reading of the likeliest tokens.
fn likeliest() -> String {
    let top = json!([{"token": "No", "logprob": -2.0}, {"token": " Yes", "logprob": -1.0}]);
    let content = json!([{"token": " Yes", "logprob": -1.0, "top_logprobs": top}]);
    let choice = json!({"message": {"content": " Yes"}, "finish_reason": "length",
        "logprobs": {"content": content}});
    json!({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}).to_string()
}

fn is_reading(body: &Value) -> bool {
    body["max_tokens"] == 1
}

#[test]
fn answers_whose_readings_fail_are_kept_and_never_asked_for_again() {
    let (url, seen) = serve(|number, body, stream| match (is_reading(body), number) {
        (false, _) => reply(stream, 200, "", &answers(body["n"].as_u64().unwrap_or(1))),
        (true, ..4) => reply(stream, 503, "", "{}"),
        (true, _) => reply(stream, 200, "", &likeliest()),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("replies.jsonl");
    let asking = GenerateRequest { n: 2, probes: vec![verdict()], ..request("a") };
    let sitting = || {
        let mut engine = RemoteEngine::new(settings(&url), None, Some(&file)).unwrap();
        (run(&mut engine, std::slice::from_ref(&asking)).remove(0), engine.usage())
    };
    let error = sitting().0.unwrap_err();
    assert!(matches!(error, EngineErrorKind::RemoteUnavailable { .. }), "{error}");
    assert!(error.to_string().contains("503") && error.stays_open(), "{error}");
    let (outcome, usage) = sitting();
    let completions = outcome.unwrap();
    assert!(completions.iter().all(|c| (c.probes[0][0] + 1.0).abs() < 1e-12));
    let n_written = seen.lock().unwrap().iter().filter(|body| !is_reading(body)).count();
    assert_eq!(n_written, 1);
    // The answers of the first sitting are counted, and the reading that both answers share once.
    assert_eq!((usage.n_calls, usage.completion_tokens), (2, 11));
    let before = seen.lock().unwrap().len();
    assert_eq!(sitting().0.unwrap(), completions);
    assert_eq!(seen.lock().unwrap().len(), before);
}

#[test]
fn a_reading_that_cannot_be_had_costs_no_answer() {
    let (url, _) = serve(|_, body, stream| match is_reading(body) {
        false => reply(stream, 200, "", &answers(1)),
        true => reply(stream, 400, "", "{\"error\": \"maximum context length is 16\"}"),
    });
    let mut engine = RemoteEngine::new(settings(&url), None, None).unwrap();
    let asking = GenerateRequest { probes: vec![verdict()], ..request("a") };
    let completions = run(&mut engine, &[asking]).remove(0).unwrap();
    assert_eq!(completions[0].probes, [Vec::<f64>::new()]);
}

#[test]
fn a_chat_server_that_continues_nothing_reads_verdicts_and_no_scores() {
    let (url, seen) = serve(|_, body, stream| match is_reading(body) {
        false => reply(stream, 200, "", &answers(1)),
        true => reply(stream, 200, "", &likeliest()),
    });
    let plain = RemoteSettings { continues_answers: false, ..settings(&url) };
    let mut engine = RemoteEngine::new(plain, None, None).unwrap();
    let choices = vec!["1".to_owned(), "2".to_owned()];
    let score = Probe { turn: ProbeTurn::Written("Score:".to_owned()), choices };
    let asking = GenerateRequest { probes: vec![score, verdict()], ..request("a") };
    let completions = run(&mut engine, &[asking]).remove(0).unwrap();
    assert_eq!((completions[0].probes[0].len(), completions[0].probes[1].len()), (0, 2));
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|body| body.get("continue_final_message").is_none()));
}

/// An answer that is over before its first token, as llama.cpp's server gives it.
fn nothing() -> String {
    let message = json!({"role": "assistant", "content": ""});
    json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string()
}

#[test]
fn a_place_where_the_end_is_drawn_is_drawn_again_and_absent_where_it_always_is() {
    let (url, seen) = serve(|_, body, stream| match is_reading(body) {
        false => reply(stream, 200, "", &answers(1)),
        true if body["seed"] == 2 => reply(stream, 200, "", &likeliest()),
        true => reply(stream, 200, "", &nothing()),
    });
    let asking = GenerateRequest { probes: vec![verdict()], ..request("a") };
    let mut engine = RemoteEngine::new(settings(&url), None, None).unwrap();
    let completions = run(&mut engine, &[asking]).remove(0).unwrap();
    assert_eq!(completions[0].probes[0].len(), 2);
    assert_eq!(seen.lock().unwrap().len(), 1 + 3);

    let (url, seen) = serve(|_, body, stream| match is_reading(body) {
        false => reply(stream, 200, "", &answers(1)),
        true if body.to_string().contains("Right?") => reply(stream, 200, "", &likeliest()),
        true => reply(stream, 200, "", &nothing()),
    });
    let unread = Probe { turn: ProbeTurn::Question("Short?".to_owned()), ..verdict() };
    let asking = GenerateRequest { probes: vec![verdict(), unread], ..request("a") };
    let mut engine = RemoteEngine::new(settings(&url), None, None).unwrap();
    let completions = run(&mut engine, &[asking]).remove(0).unwrap();
    assert_eq!((completions[0].probes[0].len(), completions[0].probes[1].len()), (2, 0));
    assert_eq!(seen.lock().unwrap().len(), 1 + 1 + 4);
}

#[test]
fn a_server_without_log_probabilities_is_named_and_stops_the_work() {
    let (url, seen) = serve(|_, _, stream| reply(stream, 200, "", &answers(1)));
    let alone = RemoteSettings { max_concurrency: 1, ..settings(&url) };
    let mut engine = RemoteEngine::new(alone, None, None).unwrap();
    let asking = |id| GenerateRequest { probes: vec![verdict()], ..request(id) };
    for outcome in run(&mut engine, &[asking("a"), asking("b")]) {
        let error = outcome.unwrap_err();
        assert!(matches!(error, EngineErrorKind::RemoteRefused { .. }), "{error}");
        assert!(error.to_string().contains("critic.top_log_probs"), "{error}");
    }
    assert_eq!(seen.lock().unwrap().len(), 1 + 4);
}

#[test]
fn a_refusal_leaves_those_under_way_their_answers() {
    let (url, _) = serve(|_, body, stream| match body["messages"][0]["content"].as_str() {
        Some("a") => {
            thread::sleep(Duration::from_millis(700));
            reply(stream, 200, "", &answers(1));
        }
        _ => {
            thread::sleep(Duration::from_millis(200));
            reply(stream, 404, "", "{\"error\": {\"message\": \"no model m\"}}");
        }
    });
    let two = RemoteSettings { max_concurrency: 2, ..settings(&url) };
    let mut engine = RemoteEngine::new(two, None, None).unwrap();
    let outcomes = run(&mut engine, &["a", "b", "c", "d"].map(request));
    assert!(outcomes[0].is_ok(), "{:?}", outcomes[0]);
    for outcome in &outcomes[1..] {
        let error = outcome.as_ref().unwrap_err();
        assert!(error.to_string().contains("critic.model"), "{error}");
    }
}

#[test]
fn a_server_is_examined_point_by_point() {
    let (url, _) = serve(|_, body, stream| match is_reading(body) {
        _ if body.is_null() => reply(stream, 200, "", "{\"data\": [{\"id\": \"m\"}]}"),
        true => reply(stream, 200, "", &likeliest()),
        false => reply(stream, 200, "", &answers(body["n"].as_u64().unwrap_or(1))),
    });
    let findings = examine(&settings(&url)).unwrap();
    let well: Vec<(&str, bool)> = findings.iter().map(|f| (f.what, f.is_well)).collect();
    let expected =
        [("models", true), ("answers", true), ("likeliest", true), ("continuation", false)];
    assert_eq!(well, expected, "{findings:?}");
    assert!(findings[3].found.contains("critic.continues_answers"), "{findings:?}");
    let gone = examine(&settings("http://127.0.0.1:9/v1")).unwrap();
    assert!(gone.iter().all(|finding| !finding.is_well), "{gone:?}");
}

#[test]
fn a_question_is_read_from_the_likeliest_tokens() {
    let (url, _) = serve(|_, body, stream| match is_reading(body) {
        true => reply(stream, 200, "", &likeliest()),
        false => reply(stream, 200, "", &answers(1)),
    });
    let mut engine = RemoteEngine::new(settings(&url), None, None).unwrap();
    let asking = GenerateRequest { probes: vec![verdict()], ..request("a") };
    let completions = run(&mut engine, &[asking]).remove(0).unwrap();
    for (got, expected) in completions[0].probes[0].iter().zip([-1.0, -2.0]) {
        assert!((got - expected).abs() < 1e-12);
    }
}

#[test]
fn a_cancelled_request_does_not_wait_for_its_server() {
    let (url, _) = serve(|_, _, _| thread::sleep(Duration::from_secs(30)));
    let patient = RemoteSettings { read_timeout: 60.0, ..settings(&url) };
    let mut engine = RemoteEngine::new(patient, None, None).unwrap();
    let token = CancelToken::new();
    token.cancel();
    let control = RequestControl { cancel: Some(token), ..RequestControl::default() };
    let outcome = run(&mut engine, &[GenerateRequest { control, ..request("a") }]).remove(0);
    assert_eq!(outcome, Err(EngineErrorKind::Cancelled));
}
