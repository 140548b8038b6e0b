use crate::{RequestControl, Sampling, Sink};
use critic_types::{Conversation, CritiqueReward, Reward, SeedTree};

/// Asks for the reward of one response.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRequest {
    /// Names the request in errors; no other request of the call may have it.
    pub id: String,
    /// The conversation up to the response.
    pub prompt: Conversation,
    /// The response.
    pub response: String,
    /// How many critiques are sampled; 0 reads the reward right after the response.
    pub n_critiques: usize,
    /// How the critiques are drawn.
    pub sampling: Sampling,
    /// Critique `i` draws from `seed.index(i)`.
    pub seed: SeedTree,
    /// Deadline, cancellation, and what happens to a prompt that is too long.
    pub control: RequestControl,
}

/// The rewards of one response.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredResponse {
    /// The reward read right after the response.
    pub without_critique: Reward,
    /// Each sampled critique with the reward read at the token that closes it, in sampling order.
    pub critiques: Vec<CritiqueReward>,
    /// Critiques that could not be had.
    pub n_failed: usize,
    /// Turns of the prompt that were left out because it did not fit.
    pub n_dropped_turns: usize,
}

/// A producer of rewards.
pub trait Scorer {
    /// Scores every request.
    fn score(&mut self, requests: &[ScoreRequest], sink: &mut Sink<'_, ScoredResponse>);
}
