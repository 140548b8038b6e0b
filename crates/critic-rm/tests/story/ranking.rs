//! A meta-judge that compares critiques two by two.

use super::*;

const PAIRWISE: [&str; 2] = ["--set", "refine.judge=pairwise"];

/// What a stage said when it was done.
fn line(output: &Output, stage: &str) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let found = said.lines().find(|line| line.starts_with(&format!("{stage} ")));
    found.unwrap_or_else(|| panic!("no {stage} in: {said}")).to_owned()
}

fn comparisons(out: &Path) -> Vec<TableRow> {
    let mut tables = rows(out).into_iter();
    tables.find(|(table, _)| *table == Table::MetaComparisons).unwrap().1
}

#[test]
fn a_pairwise_meta_judge_says_how_far_it_agrees_with_itself() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = succeeds(run("refine", &out, &PAIRWISE));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("both orders: 6 short questions where all 3 pass"), "{said}");
    let refined = line(&output, "refine");
    for part in ["comparisons", "% alike in both orders", "% of answers for the first place"] {
        assert!(refined.contains(part), "{refined}");
    }
    assert!(!refined.contains("without an answer"), "{refined}");
    let asked = comparisons(&out);
    assert!(!asked.is_empty() && asked.iter().all(|row| row["log_odds"].is_f64()), "{asked:?}");
    let swapped = |row: &TableRow| {
        asked.iter().any(|other| {
            (&other["pair_id"], &other["side"]) == (&row["pair_id"], &row["side"])
                && (&other["first"], &other["second"]) == (&row["second"], &row["first"])
        })
    };
    assert!(asked.iter().all(swapped));

    let again = succeeds(run("refine", &out, &PAIRWISE));
    assert_eq!(line(&again, "refine"), refined);
    assert_eq!(comparisons(&out), asked);

    // Another question asks anew, and about the same critiques; other judges have no use for it.
    let question = folder.path().join("question.jinja");
    let text = b"A: {{ first }}\nB: {{ second }}\nThe better one is called";
    critic_types::atomic_file::write(&question, text).unwrap();
    let own = format!("prompts.meta_judge_pairwise={:?}", question.display().to_string());
    let other = succeeds(run("refine", &out, &[&PAIRWISE[..], &["--set", &own]].concat()));
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(said.contains("ranking critiques") && !said.contains("writing critiques"), "{said}");
    assert_eq!(comparisons(&out).len(), 2 * asked.len());
    let pointwise = succeeds(run("refine", &out, &[]));
    assert!(!line(&pointwise, "refine").contains("alike"));
    let pointwise = succeeds(run("refine", &out, &["--set", &own]));
    assert!(!String::from_utf8_lossy(&pointwise.stderr).contains("ranking critiques"));
}

#[test]
fn a_ranking_two_by_two_that_is_killed_ends_with_the_same_rows_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let straight = folder.path().join("straight");
    let expected_line = line(&succeeds(run("run", &straight, &PAIRWISE)), "refine");
    let killed = folder.path().join("killed");
    for moment in [0, 5, 10, 20, 40] {
        let mut child = run("refine", &killed, &PAIRWISE)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        if stderr.lines().map_while(Result::ok).any(|text| text.starts_with("ranking critiques")) {
            thread::sleep(Duration::from_millis(moment));
            child.kill().unwrap();
        }
        child.wait().unwrap();
    }
    let facts = |line: &str| line.split_once("critiques to train on").unwrap().1.to_owned();
    let found = line(&succeeds(run("run", &killed, &PAIRWISE)), "refine");
    assert_eq!(facts(&found), facts(&expected_line));
    assert_eq!(results(&killed), results(&straight));
    assert_same_rows(&killed, &rows(&straight));

    let (_, _, record) = results(&killed);
    let judged = &record["rounds"][0]["meta_judge"];
    let n = judged["n_comparisons"].as_u64().unwrap();
    assert!(n > 0 && judged["n_failed"] == 0, "{judged}");
    assert_eq!(comparisons(&killed).len() as u64, 2 * n);
    let table = std::fs::read_to_string(killed.join("tables/meta-judge.csv")).unwrap();
    assert!(table.contains(&format!("critiques compared,{n},0,")), "{table}");
}
