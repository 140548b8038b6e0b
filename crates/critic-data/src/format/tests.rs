use super::*;
use crate::{PairSet, Pairing, ReadOptions, read_pairs_from};
use critic_types::{Conversation, Provenance, Role, Side};
use serde_json::{Value, json};

fn read_as(rows: &[Value], options: &ReadOptions) -> PairSet {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    read_pairs_from(lines.join("\n").as_bytes(), "t.jsonl".as_ref(), options).unwrap()
}

fn read(row: Value) -> PairSet {
    read_as(&[row], &ReadOptions { strict: true, ..ReadOptions::default() })
}

/// Format, prompt's last turn, and `chosen>rejected margin` of each pair.
fn told(row: Value) -> (PairFormat, String, Vec<String>) {
    let set = read(row);
    let asked = set.pairs[0].prompt.last_user_text().to_owned();
    let pairs = set.pairs.iter().map(|pair| {
        let margin = pair.margin.map_or(String::new(), |margin| format!(" {margin}"));
        format!("{}>{}{margin}", pair.chosen, pair.rejected)
    });
    (set.format, asked, pairs.collect())
}

fn turn(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

fn asked() -> Value {
    json!([turn("user", "q")])
}

fn said(text: &str) -> Value {
    json!([turn("user", "q"), turn("assistant", text)])
}

#[test]
fn two_sided_formats_choose_what_their_label_says() {
    use PairFormat as F;
    let rows = [
        (
            F::SafeRlhf,
            json!({"prompt": "q", "response_0": "b", "response_1": "a", "is_response_0_safe": true,
            "better_response_id": 1, "safer_response_id": 0}),
            "a>b",
        ),
        (
            F::SafeRlhfSafety,
            json!({"prompt": "q", "response_0": "a", "response_1": "b", "safer_response_id": 0}),
            "a>b",
        ),
        (
            F::Shp,
            json!({"post_id": "x", "domain": "askacademia_train", "history": "q", "human_ref_A": "b",
            "human_ref_B": "a", "labels": 0, "score_ratio": 4.5}),
            "a>b 4.5",
        ),
        (
            F::JudgeBench,
            json!({"pair_id": "1", "source": "mmlu-pro-law", "question": "q", "response_A": "b",
            "response_B": "a", "label": "B>A"}),
            "a>b",
        ),
        (F::LlmBar, json!({"input": "q", "output_1": "b", "output_2": "a", "label": 2}), "a>b"),
        (
            F::PandaLm,
            json!({"idx": 3, "instruction": "q", "input": "", "response1": "a", "response2": "b",
            "annotator1": 1, "annotator2": 0, "annotator3": 1}),
            "a>b",
        ),
        (
            F::Arena,
            json!({"id": 5, "model_a": "m", "prompt": "[\"q\"]", "response_a": "[\"b\"]",
            "response_b": "[\"a\"]", "winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0}),
            "a>b",
        ),
        (
            F::MtBench,
            json!({"question_id": 81, "winner": "model_a", "turn": 1,
            "conversation_a": [turn("user", "q"), turn("assistant", "a"), turn("user", "r"), turn("assistant", "c")],
            "conversation_b": [turn("user", "q"), turn("assistant", "b"), turn("user", "r"), turn("assistant", "d")]}),
            "a>b",
        ),
        (
            F::UnifiedFeedback,
            json!({"conv_A": said("b"), "conv_B": said("a"), "conv_A_rating": 1.0,
            "conv_B_rating": 3.5}),
            "a>b 2.5",
        ),
        (
            F::HelpSteer2Preference,
            json!({"split": "train", "prompt": "q", "response_1": "b", "response_2": "a",
            "preference_strength": 2, "preference_statement": "Response 2 is better."}),
            "a>b 2",
        ),
        (
            F::HelpSteer3,
            json!({"domain": "code", "language": "rust", "context": asked(), "response1": "a",
            "response2": "b", "overall_preference": -3, "individual_preference": []}),
            "a>b 3",
        ),
        (
            F::PpeHuman,
            json!({"question_id": "x", "prompt": "q", "response_1": "b", "response_2": "a", "winner": "model_b"}),
            "a>b",
        ),
    ];
    for (format, row, pair) in rows {
        assert_eq!(told(row), (format, "q".to_owned(), vec![pair.to_owned()]), "{format}");
    }
}

#[test]
fn formats_of_trainers_keep_system_history_and_margin() {
    use PairFormat as F;
    let alpaca = read(json!({"instruction": "q", "input": "i", "chosen": "a", "rejected": "b",
        "system": "s", "history": [["h", "k"]]}));
    let roles: Vec<Role> = alpaca.pairs[0].prompt.messages().iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User]);
    assert_eq!(
        (alpaca.format, alpaca.pairs[0].prompt.last_user_text()),
        (F::LlamaFactoryAlpaca, "q\n\ni")
    );
    let from = |from: &str, value: &str| json!({"from": from, "value": value});
    let rows = [
        (
            F::LlamaFactoryShareGpt,
            json!({"conversations": [from("human", "q")], "chosen": from("gpt", "a"),
            "rejected": from("gpt", "b")}),
            "a>b",
        ),
        (
            F::Swift,
            json!({"messages": said("a"), "rejected_response": "b", "margin": 0.5}),
            "a>b 0.5",
        ),
        (F::Swift, json!({"messages": said("a"), "rejected_messages": said("b")}), "a>b"),
        (
            F::Nemo,
            json!({"context": asked(), "task_name": "t", "completions": [
            {"rank": 1, "completion": [turn("assistant", "b")]}, {"rank": 0, "completion": [turn("assistant", "a")]}]}),
            "a>b",
        ),
        (
            F::Cloud,
            json!({"prompt": "q", "id": "1", "chosen": "a", "rejected": "b", "chosen_feedback": ["good", "fine"],
            "rejected_feedback": "bad"}),
            "a>b",
        ),
        (
            F::RewardBench,
            json!({"prompt": "q", "chosen": "a", "chosen_model": "m", "rejected": "b",
            "rejected_model": "n", "subset": "hep-rust", "id": 3}),
            "a>b",
        ),
        (
            F::TrlConversationalImplicit,
            json!({"chosen": said("a"), "rejected": said("b"), "source": "magpie"}),
            "a>b",
        ),
        (
            F::TrlConversational,
            json!({"prompt": "q", "prompt_id": "1", "chosen": said("a"), "rejected": said("b"),
            "messages": said("a"), "score_chosen": 8.5, "score_rejected": 7.0}),
            "a>b 1.5",
        ),
        (
            F::RmGallery,
            json!({"input": asked(), "output": [
            {"answer": turn("assistant", "b"), "label": {"is_preferred": false}},
            {"answer": turn("assistant", "a"), "label": {"is_preferred": true}}]}),
            "a>b",
        ),
    ];
    for (format, row, pair) in rows {
        assert_eq!(told(row), (format, "q".to_owned(), vec![pair.to_owned()]), "{format}");
    }
    let set = read(json!({"chosen": said("a"), "rejected": said("b"), "source": "magpie"}));
    assert_eq!(set.pairs[0].subset.as_deref(), Some("magpie"));
}

#[test]
fn several_responses_give_every_comparison_that_is_no_tie() {
    use PairFormat as F;
    let rows = [
        (
            json!({"id": "tied:1", "prompt": "q", "chosen": ["a", "b"], "rejected": ["c"], "num_correct": 2,
            "num_rejected": 1, "subset": "Ties"}),
            F::RewardBench2,
            vec!["a>c", "b>c"],
        ),
        (
            json!({"id": 1, "prompt": "q", "chosen": ["a", "b", "c"], "rejected": ["d", "e", "f"], "subset": "chat"}),
            F::RmBench,
            vec!["a>d", "a>e", "a>f", "b>d", "b>e", "b>f", "c>d", "c>e", "c>f"],
        ),
        (
            json!({"source": "sharegpt", "instruction": "q", "models": [], "completions": [
            {"model": "m", "response": "b", "overall_score": 6.5, "annotations": {}},
            {"model": "n", "response": "a", "annotations": {"helpfulness": {"Rating": "8"}, "honesty": {"Rating": "7"}}}]}),
            F::UltraFeedback,
            vec!["a>b 1"],
        ),
        (
            json!({"prompt": "\n\nHuman: q\n\nAssistant: ", "answers": [{"answer": "b", "rank": 2.0}, {"answer": "a", "rank": 1.0},
            {"answer": "c", "rank": 3.0}]}),
            F::Nectar,
            vec!["a>b 1", "a>c 2", "b>c 1"],
        ),
        (
            json!({"input": "q", "targets": {"choices": ["a", "b"], "labels": [1, 0]}}),
            F::HhhAlignment,
            vec!["a>b"],
        ),
        (
            json!({"prompt": "q", "candidates": [{"response": "b", "correct": false}, {"response": "a", "correct": true}]}),
            F::BestOfN,
            vec!["a>b"],
        ),
        (
            json!({"prompt": "q", "candidates": [{"response": "b", "score": 1}, {"response": "a", "score": 4}]}),
            F::BestOfN,
            vec!["a>b 3"],
        ),
        (
            json!({"question_id": 1, "prompt": "q", "scores": [false, true], "response_1": "b", "response_2": "a"}),
            F::PpeBestOfK,
            vec!["a>b"],
        ),
    ];
    for (row, format, pairs) in rows {
        assert_eq!(
            told(row),
            (format, "q".to_owned(), pairs.iter().map(|p| (*p).to_owned()).collect()),
            "{format}"
        );
    }
    let row = json!({"prompt": "q", "id": "n", "answers": [{"answer": "b", "rank": 2}, {"answer": "a", "rank": 1},
        {"answer": "c", "rank": 3}]});
    let best = ReadOptions { pairing: Pairing::BestAgainstRest, ..ReadOptions::default() };
    let ids: Vec<String> = read_as(&[row], &best).pairs.into_iter().map(|pair| pair.id).collect();
    assert_eq!(ids, ["n/1>0", "n/1>2"]);
}

#[test]
fn ties_are_counted_and_no_fault() {
    let tie = json!({"input": "q", "output_1": "a", "output_2": "b", "label": 0});
    let won = json!({"input": "q", "output_1": "a", "output_2": "b", "label": 1});
    let strict = ReadOptions { strict: true, ..ReadOptions::default() };
    let set = read_as(&[tie, won], &strict);
    assert_eq!((set.pairs.len(), set.report.dropped["tie"]), (1, 1));
}

#[test]
fn rows_of_one_response_are_compared_with_those_of_the_same_prompt() {
    let row = |prompt: &str, response: &str, helpfulness: u8| json!({"prompt": prompt, "response": response, "helpfulness": helpfulness, "verbosity": 1});
    let turns = "q\n<extra_id_1>Assistant\nx\n<extra_id_1>User\nr\n<extra_id_1>Assistant\n";
    let rows = [
        row(turns, "b", 1),
        row("lone", "c", 2),
        row(turns, "a", 4),
        row("even", "d", 2),
        row("even", "e", 2),
    ];
    let set = read_as(&rows, &ReadOptions::default());
    assert_eq!((set.format, set.pairs.len()), (PairFormat::HelpSteer2, 1));
    assert_eq!((set.pairs[0].chosen.as_str(), set.pairs[0].margin), ("a", Some(3.0)));
    let expected = Conversation::from_user("q").with(Role::Assistant, "x").with(Role::User, "r");
    assert_eq!(set.pairs[0].prompt, expected);
    let dropped: Vec<_> = set.report.dropped.iter().map(|(r, n)| format!("{n} {r}")).collect();
    assert_eq!(dropped, ["1 fewer than two responses to the prompt", "1 tie"]);
    let unpaired =
        |label: bool, text: &str| json!({"prompt": "q", "completion": text, "label": label});
    let rows = [unpaired(true, "a"), unpaired(false, "b"), unpaired(true, "c")];
    let set = read_as(&rows, &ReadOptions::default());
    assert_eq!((set.format, set.pairs.len()), (PairFormat::TrlUnpaired, 2));
}

#[test]
fn what_annotators_wrote_comes_as_critiques() {
    let row = json!({"context": asked(), "response1": "b", "response2": "a", "overall_preference": 2,
        "individual_preference": [{"score": 2, "reasoning": "2 is right", "feedback1": "wrong", "feedback2": "right"},
            {"score": 1, "reasoning": null, "feedback1": "off", "feedback2": " "}]});
    let set = read(row);
    let told: Vec<_> = set.critiques.iter().map(|c| (c.side, c.text.as_str())).collect();
    let expected = [
        (Some(Side::Chosen), "right"),
        (Some(Side::Rejected), "wrong"),
        (Some(Side::Rejected), "off"),
        (None, "2 is right"),
    ];
    assert_eq!(told, expected);
    assert!(
        set.critiques
            .iter()
            .all(|c| c.provenance == Provenance::Human && c.pair_id == set.pairs[0].id)
    );
}

#[test]
fn columns_may_have_other_names() {
    let row = json!({"question": "q", "good": "a", "bad": "b"});
    let columns = [("prompt", "question"), ("chosen", "good"), ("rejected", "bad")];
    let columns = columns.map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned())).into();
    let set = read_as(&[row], &ReadOptions { columns, ..ReadOptions::default() });
    assert_eq!((set.format, set.pairs[0].chosen.as_str()), (PairFormat::TrlStandard, "a"));
}

