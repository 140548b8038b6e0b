//! The resolved architecture of a decoder, whatever file it came from.

mod architecture;
mod hf_family;
mod hf_fields;
mod hf_json;
mod hf_rope;
mod hf_write;
mod rope;
mod variant;

pub use architecture::Architecture;
pub use rope::{Llama3Scaling, LongRopeScaling, RopeConfig, RopeScaling, YarnScaling};
pub use variant::Variant;

use crate::error::ModelError;
use crate::layout::weight_shapes;
use critic_kernels::attention::AttentionShape;

/// Everything about a decoder that is not a weight.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Its family.
    pub architecture: Architecture,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub d_model: usize,
    /// Width of the feed-forward network.
    pub d_ff: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// ε of the RMS norms.
    pub rms_norm_eps: f32,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// Tokens that fit.
    pub context_length: usize,
    /// Whether the LM head is the embedding.
    pub tied_embeddings: bool,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Where it differs from Llama.
    pub variant: Variant,
}

/// Above these a file lies about its model, and tables of that size would not fit anyway.
pub(crate) const MAX_LAYERS: usize = 4096;
const MAX_WIDTH: usize = 1 << 24;

impl DecoderConfig {
    /// Numbers of a head that rotate, the first ones.
    pub fn rotary_dim(&self) -> usize {
        self.variant.rotary_dim.unwrap_or(self.head_dim)
    }

    /// How many tokens one sees in a layer, itself included; all if absent.
    pub fn window(&self, layer_idx: usize) -> Option<usize> {
        self.variant.windows.get(layer_idx).copied().flatten()
    }

    /// How the heads of a layer attend.
    pub fn attention_shape(&self, layer_idx: usize) -> AttentionShape {
        let width = self.variant.query_pre_attn_scalar.unwrap_or(self.head_dim as f64);
        AttentionShape {
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            head_dim: self.head_dim,
            scale: width.powf(-0.5) as f32,
            window: self.window(layer_idx),
            softcap: self.variant.attention_softcap,
        }
    }

    /// What embeddings are multiplied by.
    pub fn embedding_scale(&self) -> f32 {
        if self.variant.scaled_embedding { (self.d_model as f64).sqrt() as f32 } else { 1.0 }
    }

