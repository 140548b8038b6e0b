use crate::ScoreScale;
use proptest::prelude::*;

fn parse_score(text: &str) -> Option<f64> {
    ScoreScale::default().parse(text)
}

#[test]
fn trap_11_scores_are_read_as_models_write_them() {
    let cases = [
        ("Score: 7", 7.0),
        ("Score: 8.", 8.0),
        ("score: 8", 8.0),
        ("SCORE:8", 8.0),
        ("**Score: 8/10**", 8.0),
        ("**Score:** 8/10", 8.0),
        ("**Score**: **8**", 8.0),
        ("Score: 8 / 10", 8.0),
        ("Score: 8 out of 10", 8.0),
        ("Score: 8 out of ten.", 8.0),
        ("Score: 7 of 10", 7.0),
        ("Score: 8.5", 8.5),
        ("Score: 7.0/10", 7.0),
        ("Score: 10", 10.0),
        ("Score: 10/10!", 10.0),
        ("Score: 1", 1.0),
        ("Score:\n\n6", 6.0),
        ("Score = 6", 6.0),
        ("Score - 6", 6.0),
        ("Score 6", 6.0),
        ("Score: [[8]]", 8.0),
        ("Score: [8]", 8.0),
        ("Score: 7 points", 7.0),
        ("Score: 7 - a good answer.", 7.0),
        ("Score: 7 (on a scale of 1 to 10)", 7.0),
        ("Score: 7, because it is mostly right.", 7.0),
        ("Score (1-10): 7", 7.0),
        ("Score (out of 10): 7", 7.0),
        ("Score/10: 7", 7.0),
        ("Score from 1 to 10: 7", 7.0),
        ("{\"score\": 8}", 8.0),
        ("{\"critique\": \"fine\", \"score\": 8.5}", 8.5),
        ("<score>8</score>", 8.0),
        ("Rating: 9", 9.0),
        ("Rating: [[9]]", 9.0),
        ("Grade: 4/10", 4.0),
        ("The score is 7.", 7.0),
        ("I would give it a score of 7 out of 10 for the effort.", 7.0),
        ("My rating for this answer is 3/10, since it is wrong.", 3.0),
        ("8/10", 8.0),
        ("8 out of 10", 8.0),
        ("8.5", 8.5),
        ("**8**", 8.0),
        ("[[8]]", 8.0),
        ("\\boxed{8}", 8.0),
        ("It is right but terse. 8/10", 8.0),
        ("It is right but terse.\n- 8/10", 8.0),
        ("I would rate this answer 8 out of 10.", 8.0),
        ("It is right.\n\n9\n", 9.0),
        ("It is right. My verdict: [[4]].", 4.0),
        ("It names 3 apples, but there are 5.\nScore: 2", 2.0),
        ("Clarity 9/10, truth 2/10.\nScore: 4", 4.0),
        ("Helpfulness score: 8. Truth score: 6. Overall score: 7", 7.0),
        ("Score from 1 to 10.\nScore: 7", 7.0),
        ("Score: N is asked for.\nScore: 5\nScore: 5", 5.0),
        ("The score of 3 goals is wrong.\nScore: 2", 2.0),
        ("Score: 5 👍", 5.0),
        ("评分 Score：8", 8.0),
    ];
    for (text, score) in cases {
        assert_eq!(parse_score(text), Some(score), "{text:?}");
    }
}

#[test]
fn trap_11_nothing_is_read_where_no_score_is_stated() {
    let cases = [
        "",
        "The answer is right.",
        "Score: N",
        "Score: ",
        "Score: seven",
        "Score: 0",
        "Score: 11",
        "Score: 0.5",
        "Score: 10.5",
        "Score: -3",
        "Score: -3/10",
        "Score: 100",
        "Score: 8/5",
        "Score: 4/5",
        "Score: 7/100",
        "Score: 7 out of 100",
        "Score: 7 out of 5",
        "Score: 70%",
        "Score: 7%",
        "Score: 7 percent",
        "Score: 1-10",
        "Score: 1 to 10",
        "Score: 7-8",
        "Score: 7 or 8",
        "Score: 7/10 or 8/10",
        "Score: 8/10/2024",
        "Score: 7,5",
        "Score: 8.5.2",
        "Score: 7th",
        "Score: 1e1",
        "Score: 99999999999999999999",
        "Score: 3\nScore: 8",
        "Score: 3\n\nAll in all 8/10",
        "The score is 3. A score of 8 would be too kind.",
        "End with a score from 1 to 10.",
        "N from 1 (bad) to 10 (perfect)",
        "The score.\n3 apples are named.",
        "The score 3 apples",
        "A text for grade 7.",
        "There are 3 apples.",
        "There are 3",
        "It scores points.\n1. Right\n2.",
        "-8",
        "1-10",
        "1 to 10",
        "between 7 and 8/10",
        "7-8/10",
        "3/8/10",
        "8/5",
        "7 out of 100",
        "70%",
        "11",
        "0/10",
        "-8/10",
        "It was written on 8/10/2024",
    ];
    for text in cases {
        assert_eq!(parse_score(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic_and_within_the_scale(text in "\\PC*") {
        let score = parse_score(&text);
        prop_assert!(score.is_none_or(|score| (1.0..=10.0).contains(&score)));
    }

    #[test]
    fn texts_of_the_parsers_own_words_stay_within_the_scale(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "Score", "score", "rating", "grade", ":", " ", "\n", "7", "10", "11", "0", "8.5",
                "/", "-", " - ", "–", "out of", "of", " to ", "is", "a", "(", ")", "[[", "]]", "*",
                ".", ",", "%", "ten", "é", "<", "</", "overall ",
            ]),
            0..12,
        )
    ) {
        let score = parse_score(&parts.concat());
        prop_assert!(score.is_none_or(|score| (1.0..=10.0).contains(&score)));
    }

    #[test]
    fn a_final_score_line_is_read_after_any_words(words in "[a-z ,.]{0,80}", score in 1u8..=10) {
        prop_assume!(!["score", "rating", "grade"].iter().any(|label| words.contains(label)));
        let text = format!("{words}\nScore: {score}");
        prop_assert_eq!(parse_score(&text), Some(f64::from(score)));
    }
}

