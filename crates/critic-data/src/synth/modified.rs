use crate::normalised_prompt;
use critic_types::Conversation;

/// What an answer that leads up to its point begins with, before another paragraph.
const LEADS: [&str; 6] = ["sure", "certainly", "of course", "okay", "here is", "here's"];

/// Characters that a modified instruction may have beyond three times the original's.
const SLACK: usize = 200;

/// Why what a model wrote is no modified instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotModified {
    /// Nothing stands in it.
    Empty,
    /// It is the original, up to case, white space and signs at its ends.
    Same,
    /// It is longer than three times the original and 200 characters: a model that went on with something
    /// else.
    FarLonger,
}

impl NotModified {
    /// As reports name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "no instruction",
            Self::Same => "the original instruction",
            Self::FarLonger => "far longer than the original",
        }
    }
}

/// The instruction in what a model wrote when it was asked to modify `original`
/// (Self-Taught Evaluators, arXiv 2408.02666, §3.2): without the label or the paragraph of courtesy ("Sure,
/// here is one.") that it may begin with, the quotes
/// around it, and what follows its first paragraph where the original has a single one.
///
/// # Errors
/// [`NotModified`] when none is left, or it is no other instruction than the original.
pub fn modified_instruction(written: &str, original: &str) -> Result<String, NotModified> {
    let mut text = written.trim();
    // A line of its own, or a label before the instruction.
    if let Some((label, rest)) = text.split_once(':') {
        let words: Vec<&str> = label.split_whitespace().collect();
        let names = |word: &&str| {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
            ["instruction", "question", "prompt", "task"].contains(&word.as_str())
        };
        if words.len() <= 6 && words.last().is_some_and(names) {
            text = rest.trim_start_matches(['*', '_']).trim();
        }
    }
    let leads = |text: &str| {
        let text = text.to_lowercase().replace('’', "'");
        LEADS.iter().any(|lead| {
            let rest = text.strip_prefix(lead);
            rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        })
    };
    // Nothing of an original begins so, unless it does itself.
    if leads(text) && !leads(original.trim()) {
        text = text.split_once("\n\n").map_or("", |(_, rest)| rest.trim());
    }
    let is_single = !original.trim().contains("\n\n");
    if is_single && let Some((first, _)) = text.split_once("\n\n") {
        text = first.trim();
    }
    let pairs = [('"', '"'), ('“', '”'), ('«', '»'), ('`', '`')];
    for (open, close) in pairs {
        let inner = text.strip_prefix(open).and_then(|inner| inner.strip_suffix(close));
        if let Some(inner) = inner.filter(|inner| !inner.contains([open, close])) {
            text = inner.trim();
        }
    }
    let plain = |text: &str| {
        let text = normalised_prompt(&Conversation::from_user(text));
        text.trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
    };
    if plain(text).is_empty() {
        return Err(NotModified::Empty);
    }
    if plain(text) == plain(original) {
        return Err(NotModified::Same);
    }
    if text.chars().count() > 3 * original.chars().count() + SLACK {
        return Err(NotModified::FarLonger);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGINAL: &str = "Name three primes.";

    #[test]
    fn an_instruction_is_found_in_what_models_write_around_it() {
        for written in [
            "Name three squares.",
            "  \"Name three squares.\"\n",
            "Modified instruction: Name three squares.",
            "**Instruction:** Name three squares.",
            "Here is a similar question:\n\nName three squares.\n\nA good answer is 1, 4, 9.",
            "New question:\n“Name three squares.”",
            "Sure!\n\nName three squares.",
            "Here’s another instruction for you.\n\n\"Name three squares.\"",
        ] {
            assert_eq!(
                modified_instruction(written, ORIGINAL).as_deref(),
                Ok("Name three squares."),
                "{written}"
            );
        }
        let several = "Sort this:\n\n3 1 2";
        let kept = modified_instruction("Add this:\n\n3 1 2", several);
        assert_eq!(kept.as_deref(), Ok("Add this:\n\n3 1 2"));
        let quoted = "\"A\" or \"B\"?";
        assert_eq!(modified_instruction(quoted, ORIGINAL).as_deref(), Ok(quoted));
    }

    #[test]
    fn what_is_no_other_instruction_is_refused() {
        for (written, reason) in [
            (" \n", NotModified::Empty),
            ("Sure, here's another question.", NotModified::Empty),
            ("Instruction: ", NotModified::Empty),
            ("\"...\"", NotModified::Empty),
            ("Instruction: name THREE  primes", NotModified::Same),
            (&"Name primes. ".repeat(60), NotModified::FarLonger),
        ] {
            assert_eq!(modified_instruction(written, ORIGINAL), Err(reason), "{written}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_gives_a_part_of_it_or_a_reason(written in "\\PC{0,200}") {
            if let Ok(found) = modified_instruction(&written, ORIGINAL) {
                prop_assert!(written.contains(&found) && !found.trim().is_empty());
            }
        }
    }
}
