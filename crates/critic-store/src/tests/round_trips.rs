use super::*;
use crate::{FilterVerdict, MetaComparison, MetaScore};
use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn pairs_come_back_in_their_order_by_split() {
    let (_folder, mut store) = new_store();
    let train = ["b", "a", "c"].map(pair);
    assert_eq!(store.put_pairs("train", &train[..2]).unwrap(), 2);
    assert_eq!(store.put_pairs("eval", &[pair("b")]).unwrap(), 1);
    assert_eq!(store.put_pairs("train", &train).unwrap(), 1);
    assert_eq!(store.pairs("train").unwrap(), train);
    assert_eq!(store.pairs("eval").unwrap(), [pair("b")]);
    assert!(store.pairs("other").unwrap().is_empty());
}

#[test]
fn a_stage_is_done_for_its_inputs_alone() {
    let (_folder, mut store) = new_store();
    let summary = json!({"n_kept": 3, "mean": 0.1 + 0.2});
    assert!(store.finish_stage("filter", &key("a"), &summary).unwrap());
    assert!(!store.finish_stage("filter", &key("a"), &json!(null)).unwrap());
    assert_eq!(store.stage("filter", &key("a")).unwrap(), Some(summary));
    assert_eq!(store.stage("filter", &key("b")).unwrap(), None);
    assert_eq!(store.stage("refine", &key("a")).unwrap(), None);
}

#[test]
fn candidates_come_back_in_the_order_of_the_pairs_however_they_came() {
    let (_folder, mut store) = new_store();
    let generation = key("g");
    let pairs = ["z", "a", "b"].map(pair);
    let wanted: Vec<Candidate> = pairs
        .iter()
        .flat_map(|pair| Side::BOTH.map(|side| [0, 1, 10].map(|i| candidate(&pair.id, side, i))))
        .flatten()
        .collect();
    put(&mut store, &generation, &wanted[7..]).unwrap();
    let reversed: Vec<Candidate> = wanted[..7].iter().rev().cloned().collect();
    put(&mut store, &generation, &reversed).unwrap();
    assert_eq!(store.candidates(&generation, &pairs).unwrap(), wanted);
    assert_eq!(store.candidates(&generation, &pairs[1..2]).unwrap(), wanted[6..12]);
    assert!(store.candidates(&key("other"), &pairs).unwrap().is_empty());
    let whole: BTreeSet<_> =
        pairs[..2].iter().flat_map(|pair| Side::BOTH.map(|side| (pair.id.clone(), side))).collect();
    assert_eq!(store.has_candidates(&generation, &pairs[..2], 2).unwrap(), whole);
    assert!(store.has_candidates(&generation, &pairs, 3).unwrap().is_empty());
}

#[test]
fn other_data_under_the_same_id_meets_no_old_result() {
    let (_folder, mut store) = new_store();
    let (old, new) = (pair("1"), PreferencePair { chosen: "other".to_owned(), ..pair("1") });
    let of = |text: &str| Candidate { text: text.to_owned(), ..candidate("1", Side::Chosen, 0) };
    store.put_candidates(&key("g"), &old, &[of("of the old")]).unwrap();
    store.put_prediction(&key("c"), &old, Side::Chosen, &prediction(1.0, 2)).unwrap();
    let news = std::slice::from_ref(&new);
    assert!(store.has_candidates(&key("g"), news, 1).unwrap().is_empty());
    assert!(store.predictions(&key("c"), news).unwrap().is_empty());
    assert_eq!(store.put_candidates(&key("g"), &new, &[of("of the new")]).unwrap(), 1);
    assert!(store.put_prediction(&key("c"), &new, Side::Chosen, &prediction(2.0, 1)).unwrap());
    assert_eq!(store.candidates(&key("g"), news).unwrap(), [of("of the new")]);
    assert_eq!(
        store.candidates(&key("g"), std::slice::from_ref(&old)).unwrap(),
        [of("of the old")]
    );
    let stored = store.predictions(&key("c"), &[old]).unwrap();
    assert_eq!(stored[&("1".to_owned(), Side::Chosen)], prediction(1.0, 2));
}

#[test]
fn the_same_key_keeps_its_first_row() {
    let (_folder, mut store) = new_store();
    let first = candidate("a", Side::Chosen, 0);
    let other = Candidate { text: "other".to_owned(), ..first.clone() };
    let (g, c, a) = (key("g"), key("c"), [pair("a")]);
    assert_eq!(store.put_candidates(&g, &a[0], std::slice::from_ref(&first)).unwrap(), 1);
    assert_eq!(store.put_candidates(&g, &a[0], std::slice::from_ref(&other)).unwrap(), 0);
    assert_eq!(store.put_critiques(&g, &a[0], std::slice::from_ref(&other)).unwrap(), 1);
    assert_eq!(store.candidates(&g, &a).unwrap(), [first]);
    assert_eq!(store.critiques(&g, &a).unwrap(), [other]);

    assert!(store.put_prediction(&c, &a[0], Side::Chosen, &prediction(1.0, 2)).unwrap());
    assert!(!store.put_prediction(&c, &a[0], Side::Chosen, &prediction(2.0, 3)).unwrap());
    let stored = store.predictions(&c, &a).unwrap();
    assert_eq!(stored[&("a".to_owned(), Side::Chosen)], prediction(1.0, 2));
}

