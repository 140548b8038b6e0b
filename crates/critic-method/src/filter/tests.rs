use super::*;
use crate::testing::{candidate, pair};
use proptest::prelude::*;

fn settings(rule: FilterRule) -> FilterSettings {
    FilterSettings { rule, score: ScoreKind::Parsed, keep_truncated: false }
}

fn critiques(pair_id: &str, chosen: &[Option<f64>], rejected: &[Option<f64>]) -> Vec<Candidate> {
    let side = |side, scores: &[Option<f64>]| {
        let scores = scores.iter().enumerate();
        scores.map(|(i, &s)| candidate(pair_id, side, i, s)).collect::<Vec<_>>()
    };
    [side(Side::Chosen, chosen), side(Side::Rejected, rejected)].concat()
}

/// Filters one pair: the reason it goes for, or which of its critiques stay on either side.
#[track_caller]
fn check(
    rule: FilterRule,
    chosen: &[f64],
    rejected: &[f64],
    expected: Result<(&[usize], &[usize]), DropReason>,
) {
    let some = |scores: &[f64]| scores.iter().copied().map(Some).collect::<Vec<_>>();
    let all = critiques("a", &some(chosen), &some(rejected));
    let outcome = filter(&[pair("a")], &all, &settings(rule)).unwrap();
    match expected {
        Err(reason) => {
            assert_eq!(outcome.pairs[0].dropped, Some(reason));
            assert!(outcome.verdicts.iter().all(|v| v.dropped == Some(reason)));
        }
        Ok((kept_chosen, kept_rejected)) => {
            assert_eq!(outcome.pairs[0].dropped, None);
            let kept = |side| {
                let stays = outcome.verdicts.iter().filter(|v| v.dropped.is_none());
                stays.filter(|v| v.side == side).map(|v| v.index).collect::<Vec<_>>()
            };
            assert_eq!(kept(Side::Chosen), kept_chosen);
            assert_eq!(kept(Side::Rejected), kept_rejected);
            let n_kept = kept_chosen.len() + kept_rejected.len();
            assert_eq!(outcome.kept(&all).len(), n_kept);
            let left_out = outcome.verdicts.iter().filter_map(|v| v.dropped);
            assert!(left_out.into_iter().all(|r| r == DropReason::ScoreDisagrees));
        }
    }
}

#[test]
fn the_higher_mean_must_be_the_chosen_one() {
    check(FilterRule::PairMean, &[9.0, 5.0], &[6.0], Ok((&[0, 1], &[0])));
    check(FilterRule::PairMean, &[5.0], &[6.0, 7.0], Err(DropReason::MeanDisagrees));
}

#[test]
fn ties_never_pass() {
    let ruled =
        [FilterRule::PairMean, FilterRule::PairMargin { delta: 0.0 }, FilterRule::PerCritique];
    for rule in ruled {
        check(rule, &[5.0, 7.0], &[6.0], Err(DropReason::Tie));
        // In floating point the mean of 1.0, 1.1 and 2.1 lies a rounding above 1.4.
        check(rule, &[1.0, 1.1, 2.1], &[1.4], Err(DropReason::Tie));
    }
    check(FilterRule::Cross, &[6.0, 5.0], &[6.0, 7.0], Err(DropReason::NoCombination));
    check(FilterRule::Majority { tau: 0.0 }, &[6.0], &[6.0], Err(DropReason::FewCombinations));
}

#[test]
fn the_margin_must_be_exceeded() {
    let rule = FilterRule::PairMargin { delta: 1.0 };
    check(rule, &[8.0], &[6.5], Ok((&[0], &[0])));
    check(rule, &[2.2], &[1.2], Err(DropReason::SmallMargin));
    check(rule, &[6.0], &[6.5], Err(DropReason::MeanDisagrees));
}

