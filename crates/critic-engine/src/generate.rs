use crate::{ChoiceRequest, Sampling, Sink};
use critic_types::{Conversation, FinishReason, SeedTree};

/// Asks for `n` answers to one conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateRequest {
    /// Names the request in errors.
    pub id: String,
    /// Ends with a user turn; the answer is the assistant's next turn.
    pub conversation: Conversation,
    /// How many answers; they share one prefill.
    pub n: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Answer `i` draws from `seed.index(i)`, its token `t` from that node's `index(t)`.
    pub seed: SeedTree,
    /// Questions asked after each finished answer, on the same keys and values.
    pub probes: Vec<Probe>,
}

/// A fixed continuation of a finished answer whose choices' probabilities are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Where the choices stand.
    pub turn: ProbeTurn,
    /// The possible continuations.
    pub choices: Vec<String>,
}

/// Where a [`Probe`]'s choices stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeTurn {
    /// In the answer itself, after this text is appended to it (`"\nScore: "`).
    Appended(String),
    /// At the start of the next assistant turn, after this user turn.
    Question(String),
}

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The answer's text, without template text.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Its length in tokens, without the closing token.
    pub n_tokens: usize,
    /// For each probe of the request: ln P of each choice, nats, not normalised over the choices.
    pub probes: Vec<Vec<f64>>,
}

/// A producer of text: a local model or a remote server.
pub trait Generator {
    /// Writes the answers of every request; `sink` gets each request's `n` completions at once.
    fn generate(&mut self, requests: &[GenerateRequest], sink: &mut Sink<'_, Vec<Completion>>);

    /// Reads ln P of every choice of every request, in nats; nothing is sampled.
    fn choose(&mut self, requests: &[ChoiceRequest], sink: &mut Sink<'_, Vec<f64>>);
}
