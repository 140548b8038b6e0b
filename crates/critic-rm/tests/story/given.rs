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