#[test]
fn each_critique_must_clear_the_other_mean() {
    // means 6.5 and 4: critique 2 of chosen (4) is not above 4, critique 1 of rejected (7) not below 6.5
    let rule = FilterRule::PerCritique;
    check(rule, &[9.0, 6.5, 4.0], &[1.0, 7.0, 4.0], Ok((&[0, 1], &[0, 2])));
    // 9 is above the rejected mean, but the pair's means disagree
    check(rule, &[9.0, 1.0, 1.0], &[6.0, 6.0], Err(DropReason::MeanDisagrees));
}

#[test]
fn cross_keeps_what_stands_in_an_agreeing_combination() {
    // agreeing: (8, 7), (8, 2), (3, 2)
    check(FilterRule::Cross, &[8.0, 3.0, 2.0], &[7.0, 2.0, 9.0], Ok((&[0, 1], &[0, 1])));
    // the means disagree, yet one combination agrees
    check(FilterRule::Cross, &[5.0, 1.0], &[4.0, 9.0], Ok((&[0], &[0])));
    assert_eq!(agreeing_combinations(&[8.0, 3.0, 2.0], &[7.0, 2.0, 9.0]), [(0, 0), (0, 1), (1, 1)]);
}

#[test]
fn more_than_the_share_must_agree() {
    // three of four combinations agree
    let (chosen, rejected) = ([8.0, 4.0], [3.0, 6.0]);
    check(FilterRule::Majority { tau: 0.7 }, &chosen, &rejected, Ok((&[0, 1], &[0, 1])));
    let reason = Err(DropReason::FewCombinations);
    check(FilterRule::Majority { tau: 0.75 }, &chosen, &rejected, reason);
}

#[test]
fn without_a_rule_every_usable_critique_stays() {
    check(FilterRule::None, &[1.0], &[9.0], Ok((&[0], &[0])));
    let all = critiques("a", &[None, Some(3.0)], &[None]);
    let outcome = filter(&[pair("a")], &all, &settings(FilterRule::None)).unwrap();
    assert_eq!(outcome.report.critiques.n_kept, 3);
    let outcome = filter(&[pair("a")], &all[..2], &settings(FilterRule::None)).unwrap();
    assert_eq!(outcome.pairs[0].dropped, Some(DropReason::NoCritique));
}

#[test]
fn a_side_without_a_score_drops_its_pair() {
    let mut all = critiques("a", &[Some(9.0), None], &[None, None]);
    all.extend(critiques("b", &[Some(9.0), None], &[Some(2.0)]));
    all.extend(critiques("c", &[Some(9.0)], &[]));
    let pairs = [pair("a"), pair("b"), pair("c")];
    let outcome = filter(&pairs, &all, &settings(FilterRule::PairMean)).unwrap();
    let report = &outcome.report;
    assert_eq!(report.pairs.n_kept, 1);
    assert_eq!(report.pairs.dropped["a response has no usable critique"], 1);
    assert_eq!(report.pairs.dropped["a response has no critique"], 1);
    assert_eq!(report.pairs.examples["a response has no critique"], ["c"]);
    // The unread critique of "b" is left out of the mean, not counted as 0.
    assert_eq!(report.critiques.n_kept, 2);
    assert_eq!(report.critiques.dropped["no readable score"], 4);
    assert_eq!(report.critiques.examples["no readable score"][0], "a/chosen/1");
    assert_eq!(report.critiques.n_seen(), all.len());
}

#[test]
fn cut_and_empty_critiques_are_left_out() {
    let mut all = critiques("a", &[Some(9.0), Some(1.0)], &[Some(5.0), Some(10.0)]);
    all[1].finish_reason = FinishReason::Length;
    all[3].text = " \n".into();
    let outcome = filter(&[pair("a")], &all, &settings(FilterRule::PairMean)).unwrap();
    let reasons: Vec<_> = outcome.verdicts.iter().map(|v| v.dropped).collect();
    assert_eq!(reasons, [None, Some(DropReason::Truncated), None, Some(DropReason::Empty)]);
    let keep = FilterSettings { keep_truncated: true, ..settings(FilterRule::PairMean) };
    let outcome = filter(&[pair("a")], &all, &keep).unwrap();
    assert_eq!(outcome.pairs[0].dropped, Some(DropReason::Tie));
}

