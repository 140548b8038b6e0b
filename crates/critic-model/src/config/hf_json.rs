use super::hf_fields::Fields;
use super::hf_rope::Ropes;
use super::{Architecture, DecoderConfig, RopeScaling, Variant};
use crate::error::ModelError;
use serde_json::Value;

impl DecoderConfig {
    /// Reads `config.json` of transformers; fields it leaves out have the defaults of transformers.
    ///
    /// # Errors
    /// [`ModelError`] naming the field when the JSON is torn, a size is missing, or the model uses what
    /// [`Decoder`](crate::Decoder) does not compute: another architecture or activation, attention that
    /// looks ahead, another rope scaling, quantised weights, biases in the feed-forward network.
    pub fn from_hf_json(bytes: &[u8]) -> Result<Self, ModelError> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| ModelError::ConfigJson { reason: error.to_string() })?;
        let Value::Object(map) = value else {
            return Err(ModelError::ConfigJson { reason: "it is not a JSON object".to_owned() });
        };
        let fields = Fields(&map);
        let architecture = fields.architecture()?;
        fields.refuse_unsupported(architecture)?;
        let (d_model, n_heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
        let head_dim = fields.head_dim(architecture, d_model, n_heads)?;
        let n_layers = fields.size("num_hidden_layers")?;
        let Ropes { rope, local, rotary_dim } = Ropes::read(&fields, architecture, head_dim)?;
        let default_context = match architecture {
            Architecture::Llama => 2048,
            Architecture::Qwen2 | Architecture::Qwen3 => 32_768,
            Architecture::Phi3 => 4096,
            Architecture::Gemma2 => 8192,
            Architecture::Mistral | Architecture::Gemma3 => 131_072,
        };
        let context_length =
            fields.optional_size("max_position_embeddings")?.unwrap_or(default_context);
        let context_length = match &rope.scaling {
            Some(RopeScaling::LongRope(scaling)) => context_length.min(scaling.original_context),
            _ => context_length,
        };
        let default_eps = if architecture == Architecture::Phi3 { 1e-5 } else { 1e-6 };
        let default_kv_heads = if architecture.is_gemma() { 4 } else { n_heads };
        let has_biases = fields.flag("attention_bias")?.unwrap_or(false)
            && !matches!(
                architecture,
                Architecture::Qwen2 | Architecture::Mistral | Architecture::Phi3
            );
        let variant = Variant {
            o_bias: has_biases,
            rope_local: local,
            rotary_dim,
            windows: fields.windows(architecture, n_layers)?,
            ..fields.variant(architecture)?
        };
        Self {
            architecture,
            vocab_size: fields.size("vocab_size")?,
            d_model,
            d_ff: fields.size("intermediate_size")?,
            n_layers,
            n_heads,
            n_kv_heads: fields.optional_size("num_key_value_heads")?.unwrap_or(default_kv_heads),
            head_dim,
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(default_eps) as f32,
            rope,
            context_length,
            tied_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(architecture.is_gemma()),
            qkv_bias: architecture == Architecture::Qwen2 || has_biases,
            variant,
        }
        .validated()
    }
}

#[cfg(test)]
mod tests;
