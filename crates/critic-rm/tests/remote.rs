//! The real program with a critic on a scripted server: the stages, refusals, outages, and the way there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../critic-remote/tests/common/mod.rs"]
mod common;

use common::{reply, serve};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// The program, with no proxy and no certificates of this environment.
fn critic_rm(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    command.args(args).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    let names = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];
    for name in names {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env_remove("SSL_CERT_FILE");
    command
}

/// A small run up to `stage` whose critic is at `url`.
fn run(stage: &str, out: &Path, url: &str, extra: &[&str]) -> Output {
    let mut command = critic_rm(&[stage, "--out"]);
    command.arg(out).arg("--model").arg(root("reference/golden/tiny_llama"));
    command.arg("--data").arg(root("examples/train.jsonl"));
    command.arg("--eval").arg(root("examples/eval.jsonl"));
    let endpoints = format!("critic.endpoints=[{url:?}]");
    for setting in [
        "data.train_limit=6",
        "data.eval_limit=4",
        "critique.n_candidates=3",
        "critique.max_new_tokens=12",
        "score.n_critiques=2",
        "score.max_new_tokens=12",
        "critic.kind=openai",
        &endpoints,
        "critic.model=judge",
        "critic.max_concurrency=2",
        "critic.retries=1",
        "critic.max_backoff=0.05",
        "critic.price_per_million_completion=1000",
    ] {
        command.args(["--set", setting]);
    }
    command.args(extra).env("CRITIC_RM_TEST_KEY", "sk-test-secret").output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn ends(output: &Output, code: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// The chosen responses of the examples.
fn chosen() -> &'static [String] {
    static CHOSEN: OnceLock<Vec<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let text = std::fs::read_to_string(root("examples/train.jsonl")).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| row["chosen"].as_str().unwrap().to_owned()).collect()
    })
}

/// Answers as a critic that prefers what was chosen.
fn answer(body: &Value) -> String {
    if body["max_tokens"] == 1 {
        let turns = body["messages"].as_array().unwrap();
        let texts: Vec<&str> = turns.iter().map(|m| m["content"].as_str().unwrap()).collect();
        let likes = chosen().iter().any(|text| texts.iter().any(|turn| turn.contains(text)));
        let (yes, no) = if likes { (-0.2, -2.0) } else { (-2.0, -0.2) };
        let top = json!([{"token": "Yes", "logprob": yes}, {"token": "No", "logprob": no},
            {"token": " 7", "logprob": -1.0}, {"token": " 3", "logprob": -3.0}]);
        let content = json!([{"token": "Yes", "logprob": yes, "top_logprobs": top}]);
        let choice = json!({"message": {"content": "Yes"}, "finish_reason": "length",
            "logprobs": {"content": content}});
        let usage = json!({"prompt_tokens": 50, "completion_tokens": 1});
        return json!({"choices": [choice], "usage": usage}).to_string();
    }
    let n = body["n"].as_u64().unwrap_or(1);
    let seed = body["seed"].as_u64().unwrap();
    let choices: Vec<Value> = (0..n)
        .map(|i| {
            let text = format!("Draw {seed}.{i} holds. Score: 8");
            json!({"message": {"content": text}, "finish_reason": "stop"})
        })
        .collect();
    let usage = json!({"prompt_tokens": 40, "completion_tokens": 6 * n});
    json!({"choices": choices, "usage": usage}).to_string()
}

/// How often each call for critiques was answered.
fn written(seen: &[Value], from: usize) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for body in seen[from..].iter().filter(|body| body["max_tokens"] != 1) {
        *times.entry(body.to_string()).or_default() += 1;
    }
    times
}

#[test]
fn a_remote_critic_feeds_the_whole_loop_and_is_asked_once() {
    let (url, seen) = serve(|_, body, stream| reply(stream, 200, "", &answer(body)));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = run("run", &out, &url, &[]);
    ends(&output, 0, &["critic judge at http://", "36 critiques", "requests", "cost", "done in"]);
    let written = written(&seen.lock().unwrap(), 0);
    assert_eq!(written.len(), 12);
    assert!(written.values().all(|&times| times == 1), "{written:?}");
    assert_eq!(std::fs::read_dir(out.join("remote")).unwrap().count(), 0);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("`judge`, a remote critic"));
    let before = seen.lock().unwrap().len();
    ends(&run("run", &out, &url, &[]), 0, &["36 critiques"]);
    // Where a model is served is no part of what it is, and another model is another critic.
    ends(&run("run", &out, "http://127.0.0.1:9/v1", &[]), 0, &["36 critiques"]);
    assert_eq!(seen.lock().unwrap().len(), before);
    ends(&run("critique", &out, &url, &["--set", "critic.model=other"]), 0, &["36 critiques"]);
    assert!(seen.lock().unwrap().len() > before);
}

