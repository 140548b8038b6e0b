mod continuation;
mod gguf;
mod sentencepiece;
#[cfg(test)]
pub(crate) mod tests;
mod to_gguf;

pub use gguf::GgufVocabulary;

use crate::TextError;
use critic_types::{ContentHasher, ContentId};
use std::fmt;

/// Cuts text into tokens and joins them again.
///
/// It never adds a token of its own: no BOS, no EOS, no padding, no truncation.
/// Special tokens that stand in the text are recognised, as `transformers` does.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The same without a space put before the first word; absent when none is put.
    unprefixed: Option<Box<tokenizers::Tokenizer>>,
    digest: ContentId,
}

impl Tokenizer {
    /// The tokenizer of a `tokenizer.json`; its truncation and padding settings are ignored.
    ///
    /// # Errors
    /// [`TextError::TokenizerJson`] when the bytes are not such a file.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TextError> {
        let inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|error| TextError::TokenizerJson { detail: error.to_string() })?;
        Self::from_inner(inner)
    }

    /// The tokenizer of a GGUF file's vocabulary.
    ///
    /// # Errors
    /// [`TextError::UnsupportedTokenizer`] and [`TextError::UnknownPreTokenizer`] when the vocabulary
    /// cannot be rebuilt exactly.
    pub fn from_gguf(vocabulary: GgufVocabulary) -> Result<Self, TextError> {
        Self::from_inner(gguf::build(vocabulary)?)
    }

    fn from_inner(mut inner: tokenizers::Tokenizer) -> Result<Self, TextError> {
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| TextError::Tokenizer {
            action: "drop its truncation setting",
            detail: error.to_string(),
        })?;
        let unprefixed = continuation::without_prefix(&inner)?.map(Box::new);
        let digest = ContentHasher::new("tokenizer").text(&to_json(&inner)?).clone().finish();
        Ok(Self { inner, unprefixed, digest })
    }

    /// The `tokenizer.json` of this tokenizer; equal tokenizers give equal bytes.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] when it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, TextError> {
        to_json(&self.inner)
    }

    /// Address of the `tokenizer.json`.
    pub fn digest(&self) -> &ContentId {
        &self.digest
    }

    /// The tokens of a text; special tokens in it are recognised, none are added.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] when the text has a character that the vocabulary cannot spell.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        encode(&self.inner, text)
    }

    /// The tokens of a text that goes on after a piece whose last token is `previous`, as they stand
    /// in the tokens of the whole where the cut is also a border of tokens.
    pub(crate) fn encode_after(
        &self,
        previous: Option<u32>,
        text: &str,
    ) -> Result<Vec<u32>, TextError> {
        match previous {
            Some(previous) => {
                continuation::encode_after(&self.inner, self.unprefixed.as_deref(), previous, text)
            }
            None => self.encode(text),
        }
    }

    /// The text of these tokens, special tokens left out, and with them ids that no token has
    /// (a model's padded vocabulary rows).
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] when the decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        self.inner
            .decode(ids, true)
            .map_err(|error| TextError::Tokenizer { action: "decode", detail: error.to_string() })
    }

    /// The id of a token, as it is written in the vocabulary.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// A token as it is written in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Size of the vocabulary, added tokens included. A model may have more rows.
    pub fn n_tokens(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether the token is special: it is left out of decoded text.
    pub fn is_special(&self, id: u32) -> bool {
        is_special(&self.inner, id)
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("n_tokens", &self.n_tokens()).finish_non_exhaustive()
    }
}

fn to_json(tokenizer: &tokenizers::Tokenizer) -> Result<String, TextError> {
    tokenizer.to_string(false).map_err(|error| TextError::Tokenizer {
        action: "write itself as JSON",
        detail: error.to_string(),
    })
}

fn encode(tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Vec<u32>, TextError> {
    let encoding = tokenizer
        .encode_fast(text, false)
        .map_err(|error| TextError::Tokenizer { action: "encode", detail: error.to_string() })?;
    Ok(encoding.get_ids().to_vec())
}

fn is_special(tokenizer: &tokenizers::Tokenizer, id: u32) -> bool {
    tokenizer
        .get_added_vocabulary()
        .get_added_tokens_decoder()
        .get(&id)
        .is_some_and(|token| token.special)
}
