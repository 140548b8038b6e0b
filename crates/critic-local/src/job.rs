//! What the scheduler works on: requests as tokens, and how far each has come.

use crate::answer::{AnswerText, Cut};
use crate::log_probs::DrawnLogProb;
use critic_engine::{EngineErrorKind, Sampling};
use critic_forest::NodeId;
use critic_types::{FinishReason, SeedTree};
use std::ops::Range;

/// Fixed tokens after an answer (or after the prompt, without answers), at whose end the probabilities
/// of some choices are read.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    /// Whether the answer is closed first.
    pub(crate) after_close: bool,
    /// What stands before the choices; never empty.
    pub(crate) lead: Vec<u32>,
    /// The choices; none is empty.
    pub(crate) choices: Vec<Vec<u32>>,
    /// The choices stand after this text where the answer itself says it.
    pub(crate) written: Option<Written>,
}

/// Where an answer itself may make a choice.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// What stands before the choice, without blanks at its ends.
    pub(crate) marker: String,
    pub(crate) choices: Vec<String>,
}

/// A request as tokens.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) prompt: Vec<u32>,
    /// Position in the prompt where a reward is read.
    pub(crate) reward_position: Option<usize>,
    /// How many answers are written.
    pub(crate) n: usize,
    pub(crate) sampling: Sampling,
    /// Tokens that end an answer: the end of turn, and stop strings that are special tokens.
    pub(crate) stop_tokens: Vec<u32>,
    pub(crate) seed: SeedTree,
    /// Whether a reward is read where an answer closes.
    pub(crate) read_reward: bool,
    pub(crate) tails: Vec<Tail>,
    /// How many likeliest tokens are reported beside each drawn one.
    pub(crate) log_probs: Option<usize>,
    pub(crate) n_dropped_turns: usize,
}

/// Tokens that a stop string which begins inside a token may leave over.
pub(crate) const MAX_REST: usize = 16;

impl Job {
    /// The most tokens of the longest sequence below the prompt.
    pub(crate) fn n_new(&self) -> usize {
        let longest = self
            .tails
            .iter()
            .map(|tail| tail.lead.len() + tail.choices.iter().map(Vec::len).max().unwrap_or(0));
        let rest = if self.sampling.stop.is_empty() { 0 } else { MAX_REST };
        let growth = if self.n == 0 { 0 } else { self.sampling.max_new_tokens + rest + 1 };
        growth + longest.max().unwrap_or(0)
    }

    /// The most rows that what follows an ended answer takes.
    pub(crate) fn n_end_rows(&self) -> usize {
        let tail = |tail: &Tail| {
            tail.lead.len() + tail.choices.iter().map(|choice| choice.len() + 1).sum::<usize>()
        };
        MAX_REST + 2 + self.tails.iter().map(tail).sum::<usize>()
    }

    /// The most rows that the job needs at once when its answers are written one by one.
    pub(crate) fn n_rows(&self) -> usize {
        let growth = if self.n == 0 { 0 } else { self.sampling.max_new_tokens };
        let end = if self.needs_end() { self.n_end_rows() } else { 0 };
        self.prompt.len() + growth + end
    }

    /// How many tokens at the prompt's end are computed for this job whatever others have computed:
    /// something is read there.
    pub(crate) fn n_private(&self) -> usize {
        match self.reward_position {
            Some(position) => self.prompt.len() - position,
            None => 1,
        }
    }

    /// Whether anything is read after an answer.
    pub(crate) fn needs_end(&self) -> bool {
        !self.tails.is_empty() || (self.read_reward && self.n > 0)
    }
}

/// An answer under way.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// Its rows; none before it has begun and after it is done.
    pub(crate) node: Option<NodeId>,
    pub(crate) tokens: Vec<u32>,
    /// How many of its tokens are computed, or are in the batch.
    pub(crate) n_computed: usize,
    pub(crate) text: AnswerText,
    /// Where a stop string has ended it.
    pub(crate) cut: Option<Cut>,
    /// The tokens of the text that the stop string has left of a token.
    pub(crate) rest: Vec<u32>,
    pub(crate) state: LeafState,
    pub(crate) reward: Option<f32>,
    /// ln P of each choice of each tail so far.
    pub(crate) choices: Vec<Vec<f64>>,
    pub(crate) drawn: Vec<DrawnLogProb>,
    /// The rows of what follows it, while they are computed.
    pub(crate) end_node: Option<NodeId>,
    /// Whether the last piece of its text has been handed over.
    pub(crate) is_told: bool,
}

