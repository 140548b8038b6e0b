mod cut;
#[cfg(test)]
mod tests;

use crate::{ChatTemplate, TextError, Tokenizer};
use critic_types::{ContentHasher, ContentId, Conversation, Role};
use cut::{Cut, Turn};
use std::ops::Range;

/// Where a rendered sequence ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Where the assistant's next turn begins: a model goes on from here. The turn's text may begin
    /// with a space that the template writes itself; trim what is generated.
    GenerationPrompt,
    /// Right after the end-of-turn token of the last turn, which is the assistant's.
    Closed,
    /// Right after the text of the last turn, which is the assistant's, to be continued.
    Open,
}

/// A conversation as tokens, with what the trainer and the scorer must know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSequence {
    /// The tokens, BOS included where the model wants one.
    pub tokens: Vec<u32>,
    /// Tokens of the assistant's last turn, for [`Ending::Closed`] and [`Ending::Open`]: its text,
    /// and its end-of-turn token when closed.
    pub label_span: Option<Range<usize>>,
    /// Position of the end-of-turn token that closes the last turn, for [`Ending::Closed`]: the
    /// reward is read there.
    pub reward_position: Option<usize>,
}

/// The one way from a conversation to tokens: tokenizer, chat template and end-of-turn token.
///
/// The template writes the whole conversation; the text is cut where an assistant's turn begins and
/// where it ends, and each piece becomes tokens by itself. So a response has the same tokens whether
/// it is generated, trained on or scored, and sequences with a common beginning have common tokens:
/// `[x, y, question]` begins with `[x, y]` closed, which begins with `[x, y]` open, which begins with
/// `[x]` as a generation prompt.
///
/// Special tokens that stand in a message's text are recognised as such, as in `transformers`.
#[derive(Debug, Clone)]
pub struct Renderer {
    tokenizer: Tokenizer,
    template: ChatTemplate,
    end_of_turn: u32,
    bos: Option<u32>,
}

impl Renderer {
    /// A renderer; `end_of_turn` is the token with which the model ends its turn (for chat models
    /// often not the tokenizer's EOS).
    pub fn new(tokenizer: Tokenizer, template: ChatTemplate, end_of_turn: u32) -> Self {
        Self { tokenizer, template, end_of_turn, bos: None }
    }

    /// The same renderer for a model whose sequences begin with this token. It is written once: not
    /// again where the template writes it.
    #[must_use]
    pub fn with_bos(mut self, bos: Option<u32>) -> Self {
        self.bos = bos;
        self
    }

    /// The tokens of a conversation.
    ///
    /// # Errors
    /// [`TextError::EmptyConversation`] and [`TextError::WrongLastTurn`] when the ending does not fit;
    /// [`TextError::TemplateRewrites`] and [`TextError::TemplateHidesContent`] when the template
    /// cannot be cut; the template's and tokenizer's own errors.
    pub fn render(
        &self,
        conversation: &Conversation,
        ending: Ending,
    ) -> Result<TokenSequence, TextError> {
        check_ending(conversation, ending)?;
        let end_text = self.end_of_turn_text()?;
        let cut = Cut::new(&self.template, &end_text, conversation, ending)?;
        let mut pieces = Pieces { renderer: self, tokens: Vec::new() };
        let mut at = 0;
        let mut last = 0..0;
        for (i, turn) in cut.turns.iter().enumerate() {
            let is_last = i + 1 == cut.turns.len() && ending != Ending::GenerationPrompt;
            pieces.push(&cut.text[at..turn.start])?;
            let start = pieces.tokens.len();
            pieces.push(&cut.text[turn.start..turn.content_end])?;
            if !(is_last && ending == Ending::Open) {
                pieces.close(&cut.text, turn)?;
            }
            at = turn.end;
            last = start..pieces.tokens.len();
        }
        if ending == Ending::GenerationPrompt {
            pieces.push(&cut.text[at..])?;
        }
        let tokens = pieces.tokens;
        Ok(match ending {
            Ending::GenerationPrompt => {
                TokenSequence { tokens, label_span: None, reward_position: None }
            }
            Ending::Closed => {
                let reward_position = last.end.checked_sub(1);
                TokenSequence { tokens, label_span: Some(last), reward_position }
            }
            Ending::Open => TokenSequence { tokens, label_span: Some(last), reward_position: None },
        })
    }

