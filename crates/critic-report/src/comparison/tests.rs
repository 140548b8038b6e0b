use super::*;
use crate::fixtures;

/// A made-up run on `n` pairs.
fn run(n: usize) -> RunRecord {
    let mut record = fixtures::record();
    record.items = fixtures::items(n);
    record
}

fn compared(runs: Vec<(&str, RunRecord)>) -> Result<RunComparison, ReportError> {
    let runs = runs.into_iter().map(|(name, record)| (name.to_owned(), record)).collect();
    RunComparison::new(runs, SeedTree::new(0))
}

#[test]
fn runs_are_tested_on_the_pairs_they_share() {
    let found = compared(vec![("a", run(60)), ("b", fixtures::other(40))]).unwrap();
    assert_eq!(found.items.len(), 40);
    let accuracy = |name: &str| {
        let result = found.results.iter().find(|result| result.name == name).unwrap();
        result.accuracy.unwrap().agreement
    };
    assert_eq!(accuracy("a: critic-rm m=4").n, 40);
    assert!(accuracy("a: critic-rm m=4").accuracy > accuracy("b: critic-rm m=4").accuracy);
    assert_eq!(accuracy("a: length"), accuracy("b: length"));
    let test = &found.tests[0].comparison;
    assert_eq!((test.a.as_str(), test.b.as_str()), ("a: critic-rm m=4", "b: critic-rm m=4"));
    assert_eq!((test.n_pairs, found.tests.len()), (40, 1));
    assert!(test.difference > 0.0 && found.tests[0].holm_p < 0.05, "{:?}", found.tests[0]);
    assert_eq!(found.notes.len(), 1);
    assert!(found.notes[0].starts_with("20 of the 60 pairs that a scored"), "{}", found.notes[0]);
}

#[test]
fn a_pair_whose_text_differs_is_another_pair() {
    let mut other = run(10);
    other.items[3].chosen.push('!');
    let found = compared(vec![("a", run(10)), ("b", other)]).unwrap();
    assert_eq!((found.items.len(), found.notes.len()), (9, 2));
}

#[test]
fn runs_with_nothing_in_common_are_refused() {
    let mut other = run(10);
    other.items.iter_mut().for_each(|item| item.pair_id.insert(0, 'x'));
    let error = compared(vec![("a", run(10)), ("b", other)]).unwrap_err();
    assert!(matches!(error, ReportError::NoCommonPair), "{error}");
}

#[test]
fn the_tables_stand_side_by_side_and_only_settings_that_differ_are_shown() {
    let found = compared(vec![("a", run(30)), ("b", fixtures::other(30))]).unwrap();
    let text = found.markdown();
    assert!(text.contains("| seed | 7 | 8 |"), "{text}");
    assert!(text.contains("| train.learning\\_rate | 2e-5 | – |"), "{text}");
    assert!(!text.contains("filter.rule"), "{text}");
    assert!(text.contains("critic-rm report --compare a b"), "{text}");
    let page = found.html().unwrap();
    assert!(page.contains("a: critic-rm m=4") && page.contains("id=\"browser\""));
    let files = found.csv_files().unwrap();
    let accuracies = &files.iter().find(|(name, _)| name == "accuracies.csv").unwrap().1;
    assert!(
        accuracies.starts_with("contestant,a,a_interval_low,a_interval_high,b,"),
        "{accuracies}"
    );
}

#[test]
fn three_runs_stand_beside_each_other() {
    let runs = vec![("a", run(30)), ("b", fixtures::other(30)), ("c", run(30))];
    let found = compared(runs).unwrap();
    let tested: Vec<(&str, &str)> = found
        .tests
        .iter()
        .map(|one| (one.comparison.a.as_str(), one.comparison.b.as_str()))
        .collect();
    let main = |run: &str| format!("{run}: critic-rm m=4");
    let (a, b, c) = (main("a"), main("b"), main("c"));
    assert_eq!(tested, [(a.as_str(), b.as_str()), (&a, &c), (&b, &c)]);
    assert_eq!(found.tests[1].comparison.difference, 0.0);
}

#[test]
fn hostile_runs_stay_text() {
    let found = compared(vec![
        (fixtures::HOSTILE[0], fixtures::hostile()),
        (fixtures::HOSTILE[2], fixtures::hostile()),
    ])
    .unwrap();
    let page = found.html().unwrap();
    assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
    assert_eq!(page.matches("</style>").count(), 1);
}