#[test]
fn the_rule_reads_the_score_it_is_told() {
    let mut all = critiques("a", &[Some(1.0)], &[Some(9.0)]);
    all[0].scores.verdict = Some(0.3);
    all[1].scores.verdict = Some(-2.0);
    let by = |score| {
        let settings = FilterSettings { score, ..settings(FilterRule::PairMean) };
        filter(&[pair("a")], &all, &settings).unwrap().pairs[0].dropped
    };
    assert_eq!(by(ScoreKind::Parsed), Some(DropReason::MeanDisagrees));
    assert_eq!(by(ScoreKind::Verdict), None);
    assert_eq!(by(ScoreKind::Expected), Some(DropReason::NoUsableCritique));
}

#[test]
fn critiques_of_other_data_are_counted() {
    let all = critiques("elsewhere", &[Some(9.0)], &[Some(1.0)]);
    let outcome = filter(&[pair("a")], &all, &settings(FilterRule::PairMean)).unwrap();
    assert_eq!(outcome.report.critiques.dropped["pair is not in the data"], 2);
    assert_eq!(outcome.report.pairs.dropped["a response has no critique"], 1);
    assert_eq!(outcome.report.scores[0].n_critiques, 0);
    assert_eq!(outcome.report.scores[0].agreement(), None);
}

#[test]
fn the_report_measures_every_score() {
    let mut all = critiques("agrees", &[Some(8.0), None], &[Some(4.0), Some(6.0)]);
    all.extend(critiques("ties", &[Some(6.0)], &[Some(6.0)]));
    all.extend(critiques("disagrees", &[Some(1.0)], &[Some(4.0)]));
    all.extend(critiques("unread", &[None], &[Some(4.0)]));
    all[0].scores.expected = Some(7.5);
    all[2].scores.expected = Some(2.5);
    let mut pairs = ["agrees", "ties", "disagrees", "unread"].map(pair);
    pairs[0].domain = Some("math".into());
    let outcome = filter(&pairs, &all, &settings(FilterRule::PairMean)).unwrap();
    let parsed = outcome.report.score(ScoreKind::Parsed);
    assert_eq!((parsed.n_pairs, parsed.n_agree, parsed.n_ties), (3, 1, 1));
    assert_eq!((parsed.n_critiques, parsed.n_scored), (10, 8));
    assert_eq!(parsed.parse_rate(), Some(0.8));
    assert_eq!(parsed.agreement(), Some(1.0 / 3.0));
    assert_eq!(parsed.tie_rate(), Some(1.0 / 3.0));
    assert_eq!((parsed.mean_chosen, parsed.mean_rejected), (Some(5.0), Some(5.0)));
    let expected = outcome.report.score(ScoreKind::Expected);
    assert_eq!((expected.n_pairs, expected.mean_chosen), (1, Some(7.5)));
    assert_eq!(outcome.report.score(ScoreKind::Verdict).n_pairs, 0);
    assert_eq!(outcome.report.by_domain["math"].n_kept, 1);
    assert_eq!(outcome.report.by_domain[FilterReport::NO_DOMAIN].n_dropped(), 3);
}

