//! Dialogues in Anthropic's form: turns that open with `Human:` or `Assistant:` after a blank line.

use critic_types::{Conversation, Message, Role};

const MARKERS: [(&str, Role); 2] =
    [("\n\nHuman:", Role::User), ("\n\nAssistant:", Role::Assistant)];

/// What stands before the first marker, and each turn in order, trimmed.
struct Turns<'a> {
    head: &'a str,
    turns: Vec<(Role, &'a str)>,
}

/// Cuts at every marker; a marker at the very start needs no blank line before it.
fn cut(text: &str) -> Turns<'_> {
    let text = text.trim_start();
    let mut turns: Vec<(Role, &str)> = Vec::new();
    let mut rest = text;
    let mut head = None;
    if let Some((role, after)) =
        MARKERS.iter().find_map(|(m, role)| Some((*role, text.strip_prefix(m.trim_start())?)))
    {
        (head, rest) = (Some(""), after);
        turns.push((role, ""));
    }
    loop {
        let next = MARKERS
            .iter()
            .filter_map(|(marker, role)| Some((rest.find(marker)?, marker.len(), *role)))
            .min_by_key(|(at, ..)| *at);
        let piece = next.map_or(rest, |(at, ..)| &rest[..at]);
        match turns.last_mut() {
            Some(turn) => turn.1 = piece.trim(),
            None => head = Some(piece.trim()),
        }
        let Some((at, length, role)) = next else { break };
        turns.push((role, ""));
        rest = &rest[at + length..];
    }
    Turns { head: head.unwrap_or_default(), turns }
}

/// Turns as a conversation; neighbours of one role become one turn, as chat templates demand.
fn conversation(turns: &[(Role, &str)]) -> Conversation {
    let mut messages: Vec<Message> = Vec::new();
    for (role, text) in turns {
        match messages.last_mut() {
            Some(last) if last.role == *role => {
                if !last.content.is_empty() && !text.is_empty() {
                    last.content.push_str("\n\n");
                }
                last.content.push_str(text);
            }
            _ => messages.push(Message { role: *role, content: (*text).to_owned() }),
        }
    }
    Conversation(messages)
}

/// Whether a whole text is a dialogue that opens with the person and holds an answer's marker.
pub(crate) fn is_dialogue(text: &str) -> bool {
    text.trim_start().starts_with("Human:") && text.contains("\n\nAssistant:")
}

/// A prompt's text as a conversation: the turns of a dialogue, otherwise one user turn as written.
///
/// A dialogue opens with `Human:` and holds `Assistant:`, or leaves the first `Human:` out and then goes
/// strictly to and fro up to a last `Human:` turn. The empty `Assistant:` at the end, which asks for the
/// response, is no turn.
pub(crate) fn prompt(text: &str) -> Conversation {
    let plain = || Conversation::from_user(text);
    let Turns { head, mut turns } = cut(text);
    if matches!(turns.last(), Some((Role::Assistant, ""))) && turns.len() > 1 {
        turns.pop();
    }
    if is_dialogue(text) {
        return conversation(&turns);
    }
    if head.is_empty() {
        return plain();
    }
    turns.insert(0, (Role::User, head));
    let to_and_fro = turns.windows(2).all(|pair| pair[0].0 != pair[1].0);
    let ends_with_the_person = matches!(turns.last(), Some((Role::User, _)));
    if turns.len() > 2 && to_and_fro && ends_with_the_person {
        conversation(&turns)
    } else {
        plain()
    }
}

/// Splits a dialogue into the prompt and the text of its last turn; `None` when that is not an answer.
pub(crate) fn prompt_and_answer(text: &str) -> Option<(Conversation, String)> {
    let Turns { head, turns } = cut(text);
    match turns.split_last() {
        Some(((Role::Assistant, answer), before)) if head.is_empty() => {
            Some((conversation(before), (*answer).to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(conversation: &Conversation) -> Vec<(Role, &str)> {
        conversation.messages().iter().map(|m| (m.role, m.content.as_str())).collect()
    }

    #[test]
    fn a_dialogue_becomes_turns_without_the_marker_that_asks_for_the_answer() {
        let text = "\n\nHuman: Hi\n\nthere\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant:";
        let turns = [(Role::User, "Hi\n\nthere"), (Role::Assistant, "Yes?"), (Role::User, "Why?")];
        assert_eq!(spoken(&prompt(text)), turns);
        assert_eq!(spoken(&prompt(text.trim_start())), turns);
    }

    #[test]
    fn neighbours_of_one_role_become_one_turn() {
        let text = "Human: a\n\nAssistant: b\n\nAssistant: c\n\nHuman: d\n\nAssistant:";
        let turns = [(Role::User, "a"), (Role::Assistant, "b\n\nc"), (Role::User, "d")];
        assert_eq!(spoken(&prompt(text)), turns);
    }

    #[test]
    fn the_first_marker_may_be_left_out_of_a_strict_to_and_fro() {
        let text = "How?\n\nAssistant:  So.\n\nHuman: Why?";
        let turns = [(Role::User, "How?"), (Role::Assistant, "So."), (Role::User, "Why?")];
        assert_eq!(spoken(&prompt(text)), turns);
    }

    #[test]
    fn other_texts_stay_one_turn_as_written() {
        for text in [
            "  plain text ",
            "Human: what does this prefix mean?",
            "Judge this chat:\n\nHuman: hi\n\nAssistant: hello",
            "Fill in.\n\nAssistant: the one who assists",
            "",
        ] {
            assert_eq!(spoken(&prompt(text)), [(Role::User, text)], "{text:?}");
        }
    }

    #[test]
    fn the_last_turn_is_the_answer() {
        let (before, answer) = prompt_and_answer("\n\nHuman: a\n\nAssistant: b").unwrap();
        assert_eq!((spoken(&before), answer.as_str()), (vec![(Role::User, "a")], "b"));
        assert!(prompt_and_answer("\n\nHuman: a\n\nAssistant: b\n\nHuman: c").is_none());
        assert!(prompt_and_answer("no dialogue").is_none());
    }
}
