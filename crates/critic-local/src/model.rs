//! The decoder and its heads as numbers in slices: the one place, beside the arena, that knows tensors.

use crate::arena::{CachedAttention, KvArena};
use crate::batch::Batch;
use candle_core::{Result, Tensor};
use critic_model::{Decoder, RewardHead, ops, with_values};

/// What runs a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'a> {
    pub(crate) decoder: &'a Decoder,
    pub(crate) head: Option<&'a RewardHead>,
}

/// Hidden states of a batch after the final norm.
#[derive(Debug)]
pub(crate) struct Hidden(Tensor);

impl Model<'_> {
    /// Runs a batch; its keys and values go to the arena.
    pub(crate) fn hidden(&self, batch: &Batch, arena: &mut KvArena) -> Result<Hidden> {
        let positions = batch.positions.clone().into();
        let mut attention = CachedAttention { arena, rows: &batch.rows, runs: &batch.runs };
        self.decoder.hidden(&batch.tokens, &positions, &mut attention).map(Hidden)
    }

    /// Rewards read at these tokens of the batch; none without a head.
    pub(crate) fn rewards(
        &self,
        hidden: &Hidden,
        at: impl Iterator<Item = usize>,
    ) -> Result<Vec<f32>> {
        match self.head {
            Some(head) => head.rewards(&hidden.gather(at)?)?.to_vec1::<f32>(),
            None => Ok(Vec::new()),
        }
    }

    /// Hands the logits after these tokens of the batch over, `[n, vocab_size]`.
    pub(crate) fn logits(
        &self,
        hidden: &Hidden,
        at: impl Iterator<Item = usize>,
        take: impl FnOnce(&[f32]),
    ) -> Result<()> {
        let logits = ops::linear(&hidden.gather(at)?, self.decoder.lm_head())?;
        with_values(&logits, |logits| {
            take(logits);
            Ok(())
        })
    }
}

impl Hidden {
    /// Rows in this order.
    fn gather(&self, rows: impl Iterator<Item = usize>) -> Result<Tensor> {
        let rows: Vec<u32> = rows.map(|row| row as u32).collect();
        let n = rows.len();
        self.0.index_select(&Tensor::from_vec(rows, n, self.0.device())?, 0)
    }
}
