//! What the scheduler works on: requests as tokens.

use critic_engine::{EngineError, EngineErrorKind, Sampling};
use critic_forest::NodeId;
use critic_types::{FinishReason, SeedTree};

/// Fixed tokens after a sequence, at whose end the probabilities of some choices are read.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    /// Whether the sequence is closed first.
    pub(crate) after_close: bool,
    /// What stands before the choices; never empty.
    pub(crate) lead: Vec<u32>,
    /// The choices; none is empty.
    pub(crate) choices: Vec<Vec<u32>>,
}

/// A request as tokens.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) prompt: Vec<u32>,
    /// Position in the prompt where a reward is read.
    pub(crate) reward_position: Option<usize>,
    /// How many leaves grow.
    pub(crate) n: usize,
    pub(crate) sampling: Sampling,
    pub(crate) seed: SeedTree,
    /// Whether a reward is read where a leaf closes.
    pub(crate) read_reward: bool,
    pub(crate) tails: Vec<Tail>,
}

impl Job {
    /// The most tokens a leaf may add below the prompt.
    pub(crate) fn n_new(&self) -> usize {
        let longest_tail = self
            .tails
            .iter()
            .map(|t| t.lead.len() + t.choices.iter().map(Vec::len).max().unwrap_or(0))
            .max();
        let growth = if self.n == 0 { 0 } else { self.sampling.max_new_tokens + 1 };
        growth + longest_tail.unwrap_or(0)
    }
}

/// A growing answer.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) node: NodeId,
    pub(crate) tokens: Vec<u32>,
    pub(crate) state: LeafState,
    pub(crate) reward: Option<f32>,
    /// ln P of each choice of each tail so far.
    pub(crate) log_probs: Vec<Vec<f64>>,
    pub(crate) tail_nodes: Vec<NodeId>,
}

/// What a leaf waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeafState {
    /// The prompt is not computed yet.
    Waiting,
    /// Its newest token is to be computed.
    Growing,
    /// It has ended; closing token and tails are to be computed.
    Ended(FinishReason),
    /// All is there.
    Done(FinishReason),
}

/// A job under way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) index: usize,
    pub(crate) job: Job,
    pub(crate) prompt_node: NodeId,
    /// Position of the next prompt token to compute.
    pub(crate) n_computed: usize,
    pub(crate) reward: Option<f32>,
    /// The leaves; for a job without leaves one that stands for the prompt and carries the tails.
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) failure: Option<EngineErrorKind>,
}

impl Running {
    pub(crate) fn is_done(&self) -> bool {
        self.failure.is_some()
            || (self.n_computed == self.job.prompt.len()
                && self.leaves.iter().all(|leaf| matches!(leaf.state, LeafState::Done(_))))
    }

    pub(crate) fn error(&self) -> Option<EngineError> {
        self.failure.clone().map(|kind| EngineError::new(&self.job.id, kind))
    }
}

/// A finished job.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) reward: Option<f32>,
    pub(crate) leaves: Vec<FinishedLeaf>,
}

/// A finished answer.
#[derive(Debug)]
pub(crate) struct FinishedLeaf {
    pub(crate) tokens: Vec<u32>,
    pub(crate) finish_reason: FinishReason,
    pub(crate) reward: Option<f32>,
    pub(crate) log_probs: Vec<Vec<f64>>,
}
