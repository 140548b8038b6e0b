use super::*;
use crate::{Bootstrap, Clusters, TieRule};
use critic_types::SeedTree;
use proptest::prelude::*;

fn item(id: &str, chosen: &[f64], rejected: &[f64]) -> CritiqueRewards {
    CritiqueRewards {
        id: id.to_owned(),
        without_critique: Some((1.0, 0.0)),
        chosen: chosen.to_vec(),
        rejected: rejected.to_vec(),
    }
}

fn bootstrap() -> Bootstrap {
    Bootstrap { n_resamples: 300, ..Bootstrap::new(SeedTree::new(4)) }
}

#[test]
fn all_critiques_leave_no_chance() {
    let odds = pair_odds(&[1.0, 4.0, 1.0], &[2.0, 0.0, 3.0], 3, SeedTree::new(0)).unwrap();
    assert_eq!((odds.win, odds.tie, odds.loss, odds.exact), (1.0, 0.0, 0.0, true));
}

#[test]
fn the_order_of_a_sum_makes_no_difference() {
    let values = [0.1, 0.7, 0.2, 1e16, -1e16];
    let mut turned = values;
    turned.reverse();
    assert_eq!(pair_odds(&values, &turned, 5, SeedTree::new(0)).unwrap().tie, 1.0);
}

#[test]
fn many_subsets_are_drawn_and_come_near() {
    let chosen: Vec<f64> = (0..20).map(|i| f64::from(i % 7)).collect();
    let rejected: Vec<f64> = (0..20).map(|i| f64::from(i % 5)).collect();
    let drawn = pair_odds(&chosen, &rejected, 9, SeedTree::new(3)).unwrap();
    assert!(!drawn.exact && (drawn.win + drawn.tie + drawn.loss - 1.0).abs() < 1e-12);
    assert_eq!(drawn, pair_odds(&chosen, &rejected, 9, SeedTree::new(3)).unwrap());
    let single = pair_odds(&chosen, &rejected, 1, SeedTree::new(3)).unwrap();
    assert!(single.exact && drawn.win > single.win);
}

#[test]
fn a_curve_stands_on_the_same_items() {
    let items = [
        item("a", &[3.0, 0.0], &[1.0, 1.0]),
        item("b", &[0.0, 0.0], &[2.0, -1.0]),
        item("c", &[5.0], &[1.0, 1.0]),
    ];
    let curve =
        critique_curve(&items, &[0, 1, 2], TieRule::Wrong, &Clusters::singletons(3), &bootstrap())
            .unwrap();
    assert_eq!((curve.n_items, curve.n_left_out), (2, 1));
    let accuracies: Vec<f64> = curve.points.iter().map(|point| point.accuracy).collect();
    assert_eq!(accuracies, [1.0, 0.5, 0.5]);
    assert_eq!(curve.points[1].gain, -0.5);
    assert_eq!((curve.points[0].gain_interval.low, curve.points[0].gain_interval.high), (0.0, 0.0));
    assert!(curve.points.iter().all(|point| point.exact));
    let single =
        critique_curve(&items, &[1], TieRule::Half, &Clusters::singletons(3), &bootstrap())
            .unwrap();
    assert_eq!((single.n_items, single.points[0].accuracy), (3, (0.5 + 0.5 + 1.0) / 3.0));
}

#[test]
fn all_ties_follow_the_rule() {
    let items = [item("a", &[1.0, 1.0], &[1.0, 1.0])];
    let at = |rule| critique_curve(&items, &[1], rule, &Clusters::singletons(1), &bootstrap());
    assert_eq!(at(TieRule::Wrong).unwrap().points[0].accuracy, 0.0);
    assert_eq!(at(TieRule::Half).unwrap().points[0].accuracy, 0.5);
    assert!(matches!(at(TieRule::Exclude), Err(StatsError::Empty { .. })));
}

#[test]
fn nothing_and_nan_are_refused() {
    let none = Clusters::singletons(0);
    assert!(critique_curve(&[], &[1], TieRule::Wrong, &none, &bootstrap()).is_err());
    let broken = [item("a", &[f64::NAN], &[1.0])];
    let one = Clusters::singletons(1);
    let error = critique_curve(&broken, &[1], TieRule::Wrong, &one, &bootstrap()).unwrap_err();
    assert!(error.to_string().contains("chosen reward number 0 is NaN"), "{error}");
    assert!(pair_odds(&[1.0], &[1.0], 0, SeedTree::new(0)).is_err());
    assert!(pair_odds(&[1.0], &[1.0], 2, SeedTree::new(0)).is_err());
    assert!(pairwise_correlation(&[]).is_err());
    assert!(pairwise_correlation(&[vec![1.0, 1.0], vec![1.0, 1.0]]).is_err());
}

#[test]
fn critiques_that_agree_correlate_fully() {
    let rows = [vec![1.0, 3.0, 5.0], vec![2.0, 5.0, 5.0], vec![3.0, 7.0]];
    let found = pairwise_correlation(&rows).unwrap();
    assert!((found.mean - 1.0).abs() < 1e-12);
    assert_eq!((found.n_pairs, found.n_undefined), (1, 2));
}

#[test]
fn duplicates_can_carry_the_whole_gain_or_none() {
    // The repeated critique is the one that is right.
    let all = [item("a", &[3.0, 3.0, 3.0, -4.0], &[0.0])];
    let one = Clusters::singletons(1);
    let right = distinct_rewards(&["x", "x", "x", "y"], &all[0].chosen).unwrap();
    let reduced = [item("a", &right, &[0.0])];
    let report = gain_without_duplicates(&all, &reduced, &one, &bootstrap()).unwrap();
    assert_eq!((report.single, report.gain, report.gain_distinct), (0.75, 0.25, -0.75));
    assert_eq!((report.share_left, report.distinct_share), (Some(-3.0), 0.6));
    let same = gain_without_duplicates(&all, &all, &one, &bootstrap()).unwrap();
    assert_eq!((same.share_left, same.distinct_share), (Some(1.0), 1.0));
    assert!(distinct_rewards(&["x"], &[]).is_err());
    let empty = [item("a", &[], &[0.0])];
    assert!(gain_without_duplicates(&empty, &empty, &one, &bootstrap()).is_err());
}

proptest! {
    #[test]
    fn odds_are_those_of_counting_every_subset(
        chosen in prop::collection::vec(-3i32..4, 1..7), rejected in prop::collection::vec(-3i32..4, 1..7),
        part in 0.0f64..1.0,
    ) {
        let m = 1 + (part * chosen.len().min(rejected.len()) as f64) as usize;
        let m = m.min(chosen.len().min(rejected.len()));
        let sums = |values: &[i32]| -> Vec<i32> {
            (0u32..1 << values.len()).filter(|mask| mask.count_ones() as usize == m)
                .map(|mask| (0..values.len()).filter(|i| mask >> i & 1 == 1).map(|i| values[i]).sum())
                .collect()
        };
        let (a, b) = (sums(&chosen), sums(&rejected));
        let wins = a.iter().flat_map(|x| b.iter().map(move |y| x > y)).filter(|&w| w).count();
        let floats = |v: &[i32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let odds = pair_odds(&floats(&chosen), &floats(&rejected), m, SeedTree::new(0)).unwrap();
        prop_assert!((odds.win - wins as f64 / (a.len() * b.len()) as f64).abs() < 1e-12);
        let turned = pair_odds(&floats(&rejected), &floats(&chosen), m, SeedTree::new(0)).unwrap();
        prop_assert_eq!((odds.win, odds.tie), (turned.loss, turned.tie));
    }
}
