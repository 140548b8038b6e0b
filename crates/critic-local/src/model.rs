//! What of a batch is read: hidden states, rewards, logits.

use crate::arena::{CachedAttention, KvArena};
use crate::batch::Batch;
use critic_model::{Decoder, ModelError, RewardHead};

/// What runs a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'a> {
    pub(crate) decoder: &'a Decoder,
    pub(crate) head: Option<&'a RewardHead>,
}

/// Hidden states of a batch after the final norm.
#[derive(Debug)]
pub(crate) struct Hidden {
    values: Vec<f32>,
    d_model: usize,
}

impl Model<'_> {
    /// Runs a batch; its keys and values go to the arena.
    pub(crate) fn hidden(&self, batch: &Batch, arena: &mut KvArena) -> Result<Hidden, ModelError> {
        let mut attention = CachedAttention { arena, rows: &batch.rows, runs: &batch.runs };
        let values = self.decoder.hidden(&batch.tokens, &batch.positions, &mut attention)?;
        Ok(Hidden { values, d_model: self.decoder.config().d_model })
    }

    /// Rewards read at these tokens of the batch; none without a head.
    pub(crate) fn rewards(
        &self,
        hidden: &Hidden,
        at: impl Iterator<Item = usize>,
    ) -> Result<Vec<f32>, ModelError> {
        match self.head {
            Some(head) => head.rewards(&hidden.gather(at)),
            None => Ok(Vec::new()),
        }
    }

    /// The logits after these tokens of the batch, `[n, vocab_size]`.
    pub(crate) fn logits(
        &self,
        hidden: &Hidden,
        at: impl Iterator<Item = usize>,
        logits: &mut Vec<f32>,
    ) -> Result<(), ModelError> {
        self.decoder.logits(&hidden.gather(at), logits)
    }
}

impl Hidden {
    /// Rows in this order.
    fn gather(&self, rows: impl Iterator<Item = usize>) -> Vec<f32> {
        rows.flat_map(|row| &self.values[row * self.d_model..][..self.d_model]).copied().collect()
    }
}