impl Leaf {
    pub(crate) fn new(job: &Job) -> Self {
        Self {
            node: None,
            tokens: Vec::new(),
            n_computed: 0,
            text: AnswerText::default(),
            cut: None,
            rest: Vec::new(),
            state: LeafState::Waiting,
            reward: None,
            choices: job.tails.iter().map(|tail| vec![0.0; tail.choices.len()]).collect(),
            drawn: Vec::new(),
            end_node: None,
            is_told: false,
        }
    }

    /// The same answer from its start; text that has been handed over is not handed over again.
    pub(crate) fn restarted(&self, job: &Job) -> Self {
        Self { text: self.text.restarted(), is_told: self.is_told, ..Self::new(job) }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, LeafState::Done(_))
    }

    /// Tokens that belong to its text, but for what a stop string has left of a token.
    pub(crate) fn n_kept(&self) -> usize {
        self.cut.as_ref().map_or(self.tokens.len(), |cut| cut.n_tokens)
    }
}

/// What a leaf waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeafState {
    /// Its first token, which is drawn after the prompt.
    Waiting,
    /// Rows for its tokens.
    Drawn,
    /// Its newest token is to be computed.
    Growing,
    /// It has ended; what follows it is to be computed.
    Ended(FinishReason),
    /// All is there.
    Done(FinishReason),
}

/// A job under way.
#[derive(Debug)]
pub(crate) struct Running {
    /// The place of its request.
    pub(crate) index: usize,
    pub(crate) job: Job,
    /// The end of the prompt; none while it waits for room.
    pub(crate) prompt_node: Option<NodeId>,
    /// Rows of the prompt, in order.
    pub(crate) prompt_path: Vec<Range<usize>>,
    /// Position of the next prompt token to look at.
    pub(crate) n_read: usize,
    pub(crate) reward: Option<f32>,
    /// The answers; for a job without answers one that stands for the prompt and carries the tails.
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) failure: Option<EngineErrorKind>,
    /// How often it has begun anew with all the memory to itself since it finished an answer.
    pub(crate) n_alone: usize,
}

impl Running {
    /// A job that has not begun.
    pub(crate) fn new(index: usize, job: Job) -> Self {
        let n_leaves = if job.tails.is_empty() { job.n } else { job.n.max(1) };
        Self {
            index,
            prompt_node: None,
            prompt_path: Vec::new(),
            n_read: 0,
            reward: None,
            leaves: (0..n_leaves).map(|_| Leaf::new(&job)).collect(),
            failure: None,
            n_alone: 0,
            job,
        }
    }

    /// Rows that it will take before its next answer is done.
    pub(crate) fn n_reserved(&self) -> usize {
        let mut open = self.leaves.iter().filter(|leaf| !leaf.is_done()).peekable();
        let ends =
            if open.peek().is_some() && self.job.needs_end() { self.job.n_end_rows() } else { 0 };
        let begins =
            open.peek().is_some() && open.all(|leaf| leaf.node.is_none()) && self.job.n > 0;
        ends + if begins { self.job.sampling.max_new_tokens } else { 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.failure.is_some()
            || (self.n_read == self.job.prompt.len() && self.leaves.iter().all(Leaf::is_done))
    }

    /// Answers that are not done; a job without answers counts as one.
    pub(crate) fn n_open(&self) -> usize {
        self.leaves.iter().filter(|leaf| !leaf.is_done()).count().max(1)
    }

    /// Whether its answers have begun.
    pub(crate) fn has_answers(&self) -> bool {
        self.job.n > 0 && self.leaves.iter().all(|leaf| leaf.state != LeafState::Waiting)
    }

    /// Notes the first thing that went wrong.
    pub(crate) fn fail(&mut self, kind: EngineErrorKind) {
        self.failure.get_or_insert(kind);
    }
}

/// A finished job.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) reward: Option<f32>,
    pub(crate) leaves: Vec<FinishedLeaf>,
    pub(crate) n_dropped_turns: usize,
}

/// A finished answer.
#[derive(Debug)]
pub(crate) struct FinishedLeaf {
    pub(crate) text: String,
    pub(crate) n_tokens: usize,
    pub(crate) finish_reason: FinishReason,
    pub(crate) reward: Option<f32>,
    pub(crate) choices: Vec<Vec<f64>>,
    pub(crate) drawn: Vec<DrawnLogProb>,
}