    /// Number of weights, tied ones once, without a reward head.
    pub fn n_parameters(&self) -> usize {
        weight_shapes(self).values().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Checks what the shapes of the weights cannot show.
    pub(crate) fn validated(self) -> Result<Self, ModelError> {
        let refuse = |field: &str, found: String, rule: &'static str| {
            Err(ModelError::ConfigUnsupported { field: field.to_owned(), found, rule })
        };
        let sizes = [
            ("vocabulary size", self.vocab_size, MAX_WIDTH),
            ("hidden size", self.d_model, MAX_WIDTH),
            ("feed-forward size", self.d_ff, MAX_WIDTH),
            ("number of layers", self.n_layers, MAX_LAYERS),
            ("number of heads", self.n_heads, MAX_WIDTH),
            ("number of key-value heads", self.n_kv_heads, MAX_WIDTH),
            ("head width", self.head_dim, MAX_WIDTH),
            ("context length", self.context_length, MAX_WIDTH),
        ];
        for (field, size, limit) in sizes {
            if size == 0 || size > limit {
                return refuse(
                    field,
                    size.to_string(),
                    "a size lies between 1 and 16777216, a number of layers below 4097",
                );
            }
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let found = format!("{} for {} heads", self.n_kv_heads, self.n_heads);
            return refuse(
                "number of key-value heads",
                found,
                "it must divide the number of heads",
            );
        }
        if !self.head_dim.is_multiple_of(2) {
            return refuse(
                "head width",
                self.head_dim.to_string(),
                "rotary embedding needs an even width",
            );
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps >= 0.0) {
            return refuse(
                "rms norm epsilon",
                self.rms_norm_eps.to_string(),
                "it must be finite and not negative",
            );
        }
        let rotary_dim = self.rotary_dim();
        if rotary_dim == 0 || rotary_dim > self.head_dim || !rotary_dim.is_multiple_of(2) {
            return refuse(
                "rotated width of a head",
                rotary_dim.to_string(),
                "it must be even, positive and no wider than the head",
            );
        }
        for rope in std::iter::once(&self.rope).chain(&self.variant.rope_local) {
            if let Some(rule) = rope.fault(rotary_dim) {
                return refuse("rotary embedding", format!("{rope:?}"), rule);
            }
        }
        let Variant { attention_softcap, final_softcap, query_pre_attn_scalar, .. } = self.variant;
        let positive = [
            ("attention soft cap", attention_softcap.map(f64::from)),
            ("logit soft cap", final_softcap.map(f64::from)),
            ("query_pre_attn_scalar", query_pre_attn_scalar),
        ];
        for (field, found) in positive {
            if let Some(found) = found.filter(|x| !(x.is_finite() && *x > 0.0)) {
                return refuse(field, found.to_string(), "it must be finite and positive");
            }
        }
        let windows = &self.variant.windows;
        if windows.contains(&Some(0)) {
            return refuse("sliding window", "0".to_owned(), "a token must see itself");
        }
        if !windows.is_empty() && windows.len() != self.n_layers {
            let found = format!("{} for {} layers", windows.len(), self.n_layers);
            return refuse("sliding windows", found, "there must be one for each layer");
        }
        Ok(self)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use critic_kernels::gated::Activation;

    /// A model of a few thousand weights.
    pub(crate) fn tiny(architecture: Architecture) -> DecoderConfig {
        DecoderConfig {
            architecture,
            vocab_size: 11,
            d_model: 12,
            d_ff: 20,
            n_layers: 2,
            n_heads: 3,
            n_kv_heads: 1,
            head_dim: 4,
            rms_norm_eps: 1e-5,
            rope: RopeConfig { theta: 10_000.0, scaling: None },
            context_length: 64,
            tied_embeddings: architecture == Architecture::Llama,
            qkv_bias: architecture == Architecture::Qwen2,
            variant: Variant::default(),
        }
    }

    /// As [`tiny`], with all that the family brings.
    pub(crate) fn of_family(architecture: Architecture) -> DecoderConfig {
        let plain = tiny(architecture);
        let (windows, cap) = (vec![Some(9), None], Some(20.0));
        let variant = match architecture {
            Architecture::Llama | Architecture::Qwen2 => Variant::default(),
            Architecture::Mistral => {
                Variant { windows: vec![Some(9); plain.n_layers], ..Variant::default() }
            }
            Architecture::Phi3 => Variant {
                windows: vec![Some(9); plain.n_layers],
                rotary_dim: Some(2),
                ..Variant::default()
            },
            Architecture::Qwen3 => Variant { qk_norm: true, ..Variant::default() },
            Architecture::Gemma2 | Architecture::Gemma3 => Variant {
                post_norms: true,
                unit_offset_norms: true,
                scaled_embedding: true,
                activation: Activation::GeluTanh,
                query_pre_attn_scalar: Some(4.0),
                windows,
                ..Variant::default()
            },
        };
        let variant = match architecture {
            Architecture::Gemma2 => {
                Variant { attention_softcap: cap, final_softcap: cap, ..variant }
            }
            Architecture::Gemma3 => {
                let rope_local = Some(RopeConfig { theta: 1e4, scaling: None });
                Variant { qk_norm: true, rope_local, ..variant }
            }
            _ => variant,
        };
        DecoderConfig {
            tied_embeddings: plain.tied_embeddings || architecture.is_gemma(),
            variant,
            ..plain
        }
    }

    #[test]
    fn parameters_are_counted_once_when_tied() {
        let tied = tiny(Architecture::Llama);
        let untied = DecoderConfig { tied_embeddings: false, ..tied.clone() };
        assert_eq!(untied.n_parameters() - tied.n_parameters(), 11 * 12);
        let layer = 12 * 12 + 2 * 4 * 12 + 12 * 12 + 3 * 12 * 20 + 2 * 12;
        assert_eq!(tied.n_parameters(), 11 * 12 + 12 + 2 * layer);
    }

    #[test]
    fn heads_that_do_not_divide_are_refused() {
        let config = DecoderConfig { n_kv_heads: 2, ..tiny(Architecture::Llama) };
        assert!(config.validated().unwrap_err().to_string().contains("2 for 3 heads"));
    }
}
