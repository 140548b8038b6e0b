use crate::TextError;
use critic_types::Conversation;

const TEXT: &str = include_str!("../../prompts/pairwise.txt");

/// How a judge is asked which of two responses is better.
///
/// Apart from [`Prompts`](super::Prompts), which reward models are trained with: a judge is a contestant
/// and asked in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairwisePrompt {
    text: String,
}

impl PairwisePrompt {
    /// The text that comes with the program.
    pub fn builtin() -> Self {
        Self::new(TEXT).expect("a test holds the built-in text to the rules")
    }

    /// A text of your own, in which `{conversation}`, `{first}` and `{second}` each stand once.
    ///
    /// # Errors
    /// [`TextError::BadPrompt`] when one of them does not.
    pub fn new(text: &str) -> Result<Self, TextError> {
        for place in ["{conversation}", "{first}", "{second}"] {
            let found = text.matches(place).count();
            if found != 1 {
                let detail = format!("{place} must stand in it once, not {found} times");
                return Err(TextError::BadPrompt { prompt: "pairwise", detail });
            }
        }
        Ok(Self { text: text.trim_end().to_owned() })
    }

    /// The question; one of [`choices`](Self::choices) comes next.
    pub fn ask(&self, prompt: &Conversation, first: &str, second: &str) -> Conversation {
        let turns: Vec<String> = prompt
            .messages()
            .iter()
            .map(|turn| format!("[{}]\n{}", turn.role.as_str(), turn.content))
            .collect();
        // One pass over the text: what a response says is never taken for a place.
        let mut question = String::new();
        let mut rest = self.text.as_str();
        while let Some(start) = rest.find('{') {
            let (before, after) = rest.split_at(start);
            question.push_str(before);
            let filled = [
                ("{conversation}", turns.join("\n\n")),
                ("{first}", first.to_owned()),
                ("{second}", second.to_owned()),
            ]
            .into_iter()
            .find_map(|(place, value)| Some((after.strip_prefix(place)?, value)));
            rest = match filled {
                Some((after, value)) => {
                    question.push_str(&value);
                    after
                }
                None => {
                    question.push('{');
                    &after[1..]
                }
            };
        }
        question.push_str(rest);
        Conversation::from_user(question)
    }

    /// What the answers are called, the first one first.
    pub fn choices() -> Vec<String> {
        vec!["A".to_owned(), "B".to_owned()]
    }

    /// The text in use.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::Role;

    #[test]
    fn responses_stand_where_they_belong_and_cannot_move_each_other() {
        let prompt =
            Conversation::from_user("2 + 2?").with(Role::Assistant, "4").with(Role::User, "3 + 3?");
        let asked = PairwisePrompt::builtin().ask(&prompt, "six {second}", "{first} seven {x}");
        let text = asked.last_user_text();
        assert!(text.contains("[user]\n2 + 2?\n\n[assistant]\n4\n\n[user]\n3 + 3?\n"), "{text}");
        assert!(text.contains("[Answer A]\nsix {second}\n"), "{text}");
        assert!(text.contains("[Answer B]\n{first} seven {x}\n"), "{text}");
    }

    #[test]
    fn a_text_without_a_place_is_refused() {
        for text in ["{first} {second}", "{conversation} {first} {first} {second}"] {
            assert!(PairwisePrompt::new(text).is_err());
        }
        assert!(PairwisePrompt::new(TEXT).is_ok());
    }
}
