use super::gguf_metadata::{Metadata, unsupported};
use super::gguf_rope::llama3_scaling;
use crate::config::{Architecture, DecoderConfig, MAX_LAYERS, RopeConfig, RopeScaling, Variant};
use crate::error::ModelError;
use candle_core::quantized::gguf_file::Value;

/// What stands in a GGUF file's tensors and belongs to the configuration.
#[derive(Debug)]
pub(crate) struct FromTensors {
    /// Rows of the embedding.
    pub(crate) vocab_size: usize,
    /// Whether there is no LM head.
    pub(crate) tied_embeddings: bool,
    /// Whether queries, keys and values have biases.
    pub(crate) qkv_bias: bool,
    /// Whether the output of the attention has a bias.
    pub(crate) o_bias: bool,
    /// `rope_freqs.weight`: divisors of the rotary frequencies.
    pub(crate) rope_divisors: Option<Vec<f32>>,
    /// `rope_factors_short.weight` and `rope_factors_long.weight`: LongRoPE's divisors.
    pub(crate) long_rope_divisors: Option<(Vec<f32>, Vec<f32>)>,
}

impl Metadata<'_> {
    /// The configuration, from the keys of its architecture and from the tensors.
    pub(crate) fn config(&self, tensors: &FromTensors) -> Result<DecoderConfig, ModelError> {
        let architecture = self.architecture()?;
        let key = |name: &str| format!("{}.{name}", architecture.gguf_name());
        let (d_model, n_heads) =
            (self.size(&key("embedding_length"))?, self.size(&key("attention.head_count"))?);
        let head_dim = match self.optional_size(&key("attention.key_length"))? {
            Some(head_dim) => head_dim,
            None if n_heads > 0 && d_model.is_multiple_of(n_heads) => d_model / n_heads,
            None => {
                return Err(unsupported(
                    &key("attention.head_count"),
                    n_heads.to_string(),
                    "it must divide embedding_length",
                ));
            }
        };
        if let Some(other) =
            self.optional_size(&key("attention.value_length"))?.filter(|&width| width != head_dim)
        {
            return Err(unsupported(
                &key("attention.value_length"),
                format!("{other} for heads of {head_dim}"),
                "keys and values must have one width",
            ));
        }
        let rotary_dim = self
            .optional_size(&key("rope.dimension_count"))?
            .filter(|&rotary_dim| rotary_dim != head_dim);
        if let Some(rotary_dim) = rotary_dim.filter(|_| architecture != Architecture::Phi3) {
            return Err(unsupported(
                &key("rope.dimension_count"),
                format!("{rotary_dim} for heads of {head_dim}"),
                "only phi3 rotates a part of a head",
            ));
        }
        let n_layers = self.size(&key("block_count"))?;
        let context_length = self.size(&key("context_length"))?;
        let rope = self.rope(architecture, tensors, context_length)?;
        let context_length = match &rope.scaling {
            Some(RopeScaling::LongRope(scaling)) => context_length.min(scaling.original_context),
            _ => context_length,
        };
        let variant = Variant {
            o_bias: tensors.o_bias,
            rotary_dim,
            windows: self.windows(architecture, n_layers)?,
            ..self.variant(architecture, n_layers, d_model, n_heads, head_dim)?
        };
        let epsilon = key("attention.layer_norm_rms_epsilon");
        let plain = DecoderConfig {
            architecture,
            vocab_size: tensors.vocab_size,
            d_model,
            d_ff: self.size(&key("feed_forward_length"))?,
            n_layers,
            n_heads,
            n_kv_heads: self.optional_size(&key("attention.head_count_kv"))?.unwrap_or(n_heads),
            head_dim,
            rms_norm_eps: self
                .number(&epsilon)?
                .ok_or(ModelError::ConfigMissing { field: epsilon })?
                as f32,
            rope,
            context_length,
            tied_embeddings: tensors.tied_embeddings,
            qkv_bias: architecture == Architecture::Qwen2 || tensors.qkv_bias,
            variant,
        }
        .validated()?;
        let Some(divisors) = &tensors.rope_divisors else { return Ok(plain) };
        let original_context = self.optional_size(&key("rope.scaling.original_context_length"))?;
        let scaling = llama3_scaling(
            &plain.rope.inverse_frequencies(plain.rotary_dim()),
            divisors,
            original_context,
        )?;
        let rope =
            RopeConfig { scaling: Some(RopeScaling::Llama3(scaling)), theta: plain.rope.theta };
        DecoderConfig { rope, ..plain }.validated()
    }

    /// What the family brings with it, as llama.cpp fills in what its files leave out.
    fn variant(
        &self,
        architecture: Architecture,
        n_layers: usize,
        d_model: usize,
        n_heads: usize,
        head_dim: usize,
    ) -> Result<Variant, ModelError> {
        let key = |name: &str| format!("{}.{name}", architecture.gguf_name());
        let cap = |name: &str, default: Option<f32>| -> Result<Option<f32>, ModelError> {
            let cap = self.number(&key(name))?.map(|cap| cap as f32).or(default);
            Ok(cap.filter(|&cap| cap != 0.0))
        };
        // llama.cpp tells the models whose queries are scaled by another width by their depth.
        let family = Variant::of(architecture);
        let (is_second, wide_layers) = match architecture {
            Architecture::Gemma2 => (true, 46),
            Architecture::Gemma3 => (false, 62),
            _ => return Ok(family),
        };
        let width = if n_layers == wide_layers { d_model / n_heads.max(1) } else { head_dim };
        let local_theta = self.number(&key("rope.freq_base_swa"))?.unwrap_or(10_000.0);
        Ok(Variant {
            attention_softcap: match is_second {
                true => cap("attn_logit_softcapping", Some(50.0))?,
                false => None,
            },
            final_softcap: cap("final_logit_softcapping", is_second.then_some(30.0))?,
            query_pre_attn_scalar: Some(width as f64),
            rope_local: (!is_second).then_some(RopeConfig { theta: local_theta, scaling: None }),
            ..family
        })
    }

    /// The window of each layer, empty where none has one.
    fn windows(
        &self,
        architecture: Architecture,
        n_layers: usize,
    ) -> Result<Vec<Option<usize>>, ModelError> {
        let key = format!("{}.attention.sliding_window", architecture.gguf_name());
        let window = self.optional_size(&key)?;
        let every = match architecture {
            Architecture::Gemma2 => 2,
            Architecture::Gemma3 => 6,
            // All layers have the window; files of before it was written are of models that have one.
            Architecture::Phi3 if window.is_some() => usize::MAX,
            Architecture::Phi3 => return Err(ModelError::ConfigMissing { field: key }),
            _ => match window.filter(|&window| window > 0) {
                None => return Ok(Vec::new()),
                Some(window) => {
                    return Err(unsupported(
                        &key,
                        window.to_string(),
                        "llama.cpp gives layers of this architecture no window; use the model's \
                         Hugging Face folder",
                    ));
                }
            },
        };
        let Some(window) = window.filter(|&window| window > 0) else { return Ok(Vec::new()) };
        let pattern_key = format!("{key}_pattern");
        let flag = |value: &Value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        };
        let slides: Vec<bool> = match self.0.get(&pattern_key) {
            Some(Value::Array(_)) => self.array(&pattern_key, flag)?.unwrap_or_default(),
            _ => {
                let every = self.optional_size(&pattern_key)?.unwrap_or(every).max(1);
                let n_layers = n_layers.min(MAX_LAYERS);
                (0..n_layers).map(|layer| !(layer + 1).is_multiple_of(every)).collect()
            }
        };
        Ok(slides.into_iter().map(|slides| slides.then_some(window)).collect())
    }
}
