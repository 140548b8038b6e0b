//! Input that cannot be used.

use super::*;

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
