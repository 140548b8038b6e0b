use critic_types::{ContentHasher, Conversation, Role};

/// The text by which two prompts are the same: every turn's role and words, in lower case, each run of
/// white space as one space, curly quotes as straight ones.
///
/// Signs are kept: `3 + 4` and `3 * 4` are different questions.
pub fn normalised_prompt(prompt: &Conversation) -> String {
    let length = prompt.messages().iter().map(|message| message.content.len() + 16).sum();
    let mut text = String::with_capacity(length);
    for message in prompt.messages() {
        if message.role == Role::System {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
            text.push_str(message.role.as_str());
            text.push(':');
        }
        for word in message.content.split_whitespace() {
            if !text.is_empty() {
                text.push(' ');
            }
            if word.is_ascii() {
                text.extend(word.bytes().map(|byte| char::from(byte.to_ascii_lowercase())));
                continue;
            }
            for c in word.chars() {
                match c {
                    '‘' | '’' => text.push('\''),
                    '“' | '”' => text.push('"'),
                    c if c.is_ascii() => text.push(c.to_ascii_lowercase()),
                    c => text.extend(c.to_lowercase()),
                }
            }
        }
    }
    text
}

/// A number in [0, 2⁶⁴) that depends on the normalised prompt alone.
pub fn prompt_digest(prompt: &Conversation) -> u64 {
    let mut hasher = ContentHasher::new("normalised prompt");
    hasher.text(&normalised_prompt(prompt));
    u64::from_str_radix(&hasher.finish().as_str()[..16], 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_space_quotes_and_the_system_message_make_no_difference_and_signs_do() {
        let same = [
            Conversation::from_user("Don’t  say\n“Ärger”"),
            Conversation::default()
                .with(Role::System, "s")
                .with(Role::User, " don't say \"ärger\" "),
        ];
        assert_eq!(prompt_digest(&same[0]), prompt_digest(&same[1]));
        let sum = |text: &str| prompt_digest(&Conversation::from_user(text));
        assert_ne!(sum("3 + 4"), sum("3 * 4"));
        let turns = Conversation::from_user("a").with(Role::Assistant, "b").with(Role::User, "c");
        assert_ne!(prompt_digest(&turns), sum("a b c"));
    }
}
