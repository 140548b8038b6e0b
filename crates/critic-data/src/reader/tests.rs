use super::*;
use crate::write_pairs;
use critic_types::{Conversation, Message, Role};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Write;

fn read_with(text: &str, options: &ReadOptions) -> Result<PairSet, DataError> {
    read_pairs_from(text.as_bytes(), Path::new("t.jsonl"), options)
}

fn read(rows: &[Value]) -> PairSet {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    read_with(&lines.join("\n"), &ReadOptions::default()).unwrap()
}

fn message(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// The one pair of a one-row file as (format, turns, chosen, rejected).
fn only(row: &Value) -> (PairFormat, Vec<(Role, String)>, String, String) {
    let set = read(std::slice::from_ref(row));
    let pair = set.pairs[0].clone();
    let turns = pair.prompt.0.into_iter().map(|m| (m.role, m.content)).collect();
    (set.format, turns, pair.chosen, pair.rejected)
}

fn user(text: &str) -> Vec<(Role, String)> {
    vec![(Role::User, text.to_owned())]
}

fn row(prompt: &str, chosen: &str, rejected: &str) -> Value {
    json!({"prompt": prompt, "chosen": chosen, "rejected": rejected})
}

#[test]
fn the_own_format_keeps_every_column() {
    let pair = read(&[json!({"id": 7, "domain": "math", "subset": "easy", "prompt": "1+1?",
        "chosen": " 2", "rejected": "3", "margin": 1.5, "critique": "ignored"})])
    .pairs
    .remove(0);
    assert_eq!((pair.id.as_str(), pair.chosen.as_str()), ("7", " 2"));
    assert_eq!((pair.domain.as_deref(), pair.subset.as_deref()), (Some("math"), Some("easy")));
    assert_eq!(pair.margin, Some(1.5));
    let with_turns = json!({"prompt": [message("system", "s"), message("user", "u")],
        "chosen": "a", "rejected": "b"});
    let (format, turns, ..) = only(&with_turns);
    assert_eq!((format, turns.len()), (PairFormat::Own, 2));
}

#[test]
fn texts_with_a_prompt_are_trl_standard() {
    let expected = (PairFormat::TrlStandard, user("The sky is"), " blue".into(), " green".into());
    assert_eq!(only(&row("The sky is", " blue", " green")), expected);
}

#[test]
fn texts_without_a_prompt_share_their_first_whole_words() {
    for (chosen, rejected, prompt, a, b) in [
        ("The sky is blue.", "The sky is black.", "The sky is", "blue.", "black."),
        ("Sky: blue", "Sky:\tgreen", "Sky:", "blue", "green"),
        ("größer ä", "größer ö", "größer", "ä", "ö"),
    ] {
        let expected = (PairFormat::TrlStandardImplicit, user(prompt), a.into(), b.into());
        assert_eq!(only(&json!({"chosen": chosen, "rejected": rejected})), expected);
    }
}

#[test]
fn messages_beside_a_prompt_may_repeat_it() {
    let expected = (PairFormat::TrlConversational, user("q"), "a".to_owned(), "b".to_owned());
    let list = |answer: &str| json!([message("assistant", answer)]);
    let whole = |answer: &str| json!([message("user", "q"), message("assistant", answer)]);
    let asked = json!([message("user", "q")]);
    for (prompt, answers) in [
        (asked.clone(), [list("a"), list("b")]),
        (asked, [whole("a"), whole("b")]),
        (json!("q"), [list("a"), list("b")]),
        (json!("q"), [whole("a"), whole("b")]),
    ] {
        let [chosen, rejected] = answers;
        assert_eq!(
            only(&json!({"prompt": prompt, "chosen": chosen, "rejected": rejected})),
            expected
        );
    }
}

#[test]
fn a_text_prompt_with_a_system_turn_in_the_messages_keeps_it() {
    let whole = |answer: &str| {
        json!([message("system", "s"), message("user", "q"), message("assistant", answer)])
    };
    let (_, turns, ..) = only(&json!({"prompt": "q", "prompt_id": "x", "chosen": whole("a"),
        "rejected": whole("b"), "score_chosen": 8.5, "score_rejected": 7.0}));
    assert_eq!(turns, [(Role::System, "s".to_owned()), (Role::User, "q".to_owned())]);
}

#[test]
fn scores_of_both_responses_give_a_margin() {
    let mut scored = row("p", "a", "b");
    scored["score_chosen"] = json!(8.5);
    scored["score_rejected"] = json!(7);
    assert_eq!(read(&[scored]).pairs[0].margin, Some(1.5));
}

#[test]
fn messages_without_a_prompt_share_all_but_the_last() {
    let whole = |first: &str, answer: &str| {
        json!([
            message("user", first),
            message("assistant", "x"),
            message("user", "r"),
            message("assistant", answer)
        ])
    };
    let pair = json!({"chosen": whole("q", "a"), "rejected": whole("q", "b")});
    let (format, turns, chosen, _) = only(&pair);
    assert_eq!((format, turns.len()), (PairFormat::TrlConversationalImplicit, 3));
    assert_eq!(chosen, "a");
    let parted = json!({"chosen": whole("q", "a"), "rejected": whole("other", "b")});
    assert_eq!(read(&[pair, parted]).report.dropped["prompts differ"], 1);
}

#[test]
fn whole_dialogues_are_anthropic_hh() {
    let text =
        |answer: &str| format!("\n\nHuman: q\n\nAssistant: x\n\nHuman: r\n\nAssistant: {answer}");
    let good = json!({"chosen": text("a"), "rejected": text("b")});
    let (format, turns, chosen, rejected) = only(&good);
    assert_eq!(format, PairFormat::AnthropicHh);
    assert_eq!(turns[2], (Role::User, "r".to_owned()));
    assert_eq!((chosen.as_str(), rejected.as_str()), ("a", "b"));
    let longer = format!("{}\n\nHuman: z", text("a"));
    let other = text("b").replace("Human: q", "Human: p");
    let report = read(&[
        good,
        json!({"chosen": longer, "rejected": text("b")}),
        json!({"chosen": text("a"), "rejected": other}),
        json!({"chosen": text("a"), "rejected": text("")}),
        json!({"chosen": text("a"), "rejected": "Human: a?\n\nAssistant: b\n\nAssistant: c"}),
        json!({"prompt": "q", "chosen": text("c"), "rejected": text("d")}),
    ])
    .report;
    let reasons: Vec<_> = report.dropped.keys().map(String::as_str).collect();
    assert_eq!(
        reasons,
        [
            "`chosen` does not end with an assistant turn",
            "empty response",
            "has a `prompt`, but the file is read as anthropic-hh, which takes it from the responses",
            "prompts differ"
        ]
    );
    assert_eq!(report.n_seen(), 6);
}

#[test]
fn a_dialogue_as_prompt_becomes_turns() {
    let (_, turns, ..) = only(&row("Human: q\n\nAssistant: x\n\nHuman: r\n\nAssistant:", "a", "b"));
    assert_eq!(turns.len(), 3);
}

#[test]
fn rows_that_cannot_be_used_are_counted_by_reason_with_their_places() {
    let text = [
        "nonsense",
        "[1]",
        r#"{"prompt":"p","chosen":"a"}"#,
        r#"{"prompt":null,"chosen":null,"rejected":"b"}"#,
        r#"{"prompt":"  ","chosen":"a","rejected":"b"}"#,
        r#"{"prompt":[],"chosen":"a","rejected":"b"}"#,
        r#"{"prompt":"p","chosen":"\n","rejected":"b"}"#,
        r#"{"prompt":"p","chosen":"b","rejected":"b"}"#,
        r#"{"prompt":[{"role":"assistant","content":"x"}],"chosen":"a","rejected":"b"}"#,
        r#"{"prompt":[{"role":"tool","content":"x"}],"chosen":"a","rejected":"b"}"#,
        r#"{"id":"good","prompt":"p","chosen":"a","rejected":"b"}"#,
        r#"{"id":"again","prompt":"p","chosen":"a","rejected":"b"}"#,
        r#"{"id":"kind","prompt":"p","chosen":"a","rejected":7}"#,
        r#"{"id":"gap","chosen":"a","rejected":"b"}"#,
        r#"{"id":[1],"prompt":"p","chosen":"a","rejected":"c"}"#,
        r#"{"margin":"big","prompt":"p","chosen":"a","rejected":"c"}"#,
    ]
    .join("\n");
    let set = read_with(&text, &ReadOptions::default()).unwrap();
    assert_eq!(set.pairs[0].id, "good");
    let counts: Vec<String> = set
        .report
        .examples
        .iter()
        .map(|(reason, places)| format!("{reason} | {}", places.join(", ")))
        .collect();
    assert_eq!(
        counts,
        [
            "duplicate of an earlier row | line 12: same as line 11",
            "empty prompt | line 5, line 6",
            "empty response | line 7",
            "field `id` is not a text or a number | line 15",
            "field `margin` is not a finite number | line 16",
            "field `prompt` is not a list of messages {role: system | user | assistant, content: text} | line 10",
            "field `rejected` is not a text | line 13",
            "identical responses | line 8",
            "missing field `chosen` | line 4",
            "missing field `prompt` | line 14",
            "missing field `rejected` | line 3",
            "not JSON | line 1: expected ident at line 1 column 2",
            "not an object | line 2",
            "prompt does not end with a user turn | line 9",
        ]
    );
    assert_eq!((set.report.n_seen(), set.report.n_kept), (16, 1));
}

#[test]
fn ids_come_from_the_row_or_its_content_and_are_unique() {
    let mut rows = [row("p", "a", "b"), row("p", "a", "c"), row("p", "a", "d"), row("p", "a", "e")];
    rows[0]["id"] = json!("x");
    rows[1]["id"] = json!("x");
    rows[2]["prompt_id"] = json!("y");
    let set = read(&rows);
    let ids: Vec<_> = set.pairs.iter().map(|pair| pair.id.as_str()).collect();
    let content = set.pairs[3].content_id();
    assert_eq!(ids, ["x", "x#2", "y", content.as_str()]);
}

#[test]
fn strict_names_the_first_row_that_cannot_be_used() {
    let text = format!("{}\n\n{{}}\n", row("p", "a", "b"));
    let strict = ReadOptions { strict: true, ..ReadOptions::default() };
    let error = read_with(&text, &strict).unwrap_err().to_string();
    assert!(error.starts_with("t.jsonl, line 3: missing field `chosen`;"), "{error}");
}

#[test]
fn nothing_usable_is_an_error_that_lists_the_reasons() {
    let error = read_with("{}\n7\n{}", &ReadOptions::default()).unwrap_err().to_string();
    let expected = "2 × missing field `chosen` (line 1, line 3); 1 × not an object (line 2)";
    assert!(error.ends_with(expected), "{error}");
    let error = read_with(" \n", &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("it is empty"), "{error}");
}

#[test]
fn a_limit_counts_usable_rows_and_leaves_the_address_as_it_is() {
    let text: String = (0..40)
        .map(|i| format!("{}\n", row("p", "a", if i % 2 == 0 { "a" } else { "b" })))
        .chain((0..9).map(|i| format!("{}\n", row("p", "a", &format!("b{i}")))))
        .collect();
    let limit = |n| read_with(&text, &ReadOptions { limit: n, ..ReadOptions::default() });
    let (some, all) = (limit(Some(4)).unwrap(), limit(None).unwrap());
    assert_eq!(some.pairs, all.pairs[..4]);
    assert_eq!(some.content, all.content);
    assert!(matches!(limit(Some(0)), Err(DataError::ZeroLimit)));
}

#[test]
fn a_format_that_is_given_is_kept_to() {
    let text = row("p", "a", "b").to_string();
    let options =
        ReadOptions { format: Some(PairFormat::TrlConversational), ..ReadOptions::default() };
    let error = read_with(&text, &options).unwrap_err().to_string();
    assert!(error.contains("field `chosen` is not a list of messages"), "{error}");
    assert_eq!("anthropic-hh".parse(), Ok(PairFormat::AnthropicHh));
    assert!("anthropic".parse::<PairFormat>().unwrap_err().to_string().contains("`anthropic-hh`"));
}

#[test]
fn the_same_rows_come_from_every_container() {
    let rows = [row("p", "a", "b"), row("q", "c", "d")];
    let lines = format!("{}\r\n{}", rows[0], rows[1]);
    let array = Value::from(rows.to_vec()).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(lines.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let read = |bytes: &[u8]| read_pairs_from(bytes, Path::new("t"), &ReadOptions::default());
    let pairs = read(lines.as_bytes()).unwrap().pairs;
    assert_eq!(pairs.len(), 2);
    assert_eq!(read(array.as_bytes()).unwrap().pairs, pairs);
    assert_eq!(read(&gzip).unwrap().pairs, pairs);
    let cut = read(&gzip[..gzip.len() - 9]).unwrap_err();
    assert!(matches!(&cut, DataError::Read { .. }), "{cut}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read_pairs(Path::new("nowhere/x.jsonl"), &ReadOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("could not open nowhere/x.jsonl"), "{error}");
}

fn any_pair() -> impl Strategy<Value = PreferencePair> {
    let text = || "\\PC{0,12}(\n\nHuman: |\n\nAssistant:|)\\PC{1,12}";
    let turn = (prop_oneof![Just(Role::User), Just(Role::Assistant), Just(Role::System)], text())
        .prop_map(|(role, content)| Message { role, content });
    let prompt = (proptest::collection::vec(turn, 0..4), text());
    let margin = proptest::option::of(proptest::num::f64::NORMAL);
    let name = || proptest::option::of("\\PC{0,8}");
    (prompt, text(), text(), margin, name(), name()).prop_map(
        |((turns, last), chosen, rejected, margin, domain, subset)| PreferencePair {
            id: String::new(),
            prompt: Conversation(turns).with(Role::User, format!("{last}?")),
            chosen: format!("{chosen}1"),
            rejected: format!("{rejected}2"),
            margin,
            domain,
            subset,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_back(drawn in proptest::collection::vec(any_pair(), 1..8)) {
        let mut pairs: Vec<PreferencePair> = drawn;
        for (i, pair) in pairs.iter_mut().enumerate() {
            pair.id = format!("pair {i}");
            pair.chosen.push_str(&i.to_string());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        write_pairs(&path, &pairs).unwrap();
        let set = read_pairs(&path, &ReadOptions { strict: true, ..ReadOptions::default() });
        prop_assert_eq!(set.unwrap().pairs, pairs);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_pairs_from(&bytes[..], Path::new("t"), &ReadOptions::default());
    }

    #[test]
    fn no_text_of_json_and_dialogue_makes_the_reader_panic(
        pieces in proptest::collection::vec(prop_oneof![
            Just("{\"chosen\":"), Just("\"rejected\":"), Just("\"prompt\":"), Just("\"id\":"),
            Just("\"\\n\\nHuman: "), Just("\\n\\nAssistant: "), Just("\""), Just(","), Just("}"),
            Just("["), Just("]"), Just("{\"role\":\"user\",\"content\":\"x\"}"), Just("\n"),
            Just("\"a ä\""), Just("\"a ö\""), Just("1e400"), Just("null"), Just("\u{feff}"),
        ], 0..24),
        array in any::<bool>(),
    ) {
        let text = format!("{}{}", if array { "[" } else { "" }, pieces.concat());
        let _ = read_with(&text, &ReadOptions::default());
    }

    #[test]
    fn every_row_is_kept_or_counted(rows in proptest::collection::vec(
        (0..3u8, 0..3u8, 0..3u8).prop_map(|(p, a, b)| {
            let text = |n: u8| ["", "x", "y"][usize::from(n)];
            row(text(p), text(a), text(b))
        }), 1..20)) {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        match read_with(&lines.join("\n"), &ReadOptions::default()) {
            Ok(set) => {
                prop_assert_eq!(set.report.n_seen(), rows.len());
                prop_assert_eq!(set.report.n_kept, set.pairs.len());
            }
            Err(DataError::NoRows { report, .. }) => {
                prop_assert_eq!(report.n_dropped(), rows.len());
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
