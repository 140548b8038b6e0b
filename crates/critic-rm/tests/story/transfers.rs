//! What a store gives to files and takes from them.

use super::*;

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
    // Only such a judge leaves comparisons.
    let pairwise = ["--set", "refine.judge=pairwise"];
    succeeds(run("run", &out, &pairwise));
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
