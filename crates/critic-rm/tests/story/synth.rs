//! `critic-rm data synth …` with a model.

use super::*;

/// Sums, and a row without an answer.
fn questions(folder: &Path) -> PathBuf {
    let path = folder.join("questions.jsonl");
    let rows: String = (0..6)
        .map(|i| {
            format!("{{\"question\": \"What is {i} + {i}?\", \"answer\": \"#### {}\"}}\n", 2 * i)
        })
        .collect();
    let rows = rows + "{\"question\": \"Torn\"}\n";
    critic_types::atomic_file::write(&path, rows.as_bytes()).unwrap();
    path
}

fn synth(task: &str, source: &Path, output: &Path, extra: &[&str]) -> Command {
    let mut command = critic_rm(&["data", "synth", task]);
    command.arg(source).arg("--output").arg(output);
    command.arg("--model").arg(root("reference/golden/tiny_llama"));
    command.args(["--max-new-tokens", "24", "--seed", "5"]).args(extra);
    command
}

fn report(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn solutions_are_sampled_graded_and_told_whatever_they_are_worth() {
    let folder = tempfile::tempdir().unwrap();
    let source = questions(folder.path());
    let output = folder.path().join("pairs.jsonl");
    let told = report(&succeeds(synth("verifiable", &source, &output, &["-n", "3", "--json"])));
    assert_eq!((told["n_questions"].as_u64(), told["n_samples"].as_u64()), (Some(6), Some(18)));
    let n = |key: &str| told[key].as_u64().unwrap();
    assert_eq!(n("n_right") + n("n_wrong") + n("n_unreadable") + n("n_cut"), 18);
    assert_eq!(told["rows"]["dropped"].as_object().unwrap().len(), 1);
    let written = std::fs::read_to_string(&output).unwrap();
    assert_eq!(written.lines().count() as u64, n("n_pairs"));
    assert!(!folder.path().join("pairs.jsonl.partial").exists());
    fails(synth("verifiable", &source, &output, &["-n", "0"]), 2, &["-n is 0"]);
    fails(synth("verifiable", &folder.path().join("none"), &output, &[]), 3, &["none"]);
    let prompt = folder.path().join("mine.jinja");
    critic_types::atomic_file::write(&prompt, b"Solve it.").unwrap();
    let own = ["--prompt", prompt.to_str().unwrap()];
    fails(synth("verifiable", &source, &output, &own), 2, &["question", "must stand"]);
}

#[test]
fn a_response_to_another_instruction_is_the_rejected_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("pairs.jsonl");
    let instructions = folder.path().join("instructions.jsonl");
    let source = root("examples/train.jsonl");
    // Texts of a random model end where they are cut, so they are stopped at a letter.
    let extra = ["--limit", "8", "--stop", "e", "--attempts", "6", "--json", "--instructions"];
    let extra = [&extra[..], &[instructions.to_str().unwrap()]].concat();
    let told = report(&succeeds(synth("modified", &source, &output, &extra)));
    let written = std::fs::read_to_string(&output).unwrap();
    let originals = std::fs::read_to_string(&source).unwrap();
    let rows = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (pairs, originals) = (rows(&written), rows(&originals));
    assert!(!pairs.is_empty(), "{told}");
    assert_eq!(pairs.len() as u64, told["n_pairs"].as_u64().unwrap());
    for pair in &pairs {
        let original = originals.iter().find(|one| one["id"] == pair["id"]).unwrap();
        assert_eq!(pair["prompt"], original["prompt"]);
        assert_eq!(pair["chosen"], original["chosen"]);
        assert_ne!(pair["rejected"], original["rejected"]);
    }
    let asked = rows(&std::fs::read_to_string(&instructions).unwrap());
    assert_eq!(asked.len(), pairs.len());
    assert!(asked.iter().all(|row| row["modified"] != row["instruction"]));
}

#[cfg(unix)]
#[test]
fn a_synthesis_that_was_killed_goes_on_and_ends_in_the_same_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let source = root("examples/train.jsonl");
    let extra = ["--limit", "60", "--stop", "e", "--sample-chosen", "--weights", "f32"];
    let straight = folder.path().join("straight.jsonl");
    succeeds(synth("modified", &source, &straight, &extra));
    let output = folder.path().join("killed.jsonl");
    let partial = folder.path().join("killed.jsonl.partial");
    let mut n_kills = 0;
    for n_lines in [2, 40, 90] {
        let mut child = synth("modified", &source, &output, &extra)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let n = std::fs::read_to_string(&partial).map_or(0, |text| text.lines().count());
            if n >= n_lines || child.try_wait().unwrap().is_some() || Instant::now() > deadline {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        n_kills += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(n_kills > 0, "the work ended before any kill");
    succeeds(synth("modified", &source, &output, &extra));
    assert_eq!(std::fs::read(&output).unwrap(), std::fs::read(&straight).unwrap());
}
