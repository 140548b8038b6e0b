//! Contests of the real program with reward servers, a meta-judge, mixed scores, and benches of critiques.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../critic-remote/tests/common/mod.rs"]
mod common;

use common::{reply, serve};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

fn critic_rm(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    command.args(args).current_dir(folder).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.output().unwrap()
}

#[track_caller]
fn contest(folder: &Path, args: &[&str]) -> Value {
    let output = critic_rm(folder, &[&["contest", "--data", "."], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read(folder.join("contest/contest.json")).unwrap();
    serde_json::from_slice(&file).unwrap()
}

fn tiny() -> String {
    root("reference/golden/tiny_llama").display().to_string()
}

/// A tiny reward model, trained once.
fn model() -> String {
    static TRAINED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = TRAINED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (train, eval) = (root("examples/train.jsonl"), root("examples/eval.jsonl"));
        let output = critic_rm(
            folder.path(),
            &[
                "train",
                "--out",
                "run",
                "--model",
                &tiny(),
                "--data",
                train.to_str().unwrap(),
                "--eval",
                eval.to_str().unwrap(),
                "--set",
                "methods=[\"cloud\"]",
                "--set",
                "data.train_limit=4",
                "--set",
                "critique.n_candidates=1",
                "--set",
                "critique.max_new_tokens=8",
            ],
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    format!("ours={}", folder.path().join("run/checkpoints/cloud").display())
}

fn names(result: &Value) -> Vec<&str> {
    let numbers = result["numbers"].as_array().unwrap();
    numbers.iter().map(|row| row["contestant"].as_str().unwrap()).collect()
}

/// A contestant's part of a bench.
#[track_caller]
fn part<'a>(result: &'a Value, contestant: &str, part: &str) -> &'a Value {
    let found = names(result).iter().position(|name| *name == contestant);
    let row = found.unwrap_or_else(|| panic!("{contestant} is not in {:?}", names(result)));
    let parts = result["numbers"][row]["parts"].as_array().unwrap();
    let found = parts.iter().find(|one| one["name"] == part);
    found.unwrap_or_else(|| panic!("no part {part} in {parts:?}"))
}

fn lines(folder: &Path, part: &str) -> usize {
    let files = folder.join("contest/samples").read_dir().unwrap();
    let of = |file: std::fs::DirEntry| {
        let is_it = file.file_name().to_string_lossy().contains(part);
        if is_it { std::fs::read_to_string(file.path()).unwrap().lines().count() - 1 } else { 0 }
    };
    files.map(|file| of(file.unwrap())).sum()
}

fn answer_words(body: &Value) -> Option<usize> {
    let response = body["conversations"][0].as_array()?.last()?;
    Some(response["content"].as_str()?.split_whitespace().count())
}

#[test]
fn a_server_that_counts_words_does_as_the_length_control_and_is_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (url, seen) = serve(|_, body, stream| match answer_words(body) {
        Some(n) => reply(stream, 200, "", &json!({"rewards": [n]}).to_string()),
        None => reply(stream, 404, "", "{}"),
    });
    let pairs = root("examples/eval.jsonl").display().to_string();
    let named = format!("words={url}");
    let args = ["--on", &pairs, "--limit", "6", "--server", &named];
    let found = contest(folder, &args);
    let accuracy = |name: &str| part(&found[0], name, "accuracy")["value"].clone();
    assert_eq!(accuracy("words"), accuracy("length"));
    // One call to find the API out, and one a response.
    assert_eq!(seen.lock().unwrap().len(), 13);
    assert_eq!(contest(folder, &args), found);
    assert_eq!(seen.lock().unwrap().len(), 13);
    assert!(folder.join("contest/predictions").read_dir().unwrap().count() >= 2);
    let output = critic_rm(folder, &["doctor", "--server", &named]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("rewards, asked with messages"), "{said}");
}

