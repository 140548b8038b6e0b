//! Where a model comes from and how its files become weights.
//!
//! A [`ModelRef`] names a model; [`load`] fetches it if it must and reads it; [`write_hf_folder`] and
//! [`write_gguf`] are the ways back. Downloads land whole in the [`Cache`] and are checked; what came from where says the
//! [`ModelIdentity`] of the [`LoadedModel`].

mod cache;
mod catalogue;
mod conversation_files;
mod digest;
mod export;
mod fetch;
mod folder;
mod fused;
mod gguf;
mod gguf_config;
mod gguf_metadata;
mod gguf_names;
mod gguf_rope;
mod gguf_write;
mod hub;
mod peft;
mod pip;
mod reference;
mod safetensors_file;
mod weights;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use cache::Cache;
pub use catalogue::{Catalogue, CatalogueEntry, Source, catalogue};
pub use conversation_files::read_renderer;
pub use export::write_hf_folder;
pub use fetch::{Fetched, fetch, load_path, load_path_as};
pub use folder::load_folder;
pub use gguf::load_gguf;
pub use gguf_write::{GgufFormat, write_gguf};
pub use hub::HubSource;
pub use peft::write_peft_folder;
pub use pip::PipSource;
pub use reference::ModelRef;
pub use safetensors_file::{read_arrays, write_arrays};

use crate::config::DecoderConfig;
use crate::error::ModelError;
use crate::matrix::WeightFormat;
use crate::reward_head::RewardHead;
use crate::weight::Weight;
use critic_text::Renderer;
use critic_types::ContentId;
use std::collections::BTreeMap;

/// A model in memory.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    /// Its architecture.
    pub config: DecoderConfig,
    /// Its weights by Hugging Face's names, exactly those of [`weight_shapes`](crate::weight_shapes).
    pub weights: BTreeMap<String, Weight>,
    /// Its reward head, if its files have one.
    pub reward_head: Option<RewardHead>,
    /// Its way from conversations to tokens.
    pub renderer: Renderer,
    /// Which model this is.
    pub identity: ModelIdentity,
}

impl LoadedModel {
    /// Bytes of the decoder's numbers in memory.
    pub fn decoder_bytes(&self) -> u64 {
        self.weights.values().map(|weight| weight.bytes() as u64).sum()
    }
}

/// Which model was loaded: two machines with equal digests have equal weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// The name by which it was asked for.
    pub name: String,
    /// Where its files came from, in words.
    pub source: String,
    /// Address of the weight files' bytes.
    pub digest: ContentId,
    /// Its license, where known (an SPDX identifier for most).
    pub license: Option<String>,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is fetched.
    pub label: &'a str,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, when known.
    pub total: Option<u64>,
}

/// Loads a model for a decoder of this format, fetching it into the
/// [default cache](Cache::default_location) if it is not there.
///
/// # Errors
/// [`ModelError`] when no source yields the model or its files cannot be used.
pub fn load(
    reference: &ModelRef,
    format: WeightFormat,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<LoadedModel, ModelError> {
    fetch(reference, &Cache::default_location(), progress)?.load_as(format)
}
