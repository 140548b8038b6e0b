//! `critic-rm generate`.

use super::*;

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