#[test]
fn what_a_server_cannot_say_is_missing_and_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let heals = Arc::new(AtomicBool::new(false));
    let healed = heals.clone();
    let (url, seen) = serve(move |_, body, stream| match answer_words(body) {
        _ if healed.load(Ordering::SeqCst) => reply(stream, 200, "", "{\"rewards\": [1.5]}"),
        Some(n) if n % 2 == 0 => reply(stream, 200, "", "{\"rewards\": [NaN]}"),
        Some(_) => reply(stream, 200, "", "{\"rewards\": [1.5]}"),
        None => reply(stream, 404, "", "{}"),
    });
    let pairs = root("examples/eval.jsonl").display().to_string();
    let named = format!("ill={url}");
    let args = ["--on", &pairs, "--limit", "8", "--server", &named, "--server-api", "rewards"];
    let found = contest(folder, &args);
    let missing = found[0]["numbers"][0]["n_missing"].as_u64().unwrap();
    let failed = 16 - lines(folder, "--ill--");
    assert!(missing > 0 && failed > 0, "{found}");
    heals.store(true, Ordering::SeqCst);
    let before = seen.lock().unwrap().len();
    let found = contest(folder, &args);
    assert_eq!(found[0]["numbers"][0]["n_missing"], 0);
    assert_eq!(seen.lock().unwrap().len() - before, failed);
}

#[test]
fn a_server_that_cannot_be_used_ends_the_contest_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pairs = root("examples/eval.jsonl").display().to_string();
    let (url, _) = serve(|_, _, stream| reply(stream, 404, "", "{}"));
    let (wants_text, _) = serve(|_, body, stream| match body.get("conversations") {
        Some(_) => reply(stream, 404, "", "{}"),
        None => reply(stream, 500, "", "{}"),
    });
    for (args, code, words) in [
        (&["--server", &*url][..], 6, "no known reward API"),
        (&["--server", &wants_text], 6, "chat template"),
        (&["--server", "http://127.0.0.1:9", "--server-retries", "0"], 6, "the same command"),
        (&["--server", "127.0.0.1:9"], 2, "address"),
        (
            &["--server", &url, "--server-key-env", "CRITIC_RM_NO_SUCH_KEY"],
            2,
            "CRITIC_RM_NO_SUCH_KEY",
        ),
        (&["--server", &url, "--server-template", "nowhere"], 5, "nowhere"),
        (&["--meta-judge", "remote"], 2, "--endpoint"),
    ] {
        let all = [&["contest", "--on", &*pairs, "--limit", "4"], args].concat();
        let output = critic_rm(folder, &all);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}

#[test]
fn a_meta_judge_and_mixed_scores_read_the_samples_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pairs = root("examples/eval.jsonl").display().to_string();
    let model = model();
    let plain =
        ["--on", &pairs, "--limit", "4", "--model", &model, "-m", "4", "--max-new-tokens", "8"];
    let before = contest(folder, &plain);
    let n_samples = lines(folder, "--ours--");
    let args = [&plain[..], &["--meta-judge", "self", "--mixed"]].concat();
    let found = contest(folder, &args);
    // What was there stays as it was, and no critique was drawn anew.
    for name in names(&before[0]) {
        assert_eq!(part(&found[0], name, "accuracy"), part(&before[0], name, "accuracy"));
    }
    let (n_meta, n_expected) = (lines(folder, "meta-judge"), lines(folder, "expected-score"));
    assert_eq!((n_meta, n_expected), (32, 32));
    assert_eq!(lines(folder, "--ours--") - n_meta - n_expected, n_samples);
    for name in [
        "ours meta-judge (meta-judge 1 of 2)",
        "ours meta-judge (meta-judge 1 of 4)",
        "ours meta-judge (meta-judge 2 of 4)",
    ] {
        assert_eq!(part(&found[0], name, "accuracy")["n"], 4, "{name}");
    }
    let mixed =
        names(&found[0]).into_iter().filter(|name| name.starts_with("ours mixed (mixed m="));
    assert_eq!(mixed.count(), 3);
    assert_eq!(contest(folder, &args), found);
    // At no weight a mix is the reward itself.
    let tiny = tiny();
    let args = [&plain[..], &["--mixed", "0", "--meta-judge", &tiny]].concat();
    let other = contest(folder, &args);
    let of = |name: &str| part(&other[0], name, "accuracy")["value"].clone();
    assert_eq!(of("ours mixed (mixed m=4 weight 0)"), of("ours m=4"));
    assert_eq!(lines(folder, "meta-judge"), 64);
}

