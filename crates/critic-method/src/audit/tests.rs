use super::*;
use crate::testing::{candidate, pair};
use critic_types::CritiqueScores;

#[test]
fn bleu_is_nltks() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden/self_bleu.json");
    let rows: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for row in rows.as_array().unwrap() {
        let references: Vec<Vec<String>> = row["references"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| words(text.as_str().unwrap()))
            .collect();
        let references: Vec<&[String]> = references.iter().map(Vec::as_slice).collect();
        let found = bleu(&words(row["text"].as_str().unwrap()), &references);
        assert!((found - row["bleu"].as_f64().unwrap()).abs() < 1e-12, "{row}: {found}");
    }
}

#[test]
fn words_keep_their_numbers_whole() {
    assert_eq!(
        words("It's 8.5, not \"8\". (Score: 3.)"),
        ["it's", "8.5", "not", "8", "score", "3"]
    );
    assert!(words("… — !").is_empty());
}

fn saying(side: Side, index: usize, text: &str, scores: CritiqueScores) -> Candidate {
    Candidate { text: text.to_owned(), scores, ..candidate("a", side, index, None) }
}

#[test]
fn an_audit_counts_what_repeats_what_is_concrete_and_what_contradicts_itself() {
    let pairs = [PreferencePair {
        chosen: "Twelve apples: 7 + 5 = 12".to_owned(),
        rejected: "Eleven apples: 7 + 5 = 11".to_owned(),
        ..pair("a")
    }];
    let score = |parsed, verdict| CritiqueScores { parsed, verdict, expected: Some(9.0) };
    let critiques = [
        saying(
            Side::Chosen,
            0,
            "The sum of 12 is right and well shown",
            score(Some(9.0), Some(1.5)),
        ),
        saying(
            Side::Chosen,
            1,
            "The sum of 12 is right and well shown!",
            score(Some(2.0), Some(0.5)),
        ),
        saying(Side::Chosen, 2, "Good apples.", score(None, Some(-0.5))),
        saying(Side::Rejected, 0, "It says 12", score(None, None)),
    ];
    let scale = ScoreScale::default();
    let found = audit(&pairs, &critiques, &scale).unwrap();
    assert_eq!((found.n_critiques, found.n_near_duplicates, found.n_concrete), (4, 1, 2));
    assert_eq!((found.n_judged_twice, found.n_consistent), (3, 1));
    assert_eq!(found.mean_words, Some((9 + 9 + 2 + 3) as f64 / 4.0));
    // Two that are the same, one that shares no word, and one that is alone and does not count.
    assert!((found.self_bleu.unwrap() - 2.0 / 3.0).abs() < 1e-12, "{found:?}");
    // On 0–1 every one of these scores is above the middle.
    let on_another = audit(&pairs, &critiques, &"0-1".parse().unwrap()).unwrap();
    assert_eq!((on_another.n_judged_twice, on_another.n_consistent), (3, 2));
    let alone = audit(&pairs, &critiques[3..], &scale).unwrap();
    assert_eq!((alone.self_bleu, alone.n_near_duplicates, alone.n_concrete), (None, 0, 0));
    assert_eq!(audit(&pairs, &[], &scale).unwrap().mean_words, None);
    assert!(matches!(
        audit(&[pair("b")], &critiques, &scale),
        Err(MethodError::UnknownPair { .. })
    ));
}
