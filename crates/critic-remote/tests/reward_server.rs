//! Reward servers of others: a real TCP server whose replies are scripted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{reply, serve};
use critic_engine::{EngineErrorKind, RequestControl, Sampling, ScoreRequest, Scorer, collect};
use critic_remote::{RewardApi, RewardServer, RewardSettings, RewardTemplate};
use critic_types::{Conversation, SeedTree};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

fn settings(url: &str) -> RewardSettings {
    RewardSettings {
        url: url.to_owned(),
        retries: 2,
        max_backoff: 0.2,
        timeout: 2.0,
        ..RewardSettings::default()
    }
}

fn template() -> RewardTemplate {
    let render = |conversation: &Conversation| {
        let turns = conversation.messages().iter();
        Ok(turns.fold("<s>".to_owned(), |text, turn| format!("{text}{}|", turn.content)))
    };
    RewardTemplate { render: Arc::new(render), bos: Some("<s>".to_owned()) }
}

fn request(id: &str) -> ScoreRequest {
    ScoreRequest {
        id: id.to_owned(),
        prompt: Conversation::from_user("q"),
        response: id.to_owned(),
        n_critiques: 0,
        sampling: Sampling::greedy(1),
        seed: SeedTree::new(0).child(id),
        control: RequestControl::default(),
    }
}

fn rewards(server: &mut RewardServer, ids: &[&str]) -> Vec<Result<f64, EngineErrorKind>> {
    let requests: Vec<ScoreRequest> = ids.iter().map(|id| request(id)).collect();
    collect(requests.len(), |sink| server.score(&requests, sink))
        .into_iter()
        .map(|result| {
            let scored = result.expect("every request has a result");
            scored.map(|scored| scored.without_critique.value()).map_err(|error| error.kind)
        })
        .collect()
}

/// The reward of a text: how long it is.
fn openrlhf(body: &Value, stream: &mut TcpStream) {
    let lengths: Vec<usize> = body["query"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|text| text.as_str().unwrap().len())
        .collect();
    reply(stream, 200, "", &json!({ "rewards": lengths, "scores": lengths }).to_string());
}

#[test]
fn every_api_is_recognised_by_asking_and_gives_its_reward() {
    type Speaks = fn(&Value) -> Option<Value>;
    let speaking: [(RewardApi, Speaks); 6] = [
        (RewardApi::Rewards, |body| {
            body["conversations"][0][1]["content"]
                .as_str()
                .map(|text| json!({"rewards": [text.len()]}))
        }),
        (RewardApi::Openrlhf, |body| {
            body["query"][0].as_str().map(|text| json!({"rewards": [text.len()]}))
        }),
        (RewardApi::VllmClassify, |body| {
            let text = body["input"].as_str()?;
            assert_eq!(body["use_activation"], json!(false));
            assert_eq!(body["add_special_tokens"], json!(false));
            Some(json!({"data": [{"probs": [text.len()]}]}))
        }),
        (RewardApi::SglangClassify, |body| {
            body["text"][0].as_str().map(|text| json!([{"embedding": [text.len()]}]))
        }),
        (RewardApi::VllmPooling, |body| {
            let text = body["input"].as_str()?;
            body.get("use_activation")?;
            Some(json!({"data": [{"data": [[0.0], [text.len()]]}]}))
        }),
        (RewardApi::SglangEmbeddings, |body| {
            let text = body["input"].as_str()?;
            // One that embeds on the same path gives more than a number.
            let is_plain = body.get("use_activation").is_none();
            is_plain.then(|| json!({"data": [{"embedding": [text.len()]}]}))
        }),
    ];
    for (api, speaks) in speaking {
        let (url, _) = serve(move |_, body, stream| match speaks(body) {
            Some(said) => reply(stream, 200, "", &said.to_string()),
            None => reply(stream, 404, "", "{\"detail\": \"Not Found\"}"),
        });
        let mut server = RewardServer::new(&settings(&url), Some(template())).unwrap();
        let expected = match api {
            RewardApi::Rewards => 3.0,
            RewardApi::SglangClassify | RewardApi::SglangEmbeddings => "q|abc|".len() as f64,
            _ => "<s>q|abc|".len() as f64,
        };
        // vLLM's classify and pooling have one body and differ by their path, which the script does not see.
        if api != RewardApi::VllmPooling && api != RewardApi::SglangEmbeddings {
            assert_eq!(rewards(&mut server, &["abc"]), [Ok(expected)], "{}", api.name());
        }
        let named = RewardSettings { api: Some(api), ..settings(&url) };
        let mut server = RewardServer::new(&named, Some(template())).unwrap();
        assert_eq!(rewards(&mut server, &["abc"]), [Ok(expected)], "{}", api.name());
    }
}

#[test]
fn failures_that_pass_are_tried_again() {
    type Bad = fn(&mut TcpStream);
    let bad: [(&str, Bad); 5] = [
        ("429", |s| reply(s, 429, "Retry-After: 0\r\n", "{}")),
        ("500", |s| reply(s, 500, "", "Internal Server Error")),
        ("malformed", |s| reply(s, 200, "", "{\"rewards\": [1.")),
        ("closed", |_| {}),
        ("cut", |s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"rewards\"");
        }),
    ];
    for (name, bad) in bad {
        let (url, seen) = serve(move |number, body, stream| match number {
            0 => bad(stream),
            _ => openrlhf(body, stream),
        });
        let url = url.replace("/v1", "/get_reward");
        let mut server = RewardServer::new(&settings(&url), Some(template())).unwrap();
        assert_eq!(rewards(&mut server, &["abc"]), [Ok(9.0)], "{name}");
        assert_eq!((seen.lock().unwrap().len(), server.usage().n_retries), (2, 1), "{name}");
    }
}