#[test]
fn verdicts_without_critique_come_back_for_the_very_pairs() {
    let (_folder, mut store) = new_store();
    let other = PreferencePair { chosen: "another answer".to_owned(), ..pair("a") };
    let v = key("v");
    assert!(store.put_response_verdict(&v, &pair("a"), Side::Chosen, Some(-0.0)).unwrap());
    assert!(!store.put_response_verdict(&v, &pair("a"), Side::Chosen, Some(2.0)).unwrap());
    assert!(store.put_response_verdict(&v, &pair("a"), Side::Rejected, None).unwrap());
    assert!(store.put_response_verdict(&v, &other, Side::Chosen, Some(3.0)).unwrap());
    let found = store.response_verdicts(&v, &[pair("a"), pair("b")]).unwrap();
    let bits = |side| found[&("a".to_owned(), side)].map(f64::to_bits);
    assert_eq!((bits(Side::Chosen), bits(Side::Rejected)), (Some((-0.0f64).to_bits()), None));
    assert_eq!(found.len(), 2);
    let found = store.response_verdicts(&v, &[other]).unwrap();
    assert_eq!(found[&("a".to_owned(), Side::Chosen)], Some(3.0));
    assert!(store.response_verdicts(&key("w"), &[pair("a")]).unwrap().is_empty());
    let error = store.put_response_verdict(&v, &pair("b"), Side::Chosen, Some(f64::NAN));
    assert!(matches!(error, Err(StoreError::NotFinite { .. })), "{error:?}");
}

#[test]
fn verdicts_and_meta_scores_come_back() {
    let (_folder, mut store) = new_store();
    store.put_pairs("train", &[pair("a")]).unwrap();
    let verdict = |side, index, kept: bool| FilterVerdict {
        pair_id: "a".to_owned(),
        side,
        index,
        kept,
        reason: (!kept).then(|| "no score".to_owned()),
    };
    let verdicts = [verdict(Side::Chosen, 0, true), verdict(Side::Rejected, 0, false)];
    assert_eq!(store.put_verdicts(&key("f"), &verdicts).unwrap(), 2);
    assert_eq!(store.put_verdicts(&key("f"), &[verdict(Side::Chosen, 0, false)]).unwrap(), 0);
    assert_eq!(store.verdicts(&key("f")).unwrap(), verdicts);

    let score = |index, score| MetaScore { pair_id: "a".into(), side: Side::Chosen, index, score };
    let scores = [score(0, -0.0), score(1, f64::MIN_POSITIVE), score(2, 1e300)];
    assert_eq!(store.put_meta_scores(&key("r"), &scores).unwrap(), 3);
    let back = store.meta_scores(&key("r")).unwrap();
    let bits = |all: &[MetaScore]| all.iter().map(|s| s.score.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&back), bits(&scores));
}

#[test]
fn comparisons_come_back_in_order_with_those_that_have_no_answer() {
    let (_folder, mut store) = new_store();
    store.put_pairs("train", &["b", "a"].map(pair)).unwrap();
    let compared = |id: &str, side, [first, second]: [usize; 2], log_odds| MetaComparison {
        pair_id: id.into(),
        side,
        first,
        second,
        log_odds,
    };
    let ordered = [
        compared("b", Side::Chosen, [0, 2], Some(-0.25)),
        compared("b", Side::Chosen, [0, 10], None),
        compared("b", Side::Chosen, [2, 0], Some(0.0)),
        compared("b", Side::Rejected, [0, 2], Some(1e-300)),
        compared("a", Side::Chosen, [1, 0], Some(3.0)),
    ];
    let mut shuffled = ordered.clone();
    shuffled.reverse();
    assert_eq!(store.put_meta_comparisons(&key("r"), &shuffled).unwrap(), 5);
    let again = [compared("a", Side::Chosen, [1, 0], Some(9.0))];
    assert_eq!(store.put_meta_comparisons(&key("r"), &again).unwrap(), 0);
    assert_eq!(store.meta_comparisons(&key("r")).unwrap(), ordered);
    assert!(store.meta_comparisons(&key("other")).unwrap().is_empty());
    let bad = [compared("a", Side::Chosen, [0, 1], Some(f64::NAN))];
    let error = store.put_meta_comparisons(&key("r"), &bad).unwrap_err().to_string();
    assert!(error.contains("candidates 0 and 1 of `a`"), "{error}");
}

