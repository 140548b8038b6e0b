//! Reports in headless Chromium: they render, filters and search work, nothing complains, nothing is
//! asked for, and 10,000 pairs open. `.ci/run` runs this: `cargo test --release -- --ignored`.
//! It needs Chromium, and Python with pip: `tests/browser/fetch` fetches what drives the browser.
//! `CRITIC_RM_PICTURES` names a folder that the pages are drawn into.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

// What the fixtures name by their crate.
use critic_report::{
    DataRecord, Fact, FilterRecord, FunnelStep, HeldOutPoint, HistogramRecord, ItemRecord,
    ModelRecord, RoundRecord, RunComparison, RunRecord, ScoreAgreement, SettingRecord, SplitRecord,
    StageRecord, StepPoint, StudyRecord, TrainingCurve, html,
};
use critic_types::{SeedTree, atomic_file};
use std::path::Path;
use std::process::Command;

#[allow(dead_code, reason = "unit tests need more of them")]
#[path = "../src/fixtures.rs"]
mod fixtures;

#[test]
#[ignore = "needs Chromium and fetches what drives it"]
fn reports_work_in_a_real_browser() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, page: String| {
        atomic_file::write(&folder.path().join(format!("{name}.html")), page.as_bytes()).unwrap();
    };
    let with_items = |n: usize| {
        let mut record = fixtures::record();
        record.rounds.push(fixtures::round(2, "critic-rm-round-1", "critic-rm"));
        record.items = fixtures::items(n);
        record
    };
    let runs =
        vec![("first".to_owned(), with_items(130)), ("second".to_owned(), fixtures::other(130))];
    write("run", html(&with_items(130)).unwrap());
    write("many", html(&with_items(10_000)).unwrap());
    write("hostile", html(&fixtures::hostile()).unwrap());
    write("empty", html(&fixtures::empty()).unwrap());
    write("comparison", RunComparison::new(runs, SeedTree::new(0)).unwrap().html().unwrap());

    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let fetched = Path::new(env!("CARGO_TARGET_TMPDIR")).join("playwright");
    assert!(Command::new(here.join("fetch")).arg(&fetched).status().unwrap().success());
    let mut check = Command::new("python3");
    check.arg(here.join("check.py")).arg(folder.path());
    check.args(std::env::var_os("CRITIC_RM_PICTURES"));
    check.env("PYTHONPATH", fetched.join("packages"));
    assert!(check.status().unwrap().success(), "see above for what the browser found");
}
