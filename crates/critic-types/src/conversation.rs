use serde::{Deserialize, Serialize};

/// Who speaks in a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand above the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name that chat templates know: `system`, `user` or `assistant`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One turn of a [`Conversation`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, as written, without any template text.
    pub content: String,
}

/// Turns in order, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conversation(pub Vec<Message>);

impl Conversation {
    /// A conversation of one user turn.
    pub fn from_user(content: impl Into<String>) -> Self {
        Self::default().with(Role::User, content)
    }

    /// The same conversation with one more turn.
    #[must_use]
    pub fn with(mut self, role: Role, content: impl Into<String>) -> Self {
        self.0.push(Message { role, content: content.into() });
        self
    }

    /// The turns, oldest first.
    pub fn messages(&self) -> &[Message] {
        &self.0
    }

    /// What the last turn of the user says; empty when the user never spoke.
    pub fn last_user_text(&self) -> &str {
        self.0.iter().rev().find(|m| m.role == Role::User).map_or("", |m| m.content.as_str())
    }
}