#[test]
fn failures_are_listed_until_they_are_cleared() {
    let (_folder, mut store) = new_store();
    store.put_failure("generate", &key("g"), "b/chosen", "too long").unwrap();
    store.put_failure("generate", &key("g"), "a/chosen", "time").unwrap();
    store.put_failure("generate", &key("g"), "b/chosen", "no answer").unwrap();
    store.put_failure("generate", &key("other"), "c", "time").unwrap();
    let listed = store.failures("generate", &key("g")).unwrap();
    let expected = [("a/chosen", "time"), ("b/chosen", "no answer")];
    assert_eq!(listed, expected.map(|(item, reason)| (item.to_owned(), reason.to_owned())));
    assert_eq!(store.clear_failures("generate", &key("g")).unwrap(), 2);
    assert!(store.failures("generate", &key("g")).unwrap().is_empty());
    assert_eq!(store.failures("generate", &key("other")).unwrap().len(), 1);
}

#[test]
fn predictions_come_back_whole() {
    let (_folder, mut store) = new_store();
    for (id, n) in [("b", 0), ("a", 12)] {
        for side in Side::BOTH {
            store.put_prediction(&key("c"), &pair(id), side, &prediction(0.1, n)).unwrap();
        }
    }
    let stored = store.predictions(&key("c"), &["a", "b"].map(pair)).unwrap();
    assert_eq!(stored.len(), 4);
    assert_eq!(stored[&("a".to_owned(), Side::Rejected)], prediction(0.1, 12));
    assert_eq!(stored[&("b".to_owned(), Side::Chosen)], prediction(0.1, 0));
}

#[test]
fn everything_is_there_after_reopening() {
    let (folder, mut store) = new_store();
    store.put_pairs("train", &[pair("a")]).unwrap();
    put(&mut store, &key("g"), &[candidate("a", Side::Rejected, 3)]).unwrap();
    drop(store);
    let path = folder.path().join("store.sqlite");
    for store in [Store::open(&path).unwrap(), Store::open_read_only(&path).unwrap()] {
        assert_eq!(store.pairs("train").unwrap(), [pair("a")]);
        let stored = store.candidates(&key("g"), &[pair("a")]).unwrap();
        assert_eq!(stored, [candidate("a", Side::Rejected, 3)]);
    }
}

pub(super) fn any_candidate() -> impl Strategy<Value = Candidate> {
    let score = || {
        proptest::option::of(prop_oneof![
            NORMAL | SUBNORMAL | ZERO | POSITIVE | NEGATIVE,
            (-9i8..9).prop_map(f64::from),
        ])
    };
    let kinds = (any::<bool>(), any::<bool>(), any::<bool>());
    ("[ab]", 0usize..3, any::<String>(), (score(), score(), score()), kinds, any::<u32>()).prop_map(
        |(pair_id, index, text, (parsed, expected, verdict), (side, cut, summary), n)| Candidate {
            pair_id,
            side: Side::BOTH[usize::from(side)],
            index,
            text,
            scores: CritiqueScores { parsed, expected, verdict },
            finish_reason: if cut { FinishReason::Length } else { FinishReason::Stop },
            n_tokens: n as usize,
            provenance: if summary { Provenance::Summarized } else { Provenance::Sampled },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_scan_gives_the_first_of_every_key_in_order(
        batches in proptest::collection::vec(proptest::collection::vec(any_candidate(), 0..6), 0..6),
    ) {
        let (_folder, mut store) = new_store();
        let mut first = std::collections::BTreeMap::new();
        for batch in &batches {
            let mut n_new = 0;
            for c in batch {
                let place = (c.pair_id == "a", c.side, c.index);
                n_new += usize::from(!first.contains_key(&place));
                first.entry(place).or_insert_with(|| c.clone());
            }
            prop_assert_eq!(put(&mut store, &key("g"), batch).unwrap(), n_new);
        }
        let stored = store.candidates(&key("g"), &[pair("b"), pair("a")]).unwrap();
        let wanted: Vec<Candidate> = first.into_values().collect();
        let bits = |all: &[Candidate]| -> Vec<Vec<Option<u64>>> {
            let of = |c: &Candidate| [c.scores.parsed, c.scores.expected, c.scores.verdict]
                .iter().map(|s| s.map(f64::to_bits)).collect();
            all.iter().map(of).collect()
        };
        prop_assert_eq!(bits(&stored), bits(&wanted));
        prop_assert_eq!(stored, wanted);
    }
}
