use crate::config::{DecoderConfig, RopeConfig};
use crate::error::ModelError;
use critic_kernels::rope::RopeTable;

/// The rotations of every layer of a decoder.
#[derive(Debug, Clone)]
pub(crate) struct RopeTables {
    global: RopeTable,
    /// Of layers with a window, where they have one of their own.
    local: Option<RopeTable>,
}

impl RopeTables {
    pub(crate) fn new(config: &DecoderConfig) -> Result<Self, ModelError> {
        let table = |rope: &RopeConfig| -> Result<RopeTable, ModelError> {
            let frequencies = rope.inverse_frequencies(config.rotary_dim());
            let table = RopeTable::new(&frequencies, config.context_length);
            Ok(table.scaled(rope.attention_factor()).within(config.head_dim)?)
        };
        let local = config.variant.rope_local.as_ref().map(table).transpose()?;
        Ok(Self { global: table(&config.rope)?, local })
    }

    /// The rotation in a layer with this window.
    pub(crate) fn at(&self, window: Option<usize>) -> &RopeTable {
        self.local.as_ref().filter(|_| window.is_some()).unwrap_or(&self.global)
    }
}
