//! The text of an answer while its tokens come: whole characters, stop strings, what may be shown.

use critic_text::{TextError, Tokenizer};

/// What an incomplete character decodes to.
const INCOMPLETE: char = '\u{FFFD}';

/// The text of a growing answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnswerText {
    /// Everything that is certain: no character in it waits for its last bytes.
    text: String,
    /// For each token the length of `text` after it, absent where the token ends inside a character.
    ends: Vec<Option<usize>>,
    /// The tokens from here are decoded with the next one, as a token's text depends on its neighbours.
    window: usize,
    /// The tokens before this one are in `text`.
    n_read: usize,
    /// How much of `text` has been handed over.
    n_shown: usize,
}

/// Where a stop string ends an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Tokens that stay.
    pub(crate) n_tokens: usize,
    /// The text between the end of those tokens and the stop string, when it begins inside a token.
    pub(crate) rest: String,
}

impl AnswerText {
    /// The same answer from its start, of which as much has been handed over.
    pub(crate) fn restarted(&self) -> Self {
        Self { n_shown: self.n_shown, ..Self::default() }
    }

    /// The certain text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Takes in the newest of `tokens`; gives the cut when a stop string is complete.
    pub(crate) fn push(
        &mut self,
        tokens: &[u32],
        stop: &[String],
        tokenizer: &Tokenizer,
    ) -> Result<Option<Cut>, TextError> {
        let before = tokenizer.decode(&tokens[self.window..self.n_read])?;
        let after = tokenizer.decode(&tokens[self.window..])?;
        let added = after.strip_prefix(before.as_str()).filter(|_| !after.ends_with(INCOMPLETE));
        let searched = self.text.len();
        self.ends.push(added.map(|added| searched + added.len()));
        if let Some(added) = added.filter(|added| !added.is_empty()) {
            self.text.push_str(added);
            self.window = self.n_read;
            self.n_read = tokens.len();
        }
        Ok(self.cut(stop, searched))
    }

    /// The answer has ended by itself: its last character, complete or not, is text too.
    pub(crate) fn finish(
        &mut self,
        tokens: &[u32],
        stop: &[String],
        tokenizer: &Tokenizer,
    ) -> Result<Option<Cut>, TextError> {
        let searched = self.text.len();
        let whole = tokenizer.decode(tokens)?;
        if whole.starts_with(self.text.as_str()) {
            self.text = whole;
        }
        if let Some(end) = self.ends.last_mut() {
            *end = Some(self.text.len());
        }
        Ok(self.cut(stop, searched))
    }

    /// Text that has come and cannot be the beginning of a stop string; all of it when `is_last`.
    pub(crate) fn take_piece(&mut self, stop: &[String], is_last: bool) -> &str {
        let withheld = if is_last { 0 } else { begun_stop(&self.text, stop) };
        let start = self.n_shown.min(self.text.len());
        let end = (self.text.len() - withheld).max(start);
        self.n_shown = self.n_shown.max(end);
        &self.text[start..end]
    }

    /// The token at byte `offset` of the text: how many tokens end at or before it, and where.
    pub(crate) fn tokens_before(&self, offset: usize) -> (usize, usize) {
        let ends = self.ends.iter().enumerate().rev();
        ends.filter_map(|(i, end)| end.map(|end| (i + 1, end)))
            .find(|&(_, end)| end <= offset)
            .unwrap_or((0, 0))
    }

    /// Ends the text before the stop string that is complete first as characters come, of several
    /// that end together the longest, among those that reach into what has come after `searched`.
    fn cut(&mut self, stop: &[String], searched: usize) -> Option<Cut> {
        let found = stop.iter().filter_map(|stop| {
            let mut from = (searched + 1).saturating_sub(stop.len()).min(self.text.len());
            while !self.text.is_char_boundary(from) {
                from -= 1;
            }
            let at = from + self.text[from..].find(stop.as_str())?;
            Some((at + stop.len(), at))
        });
        let (_, at) = found.min()?;
        let (n_tokens, kept) = self.tokens_before(at);
        self.text.truncate(at);
        Some(Cut { n_tokens, rest: self.text[kept..].to_owned() })
    }
}

/// Length of the longest end of `text` with which a stop string begins.
fn begun_stop(text: &str, stop: &[String]) -> usize {
    let begun = |stop: &String| {
        let mut starts = stop.char_indices().map(|(at, _)| at).filter(|&at| at > 0).rev();
        starts.find(|&len| text.ends_with(&stop[..len])).unwrap_or(0)
    };
    stop.iter().map(begun).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
