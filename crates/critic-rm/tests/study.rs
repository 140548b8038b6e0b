//! Studies of the real program on a tiny model.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

fn study(recipe: &Path, out: &Path, extra: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    command.arg("study").arg(recipe).arg("--out").arg(out);
    command.arg("--model").arg(root("reference/golden/tiny_llama"));
    command.arg("--data").arg(root("examples/train.jsonl"));
    command.arg("--eval").arg(root("examples/eval.jsonl"));
    for setting in [
        "data.train_limit=10",
        "data.eval_limit=6",
        "critique.n_candidates=3",
        "critique.max_new_tokens=12",
        "score.n_critiques=2",
        "score.max_new_tokens=12",
    ] {
        command.args(["--set", setting]);
    }
    command.args(extra).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command.output().unwrap()
}

#[track_caller]
fn found(output: &Output, out: &Path) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(out.join("study.json")).unwrap()).unwrap()
}

fn recipe(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("own.toml");
    critic_types::atomic_file::write(&path, text.as_bytes()).unwrap();
    path
}

const SCHEDULES: &str = r#"
title = "Two weights"
seeds = [0, 1]

[base]
methods = ["critic-rm", "scalar"]

[[vary]]
key = "train.critique_weight"
values = [{ kind = "paper", beta = 0.9 }, { kind = "constant", weight = 0.5 }]
"#;

#[test]
fn runs_share_critiques_and_trainings_and_are_set_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path(), SCHEDULES), folder.path().join("out"));
    let output = study(&recipe, &out, &[]);
    let result = found(&output, &out);

    // Written once: the other runs find the candidates.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches("writing critiques").count(), 1, "{said}");
    // Two seeds of critic-rm under two weights, and two of scalar, which knows no weight of critiques.
    let trained: Vec<String> = std::fs::read_dir(out.join("trained"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let n = |name: &str| trained.iter().filter(|folder| folder.starts_with(name)).count();
    assert_eq!((n("critic-rm-"), n("scalar-"), trained.len()), (4, 2, 6), "{trained:?}");

    let rows = result["rows"].as_array().unwrap();
    let row = |configuration: &str, contestant: &str| {
        let is_it = |row: &&Value| {
            row["configuration"] == configuration
                && row["contestant"] == contestant
                && row["domain"].is_null()
        };
        rows.iter().find(is_it).unwrap_or_else(|| panic!("no {configuration} {contestant}"))
    };
    let (paper, constant) = ("paper beta 0.9", "constant weight 0.5");
    for configuration in [paper, constant] {
        let of_m = row(configuration, "critic-rm m=2");
        assert_eq!((&of_m["n_pairs"], of_m["by_seed"].as_object().unwrap().len()), (&6.into(), 2));
        assert!(of_m["seeds"]["interval"]["low"].is_number());
    }
    assert!(row(paper, "critic-rm m=2")["against_first"].is_null());
    assert!(row(constant, "critic-rm m=2")["against_first"]["holm_p"].is_number());
    // The same model in both configurations.
    let same = row(constant, "scalar");
    assert_eq!(same["against_first"]["difference"], 0.0);
    assert_eq!(same["by_seed"], row(paper, "scalar")["by_seed"]);
    assert_eq!(result["runs"].as_array().unwrap().len(), 4);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Accuracy by configuration") && page.contains(constant));
    let differences = std::fs::read_to_string(out.join("tables/differences.csv")).unwrap();
    // Four readings of critic-rm and scalar, against the paper's weight.
    assert_eq!(differences.lines().count(), 1 + 4, "{differences}");

    // Seeds differ, in training and so in rewards.
    let record =
        |run: &str| std::fs::read(out.join("runs").join(run).join("run-record.json")).unwrap();
    assert_ne!(record("paper-beta-0.9-seed-0"), record("paper-beta-0.9-seed-1"));

    // The same command again makes nothing anew.
    let again = study(&recipe, &out, &[]);
    assert_eq!(found(&again, &out), result);
    assert!(!String::from_utf8_lossy(&again.stderr).contains("writing critiques"));
}

#[test]
fn a_run_that_cannot_be_made_is_told_and_the_others_are() {
    let folder = tempfile::tempdir().unwrap();
    // No critique is kept when scores of 1–10 must differ by 20.
    let text = "title = \"t\"\n[base]\nmethods = [\"critic-rm\"]\n[[vary]]\nkey = \"filter.rule\"\nvalues = [{ kind = \"none\" }, { kind = \"pair_margin\", delta = 1000.0 }]";
    let (recipe, out) = (recipe(folder.path(), text), folder.path().join("out"));
    let result = found(&study(&recipe, &out, &[]), &out);
    let failures = result["failures"].as_array().unwrap();
    assert_eq!((failures.len(), result["runs"].as_array().unwrap().len()), (1, 1));
    assert!(failures[0]["run"].as_str().unwrap().contains("delta 1000"));
}

#[test]
fn wrong_settings_are_found_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let typo = SCHEDULES.replace("critique_weight", "critique_wait");
    let refused = |recipe: &Path, extra: &[&str], words: &str| {
        let output = study(recipe, &out, extra);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!out.exists());
    };
    refused(&recipe(folder.path(), &typo), &[], "critique_wait");
    refused(Path::new("schedul"), &[], "there is no study");
    refused(&recipe(folder.path(), SCHEDULES), &["--set", "data.train_share=0"], "train_share");
    let explained = study(&recipe(folder.path(), SCHEDULES), &out, &["--explain"]);
    let lines = String::from_utf8(explained.stdout).unwrap();
    assert!(lines.contains("4 runs") && lines.contains("constant weight 0.5, seed 1"), "{lines}");
}
