//! Where the assistant's turns stand in the text that a template writes.

use super::Ending;
use crate::{ChatTemplate, TextError};
use critic_types::{Conversation, Message, Role};

/// What the assistant says in the renderings that only look for the place of its text.
const PROBE: &str = "PROBE";

/// One turn of the assistant, in bytes of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    /// Where what the template writes before `start` begins: the end of the generation prompt.
    header: usize,
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
            let kept = cut.kept(&opening, last_cut)?;
            let (text, turn) = opening.turn(template, end_text, &messages[..=k])?;
            let shift = cut.replace_from_end(&text[kept..]) - kept;
            cut.turns.push(turn.shifted(shift));
            last_cut = k;
        }
        if ending == Ending::GenerationPrompt {
            let opening = Opening::new(template, messages)?;
            let kept = cut.kept(&opening, last_cut)?;
            cut.replace_from_end(&opening.text[kept..opening.start]);
        }
        Ok(cut)
    }

    /// Where the last turn ends.
    fn end(&self) -> usize {
        self.turns.last().map_or(0, |turn| turn.end)
    }

    /// Puts `text` after the last turn's end; gives that end.
    fn replace_from_end(&mut self, text: &str) -> usize {
        let end = self.end();
        self.text.truncate(end);
        self.text.push_str(text);
        end
    }

    /// How much of a longer text is the text up to the last turn's end, which must stand in it.
    ///
    /// What a template writes between the generation prompt and the turn may be gone from it, as the
    /// empty reasoning of Qwen3's turns is when later turns follow: the turn keeps it, so that its
    /// tokens stay the same.
    fn kept(&self, longer: &Opening, turn: usize) -> Result<usize, TextError> {
        let end = self.end();
        let (mut bare, mut at) = (String::new(), 0);
        for turn in &self.turns {
            bare.push_str(&self.text[at..turn.header]);
            at = turn.start;
        }
        bare.push_str(&self.text[at..end]);
        let forms = [&self.text[..end], &bare];
        let kept = forms.into_iter().find(|form| longer.text.starts_with(*form));
        kept.map(str::len).filter(|&kept| longer.start >= kept).ok_or(TextError::TemplateRewrites {
            turn,
            detail: "its text changes when later turns follow",
        })
    }
}

impl Turn {
    /// The same turn, so many bytes later.
    fn shifted(self, by: usize) -> Self {
        let Self { header, start, content_end, end_of_turn, end } = self;
        Self {
            header: header + by,
            start: start + by,
            content_end: content_end + by,
            end_of_turn: end_of_turn + by,
            end: end + by,
        }
    }
}

/// The text before a turn of the assistant.
struct Opening {
    /// Everything before what the assistant says.
    text: String,
    /// Where the generation prompt ends.
    header: usize,
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
        Ok(Self { text, header: header_start, start: header_start + kept })
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
        Ok((text, Turn { header: self.header, start: self.start, content_end, end_of_turn, end }))
    }
}
