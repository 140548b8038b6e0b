use super::{Architecture, RopeConfig};
use critic_kernels::gated::Activation;

/// Where a decoder differs from Llama; the default is Llama.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variant {
    /// Whether the output projection of the attention has a bias.
    pub o_bias: bool,
    /// Whether the queries and keys of each head go through an RMS norm before their rotation.
    pub qk_norm: bool,
    /// Whether attention and feed-forward network go through an RMS norm before they join the stream.
    pub post_norms: bool,
    /// Whether an RMS norm multiplies by `1 + weight` instead of `weight`.
    pub unit_offset_norms: bool,
    /// Whether embeddings are multiplied by √d_model.
    pub scaled_embedding: bool,
    /// What the gate of the feed-forward network goes through.
    pub activation: Activation,
    /// Bound of the scores of the attention, `c · tanh(s / c)`.
    pub attention_softcap: Option<f32>,
    /// Bound of the logits, as of the scores.
    pub final_softcap: Option<f32>,
    /// Scores are divided by the root of it; the head width if absent.
    pub query_pre_attn_scalar: Option<f64>,
    /// By layer: how many tokens one sees, itself included. Empty where every layer sees all.
    pub windows: Vec<Option<usize>>,
    /// Rotary embedding of the layers with a window, where they have one of their own.
    pub rope_local: Option<RopeConfig>,
    /// Numbers of a head that rotate, the first ones; all if absent.
    pub rotary_dim: Option<usize>,
}

impl Variant {
    /// What a family of decoders always brings; the numbers that its files set are left out.
    pub(crate) fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Qwen3 => Self { qk_norm: true, ..Self::default() },
            Architecture::Gemma2 | Architecture::Gemma3 => Self {
                qk_norm: architecture == Architecture::Gemma3,
                post_norms: true,
                unit_offset_norms: true,
                scaled_embedding: true,
                activation: Activation::GeluTanh,
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}