#[test]
fn a_meta_judge_on_a_server_that_likes_all_alike_leaves_the_first_critique() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (url, seen) = serve(|_, _, stream| {
        let top = json!([{"token": "7", "logprob": -0.2}, {"token": "3", "logprob": -1.7}]);
        let content = json!([{"token": "7", "logprob": -0.2, "top_logprobs": top}]);
        let choice = json!({"message": {"content": "7"}, "finish_reason": "length",
            "logprobs": {"content": content}});
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 1});
        reply(stream, 200, "", &json!({"choices": [choice], "usage": usage}).to_string());
    });
    let pairs = root("examples/eval.jsonl").display().to_string();
    let model = model();
    let args = [
        "--on",
        &pairs,
        "--limit",
        "5",
        "--model",
        &model,
        "-m",
        "2",
        "--max-new-tokens",
        "8",
        "--meta-judge",
        "remote",
        "--endpoint",
        &url,
        "--remote-model",
        "m",
    ];
    let found = contest(folder, &args);
    let of = |name: &str| part(&found[0], name, "accuracy")["value"].clone();
    assert_eq!(of("ours meta-judge (meta-judge 1 of 2)"), of("ours m=1"));
    assert_eq!(seen.lock().unwrap().len(), 20);
    assert_eq!(contest(folder, &args), found);
    assert_eq!(seen.lock().unwrap().len(), 20);
}

#[test]
fn critics_are_measured_by_verdicts_thresholds_and_what_their_critiques_correct() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let row = |i: usize| {
        json!({"id": i, "prompt": format!("What is {i} + {i}?"), "subset": "sums",
               "chosen": format!("It is {}.\n#### {}", 2 * i, 2 * i), "rejected": format!("{}", 2 * i + 1)})
    };
    let rows: String = (0..6).map(|i| format!("{}\n", row(i))).collect();
    critic_types::atomic_file::write(&folder.join("mr_gsm8k.jsonl"), rows.as_bytes()).unwrap();
    let (model, judge) = (model(), format!("judge={}", tiny()));
    let args = [
        "--on",
        "mr-gsm8k-part",
        "--model",
        &model,
        "--judge",
        &judge,
        "-m",
        "2",
        "--max-new-tokens",
        "8",
        "--correct",
        "12",
    ];
    let found = contest(folder, &args);
    let result = &found[0];
    assert_eq!(result["title"], "mr_gsm8k.jsonl, 12 rows");
    for name in [
        "ours m=0",
        "ours m=2",
        "ours verdict m=1",
        "ours stated score m=2",
        "judge verdict m=0",
        "length",
    ] {
        part(result, name, "F1, fitted");
    }
    // A right solution is longer, and its threshold comes from other prompts.
    assert_eq!(part(result, "length", "F1, fitted")["value"], 1.0);
    assert_eq!(part(result, "length", "F1, fitted")["interval"], json!([1.0, 1.0]));
    assert!(part(result, "ours verdict m=2", "F1, verdict")["value"].is_number());
    assert!(part(result, "ours m=2", "F1, verdict")["value"].is_null());
    let gain = &result["corrections"]["ours"]["overall"];
    assert_eq!(gain["n_rows"], 12, "{gain}");
    assert!(result["corrections"]["judge"].is_object());
    let notes = result["notes"].to_string();
    assert!(
        notes.contains("6 of 12 responses are wrong") && notes.contains("F1 of 66.7"),
        "{notes}"
    );
    assert_eq!(contest(folder, &args), found);
    let page = std::fs::read_to_string(folder.join("contest/contest.md")).unwrap();
    assert!(page.contains("corrected with its own critiques"), "{page}");
}

