use crate::Conversation;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Address of a piece of content: the first 16 bytes of a SHA-256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentId(String);

impl ContentId {
    /// The 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Builds a [`ContentId`] from parts; every part is length-prefixed, so no two lists of parts collide
/// by concatenation.
#[derive(Debug, Clone)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// A hasher for content of this kind; equal parts of different kinds get different addresses.
    pub fn new(kind: &str) -> Self {
        let mut hasher = Self(Sha256::new());
        hasher.text(kind);
        hasher
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds every turn of a conversation.
    pub fn conversation(&mut self, conversation: &Conversation) -> &mut Self {
        self.bytes(&(conversation.messages().len() as u64).to_le_bytes());
        for message in conversation.messages() {
            self.text(message.role.as_str()).text(&message.content);
        }
        self
    }

    /// The address of what was added.
    pub fn finish(self) -> ContentId {
        let digest = self.0.finalize();
        let digits = digest.iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
        ContentId(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let id = |parts: &[&str]| {
            let mut hasher = ContentHasher::new("t");
            for part in parts {
                hasher.text(part);
            }
            hasher.finish()
        };
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
        assert_eq!(id(&["ab", "c"]), id(&["ab", "c"]));
        assert_eq!(id(&[]).as_str().len(), 32);
    }
}
