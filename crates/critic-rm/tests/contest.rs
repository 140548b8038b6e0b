//! Contests of the real program: exact numbers of a control on rows made here, and models on a tiny one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

fn contest(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    command.arg("contest").args(["--data", "."]).args(args);
    command.current_dir(folder).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command.output().unwrap()
}

#[track_caller]
fn results(folder: &Path, args: &[&str]) -> Value {
    let output = contest(folder, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read(folder.join("contest/contest.json")).unwrap();
    serde_json::from_slice(&file).unwrap()
}

fn write(folder: &Path, name: &str, rows: &[Value]) {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    critic_types::atomic_file::write(&folder.join(name), lines.as_bytes()).unwrap();
}

/// The value of a part of the first contestant, in the order of the parts.
#[track_caller]
fn part(result: &Value, name: &str) -> Option<f64> {
    let parts = result["numbers"][0]["parts"].as_array().unwrap();
    let found = parts.iter().find(|part| part["name"] == name);
    found.unwrap_or_else(|| panic!("no part {name} in {result}"))["value"].as_f64()
}

fn words(n: usize) -> String {
    vec!["word"; n].join(" ")
}

#[test]
fn the_longer_response_gets_the_exact_numbers_of_every_bench() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pair = |id: usize, subset: &str, chosen: usize, rejected: usize| {
        json!({"id": id, "prompt": format!("q{id}"), "subset": subset,
               "chosen": words(chosen), "rejected": words(rejected)})
    };
    write(
        folder,
        "reward-bench.jsonl",
        &[
            pair(0, "alpacaeval-easy", 5, 2),
            pair(1, "mt-bench-hard", 2, 5),
            pair(2, "donotanswer", 3, 3),
            pair(3, "math-prm", 4, 1),
            pair(4, "hep-rust", 1, 4),
        ],
    );
    write(
        folder,
        "reward-bench-2.jsonl",
        &[
            json!({"id": "0", "prompt": "q0", "subset": "Math", "num_correct": 1,
                   "chosen": [words(9)], "rejected": [words(1), words(2), words(3)]}),
            json!({"id": "1", "prompt": "q1", "subset": "Math", "num_correct": 1,
                   "chosen": [words(3)], "rejected": [words(1), words(2), words(3)]}),
        ],
    );
    let style = |chosen: [usize; 3], rejected: [usize; 3]| {
        json!({"id": "0", "prompt": "q0", "domain": "math",
               "chosen": chosen.map(words), "rejected": rejected.map(words)})
    };
    write(folder, "rm-bench.jsonl", &[style([1, 5, 9], [2, 6, 8])]);
    let judged = |id: &str, label: &str, a: usize, b: usize| {
        json!({"pair_id": id, "id": id, "question": format!("q{id}"), "source": "livebench-math",
               "response_A": words(a), "response_B": words(b), "label": label})
    };
    write(
        folder,
        "judge-bench-claude.jsonl",
        &[
            judged("0", "B>A", 1, 5),
            judged("1", "A>B", 1, 5),
            judged("2", "A>B", 5, 1),
            judged("3", "A=B", 5, 1),
        ],
    );
    let compared = |id: usize, winner: &str, a: usize, b: usize| {
        json!({"question_id": id, "id": id, "prompt": format!("q{id}"), "winner": winner,
               "model_a": "a", "model_b": "b", "response_1": words(a), "response_2": words(b)})
    };
    write(
        folder,
        "ppe-human.jsonl",
        &[
            compared(0, "model_a", 5, 1),
            compared(1, "model_b", 5, 1),
            compared(2, "model_b", 1, 5),
            compared(3, "tie", 1, 5),
        ],
    );
    let mut ppe = json!({"question_id": "0", "id": "0", "prompt": "q0",
        "scores": [true, false, true], "sampled_conflict_pairs": [[0, 1], [2, 1]]});
    for (k, n) in [(1, 3), (2, 2), (3, 1)] {
        ppe[format!("response_{k}")] = json!(words(n));
    }
    write(folder, "ppe-math.jsonl", &[ppe]);
    let candidates = |lengths: &[(usize, bool)]| -> Vec<Value> {
        let one = |&(n, correct): &(usize, bool)| json!({"response": words(n), "correct": correct});
        lengths.iter().map(one).collect()
    };
    write(
        folder,
        "gsm8k-best-of-4.jsonl",
        &[
            json!({"id": "0", "prompt": "q0", "candidates": candidates(&[(4, true), (1, false)])}),
            json!({"id": "1", "prompt": "q1", "candidates": candidates(&[(4, false), (1, true)])}),
            json!({"id": "2", "prompt": "q2", "candidates": candidates(&[(9, true), (8, true)])}),
        ],
    );
    let names = [
        "reward-bench",
        "reward-bench-2",
        "rm-bench",
        "judge-bench-claude",
        "ppe-math",
        "gsm8k-best-of-4",
        "ppe-human",
    ];
    let args: Vec<&str> = names.iter().flat_map(|name| ["--on", name]).collect();
    let all = results(folder, &args);
    let [rb, rb2, rm, judge, ppe, bon, human] = all.as_array().unwrap().as_slice() else {
        panic!()
    };
    assert_eq!(part(rb, "Chat"), Some(1.0));
    assert_eq!(part(rb, "Chat Hard"), Some(0.0));
    assert_eq!(part(rb, "Safety"), Some(0.0));
    // math-prm weighs 984, each of the six code subsets 164.
    assert!((part(rb, "Reasoning").unwrap() - 984.0 / (984.0 + 164.0)).abs() < 1e-12);
    assert_eq!(part(rb2, "Math"), Some(0.75));
    assert_eq!(part(rb2, "overall"), None);
    // Chosen 1, 5, 9 against rejected 2, 6, 8: only (5, 2), (9, 2), (9, 6), (9, 8) are right.
    // A total needs all four domains.
    assert_eq!((part(rm, "total"), part(rm, "easy")), (None, None));
    let math = &rm["numbers"][0]["detail"]["domains"][0];
    assert_eq!((math["easy"].as_f64(), math["hard"].as_f64()), (Some(1.0), Some(0.0)));
    assert!((math["normal"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(part(judge, "livebench-math"), Some(2.0 / 3.0));
    assert_eq!(part(ppe, "conflict pairs"), Some(0.5));
    assert_eq!(part(human, "accuracy"), Some(2.0 / 3.0));
    for tied in [judge, human] {
        assert_eq!(tied["numbers"][0]["n_items"], 3);
        assert_eq!(tied["notes"][0], "1 rows left out: neither response is preferred.");
    }
    assert_eq!(part(bon, "best of 2"), Some(2.0 / 3.0));
    assert_eq!(part(bon, "random pick"), Some(2.0 / 3.0));
    // None of this is the benches' own data, so none of it bears their titles.
    for result in all.as_array().unwrap() {
        assert!(result["title"].as_str().unwrap().contains(".jsonl, "), "{result}");
    }
}

#[test]
fn models_judges_and_controls_meet_on_the_same_pairs_and_nothing_is_drawn_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = root("reference/golden/tiny_llama").display().to_string();
    let trained = Command::new(env!("CARGO_BIN_EXE_critic-rm"))
        .args(["train", "--out", "run", "--model", &model])
        .arg("--data")
        .arg(root("examples/train.jsonl"))
        .arg("--eval")
        .arg(root("examples/eval.jsonl"))
        .args(["--set", "methods=[\"cloud\", \"scalar\"]", "--set", "data.train_limit=4"])
        .args(["--set", "critique.n_candidates=1", "--set", "critique.max_new_tokens=8"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let pairs = root("examples/eval.jsonl").display().to_string();
    let control = root("examples/train.jsonl").display().to_string();
    let (judge, pairwise) = (format!("judge={model}"), format!("two={model}"));
    let implicit = format!("dpo={model}");
    let args = [
        "--on",
        &pairs,
        "--limit",
        "5",
        "--model",
        "ours=run/checkpoints/cloud",
        "--model",
        "plain=run/checkpoints/scalar",
        "--judge",
        &judge,
        "--pairwise",
        &pairwise,
        "--implicit",
        &implicit,
        "--reference",
        &model,
        "--control-data",
        &control,
        "-m",
        "2",
        "--max-new-tokens",
        "8",
        "--gate",
        "1000",
    ];
    let found = results(folder, &args);
    let result = &found[0];
    let names: Vec<&str> = result["numbers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|numbers| numbers["contestant"].as_str().unwrap())
        .collect();
    for name in [
        "ours m=0",
        "ours m=1",
        "ours m=2",
        "ours gated (gated m=2 below 1000)",
        "plain",
        "judge verdict m=0",
        "judge verdict m=2",
        "judge expected score m=1",
        "judge stated score m=2",
        "two",
        "dpo",
        "length",
        "bag of words",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    // A model that was trained without critiques is asked for none.
    assert_eq!(names.iter().filter(|name| name.starts_with("plain")).count(), 1, "{names:?}");
    let accuracy = |name: &str| {
        let row = names.iter().position(|found| *found == name).unwrap();
        result["numbers"][row]["parts"][0]["value"].as_f64()
    };
    // The gate sends every pair to its critiques, and a policy is its own reference: all ties.
    assert_eq!(accuracy("ours gated (gated m=2 below 1000)"), accuracy("ours m=2"));
    assert_eq!(accuracy("dpo"), Some(0.0));
    assert_eq!(result["comparisons"][0]["comparison"]["a"], "ours m=2");
    assert!(result["critiques"]["ours"]["overall"]["curve"].is_object());
    assert!(folder.join("contest/predictions").read_dir().unwrap().count() >= 8);
    let samples = folder.join("contest/samples");
    let lines = || -> Vec<(PathBuf, Vec<String>)> {
        let mut files: Vec<PathBuf> =
            samples.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let sorted = |file: PathBuf| {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            (file, lines)
        };
        files.into_iter().map(sorted).collect()
    };
    let before = lines();
    assert_eq!(results(folder, &args), found);
    assert_eq!(lines(), before);
    // More rows draw only what is new.
    let more: Vec<&str> = args.iter().map(|&arg| if arg == "5" { "6" } else { arg }).collect();
    results(folder, &more);
    for ((_, after), (_, before)) in lines().iter().zip(&before) {
        assert_eq!(after.len(), before.len() + 2);
        assert!(before.iter().all(|line| after.contains(line)));
    }
    // Another m asks only those again that write critiques.
    let one: Vec<&str> = args.iter().map(|&arg| if arg == "2" { "1" } else { arg }).collect();
    results(folder, &one);
    for (name, n_files) in [("ours", 2), ("judge", 2), ("plain", 1), ("two", 1), ("dpo", 1)] {
        let of_name =
            |(file, _): &&(PathBuf, _)| file.display().to_string().contains(&format!("--{name}--"));
        assert_eq!(lines().iter().filter(of_name).count(), n_files, "{name}");
    }
    // A sample that is lost is drawn again, and is the same.
    let file = &before[0].0;
    let whole = std::fs::read(file).unwrap();
    critic_types::atomic_file::write(file, &whole[..whole.len() - 40]).unwrap();
    assert_eq!(results(folder, &args), found);
}

#[test]
fn what_cannot_be_held_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = root("examples/eval.jsonl").display().to_string();
    for (args, code, words) in [
        (&["--on", "lmbar"][..], 2, "did you mean `llmbar`"),
        (&["--on", "llmbar"][..], 3, "--data"),
        (&["--on", "humanevalpck"][..], 2, "did you mean `humanevalpack-part`"),
        (&["--on", "llmbar", "--model", "nowhere"][..], 5, "holds no reward model"),
        (&["--on", "llmbar", "--judge", "a=x", "--pairwise", "a=y"][..], 2, "NAME=FOLDER"),
        (&["--on", "llmbar", "--gate", "-1"][..], 2, "at least 0"),
        (&["--on", "llmbar", "--limit", "0"][..], 2, "--limit"),
        (&["--on", &pairs, "--on", &pairs][..], 2, "rename one"),
    ] {
        let output = contest(folder.path(), args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
    let listed = contest(folder.path(), &["--on", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("RewardBench 2"));
}
