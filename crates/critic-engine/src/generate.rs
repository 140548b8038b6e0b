use crate::{ChoiceRequest, EngineError, EngineErrorKind, RequestControl, Sampling, Sink};
use critic_types::{Conversation, FinishReason, SeedTree};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Asks for `n` answers to one conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateRequest {
    /// Names the request in errors; no other request of the call may have it.
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
    /// Asks for the log-probability of every drawn token, and of this many likeliest ones beside it.
    pub log_probs: Option<usize>,
    /// Deadline, cancellation, and what happens to a prompt that is too long.
    pub control: RequestControl,
}

impl GenerateRequest {
    /// One answer, without probes, log-probabilities, deadline or cancellation.
    pub fn new(
        id: impl Into<String>,
        conversation: Conversation,
        sampling: Sampling,
        seed: SeedTree,
    ) -> Self {
        Self {
            id: id.into(),
            conversation,
            n: 1,
            sampling,
            seed,
            probes: Vec::new(),
            log_probs: None,
            control: RequestControl::default(),
        }
    }
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
    /// In the answer itself, where it says this text (`"\nScore: "`, blanks at its ends aside) and then
    /// one of the choices, the last time if it does so more than once; after the text is appended
    /// where it does so nowhere. What the answer says from there on is not seen.
    Written(String),
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
    /// Its length in tokens, without the closing token; those of a stop string do not count.
    pub n_tokens: usize,
    /// For each probe of the request: ln P of each choice, nats, not normalised over the choices; an
    /// empty list where the engine cannot read them.
    pub probes: Vec<Vec<f64>>,
    /// The drawn tokens, those of a stop string and the closing one too; empty unless asked for.
    pub log_probs: Vec<TokenLogProb>,
    /// Turns of the prompt that were left out because it did not fit.
    pub n_dropped_turns: usize,
}

/// A drawn token with its probability under the model's own distribution: before penalty, temperature
/// and filters, as vLLM and transformers' `output_logits` have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogProb {
    /// The token as it is written in the vocabulary.
    pub token: String,
    /// ln P, nats.
    pub log_prob: f64,
    /// The likeliest tokens with their ln P, likeliest first, ties by id.
    pub top: Vec<(String, f64)>,
}

/// New text of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPiece<'a> {
    /// The place of the request in the slice.
    pub request: usize,
    /// Which of its answers.
    pub answer: usize,
    /// What was added: whole characters, and nothing that may belong to a stop string.
    pub text: &'a str,
    /// Set in the last piece of the answer, whose text may be empty.
    pub finish_reason: Option<FinishReason>,
}

/// Receives text as it is written. The pieces of an answer joined are its text.
///
/// [`ControlFlow::Break`] cancels the piece's request and no other.
pub type PieceSink<'a> = dyn FnMut(TextPiece<'_>) -> ControlFlow<()> + 'a;

/// A producer of text: a local model or a remote server.
pub trait Generator {
    /// Writes the answers of every request; `sink` gets each request's `n` completions at once, fewer
    /// where a remote server withholds some.
    fn generate(&mut self, requests: &[GenerateRequest], sink: &mut Sink<'_, Vec<Completion>>);

    /// The same, and hands text over as it is written.
    ///
    /// The provided method hands each answer over in one piece, when its request is finished.
    fn stream(
        &mut self,
        requests: &[GenerateRequest],
        pieces: &mut PieceSink<'_>,
        sink: &mut Sink<'_, Vec<Completion>>,
    ) {
        self.generate(requests, &mut |request, result| {
            let result = result.and_then(|completions| {
                for (answer, completion) in completions.iter().enumerate() {
                    let piece = TextPiece {
                        request,
                        answer,
                        text: &completion.text,
                        finish_reason: Some(completion.finish_reason),
                    };
                    if pieces(piece).is_break() {
                        let id = &requests[request].id;
                        return Err(EngineError::new(id, EngineErrorKind::Cancelled));
                    }
                }
                Ok(completions)
            });
            sink(request, result)
        });
    }

    /// Reads ln P of every choice of every request, in nats; nothing is sampled.
    fn choose(&mut self, requests: &[ChoiceRequest], sink: &mut Sink<'_, Vec<f64>>);
}
