use super::*;
use crate::testing::{pair, sampling};
use critic_engine::scripted::Scripted;
use critic_engine::{Scorer, collect};

fn settings(n_critiques: usize) -> ScoreSettings {
    ScoreSettings { n_critiques, sampling: sampling(), seed: SeedTree::new(3) }
}

/// Rewards in sampling order; a cut critique is marked.
fn scored(rewards: &[(f64, FinishReason)], n_failed: usize) -> ScoredResponse {
    let critiques = rewards
        .iter()
        .enumerate()
        .map(|(i, &(reward, finish_reason))| CritiqueReward {
            text: format!("critique {i}"),
            reward: Reward::new(reward, "test").unwrap(),
            finish_reason,
            n_tokens: 2,
        })
        .collect();
    let without_critique = Reward::new(-0.5, "test").unwrap();
    ScoredResponse { without_critique, critiques, n_failed, n_dropped_turns: 0 }
}

const STOP: FinishReason = FinishReason::Stop;
const CUT: FinishReason = FinishReason::Length;

#[track_caller]
fn check(
    scored: &ScoredResponse,
    m: usize,
    keep_truncated: bool,
    expected: (f64, Option<f64>, usize),
) {
    let prediction = predict("a/chosen", scored, m, keep_truncated).unwrap();
    let (mean, std, n_failed) = expected;
    assert!((prediction.mean.value() - mean).abs() < 1e-12, "{prediction:?}");
    assert_eq!(prediction.std.is_some(), std.is_some());
    assert!((prediction.std.unwrap_or(0.0) - std.unwrap_or(0.0)).abs() < 1e-12, "{prediction:?}");
    assert_eq!(prediction.n_failed, n_failed);
    assert_eq!(prediction.critiques.len() + n_failed, m);
    assert_eq!(prediction.without_critique, Some(scored.without_critique));
}

#[test]
fn the_mean_of_m_and_its_spread() {
    let rewards = scored(&[(2.0, STOP), (4.0, STOP), (9.0, STOP)], 0);
    // deviations from 5: −3, −1, 4; squares 26, over n − 1 = 2
    check(&rewards, 3, true, (5.0, Some(13f64.sqrt()), 0));
    check(&rewards, 2, true, (3.0, Some(2f64.sqrt()), 0));
}

#[test]
fn one_critique_is_the_first_one() {
    let rewards = scored(&[(2.0, STOP), (4.0, STOP)], 0);
    check(&rewards, 1, true, (2.0, None, 0));
}

#[test]
fn no_critique_is_the_fast_path() {
    let rewards = scored(&[(2.0, STOP)], 0);
    check(&rewards, 0, false, (-0.5, None, 0));
    check(&scored(&[], 0), 0, false, (-0.5, None, 0));
}

#[test]
fn failures_are_left_out_and_counted() {
    let rewards = scored(&[(2.0, STOP), (4.0, STOP)], 2);
    check(&rewards, 4, true, (3.0, Some(2f64.sqrt()), 2));
}

#[test]
fn cut_critiques_are_left_out_unless_kept() {
    let rewards = scored(&[(8.0, CUT), (2.0, STOP), (4.0, STOP)], 0);
    check(&rewards, 3, false, (3.0, Some(2f64.sqrt()), 1));
    check(&rewards, 2, false, (2.0, None, 1));
    check(&rewards, 2, true, (5.0, Some(18f64.sqrt()), 0));
}

#[test]
fn a_response_without_a_usable_critique_is_an_error() {
    let error = predict("a/chosen", &scored(&[], 4), 4, true).unwrap_err();
    assert_eq!(error, MethodError::NoCritique { id: "a/chosen".into(), n_critiques: 4 });
    assert!(predict("a/chosen", &scored(&[(8.0, CUT), (1.0, STOP)], 0), 1, false).is_err());
}

#[test]
fn an_overflowing_mean_is_an_error() {
    let rewards = scored(&[(f64::MAX, STOP), (f64::MAX, STOP)], 0);
    assert!(matches!(predict("a", &rewards, 2, true), Err(MethodError::Reward(_))));
}

#[test]
fn requests_are_seeded_by_name_and_side() {
    let requests = score_requests(&[pair("a"), pair("b")], &settings(4));
    let ids: Vec<&str> = requests.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["a/chosen", "a/rejected", "b/chosen", "b/rejected"]);
    assert_eq!(requests[3].response, "rejected of b");
    assert!(requests.iter().all(|r| r.n_critiques == 4));
    let alone = score_requests(&[pair("b")], &settings(1));
    assert_eq!((requests[2].seed, requests[3].seed), (alone[0].seed, alone[1].seed));
    assert_ne!(requests[2].seed, requests[3].seed);
}

#[test]
fn fewer_critiques_of_a_run_are_a_run_of_fewer() {
    let reward =
        |_: &ScoreRequest, critique: Option<&str>| critique.map_or(1.0, |text| text.len() as f64);
    let mut engine = Scripted::answering(|_, i| "x".repeat(i * i + 1)).rewarding(reward);
    let mut run = |m| {
        let requests = score_requests(&[pair("a")], &settings(m));
        let mut results = collect(requests.len(), |sink| engine.score(&requests, sink));
        results.swap_remove(0).unwrap().unwrap()
    };
    let long = run(5);
    for m in 0..5 {
        let short = run(m);
        let predictions = (predict("a", &long, m, true), predict("a", &short, m, true));
        assert_eq!(predictions.0, predictions.1);
    }
}