#[test]
fn parameters_out_of_range_are_refused() {
    let refused = |rule, part: &str| {
        let error = filter(&[], &[], &settings(rule)).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(FilterRule::PairMargin { delta: -1.0 }, "filter.delta is -1");
    refused(FilterRule::PairMargin { delta: f64::NAN }, "filter.delta is NaN");
    refused(FilterRule::Majority { tau: 1.0 }, "filter.tau is 1");
    let twice = [pair("a"), pair("a")];
    assert!(filter(&twice, &[], &settings(FilterRule::PairMean)).is_err());
}

#[test]
fn a_run_file_names_the_rule() {
    let read = |text: &str| toml::from_str::<FilterRule>(text);
    let rules = [
        ("kind = 'pair_mean'", FilterRule::PairMean),
        ("kind = 'pair_margin'\ndelta = 0.5", FilterRule::PairMargin { delta: 0.5 }),
        ("kind = 'per_critique'", FilterRule::PerCritique),
        ("kind = 'cross'", FilterRule::Cross),
        ("kind = 'majority'\ntau = 0.5", FilterRule::Majority { tau: 0.5 }),
        ("kind = 'none'", FilterRule::None),
    ];
    for (text, rule) in rules {
        assert_eq!(read(text).unwrap(), rule);
        assert_eq!(read(&toml::to_string(&rule).unwrap()).unwrap(), rule);
    }
    for text in [
        "kind = 'pair_mean'\ndelta = 1.0",
        "kind = 'cross'\ntau = 1.0",
        "kind = 'pair_margin'",
        "kind = 'best'",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

fn any_rule() -> impl Strategy<Value = FilterRule> {
    prop_oneof![
        Just(FilterRule::PairMean),
        (0.0..3.0).prop_map(|delta| FilterRule::PairMargin { delta }),
        Just(FilterRule::PerCritique),
        Just(FilterRule::Cross),
        (0.0..0.99).prop_map(|tau| FilterRule::Majority { tau }),
        Just(FilterRule::None),
    ]
}

#[test]
fn all_rules_are_compared_on_the_same_candidates() {
    let mut all = critiques("a", &[Some(8.0), Some(7.0)], &[Some(5.0), Some(4.0)]);
    all.extend(critiques("b", &[Some(6.0), Some(2.0)], &[Some(5.0), Some(3.0)]));
    let pairs = [pair("a"), pair("b"), pair("c")];
    let found = compare_rules(&pairs, &all, false).unwrap();
    let kept = |rule: FilterRule, score: ScoreKind| {
        let is_it = |one: &&RuleOutcome| one.settings.rule == rule && one.settings.score == score;
        let one = found.outcomes.iter().find(is_it).unwrap();
        (one.n_pairs, one.n_critiques)
    };
    assert_eq!(kept(FilterRule::None, ScoreKind::Verdict), (2, 8));
    // Pair b ties in its means; 6 > 5 and 6 > 3 agree among its combinations.
    assert_eq!(kept(FilterRule::PairMean, ScoreKind::Parsed), (1, 4));
    assert_eq!(kept(FilterRule::Cross, ScoreKind::Parsed), (2, 7));
    assert_eq!(kept(FilterRule::Majority { tau: 0.5 }, ScoreKind::Parsed), (1, 4));
    assert_eq!(kept(FilterRule::PairMean, ScoreKind::Expected), (0, 0));
    assert_eq!(found.report.score(ScoreKind::Parsed).n_agree, 1);
    for one in &found.outcomes {
        let alone = filter(&pairs, &all, &one.settings).unwrap();
        assert_eq!(alone.kept(&all).len(), one.n_critiques);
    }
}

fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0..5usize, any::<bool>(), proptest::option::weighted(0.8, 1..=10u8), 0..10u8);
    proptest::collection::vec(one, 0..40).prop_map(|drawn| {
        let drawn = drawn.into_iter().enumerate();
        drawn
            .map(|(index, (pair, chosen, score, flaw))| {
                let side = if chosen { Side::Chosen } else { Side::Rejected };
                let mut critique = candidate(&pair.to_string(), side, index, score.map(f64::from));
                match flaw {
                    0 => critique.text.clear(),
                    1 => critique.finish_reason = FinishReason::Length,
                    _ => {}
                }
                critique
            })
            .collect()
    })
}

/// Scores of one response's critiques: of those the rule may read, and of those that stayed.
fn scores_of(
    all: &[Candidate],
    outcome: &FilterOutcome,
    id: &str,
    side: Side,
    keep_truncated: bool,
) -> (Vec<f64>, Vec<f64>) {
    let (mut read, mut kept) = (vec![], vec![]);
    for (critique, verdict) in all.iter().zip(&outcome.verdicts) {
        let cut = critique.finish_reason == FinishReason::Length && !keep_truncated;
        if critique.pair_id == id && critique.side == side && !critique.text.is_empty() && !cut {
            read.extend(critique.scores.parsed);
            if verdict.dropped.is_none() {
                kept.push(critique.scores.parsed.unwrap_or(f64::NAN));
            }
        }
    }
    (read, kept)
}

proptest! {
    #[test]
    fn counts_add_up(rule in any_rule(), all in any_candidates(), keep_truncated: bool) {
        let pairs = ["0", "1", "2", "3"].map(pair);
        let settings = FilterSettings { keep_truncated, ..settings(rule) };
        let outcome = filter(&pairs, &all, &settings).unwrap();
        let report = &outcome.report;
        prop_assert_eq!(outcome.verdicts.len(), all.len());
        prop_assert_eq!(report.critiques.n_seen(), all.len());
        prop_assert_eq!(report.pairs.n_seen(), pairs.len());
        prop_assert_eq!(report.by_domain.values().map(critic_types::DropReport::n_seen).sum::<usize>(), 4);
        prop_assert_eq!(outcome.kept(&all).len(), report.critiques.n_kept);
        if rule == FilterRule::PairMean {
            prop_assert_eq!(report.pairs.n_kept, report.score(ScoreKind::Parsed).n_agree);
        }
    }

    #[test]
    fn no_kept_pair_violates_its_rule(rule in any_rule(), all in any_candidates(), keep_truncated: bool) {
        let pairs = ["0", "1", "2", "3"].map(pair);
        let settings = FilterSettings { keep_truncated, ..settings(rule) };
        let outcome = filter(&pairs, &all, &settings).unwrap();
        for verdict in &outcome.pairs {
            let side = |side| scores_of(&all, &outcome, &verdict.pair_id, side, keep_truncated);
            let ((chosen, kept_chosen), (rejected, kept_rejected)) = (side(Side::Chosen), side(Side::Rejected));
            if verdict.dropped.is_some() {
                prop_assert!(kept_chosen.is_empty() && kept_rejected.is_empty());
                continue;
            }
            prop_assert!(!kept_chosen.is_empty() && !kept_rejected.is_empty());
            let average = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
            let (high, low) = (average(&chosen), average(&rejected));
            match rule {
                FilterRule::PairMean => prop_assert!(high > low),
                FilterRule::PairMargin { delta } => prop_assert!(high - low > delta),
                FilterRule::PerCritique => {
                    prop_assert!(high > low);
                    prop_assert!(kept_chosen.iter().all(|&s| s > low));
                    prop_assert!(kept_rejected.iter().all(|&s| s < high));
                }
                FilterRule::Cross => {
                    prop_assert!(kept_chosen.iter().all(|s| kept_rejected.iter().any(|r| s > r)));
                    prop_assert!(kept_rejected.iter().all(|r| kept_chosen.iter().any(|s| s > r)));
                }
                FilterRule::Majority { tau } => {
                    let n = chosen.iter().flat_map(|s| rejected.iter().filter(move |r| s > r)).count();
                    prop_assert!(n as f64 > tau * (chosen.len() * rejected.len()) as f64);
                }
                FilterRule::None => {}
            }
        }
    }

    #[test]
    fn the_order_of_critiques_changes_nothing(rule in any_rule(), all in any_candidates(), seed: u64) {
        let pairs = ["0", "1", "2", "3"].map(pair);
        let outcome = filter(&pairs, &all, &settings(rule)).unwrap();
        let order = critic_types::SeedTree::new(seed).permutation(all.len());
        let shuffled: Vec<Candidate> = order.iter().map(|&i| all[i].clone()).collect();
        let again = filter(&pairs, &shuffled, &settings(rule)).unwrap();
        prop_assert_eq!(&outcome.pairs, &again.pairs);
        for (&from, verdict) in order.iter().zip(&again.verdicts) {
            prop_assert_eq!(&outcome.verdicts[from], verdict);
        }
        prop_assert_eq!(outcome.report.scores, again.report.scores);
    }
}
