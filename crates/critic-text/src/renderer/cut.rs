//! Where the assistant's turns stand in the text that a template writes.

use super::Ending;
use crate::{ChatTemplate, TextError};
use critic_types::{Conversation, Message, Role};

/// What the assistant says in the renderings that only look for the place of its text.
const PROBE: &str = "PROBE";

/// One turn of the assistant, in bytes of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    /// Where a model begins to write: its text, after a space that the template may put.
    pub(super) start: usize,
    /// Where its text ends.
    pub(super) content_end: usize,
    /// Where the end-of-turn token stands, or belongs when the template writes none.
    pub(super) end_of_turn: usize,
    /// After the end-of-turn token.
    pub(super) end: usize,
}

/// The text of a conversation and the assistant's turns in it.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) text: String,
    pub(super) turns: Vec<Turn>,
}

impl Cut {
    pub(super) fn new(
        template: &ChatTemplate,
        end_text: &str,
        conversation: &Conversation,
        ending: Ending,
    ) -> Result<Self, TextError> {
        let messages = conversation.messages();
        let mut cut = Cut { text: String::new(), turns: Vec::new() };
        let mut last_cut = 0;
        for (k, message) in messages.iter().enumerate() {
            if message.role != Role::Assistant {
                continue;
            }
            let opening = Opening::new(template, &messages[..k])?;
            cut.check_kept(&opening, last_cut)?;
            let (text, turn) = opening.turn(template, end_text, &messages[..=k])?;
            cut.text = text;
            cut.turns.push(turn);
            last_cut = k;
        }
        if ending == Ending::GenerationPrompt {
            let opening = Opening::new(template, messages)?;
            cut.check_kept(&opening, last_cut)?;
            cut.text = opening.text;
            cut.text.truncate(opening.start);
        }
        Ok(cut)
    }

    /// The text up to the last turn's end must stand in every longer text.
    fn check_kept(&self, longer: &Opening, turn: usize) -> Result<(), TextError> {
        let end = self.turns.last().map_or(0, |turn| turn.end);
        if longer.start >= end && longer.text.starts_with(&self.text[..end]) {
            return Ok(());
        }
        let detail = "its text changes when later turns follow";
        Err(TextError::TemplateRewrites { turn, detail })
    }
}

/// The text before a turn of the assistant.
struct Opening {
    /// Everything before what the assistant says.
    text: String,
    /// Where a model begins to write; after it at most a space or blank of the template's.
    start: usize,
}

impl Opening {
    /// The generation prompt, and what else the template writes before the assistant's words.
    fn new(template: &ChatTemplate, before: &[Message]) -> Result<Self, TextError> {
        let before = Conversation(before.to_vec());
        let turn = before.messages().len();
        let prompt = template.render(&before, true)?;
        let probed = template.render(&before.with(Role::Assistant, PROBE), false)?;
        let Some(rest) = probed.strip_prefix(&prompt) else {
            let detail = "the generation prompt is not what the template writes before the turn";
            return Err(TextError::TemplateRewrites { turn, detail });
        };
        let header_end = rest.find(PROBE).ok_or(TextError::TemplateHidesContent { turn })?;
        let header = &rest[..header_end];
        let header_start = prompt.len();
        let kept = if header.trim().is_empty() { 0 } else { header.trim_end_matches(' ').len() };
        let text = probed[..header_start + header_end].to_owned();
        Ok(Self { text, start: header_start + kept })
    }

    /// The text of the conversation that ends with this turn, and the turn's place in it.
    fn turn(
        self,
        template: &ChatTemplate,
        end_text: &str,
        messages: &[Message],
    ) -> Result<(String, Turn), TextError> {
        let k = messages.len() - 1;
        let text = template.render(&Conversation(messages.to_vec()), false)?;
        let Some(body) = text.strip_prefix(&self.text) else {
            let detail = "what stands before the turn depends on what the turn says";
            return Err(TextError::TemplateRewrites { turn: k, detail });
        };
        let content = messages[k].content.as_str();
        let forms = [content, content.trim(), content.trim_end(), content.trim_start()];
        let Some(written) = forms.into_iter().find(|form| body.starts_with(form)) else {
            return Err(TextError::TemplateHidesContent { turn: k });
        };
        let content_end = self.text.len() + written.len();
        let (end_of_turn, end) = match text[content_end..].find(end_text) {
            Some(at) => (content_end + at, content_end + at + end_text.len()),
            None => (content_end, content_end),
        };
        Ok((text, Turn { start: self.start, content_end, end_of_turn, end }))
    }
}
