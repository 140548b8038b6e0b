//! Critiques scored on other scales than 1–10.

use super::*;
use std::collections::BTreeSet;

fn candidates(out: &Path) -> Vec<TableRow> {
    let found = rows(out).into_iter().find(|(table, _)| *table == Table::Candidates);
    found.map(|(_, rows)| rows).unwrap()
}

fn keys(rows: &[TableRow]) -> BTreeSet<&str> {
    rows.iter().map(|row| row["key"].as_str().unwrap()).collect()
}

#[test]
fn each_scale_has_its_own_critiques_and_scores_and_goes_through_to_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(run("critique", &out, &[]));
    let usual = candidates(&out);
    let levels = r#"prompts.scale={ levels = ["wrong", { label = "half right", value = 2 }, { label = "right", value = 5 }] }"#;
    for (scale, low, high) in [("prompts.scale=1-5", 1.0, 5.0), (levels, 1.0, 5.0)] {
        let already = candidates(&out);
        let score = ["--set", scale, "--set", "filter.score=expected"];
        succeeds(run("run", &out, &score));
        let all = candidates(&out);
        let new: Vec<&TableRow> = all
            .iter()
            .filter(|row| !keys(&already).contains(row["key"].as_str().unwrap()))
            .collect();
        assert_eq!(new.len(), usual.len(), "{scale}");
        for row in new {
            let score = row["expected_score"].as_f64().unwrap();
            assert!((low..=high).contains(&score), "{scale}: {score}");
        }
        let report = std::fs::read_to_string(out.join("report.md")).unwrap();
        assert!(report.contains("What the critiques are like"), "{report}");
        // The model is asked on its scale where it scores.
        let prompts = out.join("checkpoints/critic-rm/prompts.json");
        let prompts = std::fs::read_to_string(prompts).unwrap();
        assert!(prompts.contains(r#""scale""#), "{prompts}");
    }
    assert!(candidates(&out).iter().any(|row| row["expected_score"].as_f64().unwrap() > 5.0));
}

#[test]
fn a_scale_that_is_none_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let with = |scale: &str| run("run", &out, &["--set", &format!("prompts.scale={scale}")]);
    fails(with("5-1"), 2, &["5-1", "LOW < HIGH"]);
    fails(with(r#"{ levels = ["good", "good"] }"#), 2, &["differ"]);
    fails(with("4"), 2, &["a scale is"]);
    assert!(!out.join("store.sqlite").exists());
}