#[test]
fn every_format_has_one_line_in_the_table_and_its_name_is_read_back() {
    let names: std::collections::HashSet<&str> =
        PairFormat::all().map(PairFormat::as_str).collect();
    assert_eq!(names.len(), PairFormat::all().count());
    for format in PairFormat::all() {
        assert_eq!(format.as_str().parse(), Ok(format));
        assert!(!format.columns().is_empty());
    }
    let error = "trl_standart".parse::<PairFormat>().unwrap_err().to_string();
    assert_eq!(
        error,
        "`trl_standart` is no format of preference pairs; did you mean `trl-standard`?"
    );
    assert!("zzz".parse::<PairFormat>().unwrap_err().to_string().contains("use one of helpsteer3"));
}

#[test]
fn a_row_of_no_format_says_its_columns() {
    let error =
        read_pairs_from(&br#"{"idx":1,"verdict":2}"#[..], "t".as_ref(), &ReadOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("1 × columns of no known format (line 1: idx, verdict)"), "{error}");
}

mod any_row {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3i32..4).prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
            Just(json!("A>B")),
            Just(json!("[\"q\"]")),
            Just(json!(1e308)),
            Just(turn("user", "q")),
            Just(turn("assistant", "a")),
        ];
        leaf.prop_recursive(2, 12, 3, |inner| {
            let key = prop::sample::select(vec![
                "response",
                "rank",
                "completion",
                "choices",
                "labels",
                "score",
                "answer",
                "correct",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..4).prop_map(|items| Value::Object(
                    items.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
                )),
            ]
        })
    }

    /// Every word in a format's description of its columns.
    fn columns(format: PairFormat) -> Vec<String> {
        format
            .columns()
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn makes_no_reader_panic(format in 0..34usize, values in prop::collection::vec(value(), 12)) {
            let Some(format) = PairFormat::all().nth(format) else { return Ok(()) };
            let row: Object = columns(format).into_iter().zip(values).collect();
            let text = Value::Object(row).to_string();
            for given in [None, Some(format)] {
                let options = ReadOptions { format: given, ..ReadOptions::default() };
                match read_pairs_from(text.as_bytes(), "t".as_ref(), &options) {
                    Ok(set) => prop_assert!(!set.pairs.is_empty()),
                    Err(crate::DataError::NoRows { report, .. }) => prop_assert!(report.n_dropped() > 0),
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
        }
    }
}
