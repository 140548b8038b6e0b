use super::parse_score;
use proptest::prelude::*;

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
