use super::*;

fn pairwise(keep: usize) -> Refinement {
    Refinement::Rank { keep, judge: MetaJudge::Pairwise }
}

/// The critiques that a meta-judge is shown, in the order in which it is.
fn shown(conversation: &Conversation) -> [usize; 2] {
    let asked = conversation.last_user_text();
    let mut found: Vec<(usize, usize)> = (0..10)
        .filter_map(|i| Some((asked.find(&format!("critique {i} of a/chosen"))?, i)))
        .collect();
    found.sort_unstable();
    let found: Vec<usize> = found.into_iter().map(|(_, critique)| critique).collect();
    found.try_into().expect("two critiques stand in the question")
}

/// A meta-judge with these log-odds of the first critique against the second.
fn judge(odds: impl Fn(usize, usize) -> f64 + Send + 'static) -> Scripted {
    Scripted::answering(|_, _| String::new()).choosing(move |conversation, choices| {
        assert_eq!(choices, ["A", "B"]);
        let [first, second] = shown(conversation);
        let odds = odds(first, second);
        vec![-3.0 + odds, -3.0]
    })
}

/// What became of `n` survivors of one response.
fn ranked(n: usize, keep: usize, generator: &mut dyn Generator) -> Result<Refined, EngineError> {
    let mut results =
        run(&survivors("a", Side::Chosen, n), generator, pairwise(keep), &|_, _| false);
    results.remove(&(0, "chosen")).unwrap()
}

fn consistency(refined: &Refined) -> PositionConsistency {
    let mut found = PositionConsistency::default();
    found.count(&refined.comparisons);
    found
}

const QUALITY: [f64; 4] = [0.5, 2.0, -1.0, 1.0];

#[test]
fn every_two_are_compared_in_both_orders_and_the_best_stay() {
    let mut engine = judge(|first, second| QUALITY[first] - QUALITY[second]);
    let refined = ranked(4, 2, &mut engine).unwrap();
    assert_eq!(indices(&refined), [1, 3]);
    let asked: Vec<(usize, usize)> =
        refined.comparisons.iter().map(|asked| (asked.first, asked.second)).collect();
    assert_eq!(asked.len(), 12);
    assert_eq!(asked[..4], [(0, 1), (0, 2), (0, 3), (1, 0)]);
    // The mean over the other three of the difference of qualities.
    let of = |index: usize| 4.0 / 3.0 * (QUALITY[index] - QUALITY.iter().sum::<f64>() / 4.0);
    let order: Vec<usize> = refined.ranking.iter().map(|meta| meta.index).collect();
    assert_eq!(order, [1, 3, 0, 2]);
    for meta in &refined.ranking {
        assert!((meta.score - of(meta.index)).abs() < 1e-12, "{meta:?}");
    }
    assert_eq!((refined.report.n_kept, refined.report.dropped["not among the best"]), (2, 2));
    let found = consistency(&refined);
    assert_eq!((found.n_comparisons, found.n_consistent, found.n_first), (6, 6, 6));
}

#[test]
fn what_the_judge_gives_to_a_place_cancels() {
    let fair = ranked(4, 2, &mut judge(|a, b| QUALITY[a] - QUALITY[b])).unwrap();
    let mut engine = judge(|first, second| QUALITY[first] - QUALITY[second] + 8.0);
    let biased = ranked(4, 2, &mut engine).unwrap();
    assert_eq!(biased.critiques, fair.critiques);
    for (one, other) in biased.ranking.iter().zip(&fair.ranking) {
        assert!(one.index == other.index && (one.score - other.score).abs() < 1e-12);
    }
    assert_eq!(consistency(&biased).consistency(), Some(0.0));
    assert_eq!(consistency(&biased).first_share(), Some(1.0));
}

#[test]
fn a_judge_that_sees_places_alone_leaves_ties_to_the_lower_index() {
    let refined = ranked(4, 3, &mut judge(|_, _| -1.5)).unwrap();
    assert_eq!(indices(&refined), [0, 1, 2]);
    assert!(refined.ranking.iter().all(|meta| meta.score.abs() < 1e-12));
    assert_eq!(consistency(&refined).first_share(), Some(0.0));
}

