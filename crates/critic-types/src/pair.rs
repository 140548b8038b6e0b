use crate::{ContentHasher, ContentId, Conversation, Role};
use serde::{Deserialize, Serialize};

/// Which response of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The one the annotator prefers, y⁺.
    Chosen,
    /// The other, y⁻.
    Rejected,
}

impl Side {
    /// Both sides, chosen first.
    pub const BOTH: [Side; 2] = [Side::Chosen, Side::Rejected];

    /// The side of the other response.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Side::Chosen => Side::Rejected,
            Side::Rejected => Side::Chosen,
        }
    }

    /// `chosen` or `rejected`.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Chosen => "chosen",
            Side::Rejected => "rejected",
        }
    }
}

/// A prompt with two responses and a label that says which one is preferred: (x, y⁺, y⁻).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreferencePair {
    /// Unique within its file; taken from the data or made from the content.
    pub id: String,
    /// The conversation up to the response; ends with a user turn.
    pub prompt: Conversation,
    /// y⁺.
    pub chosen: String,
    /// y⁻.
    pub rejected: String,
    /// How much better the chosen response is, in the data's own unit, when the data says so.
    pub margin: Option<f64>,
    /// The section a report groups by, such as `math`.
    pub domain: Option<String>,
    /// A finer group within the domain.
    pub subset: Option<String>,
}

impl PreferencePair {
    /// The response on `side`.
    pub fn response(&self, side: Side) -> &str {
        match side {
            Side::Chosen => &self.chosen,
            Side::Rejected => &self.rejected,
        }
    }

    /// The prompt followed by the response on `side` as an assistant turn.
    pub fn conversation(&self, side: Side) -> Conversation {
        self.prompt.clone().with(Role::Assistant, self.response(side))
    }

    /// Address of what the pair says (prompt and both responses), whatever its id and its columns.
    pub fn content_id(&self) -> ContentId {
        let mut hasher = ContentHasher::new("pair");
        hasher.conversation(&self.prompt);
        hasher.text(&self.chosen).text(&self.rejected);
        hasher.finish()
    }
}