    /// The tokens that lead from a conversation rendered [`Closed`](Ending::Closed) to the place where
    /// the assistant answers `question`.
    ///
    /// Appended to the closed sequence they are the rendering of the whole as a generation prompt.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn followup(
        &self,
        conversation: &Conversation,
        question: &str,
    ) -> Result<Vec<u32>, TextError> {
        let closed = self.render(conversation, Ending::Closed)?.tokens;
        let asked = conversation.clone().with(Role::User, question);
        let mut whole = self.render(&asked, Ending::GenerationPrompt)?.tokens;
        if !whole.starts_with(&closed) {
            let turn = conversation.messages().len().saturating_sub(1);
            let detail = "its tokens change when a question follows";
            return Err(TextError::TemplateRewrites { turn, detail });
        }
        Ok(whole.split_off(closed.len()))
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The chat template.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// The token that closes the assistant's turn.
    pub fn end_of_turn(&self) -> u32 {
        self.end_of_turn
    }

    /// The token that every sequence begins with, where the model wants one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Address of everything that decides the tokens of a conversation; equal in training, evaluation
    /// and serving, or rewards mean something else.
    pub fn digest(&self) -> ContentId {
        let optional = |text: Option<&str>| text.map_or("-".to_owned(), |text| format!("+{text}"));
        let mut hasher = ContentHasher::new("renderer");
        hasher
            .text(self.tokenizer.digest().as_str())
            .text(self.template.source())
            .text(&optional(self.template.bos_token()))
            .text(&optional(self.template.eos_token()))
            .text(&self.template.date().to_string())
            .text(&self.end_of_turn.to_string())
            .text(&optional(self.bos.map(|id| id.to_string()).as_deref()));
        hasher.finish()
    }

    fn end_of_turn_text(&self) -> Result<String, TextError> {
        let known = |id: u32, role: &'static str| {
            let n_tokens = self.tokenizer.n_tokens();
            self.tokenizer.token(id).ok_or(TextError::UnknownToken { role, id, n_tokens })
        };
        if let Some(bos) = self.bos {
            known(bos, "the beginning of a sequence (BOS)")?;
        }
        known(self.end_of_turn, "the end of a turn")
    }
}

/// The tokens so far; every piece is encoded knowing only the token before it.
struct Pieces<'a> {
    renderer: &'a Renderer,
    tokens: Vec<u32>,
}

impl Pieces<'_> {
    fn push(&mut self, text: &str) -> Result<(), TextError> {
        if text.is_empty() {
            return Ok(());
        }
        let tokenizer = &self.renderer.tokenizer;
        let ids = tokenizer.encode_after(self.tokens.last().copied(), text)?;
        if self.tokens.is_empty() {
            let missing = self.renderer.bos.filter(|bos| ids.first() != Some(bos));
            self.tokens.extend(missing);
        }
        self.tokens.extend(ids);
        Ok(())
    }

    fn close(&mut self, text: &str, turn: &Turn) -> Result<(), TextError> {
        self.push(&text[turn.content_end..turn.end_of_turn])?;
        self.tokens.push(self.renderer.end_of_turn);
        Ok(())
    }
}

fn check_ending(conversation: &Conversation, ending: Ending) -> Result<(), TextError> {
    let found = conversation.messages().last().ok_or(TextError::EmptyConversation)?.role;
    let (is_assistant, in_words) = match ending {
        Ending::GenerationPrompt => (false, "where the assistant answers"),
        Ending::Closed => (true, "after the assistant's closed turn"),
        Ending::Open => (true, "inside the assistant's turn"),
    };
    if is_assistant == (found == Role::Assistant) {
        return Ok(());
    }
    let needed = if is_assistant { "of the assistant" } else { "that is not the assistant's" };
    Err(TextError::WrongLastTurn { ending: in_words, needed, found })
}