#[test]
fn a_judge_that_prefers_neither_is_tied() {
    let refined = ranked(3, 1, &mut judge(|_, _| 0.0)).unwrap();
    assert_eq!(indices(&refined), [0]);
    let found = consistency(&refined);
    assert_eq!((found.n_ties, found.n_consistent, found.first_share()), (6, 0, Some(0.5)));
}

#[test]
fn a_single_survivor_is_not_asked_about_and_stays() {
    let mut engine = Backwards::default();
    let mut all = survivors("a", Side::Chosen, 1);
    all.extend(survivors("a", Side::Rejected, 2));
    let results = run(&all, &mut engine, pairwise(1), &|_, _| false);
    let alone = results[&(0, "chosen")].as_ref().unwrap();
    assert_eq!((indices(alone), alone.report.n_kept), (vec![0], 1));
    assert!(alone.comparisons.is_empty() && alone.ranking.is_empty());
    assert!(engine.asked.iter().all(|id| id.starts_with("a/rejected/")));
    assert_eq!(engine.asked.len(), 2);
}

#[test]
fn a_failed_question_costs_its_comparison_only_and_is_not_imputed() {
    let failing = ["a/chosen/0 or 1", "a/chosen/2 or 0"].map(str::to_owned).to_vec();
    let mut engine = Backwards { failing, ..Backwards::default() };
    let refined = ranked(3, 3, &mut engine).unwrap();
    // 0 was compared with none in both orders; 1 and 2 with each other.
    assert_eq!(indices(&refined), [1, 2]);
    assert_eq!(refined.report.dropped["no meta-score"], 1);
    assert_eq!(refined.report.n_seen(), 3);
    assert_eq!(refined.failures.len(), 2);
    let found = consistency(&refined);
    assert_eq!((found.n_comparisons, found.n_failed), (1, 2));
    assert_eq!(refined.comparisons[0].log_odds, None);

    let failing = vec!["a/chosen/0 or 1".to_owned(), "a/chosen/1 or 0".to_owned()];
    let mut engine = Backwards { failing, ..Backwards::default() };
    assert_eq!(ranked(2, 1, &mut engine).unwrap_err().id, "a/chosen/0 or 1");
}

#[test]
fn an_answer_without_finite_log_odds_is_counted_and_not_imputed() {
    let mut engine = judge(|first, second| match (first, second) {
        (0, 1) => f64::NAN,
        (2, _) => f64::INFINITY,
        _ => 1.0,
    });
    let refined = ranked(3, 2, &mut engine).unwrap();
    assert!(refined.critiques.is_empty() && refined.failures.is_empty());
    assert_eq!(refined.report.dropped["no meta-score"], 3);
    assert_eq!(consistency(&refined).n_failed, 3);
}

#[test]
fn a_comparison_that_may_come_later_leaves_its_response_open() {
    let unavailable = vec!["a/chosen/2 or 1".to_owned()];
    let mut engine = Backwards { unavailable, ..Backwards::default() };
    let error = ranked(3, 2, &mut engine).unwrap_err();
    assert!(error.kind.stays_open(), "{error}");
}

#[test]
fn many_responses_are_all_ranked() {
    let pairs: Vec<_> = (0..300).map(|i| pair(&i.to_string())).collect();
    let all: Vec<Candidate> =
        pairs.iter().flat_map(|pair| survivors(&pair.id, Side::Chosen, 2)).collect();
    let (prompts, settings) = (Prompts::builtin(), settings(pairwise(1)));
    let mut engine = Backwards::default();
    let mut n = 0;
    refine(&pairs, &all, &mut engine, &prompts, &settings, &|_, _| false, &mut |_, _, result| {
        assert_eq!(result.unwrap().critiques.len(), 1);
        n += 1;
        if n == 290 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(n, 290);
}