fn scale(written: &str) -> ScoreScale {
    serde_json::from_str(written).unwrap()
}

#[test]
fn other_scales_of_numbers_are_read_as_the_usual_one() {
    let cases = [
        ("1-5", "Score: 4", Some(4.0)),
        ("1-5", "Score: 4/5", Some(4.0)),
        ("1-5", "**4 out of five**", Some(4.0)),
        ("1-5", "Score (1-5): 3", Some(3.0)),
        ("1-5", "Score from 1 to 5: 3.5", Some(3.5)),
        ("1-5", "Score: 4/10", None),
        ("1-5", "Score: 8", None),
        ("1-5", "8/10", None),
        ("0-10", "Score: 0/10", Some(0.0)),
        ("0-10", "[[0]]", Some(0.0)),
        ("1-100", "Score: 85/100", Some(85.0)),
        ("1-100", "Score: 85 out of a hundred", None),
        ("1-100", "85 out of hundred", Some(85.0)),
        ("1-100", "Score: 8/10", None),
        ("1-100", "Score: 85%", None),
        ("0-1", "Score: 1", Some(1.0)),
        ("0-1", "Score: 2", None),
    ];
    for (name, text, score) in cases {
        assert_eq!(scale(&format!("{name:?}")).parse(text), score, "{name}: {text:?}");
    }
}

#[test]
fn labels_are_read_where_they_are_stated_and_nowhere_else() {
    let levels = r#"{"levels": ["poor", "fair", "good", "very good"]}"#;
    let yes_no = r#""yes-no""#;
    let cases = [
        (yes_no, "Score: Yes", Some(1.0)),
        (yes_no, "score: **no**.", Some(0.0)),
        (yes_no, "The sum is right.\nYes.", Some(1.0)),
        (yes_no, "The sum is right. [[No]]", Some(0.0)),
        (yes_no, "Score: Yes or No", None),
        (yes_no, "Score: Yes/No", None),
        (yes_no, "Score: Yes\nScore: No", None),
        (yes_no, "There is no error here.", None),
        (yes_no, "Is it right? Yes", None),
        (yes_no, "Score: 1", None),
        (levels, "Score: very good, as it is short.", Some(4.0)),
        (levels, "Score: Good", Some(3.0)),
        (levels, "The score is fair.", Some(2.0)),
        (levels, "Rating - poor", Some(1.0)),
        (levels, "(fair)", Some(2.0)),
        (levels, "{\"score\": \"good\"}", Some(3.0)),
        (levels, "<score>poor</score>", None),
        (levels, "Score: poor, fair, good or very good", None),
        (levels, "Score: goodish", None),
        (levels, "Grade good", None),
        (levels, "A good answer", None),
        (levels, "Score: good\nfair", None),
        (levels, "Score: L", None),
    ];
    for (name, text, score) in cases {
        assert_eq!(scale(name).parse(text), score, "{name}: {text:?}");
    }
}

#[test]
fn no_scale_reads_its_own_request_and_each_reads_what_it_is_asked_for() {
    for name in
        [r#""1-5""#, r#""0-10""#, r#""1-100""#, r#""yes-no""#, r#"{"levels": ["a", "b b"]}"#]
    {
        let scale = scale(name);
        assert_eq!(scale.parse(&format!("End with {}.", scale.request())), None, "{name}");
        for (label, value) in scale.scores() {
            let text = format!("Right, but terse.\nScore: {label}");
            assert_eq!(scale.parse(&text), Some(value), "{name}: {text}");
        }
    }
}

proptest! {
    #[test]
    fn a_label_that_is_read_is_one_of_the_scale(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "Score", "rating", ":", " ", "\n", "good", "very", "very good", "fair", "/", " - ", "or",
                ", ", "is", "[[", "]]", "*", ".", "(", "é", "7",
            ]),
            0..12,
        ),
    ) {
        let scale = scale(r#"{"levels": ["fair", "good", "very good"]}"#);
        let score = scale.parse(&parts.concat());
        prop_assert!(score.is_none_or(|score| [1.0, 2.0, 3.0].contains(&score)));
    }
}
