//! Runs that are killed and go on.

use super::*;

#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_bytes() {
    ends_with_the_same_bytes_when_killed(&[]);
}

#[test]
fn a_killed_run_with_adapters_and_a_head_of_two_layers_goes_on_and_ends_with_the_same_bytes() {
    ends_with_the_same_bytes_when_killed(&["--set", LORA, "--set", heads::MLP]);
}

#[test]
fn a_killed_run_with_adapters_over_a_quantised_base_goes_on_and_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.gguf");
    let mut export = critic_rm(&["model", "export", "--format", "q8_0"]);
    export.arg(root("reference/golden/tiny_llama")).arg(&base);
    succeeds(export);
    let model = format!("model={:?}", base.display().to_string());
    ends_with_the_same_bytes_when_killed(&["--set", LORA, "--set", &model]);
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
