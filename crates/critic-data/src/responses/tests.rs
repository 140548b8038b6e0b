use super::*;
use critic_types::Role;
use serde_json::json;

fn read(rows: &[Value]) -> ResponseSet {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    read_responses_from(lines.join("\n").as_bytes(), Path::new("t.jsonl")).unwrap()
}

#[test]
fn every_shape_gives_its_prompt_and_responses() {
    let turns = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]);
    for (row, responses) in [
        (json!({"prompt": "q", "response": "a"}), vec!["a"]),
        (json!({"prompt": "q", "responses": ["a", "b", "a"]}), vec!["a", "b", "a"]),
        (json!({"messages": turns}), vec!["a"]),
        (json!({"prompt": "q", "chosen": "a", "rejected": "b"}), vec!["a", "b"]),
        (json!({"prompt": "q", "chosen": "a", "rejected": "a"}), vec!["a", "a"]),
        (json!({"prompt": "q", "completion": "a"}), vec!["a"]),
        (json!({"prompt": [turns[0]], "completion": [turns[1]]}), vec!["a"]),
        (json!({"instruction": "q", "input": "", "output": "a"}), vec!["a"]),
        (json!({"prompt": "q", "response": "a", "messages": [], "chosen": null}), vec!["a"]),
    ] {
        let read = read(std::slice::from_ref(&row)).rows.remove(0);
        assert_eq!(read.prompt, Conversation::from_user("q"), "{row}");
        assert_eq!(
            (read.responses, read.row),
            (responses.iter().map(|r| (*r).to_owned()).collect(), row)
        );
    }
}

#[test]
fn an_instruction_stands_above_its_input() {
    let set = read(&[json!({"instruction": "Add", "input": "1 1", "output": "2"})]);
    assert_eq!(set.rows[0].prompt, Conversation::from_user("Add\n\n1 1"));
}

#[test]
fn a_dialogue_as_prompt_becomes_turns() {
    let set = read(&[json!({"prompt": "Human: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
        "response": "d"})]);
    let roles: Vec<Role> = set.rows[0].prompt.messages().iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
}

#[test]
fn equal_rows_all_stay_under_ids_of_their_own() {
    let row = json!({"prompt": "q", "response": "a"});
    let named = json!({"id": 3, "prompt": "q", "response": "a"});
    let set = read(&[row.clone(), row, named.clone(), named]);
    let ids: Vec<_> = set.rows.iter().map(|row| row.id.clone()).collect();
    assert_eq!(ids[1], format!("{}#2", ids[0]));
    assert_eq!(ids[2..], ["3", "3#2"]);
}

#[test]
fn rows_that_cannot_be_scored_are_counted() {
    let set = read(&[
        json!({"prompt": "q", "response": "a"}),
        json!({"prompt": "q"}),
        json!({"response": "a"}),
        json!({"prompt": "q", "responses": []}),
        json!({"prompt": "q", "responses": ["a", " "]}),
        json!({"prompt": "q", "responses": "a"}),
        json!({"prompt": " ", "response": "a"}),
        json!({"messages": [{"role": "user", "content": "q"}]}),
    ]);
    let counts: Vec<_> = set.report.dropped.iter().map(|(r, n)| format!("{n} {r}")).collect();
    assert_eq!(
        counts,
        [
            "1 `messages` does not end with an assistant turn",
            "1 empty prompt",
            "2 empty response",
            "1 field `responses` is not a list of texts",
            "1 missing field `prompt`",
            "1 missing field `response` or `responses`, `completion`, `output`, `chosen`, `messages`",
        ]
    );
    assert_eq!(set.rows.len(), set.report.n_kept);
    assert!(read_responses_from(&b"{}"[..], Path::new("t")).is_err());
}
