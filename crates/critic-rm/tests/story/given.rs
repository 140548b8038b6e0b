//! Critiques that come with the training pairs.

use super::*;

fn critiques(out: &Path, table: Table, provenance: &str) -> Vec<TableRow> {
    let found = rows(out).into_iter().find(|(one, _)| *one == table);
    let rows = found.map(|(_, rows)| rows).unwrap();
    rows.into_iter().filter(|row| row["provenance"] == provenance).collect()
}

#[test]
fn given_critiques_go_through_the_filter_or_around_it_and_are_judged_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthesized(folder.path());
    let out = folder.path().join("run");
    let stage = |stage: &str, given: &str| {
        let mut command = run(stage, &out, &[]);
        command.arg("--data").arg(&data);
        command.args(["--set", "data.train_limit=8", "--set", "refine={kind=\"none\"}"]);
        command.args(["--set", &format!("data.critiques={given}")]);
        succeeds(command)
    };
    stage("refine", "ignore");
    assert!(critiques(&out, Table::Candidates, "constructed").is_empty());
    let n_sampled = critiques(&out, Table::Candidates, "sampled").len();

    stage("refine", "filter");
    let given = critiques(&out, Table::Candidates, "constructed");
    assert_eq!(given.len(), 16, "each of 8 pairs has one for each response");
    assert!(given.iter().all(|row| row["verdict"].is_f64() && row["index"].as_u64() == Some(3)));
    let n_through = critiques(&out, Table::Critiques, "constructed").len();
    assert!(n_through < 16, "a random model agrees with no label always");

    let said = stage("run", "keep");
    assert!(!String::from_utf8_lossy(&said.stderr).contains("judging given critiques"));
    let around = critiques(&out, Table::Critiques, "constructed").len() - n_through;
    assert_eq!(around, 16);
    assert_eq!(critiques(&out, Table::Candidates, "sampled").len(), n_sampled);
    let report = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert!(report.contains("critiques that came with the pairs"), "{report}");
}

#[test]
fn given_critiques_may_be_all_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthesized(folder.path());
    let out = folder.path().join("run");
    let with = |data: &Path, given: &str| {
        let mut command = run("run", &out, &[]);
        command.arg("--data").arg(data).args(["--set", "data.train_limit=8"]);
        command.args(["--set", "critique.n_candidates=0", "--set", "refine={kind=\"none\"}"]);
        command.args(["--set", &format!("data.critiques={given}")]);
        command
    };
    fails(with(&data, "ignore"), 2, &["critique.n_candidates is 0", "data.critiques"]);
    let mut again = with(&data, "keep");
    again.args(["--set", "rounds.n=2"]);
    fails(again, 2, &["critique.n_candidates is 0", "rounds.n is 2"]);
    fails(with(&root("examples/train.jsonl"), "keep"), 3, &["no critique came with", "inspect"]);

    succeeds(with(&data, "keep"));
    let mut compared = critic_rm(&["filter"]);
    compared.arg(&out).arg("--dry-run");
    fails(compared, 2, &["critique.n_candidates is 0", "set it to"]);
    assert!(critiques(&out, Table::Candidates, "sampled").is_empty());
    assert_eq!(critiques(&out, Table::Critiques, "constructed").len(), 16);
    let said = String::from_utf8(succeeds(with(&data, "filter")).stderr).unwrap();
    assert!(!said.contains("judging given critiques"), "{said}");
    let report = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert!(report.contains("critiques that came with the pairs"), "{report}");
}