#[test]
fn an_outage_stops_the_stage_and_nothing_is_paid_twice() {
    let is_up = Arc::new(AtomicBool::new(true));
    let up = is_up.clone();
    let (url, seen) = serve(move |number, body, stream| {
        if number == 20 {
            up.store(false, Ordering::SeqCst);
        }
        match up.load(Ordering::SeqCst) {
            true => reply(stream, 200, "", &answer(body)),
            false => reply(stream, 503, "", "{\"error\": {\"message\": \"shutting down\"}}"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let words = ["503: shutting down", "tried 2 times", "is stored; go on with: critic-rm run"];
    ends(&run("refine", &out, &url, &[]), 6, &words);
    let paid = written(&seen.lock().unwrap()[..20], 0);
    let before = seen.lock().unwrap().len();
    is_up.store(true, Ordering::SeqCst);
    ends(&run("refine", &out, &url, &[]), 0, &["36 critiques", "critiques to train on"]);
    let after = written(&seen.lock().unwrap(), before);
    assert!(paid.len() > 1 && after.len() == 12 - paid.len(), "{} {}", paid.len(), after.len());
    assert!(after.keys().all(|call| !paid.contains_key(call)));
}

#[test]
fn a_refused_key_ends_the_stage_and_stands_nowhere() {
    let (url, seen) = serve(|_, _, stream| {
        let error = json!({"object": "error", "message": "no such key: sk-test-secret"});
        reply(stream, 401, "", &error.to_string());
    });
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let keyed = ["--set", "critic.api_key_env=CRITIC_RM_TEST_KEY", "-v"];
    let output = run("critique", &out, &url, &keyed);
    ends(&output, 6, &["no such key: [API key]", "critic.api_key_env"]);
    assert!(!stderr(&output).contains("sk-test-secret"));
    assert!(seen.lock().unwrap().len() <= 2);
    let settings = std::fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(settings.contains("CRITIC_RM_TEST_KEY") && !settings.contains("sk-test-secret"));
    let unset = ["--set", "critic.api_key_env=CRITIC_RM_NO_SUCH_KEY"];
    ends(&run("critique", &out, &url, &unset), 2, &["CRITIC_RM_NO_SUCH_KEY"]);
    ends(&run("critique", &out, &url, &["--set", "critic.retry=1"]), 2, &["retry"]);
}

fn generate(url: &str) -> Command {
    critic_rm(&["generate", "Hi", "--endpoint", url, "--remote-model", "judge", "-n", "2"])
}

#[test]
fn generate_and_doctor_ask_a_server() {
    let (url, _) = serve(|_, body, stream| match body.is_null() {
        true => reply(stream, 200, "", "{\"data\": [{\"id\": \"judge\"}]}"),
        false => reply(stream, 200, "", &answer(body)),
    });
    let output = generate(&url).arg("--explain").output().unwrap();
    ends(&output, 0, &["servers   1 requests", "answers 2"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("holds. Score: 8").count(), 2);
    let mut doctor = critic_rm(&["doctor", "--endpoint", &url, "--remote-model", "judge"]);
    let found = String::from_utf8(doctor.output().unwrap().stdout).unwrap();
    for line in ["ok      models         judge is served", "2 in one call", "ln P(Yes) -2.00"] {
        assert!(found.contains(line), "{found}");
    }
    assert!(found.contains("missing continuation"), "{found}");
    let keyed = ["--api-key-env", "NO_SUCH_KEY"];
    ends(&generate(&url).args(keyed).output().unwrap(), 2, &["NO_SUCH_KEY"]);
    ends(
        &critic_rm(&["generate", "Hi", "--endpoint", &url]).output().unwrap(),
        2,
        &["--remote-model"],
    );
}

/// A proxy that leads every tunnel to `target`; gives its address and the hosts that were asked for.
fn proxy(target: String) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, hosts) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, target, sender) = (client.unwrap(), target.clone(), sender.clone());
            thread::spawn(move || {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                sender.send(line.trim().to_owned()).unwrap();
                while line != "\r\n" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                let mut server = std::net::TcpStream::connect(target).unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let mut back = server.try_clone().unwrap();
                thread::spawn(move || std::io::copy(&mut back, &mut client));
                let _ = std::io::copy(&mut reader, &mut server);
            });
        }
    });
    (address, hosts)
}

#[test]
fn the_environments_proxy_is_used() {
    let (url, _) = serve(|_, body, stream| reply(stream, 200, "", &answer(body)));
    let target = url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let (address, hosts) = proxy(target);
    let mut command = generate("http://critic.invalid:8000/v1");
    let output = command.env("HTTP_PROXY", &address).output().unwrap();
    ends(&output, 0, &["answers 2"]);
    assert_eq!(hosts.recv().unwrap(), "CONNECT critic.invalid:8000 HTTP/1.1");
}
