//! The measurements of `critic-rm bench` on little work with a tiny random model.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use critic_types::atomic_file;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// Four pairs with two critiques of each response, and one pair without.
fn work() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut pairs, mut critiques) = (String::new(), String::new());
    for i in 0..5 {
        let pair = json!({
            "id": format!("p{i}"),
            "prompt": format!("Add {i} and 2."),
            "chosen": format!("It is {}.", i + 2),
            "rejected": format!("It is {i} and 2."),
        });
        pairs += &format!("{pair}\n");
        for side in ["chosen", "rejected"].into_iter().filter(|_| i < 4) {
            for text in ["Short and clear.", "It answers what was asked."] {
                let critique = json!({"pair_id": format!("p{i}"), "side": side, "text": text});
                critiques += &format!("{critique}\n");
            }
        }
    }
    let write = |name: &str, text: &str| {
        atomic_file::write(&folder.path().join(name), text.as_bytes()).unwrap();
    };
    write("pairs.jsonl", &pairs);
    write("critiques.jsonl", &critiques);
    folder
}

fn bench(work: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    command.arg("bench").args(args).arg("--json").arg("--work").arg(work.path());
    let model = root("reference/golden/tiny_llama");
    command.arg("--set").arg(format!("model={:?}", model.display().to_string()));
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

#[track_caller]
fn measured(mut command: Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn number(value: &Value, key: &str) -> f64 {
    let number = value[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {value}"));
    assert!(number.is_finite() && number > 0.0, "{key} is {number}");
    number
}

#[test]
fn training_is_measured_for_every_number_of_critiques() {
    let work = work();
    let train = |k: &str| {
        measured(bench(
            &work,
            &["train", "--pairs", "3", "--pairs-per-step", "2", "--critiques-per-response", k],
        ))
    };
    let [scalar, one, two] = ["0", "1", "2"].map(train);
    for result in [&scalar, &one, &two] {
        for key in
            ["seconds", "tokens_per_second", "distinct_tokens_per_second", "flop_utilisation"]
        {
            number(result, key);
        }
        assert_eq!(result["n_steps"], 2);
        assert!(number(result, "computed_tokens") <= number(result, "distinct_tokens"));
    }
    assert!(scalar["losses"][0]["critique"].is_null());
    number(&two["losses"][0], "critique");
    let saved = |result| number(result, "unshared_tokens") / number(result, "distinct_tokens");
    assert!(saved(&two) > saved(&one) && saved(&one) > 1.0 && saved(&scalar) > 1.0);
}

#[test]
fn the_cost_of_a_step_is_measured_at_several_sizes() {
    let work = work();
    let result =
        measured(bench(&work, &["train", "--scale", "1,2,4", "--critiques-per-response", "2"]));
    let points = result["points"].as_array().unwrap();
    assert_eq!(points.len(), 3);
    assert!(number(&points[2], "distinct_tokens") > number(&points[1], "distinct_tokens"));
    assert!(result["fit"]["r2"].as_f64().unwrap() <= 1.0);
}

#[test]
fn generation_and_scoring_are_measured() {
    let work = work();
    let generated = measured(bench(
        &work,
        &["generate", "--prompts", "3", "--n", "2", "--max-new-tokens", "5"],
    ));
    assert!(number(&generated, "n_tokens") <= 30.0);
    number(&generated, "tokens_per_second");
    let scored =
        measured(bench(&work, &["score", "--pairs", "2", "-m", "2", "--max-new-tokens", "5"]));
    number(&scored, "pairs_per_second");
    assert!(number(&scored, "critique_tokens") <= 40.0);
    let without = measured(bench(&work, &["score", "--pairs", "2"]));
    assert_eq!(without["critique_tokens"], 0);
    assert_eq!(without["rewards"], scored["rewards"]);
}

#[test]
fn an_engine_on_the_blocks_of_a_file_explains_itself() {
    let work = work();
    let small = ["generate", "--prompts", "2", "--n", "2", "--max-new-tokens", "5"];
    let mut command = bench(&work, &[&small[..], &["--explain"]].concat());
    let model = root("reference/golden/tiny_llama_q8_0.gguf");
    command.arg("--set").arg(format!("model={:?}", model.display().to_string()));
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["weights"], "source");
    for part in ["source: matrices ", " Q8_0", "threads", "tokens computed", "shared with others"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let plain = bench(&work, &[&small[..], &["--weights", "f32"]].concat());
    assert_eq!(measured(plain)["weights"], "f32");
}

#[test]
fn the_export_holds_the_tokens_that_are_trained_on() {
    let work = work();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let exported =
        measured(bench(&work, &["export", &path, "--pairs", "2", "--critiques-per-response", "2"]));
    assert!(folder.path().join("model/model.safetensors").is_file());
    let text = std::fs::read_to_string(exported["training"].as_str().unwrap()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    let n_unshared: usize = lines
        .iter()
        .flat_map(|line| line["critiques"].as_array().unwrap())
        .map(|critique| critique["tokens"].as_array().unwrap().len())
        .sum();
    let trained =
        measured(bench(&work, &["train", "--pairs", "2", "--critiques-per-response", "2"]));
    assert_eq!(trained["unshared_tokens"], n_unshared);
}

#[test]
fn work_that_is_not_there_is_refused() {
    let work = work();
    for (args, words) in [
        (&["train", "--pairs", "99"][..], "the work has 4 pairs with critiques"),
        (&["train", "--critiques-per-response", "3"], "the work has 2 critiques of"),
        (&["generate", "--prompts", "11"], "the work has 10 responses"),
        (&["score", "--threads", "0"], "--threads is 0"),
        (
            &["train", "--critiques-per-response", "0", "--set", "train.max_pair_tokens=9"],
            "train.max_pair_tokens is 9: raise it",
        ),
    ] {
        let output = bench(&work, args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(2 | 3)), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn transformers_reads_the_same_rewards_from_an_exported_folder() {
    let golden = std::fs::read_to_string(root("reference/golden/tiny_llama_rewards.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let (work, exported) = (work(), tempfile::tempdir().unwrap());
    let folder = exported.path().display().to_string();
    measured(bench(&work, &["export", &folder, "--critiques-per-response", "2"]));
    let examples = std::fs::read_to_string(root("examples/eval.jsonl")).unwrap();
    let six: Vec<&str> = examples.lines().take(6).collect();
    let pairs = exported.path().join("six.jsonl");
    atomic_file::write(&pairs, six.join("\n").as_bytes()).unwrap();
    let mut score = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    score.arg("score").arg(&pairs).arg("--model").arg(exported.path().join("model"));
    let output = score.args(["-m", "0"]).stdin(Stdio::null()).output().unwrap();
    let scored = String::from_utf8(output.stdout).unwrap();
    assert_eq!(scored.lines().count(), 6, "{}", String::from_utf8_lossy(&output.stderr));
    for (line, expected) in scored.lines().zip(golden["rewards"].as_array().unwrap()) {
        let row: Value = serde_json::from_str(line).unwrap();
        for side in 0..2 {
            let found = row["rewards"][side]["reward"].as_f64().unwrap();
            let expected = expected[side].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }
}
