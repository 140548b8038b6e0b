//! Reads the real sets in the folder that `CRITIC_RM_SHARED_DATA` names.

use critic_data::synth::{corrupt, evaluate, read_gold};
use critic_data::{DataError, PairFormat, ReadOptions, inspect, read_pairs, read_responses};
use critic_types::SeedTree;
use std::path::PathBuf;

/// File, rows, pairs, format, pairs with a critique: golden counts.
const PAIRS: [(&str, usize, usize, PairFormat, usize); 23] = [
    ("train/gsm8k_modelpairs.jsonl.gz", 1614, 1614, PairFormat::Own, 0),
    ("eval/gsm8k_modelpairs.jsonl.gz", 281, 281, PairFormat::Own, 0),
    ("train/game24_cot.jsonl.gz", 4391, 4391, PairFormat::Own, 0),
    ("eval/game24_cot.jsonl.gz", 368, 368, PairFormat::Own, 0),
    ("train/truthfulqa_judge.jsonl.gz", 7890, 7890, PairFormat::Own, 0),
    ("eval/truthfulqa_judge.jsonl.gz", 1286, 1286, PairFormat::Own, 0),
    ("train/verify_cot_date.jsonl.gz", 2228, 2228, PairFormat::Own, 0),
    ("eval/verify_cot_date.jsonl.gz", 479, 479, PairFormat::Own, 0),
    ("train/ukpconvarg1.jsonl.gz", 7942, 7942, PairFormat::Own, 7942),
    ("eval/ukpconvarg1.jsonl.gz", 647, 647, PairFormat::Own, 647),
    ("train/hh_helpful-base.jsonl.gz", 1680, 1680, PairFormat::Own, 0),
    ("eval/hh_helpful-base.jsonl.gz", 229, 229, PairFormat::Own, 0),
    ("train/hh_harmless-base.jsonl.gz", 1598, 1598, PairFormat::Own, 0),
    ("eval/hh_harmless-base.jsonl.gz", 241, 241, PairFormat::Own, 0),
    ("eval/llmbar.jsonl.gz", 419, 419, PairFormat::Own, 0),
    ("eval/humanevalpack.jsonl.gz", 330, 330, PairFormat::Own, 330),
    ("eval/pandalm_test.jsonl.gz", 762, 762, PairFormat::Own, 0),
    ("eval/hhh_alignment.jsonl.gz", 221, 221, PairFormat::Own, 0),
    ("eval/gsm8k_best_of_4.jsonl.gz", 146, 281, PairFormat::BestOfN, 0),
    ("critiques/mr_gsm8k.jsonl.gz", 412, 412, PairFormat::Own, 412),
    ("critiques/stepverify_CC-BY-SA.jsonl.gz", 633, 633, PairFormat::Own, 633),
    ("raw/hh_harmless-base_test.jsonl.gz", 2312, 2303, PairFormat::AnthropicHh, 0),
    ("raw/llmbar_gptinst.json", 92, 92, PairFormat::LlmBar, 0),
];

/// Files of single responses, not of pairs: rows, and the reason why none is a pair.
const RESPONSES: [(&str, usize); 3] = [
    ("train/gsm8k_gold.jsonl.gz", 7473),
    ("critiques/bigbench_mistake_train.jsonl.gz", 840),
    ("critiques/bigbench_mistake_eval.jsonl.gz", 126),
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
fn every_preference_file_has_its_golden_counts() {
    let Some(folder) = folder() else { return };
    for (file, n_rows, n_pairs, format, n_critiques) in PAIRS {
        let seen = inspect(&folder.join(file), &ReadOptions::default(), 0).unwrap();
        let counts = (seen.n_rows, seen.n_pairs, seen.format, seen.n_critiques);
        assert_eq!(
            counts,
            (n_rows, n_pairs, Some(format), n_critiques),
            "{file}: {:?}",
            seen.report
        );
    }
}

#[test]
fn every_file_of_single_responses_is_read_as_such_and_says_that_it_has_no_pairs() {
    let Some(folder) = folder() else { return };
    for (file, n) in RESPONSES {
        let path = folder.join(file);
        assert_eq!(read_responses(&path).unwrap().rows.len(), n, "{file}");
        let error = read_pairs(&path, &ReadOptions::default()).unwrap_err();
        let DataError::NoRows { report, .. } = &error else { panic!("{file}: {error}") };
        assert_eq!(report.dropped["columns of no known format"], n, "{file}");
    }
    let path = folder.join("raw/pandalm_testset-v1.json");
    let error = read_pairs(&path, &ReadOptions::default()).unwrap_err().to_string();
    let expected = "999 × columns of no known format (item 1: idx, pandalm_result, pandalm_reason";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_folder_is_the_sum_of_its_files() {
    let Some(folder) = folder() else { return };
    let seen = inspect(&folder.join("eval"), &ReadOptions::default(), 0).unwrap();
    let n_rows: usize =
        PAIRS.iter().filter(|row| row.0.starts_with("eval/")).map(|row| row.1).sum();
    assert_eq!((seen.files.len(), seen.n_rows), (12, n_rows));
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
    let dropped: Vec<_> = set.report.dropped.iter().map(|(r, n)| (r.as_str(), *n)).collect();
    assert_eq!(dropped, [("empty response", 4), ("prompts differ", 5)]);
}

#[test]
fn the_longer_argument_wins_three_times_in_four() {
    let Some(folder) = folder() else { return };
    let path = folder.join("train/ukpconvarg1.jsonl.gz");
    let seen = inspect(&path, &ReadOptions::default(), 0).unwrap();
    assert!((seen.longer_chosen - 0.75447).abs() < 1e-5, "{}", seen.longer_chosen);
}

#[test]
fn gold_steps_are_true_and_corrupted_ones_are_wrong_where_the_critique_says() {
    let Some(folder) = folder() else { return };
    let gold = read_gold(&folder.join("train/gsm8k_gold.jsonl.gz")).unwrap().solutions;
    let annotations: usize =
        gold.iter().map(|solution| solution.answer.matches("<<").count()).sum();
    assert_eq!((gold.len(), annotations), (7473, 23_716));
    let (mut made, mut refused) = (0, std::collections::BTreeMap::new());
    for solution in &gold {
        match corrupt(solution, &SeedTree::new(0)) {
            Err(problem) => *refused.entry(problem.to_string()).or_insert(0) += 1,
            Ok(corrupted) => {
                made += 1;
                let pair = &corrupted.annotated.pair;
                assert!(
                    pair.chosen != pair.rejected && !pair.rejected.contains("<<"),
                    "{}",
                    pair.id
                );
                for (at, (expression, value)) in corrupted.steps.iter().enumerate() {
                    let exact = evaluate(expression).unwrap();
                    let is_true = (exact - value).abs() <= 0.500_001;
                    let is_wrong_step = at == corrupted.step
                        && corrupted.kind == critic_data::synth::CorruptionKind::Arithmetic;
                    assert_eq!(is_true, !is_wrong_step, "{}: {expression} = {value}", pair.id);
                }
            }
        }
    }
    assert_eq!(refused.get("a step that is not true"), None, "{refused:?}");
    assert_eq!(refused["no `<<expression=value>>` steps that can be read"], 95);
    assert!(made > 4500, "{made} {refused:?}");
}
