//! Reads the real preference sets in the folder that `CRITIC_RM_SHARED_DATA` names.

use critic_data::{DataError, PairFormat, ReadOptions, inspect, read_pairs, read_responses};
use std::path::PathBuf;

/// File and rows, as the folder's README states them.
const PAIRS: [(&str, usize); 20] = [
    ("train/gsm8k_modelpairs.jsonl.gz", 1614),
    ("eval/gsm8k_modelpairs.jsonl.gz", 281),
    ("train/game24_cot.jsonl.gz", 4391),
    ("eval/game24_cot.jsonl.gz", 368),
    ("train/truthfulqa_judge.jsonl.gz", 7890),
    ("eval/truthfulqa_judge.jsonl.gz", 1286),
    ("train/verify_cot_date.jsonl.gz", 2228),
    ("eval/verify_cot_date.jsonl.gz", 479),
    ("train/ukpconvarg1.jsonl.gz", 7942),
    ("eval/ukpconvarg1.jsonl.gz", 647),
    ("train/hh_helpful-base.jsonl.gz", 1680),
    ("eval/hh_helpful-base.jsonl.gz", 229),
    ("train/hh_harmless-base.jsonl.gz", 1598),
    ("eval/hh_harmless-base.jsonl.gz", 241),
    ("eval/llmbar.jsonl.gz", 419),
    ("eval/humanevalpack.jsonl.gz", 330),
    ("eval/pandalm_test.jsonl.gz", 762),
    ("eval/hhh_alignment.jsonl.gz", 221),
    ("critiques/mr_gsm8k.jsonl.gz", 412),
    ("critiques/stepverify_CC-BY-SA.jsonl.gz", 633),
];

#[allow(clippy::print_stdout, reason = "says that the test checked nothing")]
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("CRITIC_RM_SHARED_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("left out: CRITIC_RM_SHARED_DATA names no folder");
    }
    folder
}

#[test]
fn every_preference_file_has_the_rows_its_readme_states() {
    let Some(folder) = folder() else { return };
    for (file, n) in PAIRS {
        let set = read_pairs(&folder.join(file), &ReadOptions::default()).unwrap();
        assert_eq!(set.report.n_seen(), n, "{file}");
        assert_eq!(set.pairs.len(), n, "{file}: {:?}", set.report);
        assert_eq!(set.format, PairFormat::Own, "{file}");
    }
}

#[test]
fn dialogues_of_hh_end_with_the_person_and_go_to_and_fro() {
    let Some(folder) = folder() else { return };
    for file in ["train/hh_helpful-base.jsonl.gz", "train/hh_harmless-base.jsonl.gz"] {
        let set = read_pairs(&folder.join(file), &ReadOptions::default()).unwrap();
        assert!(set.pairs.iter().any(|pair| pair.prompt.messages().len() > 4));
        for pair in &set.pairs {
            let turns = pair.prompt.messages();
            assert!(turns.windows(2).all(|two| two[0].role != two[1].role), "{}", pair.id);
            assert!(turns.iter().all(|turn| !turn.content.contains("\n\nHuman:")), "{}", pair.id);
        }
    }
}

#[test]
fn the_published_hh_file_loses_only_rows_without_answer_or_shared_prompt() {
    let Some(folder) = folder() else { return };
    let path = folder.join("raw/hh_harmless-base_test.jsonl.gz");
    let set = read_pairs(&path, &ReadOptions::default()).unwrap();
    assert_eq!(set.format, PairFormat::AnthropicHh);
    assert_eq!(set.report.n_seen(), 2312);
    let dropped: Vec<_> = set.report.dropped.iter().map(|(r, n)| (r.as_str(), *n)).collect();
    assert_eq!(dropped, [("empty response", 4), ("prompts differ", 5)]);
}

#[test]
fn the_longer_argument_wins_three_times_in_four() {
    let Some(folder) = folder() else { return };
    let path = folder.join("train/ukpconvarg1.jsonl.gz");
    let seen = inspect(&read_pairs(&path, &ReadOptions::default()).unwrap());
    assert!((seen.longer_chosen - 0.75447).abs() < 1e-5, "{}", seen.longer_chosen);
}

#[test]
fn files_without_pairs_say_what_they_lack() {
    let Some(folder) = folder() else { return };
    let path = folder.join("raw/llmbar_gptinst.json");
    let error = read_pairs(&path, &ReadOptions::default()).unwrap_err();
    assert!(matches!(&error, DataError::NoRows { .. }), "{error}");
    assert!(error.to_string().contains("missing field `chosen` (item 1, item 2, item 3)"));
    assert_eq!(
        read_responses(&folder.join("eval/llmbar.jsonl.gz")).unwrap().rows[0].responses.len(),
        2
    );
}
