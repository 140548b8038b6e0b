mod pairwise;
#[cfg(test)]
mod tests;

pub use pairwise::PairwisePrompt;

use crate::TextError;
use critic_types::{ContentHasher, ContentId, Conversation, Role};

/// Where the numbered critiques stand in [`PromptTexts::summarize`].
const CRITIQUES: &str = "{critiques}";

/// The texts that a critic is asked with. One final line break is dropped, as files end with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTexts {
    /// Asks for a critique of the response above that ends with its score.
    pub critique_request: String,
    /// Appended to a critique without a score, so that the score comes next.
    pub score_lead: String,
    /// Asks after a critique whether the response is good, to be answered yes or no.
    pub verdict_question: String,
    /// Asks how good the critique above is, to be answered with a number from 1 to 10.
    pub meta_judge: String,
    /// Asks for one critique out of several; `{critiques}` stands for their numbered list.
    pub summarize: String,
}

impl PromptTexts {
    fn named(&self) -> [(&'static str, &str); 5] {
        [
            ("critique_request", &self.critique_request),
            ("score_lead", &self.score_lead),
            ("verdict_question", &self.verdict_question),
            ("meta_judge", &self.meta_judge),
            ("summarize", &self.summarize),
        ]
    }
}

/// The conversations in which a critic judges a response.
///
/// All of them begin with the prompt's turns and the response, and
/// [`critiqued`](Self::critiqued) and [`meta_judge`](Self::meta_judge) go on from
/// [`critique`](Self::critique), so what they share is computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    texts: PromptTexts,
}

impl Prompts {
    /// The texts that come with the program.
    pub fn builtin() -> Self {
        let texts = PromptTexts {
            critique_request: include_str!("../prompts/critique_request.txt").to_owned(),
            score_lead: include_str!("../prompts/score_lead.txt").to_owned(),
            verdict_question: include_str!("../prompts/verdict_question.txt").to_owned(),
            meta_judge: include_str!("../prompts/meta_judge.txt").to_owned(),
            summarize: include_str!("../prompts/summarize.txt").to_owned(),
        };
        Self::new(texts).expect("a test holds the built-in texts to the rules")
    }

    /// Texts of your own.
    ///
    /// # Errors
    /// [`TextError::BadPrompt`] when a text is blank, or `{critiques}` does not stand exactly once in
    /// `summarize` and nowhere else.
    pub fn new(mut texts: PromptTexts) -> Result<Self, TextError> {
        for text in [
            &mut texts.critique_request,
            &mut texts.score_lead,
            &mut texts.verdict_question,
            &mut texts.meta_judge,
            &mut texts.summarize,
        ] {
            if text.ends_with('\n') {
                text.pop();
            }
        }
        for (prompt, text) in texts.named() {
            if text.trim().is_empty() {
                return Err(TextError::BadPrompt { prompt, detail: "it is blank".into() });
            }
            let expected = usize::from(prompt == "summarize");
            let found = text.matches(CRITIQUES).count();
            if found != expected {
                let detail = format!("{CRITIQUES} must stand in it {expected} times, not {found}");
                return Err(TextError::BadPrompt { prompt, detail });
            }
        }
        Ok(Self { texts })
    }

    /// The texts in use.
    pub fn texts(&self) -> &PromptTexts {
        &self.texts
    }

    /// `[prompt…, response, request]`: a critique of the response comes next.
    pub fn critique(&self, prompt: &Conversation, response: &str) -> Conversation {
        prompt
            .clone()
            .with(Role::Assistant, response)
            .with(Role::User, self.texts.critique_request.as_str())
    }

    /// `[prompt…, response, request, critique]`: the reward is read at its end.
    pub fn critiqued(&self, prompt: &Conversation, response: &str, critique: &str) -> Conversation {
        self.critique(prompt, response).with(Role::Assistant, critique)
    }

    /// `[prompt…, response, question]`: yes or no comes next, without a critique before it.
    pub fn verdict(&self, prompt: &Conversation, response: &str) -> Conversation {
        prompt
            .clone()
            .with(Role::Assistant, response)
            .with(Role::User, self.texts.verdict_question.as_str())
    }

    /// What is appended to a critique without a score, so that one of
    /// [`score_choices`](Self::score_choices) comes next.
    pub fn score_lead(&self) -> &str {
        &self.texts.score_lead
    }

    /// The scores as they are written, `1` to `10`.
    pub fn score_choices(&self) -> Vec<String> {
        (1..=10).map(|score| score.to_string()).collect()
    }

    /// What the user asks after the critique for the forced verdict.
    pub fn verdict_question(&self) -> &str {
        &self.texts.verdict_question
    }

    /// The answers to the verdict question, the good one first.
    pub fn verdict_choices(&self) -> Vec<String> {
        vec!["Yes".to_owned(), "No".to_owned()]
    }

    /// `[prompt…, response, request, critique, question]`: a number from 1 to 10 comes next.
    pub fn meta_judge(
        &self,
        prompt: &Conversation,
        response: &str,
        critique: &str,
    ) -> Conversation {
        self.critiqued(prompt, response, critique).with(Role::User, self.texts.meta_judge.as_str())
    }

    /// `[prompt…, response, request with all critiques]`: one critique out of them comes next.
    pub fn summarize(
        &self,
        prompt: &Conversation,
        response: &str,
        critiques: &[&str],
    ) -> Conversation {
        let numbered: Vec<String> = (1..)
            .zip(critiques)
            .map(|(number, critique)| format!("{number}. {}", critique.trim()))
            .collect();
        let request = self.texts.summarize.replace(CRITIQUES, &numbered.join("\n"));
        prompt.clone().with(Role::Assistant, response).with(Role::User, request)
    }

    /// Address of the texts; critiques written under others are not comparable.
    pub fn digest(&self) -> ContentId {
        let mut hasher = ContentHasher::new("prompts");
        for (prompt, text) in self.texts.named() {
            hasher.text(prompt).text(text);
        }
        hasher.finish()
    }
}
