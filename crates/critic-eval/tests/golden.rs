//! Agreement of the benches with an independent writing of their arithmetic (`reference/benches.py`).

use critic_eval::benches::{
    CritiqueVerdict, CrossEvalRow, Decision, JudgeBenchRow, PpeRow, PriorSets, RewardBench2Row,
    RewardBenchRow, RmBenchRow, SubsetWeights, critique_f1, cross_eval, judge_bench_one_game,
    judge_bench_two_games, ppe_best_of_k, ppe_conflicts, reward_bench, reward_bench_2, rm_bench,
};
use critic_stats::TieRule;
use critic_types::SeedTree;
use serde_json::Value;

fn golden(bench: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden/benches.json");
    let file: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect(path)).expect(path);
    file[bench].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

fn three(value: &Value) -> [f64; 3] {
    numbers(value).try_into().expect("three numbers")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[track_caller]
fn near(found: Option<f64>, expected: &Value) {
    let (found, expected) = (found.expect("a number"), number(expected));
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

#[test]
fn reward_bench_is_that_of_pandas() {
    let file = golden("reward_bench");
    let rows: Vec<RewardBenchRow> = list(&file["rows"])
        .iter()
        .enumerate()
        .map(|(i, row)| RewardBenchRow {
            id: i.to_string(),
            subset: text(&row[0]),
            rewards: Some((number(&row[1]), number(&row[2]))),
        })
        .collect();
    let score = |weights, prior| reward_bench(&rows, weights, prior, TieRule::Wrong).unwrap();
    let current = score(SubsetWeights::Current, PriorSets::With);
    let earlier = score(SubsetWeights::Earlier, PriorSets::Without);
    for i in 0..4 {
        near(current.sections[i].score, &file["current"][i]);
        near(earlier.sections[i].score, &file["earlier"][i]);
    }
    near(score(SubsetWeights::Current, PriorSets::Without).overall, &file["overall"]);
    near(current.overall, &file["overall_with_prior"]);
}

#[test]
fn reward_bench_2_is_that_of_numpy() {
    let file = golden("reward_bench_2");
    let rows: Vec<RewardBench2Row> = list(&file["rows"])
        .iter()
        .map(|row| RewardBench2Row {
            id: text(&row["id"]),
            subset: text(&row["subset"]),
            n_correct: row["n_correct"].as_u64().expect("a count") as usize,
            scores: Some(numbers(&row["scores"])),
        })
        .collect();
    let found = reward_bench_2(&rows).unwrap();
    for domain in &found.domains {
        near(domain.score, &file["domains"][&domain.domain]);
    }
    near(found.ties.map(|ties| ties.margin_term), &file["margin_term"]);
    near(found.overall, &file["overall"]);
}

#[test]
fn rm_bench_is_that_of_numpy() {
    let file = golden("rm_bench");
    let rows: Vec<RmBenchRow> = list(&file["rows"])
        .iter()
        .map(|row| RmBenchRow {
            id: text(&row["id"]),
            domain: text(&row["domain"]),
            scores: Some((three(&row["chosen"]), three(&row["rejected"]))),
        })
        .collect();
    let found = rm_bench(&rows).unwrap();
    near(found.hard, &file["hard"]);
    near(found.normal, &file["normal"]);
    near(found.easy, &file["easy"]);
    near(found.total, &file["total"]);
}

#[test]
fn judge_bench_counts_as_described() {
    let file = golden("judge_bench");
    let decision = |value: &Value| -> Option<Decision> {
        serde_json::from_value(value.clone()).expect("a decision or null")
    };
    let rows: Vec<JudgeBenchRow> = list(&file["rows"])
        .iter()
        .map(|row| JudgeBenchRow {
            id: text(&row["id"]),
            source: text(&row["source"]),
            label: decision(&row["label"]).expect("a label"),
            games: [decision(&row["games"][0]), decision(&row["games"][1])],
        })
        .collect();
    let two = judge_bench_two_games(&rows).unwrap().overall;
    near(two.published, &file["two_games"]);
    let n_both = two.position_consistent.unwrap().agreement.n_correct as u64;
    assert_eq!(Some(n_both), file["n_both_right"].as_u64());
    near(judge_bench_one_game(&rows).unwrap().overall.published, &file["one_game"]);
}

#[test]
fn ppe_is_that_of_scikit_learn_and_of_every_order() {
    let file = golden("ppe");
    let index = |value: &Value| value.as_u64().expect("an index") as usize;
    let rows: Vec<PpeRow> = list(&file["rows"])
        .iter()
        .map(|row| PpeRow {
            id: text(&row["id"]),
            truth: list(&row["truth"]).iter().map(|t| t.as_bool().expect("a truth")).collect(),
            conflict_pairs: list(&row["conflict_pairs"])
                .iter()
                .map(|pair| (index(&pair[0]), index(&pair[1])))
                .collect(),
            rewards: Some(numbers(&row["rewards"])),
        })
        .collect();
    let found = ppe_conflicts(&rows).unwrap();
    near(found.accuracy, &file["accuracy"]);
    near(found.auc, &file["auc"]);
    // Python looks at all 720 orders, here 4,000 are drawn.
    let drawn = ppe_best_of_k(&rows[..3], 4000, SeedTree::new(1)).unwrap();
    for (found, key) in
        [(drawn.max_score, "max_score"), (drawn.end_score, "end_score"), (drawn.loss, "loss")]
    {
        let (found, expected) = (found.expect("a number"), number(&file[key]));
        assert!((found - expected).abs() < 0.02, "{key} {found} {expected}");
    }
}

#[test]
fn critic_bench_is_that_of_scikit_learn() {
    let file = golden("critic_bench");
    let rows: Vec<CritiqueVerdict> = list(&file["rows"])
        .iter()
        .map(|row| CritiqueVerdict {
            id: text(&row["id"]),
            domain: "math".to_owned(),
            response_is_right: row["right"].as_bool().expect("a truth"),
            says_right: row["says"].as_bool(),
        })
        .collect();
    let found = critique_f1(&rows).unwrap().overall;
    near(found.published_f1, &file["published_f1"]);
    near(found.f1, &file["f1"]);
    assert!(found.n_missing > 0);
}

#[test]
fn cross_eval_is_that_of_scipy() {
    let file = golden("cross_eval");
    let rows: Vec<CrossEvalRow> = list(&file["rows"])
        .iter()
        .map(|row| CrossEvalRow {
            id: text(&row["id"]),
            prompt_id: text(&row["prompt_id"]),
            capability: "coding".to_owned(),
            ratings: numbers(&row["ratings"]),
            score: Some(number(&row["score"])),
        })
        .collect();
    let found = cross_eval(&rows).unwrap().overall;
    near(found.pearson, &file["pearson"]);
    near(found.spearman, &file["spearman"]);
    near(found.kendall_tau_b, &file["kendall_tau_b"]);
    near(found.pairwise.map(|pairwise| pairwise.agreement.accuracy), &file["pairwise"]);
}