#[test]
fn a_larger_sample_holds_the_smaller_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pairs = root("examples/eval.jsonl").display().to_string();
    let ids = |n: &str| -> Vec<String> {
        let found = contest(folder, &["--on", &pairs, "--sample", n]);
        assert_eq!(found[0]["title"], format!("eval.jsonl, {n} of 40 rows, drawn"));
        let file = folder.join("contest/predictions/eval--length.jsonl");
        std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
    };
    let (few, more) = (ids("10"), ids("20"));
    assert_eq!((few.len(), more.len()), (10, 20));
    assert!(few.iter().all(|row| more.contains(row)));
    assert_ne!(few[..], more[..10]);
}

#[test]
fn rewards_are_held_against_what_people_rate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let words = |n: usize| vec!["word"; n].join(" ");
    let row = |i: usize| {
        let mut row = json!({"prompt_id": i, "capability": if i < 4 { "Coding" } else { "English" },
                             "prompt": format!("q{i}"), "attached_file": ""});
        for k in 1..=3 {
            row[format!("response_{k}")] = json!(words(k + i));
            row[format!("response_{k}_human_1_rating")] = json!(k);
            row[format!("response_{k}_human_2_rating")] = json!(k + 1);
        }
        row
    };
    let rows: String = (0..8).map(|i| format!("{}\n", row(i))).collect();
    critic_types::atomic_file::write(&folder.join("cross-eval.jsonl"), rows.as_bytes()).unwrap();
    let model = model();
    let found = contest(folder, &["--on", "cross-eval", "--model", &model]);
    let length = |name: &str| part(&found[0], "length", name)["value"].as_f64().unwrap();
    assert_eq!(length("better rated above"), 1.0);
    // k and k + i over k = 1..3 and i = 0..7: √(2/3) over √(2/3 + 63/12).
    let expected = (2.0f64 / 3.0 / (2.0 / 3.0 + 63.0 / 12.0)).sqrt();
    assert!((length("Pearson") - expected).abs() < 1e-12);
    let interval = part(&found[0], "length", "Pearson")["interval"].as_array().unwrap();
    assert!(interval[0].as_f64().unwrap() < expected && expected < interval[1].as_f64().unwrap());
    assert_eq!(part(&found[0], "ours m=0", "Spearman")["n"], 24);
    assert_ne!(found[0]["title"], "CrossEval");
}

/// A Python program that ends with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs where `CRITIC_RM_REFERENCE_PYTHON` names a Python with torch and transformers.
#[test]
#[ignore = "needs a Python with torch and transformers"]
fn a_server_of_transformers_gives_the_rewards_of_the_model_itself() {
    let python = std::env::var_os("CRITIC_RM_REFERENCE_PYTHON")
        .expect("CRITIC_RM_REFERENCE_PYTHON names a Python with torch and transformers");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = model();
    let checkpoint = model.trim_start_matches("ours=");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reward_server/serve.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(checkpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let _server = Server(child);
    let url = format!("theirs=http://127.0.0.1:{}", port.trim());
    let pairs = root("examples/eval.jsonl").display().to_string();
    let found = contest(
        folder,
        &["--on", &pairs, "--model", &model, "--server", &url, "--server-template", checkpoint],
    );
    let accuracy = |name: &str| part(&found[0], name, "accuracy")["value"].clone();
    assert_eq!(accuracy("ours m=0"), accuracy("theirs"));
    let rewards = |name: &str| -> Vec<f64> {
        let file = folder.join(format!("contest/predictions/eval--{name}.jsonl"));
        let text = std::fs::read_to_string(file).unwrap();
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            ["scores_chosen", "scores_rejected"].map(|field| row[field].as_f64().unwrap())
        };
        text.lines().flat_map(row).collect()
    };
    let (ours, theirs) = (rewards("ours-m-0"), rewards("theirs"));
    assert_eq!((ours.len(), theirs.len()), (80, 80));
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}
