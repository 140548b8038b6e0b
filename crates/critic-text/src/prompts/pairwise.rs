use super::kind;
use super::template::{PromptSource, PromptTemplate};
use crate::TextError;
use critic_types::Conversation;
use std::collections::BTreeMap;

/// How a judge is asked which of two responses is better.
///
/// Apart from [`Prompts`](super::Prompts), which reward models are trained with: a judge is a contestant
/// and asked in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairwisePrompt {
    template: PromptTemplate,
}

impl PairwisePrompt {
    /// The text that comes with the program.
    pub fn builtin() -> Self {
        Self::new(&built_in!("pairwise.jinja"))
            .expect("a test holds the built-in text to the rules")
    }

    /// A text of your own, in which `conversation`, `first` and `second` each stand.
    ///
    /// # Errors
    /// [`TextError::BadPrompt`] when one of them does not, or the text is not valid.
    pub fn new(source: &PromptSource) -> Result<Self, TextError> {
        let text = source.text.trim_end().to_owned();
        let source = PromptSource { file: source.file.clone(), text };
        let template = PromptTemplate::new(&kind::PAIRWISE, &source, &BTreeMap::new())?;
        Ok(Self { template })
    }

    /// The question; one of [`choices`](Self::choices) comes next.
    pub fn ask(&self, prompt: &Conversation, first: &str, second: &str) -> Conversation {
        let turns: Vec<String> = prompt
            .messages()
            .iter()
            .map(|turn| format!("[{}]\n{}", turn.role.as_str(), turn.content))
            .collect();
        let conversation = turns.join("\n\n");
        let values =
            [("conversation", conversation.as_str()), ("first", first), ("second", second)];
        Conversation::from_user(self.template.fill(&values))
    }

    /// What the answers are called, the first one first.
    pub fn choices() -> Vec<String> {
        vec!["A".to_owned(), "B".to_owned()]
    }

    /// The text in use, with `{variable}` at the places of its variables.
    pub fn text(&self) -> String {
        self.template.identity()
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
        let source =
            |text: &str| PromptSource { file: "mine.jinja".to_owned(), text: text.to_owned() };
        for text in ["{{ first }} {{ second }}", "{{ conversation }} {{ first }} {{ first }}"] {
            let message = PairwisePrompt::new(&source(text)).unwrap_err().to_string();
            assert!(message.contains("mine.jinja") && message.contains("must stand"), "{message}");
        }
        let own = "{{ conversation }}: {{ first }} or {{ second }}? {first}";
        let asked = PairwisePrompt::new(&source(own)).unwrap();
        let asked = asked.ask(&Conversation::from_user("q"), "{{ second }}", "b");
        assert_eq!(asked.last_user_text(), "[user]\nq: {{ second }} or b? {first}");
    }

    #[test]
    fn the_built_in_text_has_the_address_it_always_had() {
        let text = PairwisePrompt::builtin().text();
        assert!(text.starts_with("Here is a conversation") && text.ends_with("A or B only."));
        assert!(
            text.contains("\n\n{conversation}\n\n[Answer A]\n{first}\n\n[Answer B]\n{second}\n\n")
        );
    }
}