#[test]
fn a_reward_that_is_none_fails_its_response_alone_and_is_not_asked_for_again() {
    let (url, seen) = serve(|_, body, stream| {
        let text = body["query"][0].as_str().unwrap();
        match text {
            "<s>q|nan|" => reply(stream, 200, "", "{\"rewards\": [NaN]}"),
            "<s>q|null|" => reply(stream, 200, "", "{\"rewards\": [null]}"),
            "<s>q|none|" => reply(stream, 200, "", "{\"rewards\": []}"),
            "<s>q|two|" => reply(stream, 200, "", "{\"rewards\": [1.0, 2.0]}"),
            _ => openrlhf(body, stream),
        }
    });
    let named = RewardSettings { api: Some(RewardApi::Openrlhf), ..settings(&url) };
    let mut server = RewardServer::new(&named, Some(template())).unwrap();
    let ids = ["fine", "nan", "null", "none", "two", "well"];
    let found = rewards(&mut server, &ids);
    assert_eq!((&found[0], &found[5]), (&Ok(10.0), &Ok(10.0)));
    for failed in &found[1..5] {
        assert!(matches!(failed, Err(EngineErrorKind::Remote { .. })), "{failed:?}");
    }
    assert_eq!(seen.lock().unwrap().len(), ids.len());
}

#[test]
fn what_no_server_answers_stays_open() {
    let (url, seen) = serve(|_, _, stream| reply(stream, 503, "", "{\"error\": \"loading\"}"));
    let named = RewardSettings { api: Some(RewardApi::Rewards), ..settings(&url) };
    let mut server = RewardServer::new(&named, None).unwrap();
    let Err(error) = &rewards(&mut server, &["a"])[0] else { panic!() };
    assert!(error.stays_open() && error.to_string().contains("loading (tried 3 times)"), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[test]
fn an_unknown_server_a_refused_key_and_a_missing_template_say_the_way_out() {
    let said = |server: &mut RewardServer| {
        let found = rewards(server, &["a", "b"]);
        assert!(matches!(&found[1], Err(EngineErrorKind::RemoteRefused { .. })), "{found:?}");
        found[1].as_ref().unwrap_err().to_string()
    };
    let (url, _) = serve(|_, _, stream| reply(stream, 404, "", "{}"));
    let mut server = RewardServer::new(&settings(&url), Some(template())).unwrap();
    let words = said(&mut server);
    assert!(
        words.contains("/get_reward as openrlhf: 404") && words.contains("name the API"),
        "{words}"
    );
    let (url, seen) = serve(|_, _, stream| reply(stream, 401, "", "{}"));
    let mut server = RewardServer::new(&settings(&url), Some(template())).unwrap();
    let words = said(&mut server);
    assert!(words.contains("401") && words.contains("environment variable"), "{words}");
    assert!(seen.lock().unwrap().len() <= 2);
    let (url, _) = serve(|_, body, stream| match body.get("conversations") {
        Some(_) => reply(stream, 404, "", "{}"),
        None => reply(stream, 500, "", "'NoneType' object is not iterable"),
    });
    let mut server = RewardServer::new(&settings(&url), None).unwrap();
    let words = said(&mut server);
    assert!(words.contains("chat template"), "{words}");
    let mut gone = RewardServer::new(&settings("http://127.0.0.1:9"), None).unwrap();
    let found = rewards(&mut gone, &["a"]);
    assert!(matches!(found[0], Err(EngineErrorKind::RemoteUnavailable { .. })), "{found:?}");
    let error = RewardServer::new(&settings("ftp://h"), None).unwrap_err().to_string();
    assert!(error.contains("address"), "{error}");
}

#[test]
fn a_key_goes_out_and_never_comes_back() {
    // PATH stands in for a key: a variable that every environment has.
    let key = std::env::var("PATH").unwrap();
    let quoted = key.clone();
    let (url, _) = serve(move |_, _, stream| {
        reply(stream, 400, "", &json!({"error": format!("bad {quoted}")}).to_string());
    });
    let keyed = RewardSettings {
        api: Some(RewardApi::Rewards),
        api_key_env: "PATH".to_owned(),
        ..settings(&url)
    };
    let mut server = RewardServer::new(&keyed, None).unwrap();
    let error = rewards(&mut server, &["a"]).remove(0).unwrap_err();
    assert!(
        error.to_string().contains("[API key]") && !error.to_string().contains(&key),
        "{error}"
    );
    assert!(!format!("{server:?}").contains(&key));
}

#[test]
fn a_server_is_examined() {
    let (url, _) = serve(|_, body, stream| match body.get("conversations") {
        Some(_) => reply(stream, 200, "", "{\"rewards\": [0.25]}"),
        None => reply(stream, 404, "", "{}"),
    });
    let findings = RewardServer::new(&settings(&url), None).unwrap().examine();
    assert!(findings.iter().all(|finding| finding.is_well), "{findings:?}");
    assert!(findings[0].found.contains("rewards, asked with messages"), "{findings:?}");
    let (url, _) = serve(|number, _, stream| {
        reply(stream, 200, "", &json!({"rewards": [number]}).to_string());
    });
    let findings = RewardServer::new(&settings(&url), None).unwrap().examine();
    assert!(!findings[1].is_well && findings[1].found.contains("and then"), "{findings:?}");
}
