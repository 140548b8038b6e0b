//! The measurements of `critic-rm bench` on the committed work with a tiny random model.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    command.arg("bench").args(args).arg("--json").arg("--work").arg(root("bench/work"));
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
    let train = |k: &str| {
        measured(bench(&[
            "train",
            "--pairs",
            "3",
            "--pairs-per-step",
            "2",
            "--critiques-per-response",
            k,
        ]))
    };
    let [scalar, one, four] = ["0", "1", "4"].map(train);
    for result in [&scalar, &one, &four] {
        for key in
            ["seconds", "tokens_per_second", "distinct_tokens_per_second", "flop_utilisation"]
        {
            number(result, key);
        }
        assert_eq!(result["n_steps"], 2);
        assert!(number(result, "computed_tokens") <= number(result, "distinct_tokens"));
    }
    assert!(scalar["losses"][0]["critique"].is_null());
    number(&four["losses"][0], "critique");
    let saved = |result| number(result, "unshared_tokens") / number(result, "distinct_tokens");
    assert!(saved(&four) > saved(&one) && saved(&one) > saved(&scalar) && saved(&scalar) > 1.0);
}

#[test]
fn the_cost_of_a_step_is_measured_at_several_sizes() {
    let result = measured(bench(&["train", "--scale", "1,2,4"]));
    let points = result["points"].as_array().unwrap();
    assert_eq!(points.len(), 3);
    assert!(number(&points[2], "distinct_tokens") > number(&points[1], "distinct_tokens"));
    assert!(result["fit"]["r2"].as_f64().unwrap() <= 1.0);
}

#[test]
fn generation_and_scoring_are_measured() {
    let generated =
        measured(bench(&["generate", "--prompts", "3", "--n", "2", "--max-new-tokens", "5"]));
    assert!(number(&generated, "n_tokens") <= 30.0);
    number(&generated, "tokens_per_second");
    let scored = measured(bench(&["score", "--pairs", "2", "-m", "2", "--max-new-tokens", "5"]));
    number(&scored, "pairs_per_second");
    assert!(number(&scored, "critique_tokens") <= 40.0);
    let without = measured(bench(&["score", "--pairs", "2"]));
    assert_eq!(without["critique_tokens"], 0);
    assert_eq!(without["rewards"], scored["rewards"]);
}

#[test]
fn the_export_holds_the_tokens_that_are_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let exported = measured(bench(&["export", &path, "--pairs", "2"]));
    assert!(folder.path().join("model/model.safetensors").is_file());
    let text = std::fs::read_to_string(exported["training"].as_str().unwrap()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    let n_unshared: usize = lines
        .iter()
        .flat_map(|line| line["critiques"].as_array().unwrap())
        .map(|critique| critique["tokens"].as_array().unwrap().len())
        .sum();
    let trained = measured(bench(&["train", "--pairs", "2"]));
    assert_eq!(trained["unshared_tokens"], n_unshared);
}

#[test]
fn work_that_is_not_there_is_refused() {
    for (args, words) in [
        (["train", "--pairs", "99"], "the work has 20 pairs with critiques"),
        (["train", "--critiques-per-response", "5"], "the work has 4 critiques of"),
        (["train", "--scale", "1,50"], "--scale holds 50"),
        (["generate", "--prompts", "65"], "the work has 64 responses"),
        (["score", "--threads", "0"], "--threads is 0"),
    ] {
        let output = bench(&args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(2 | 3)), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}
