use crate::config::{
    Architecture, DecoderConfig, Llama3Scaling, LongRopeScaling, MAX_LAYERS, RopeConfig,
    RopeScaling, Variant, YarnScaling,
};
use crate::error::ModelError;
use candle_core::quantized::gguf_file::Value;
use critic_kernels::gated::Activation;
use critic_text::GgufVocabulary;
use std::collections::HashMap;

/// What a GGUF file says about its model.
#[derive(Debug)]
pub(crate) struct Metadata<'a>(pub(crate) &'a HashMap<String, Value>);

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
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match whole(value).and_then(|size| usize::try_from(size).ok()) {
            Some(size) => Ok(Some(size)),
            None => {
                Err(unsupported(key, describe(value), "it must be one whole number for all layers"))
            }
        }
    }

    fn size(&self, key: &str) -> Result<usize, ModelError> {
        self.optional_size(key)?.ok_or_else(|| ModelError::ConfigMissing { field: key.to_owned() })
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::F32(x)) => Ok(Some(f64::from(*x))),
            Some(Value::F64(x)) => Ok(Some(*x)),
            Some(value) => {
                Err(unsupported(key, describe(value), "it must be a floating-point number"))
            }
        }
    }

    fn array<T>(
        &self,
        key: &str,
        element: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, ModelError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Array(values)) => match values.iter().map(element).collect() {
                Some(elements) => Ok(Some(elements)),
                None => Err(unsupported(
                    key,
                    describe(&Value::Array(values.clone())),
                    "its elements have another type",
                )),
            },
            Some(value) => Err(unsupported(key, describe(value), "it must be an array")),
        }
    }

    fn token_id(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let id = whole(value).and_then(|id| u32::try_from(id).ok());
        id.map(Some)
            .ok_or_else(|| unsupported(key, describe(value), "it must be the id of a token"))
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.0.get(key) {
            Some(Value::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub(crate) fn architecture(&self) -> Result<Architecture, ModelError> {
        const KEY: &str = "general.architecture";
        let name =
            self.text(KEY).ok_or_else(|| ModelError::ConfigMissing { field: KEY.to_owned() })?;
        Architecture::from_gguf_name(name)
            .ok_or_else(|| ModelError::UnknownArchitecture { found: name.to_owned() })
    }

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

    /// The rotary embedding without Llama 3's scaling, which stands in tensors alone.
    fn rope(
        &self,
        architecture: Architecture,
        tensors: &FromTensors,
        context_length: usize,
    ) -> Result<RopeConfig, ModelError> {
        let key = |name: &str| format!("{}.rope.{name}", architecture.gguf_name());
        let theta = self.number(&key("freq_base"))?.unwrap_or(10_000.0);
        let original_context = self.optional_size(&key("scaling.original_context_length"))?;
        let attention_factor = self.number(&key("scaling.attn_factor"))?;
        if let Some((short, long)) = &tensors.long_rope_divisors {
            let original_context = original_context.ok_or_else(|| ModelError::ConfigMissing {
                field: key("scaling.original_context_length"),
            })?;
            let factor = context_length as f64 / original_context.max(1) as f64;
            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect();
            let scaling = RopeScaling::LongRope(LongRopeScaling {
                short_factor: wide(short),
                long_factor: wide(long),
                attention_factor: attention_factor.unwrap_or_else(|| {
                    LongRopeScaling::default_attention_factor(factor, original_context)
                }),
                original_context,
                stretched_context: context_length,
            });
            return Ok(RopeConfig { theta, scaling: Some(scaling) });
        }
        let factor = || {
            let field = key("scaling.factor");
            self.number(&field)?.ok_or(ModelError::ConfigMissing { field })
        };
        if let Some(other) = attention_factor.filter(|&factor| factor != 1.0) {
            return Err(unsupported(
                &key("scaling.attn_factor"),
                other.to_string(),
                "only LongRoPE sets it; use the model's Hugging Face folder",
            ));
        }
        let scaling = match self.text(&key("scaling.type")) {
            None | Some("none" | "longrope") => None,
            Some("linear") => Some(RopeScaling::Linear { factor: factor()? }),
            Some("yarn") => {
                let factor = factor()?;
                Some(RopeScaling::Yarn(YarnScaling {
                    factor,
                    original_context: original_context.unwrap_or(context_length),
                    beta_fast: self.number(&key("scaling.yarn_beta_fast"))?.unwrap_or(32.0),
                    beta_slow: self.number(&key("scaling.yarn_beta_slow"))?.unwrap_or(1.0),
                    attention_factor: YarnScaling::default_attention_factor(factor, None),
                    truncate: true,
                }))
            }
            Some(other) => {
                return Err(unsupported(
                    &key("scaling.type"),
                    other.to_owned(),
                    "supported are linear, yarn, Llama 3's and LongRoPE's scaling",
                ));
            }
        };
        Ok(RopeConfig { theta, scaling })
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
        let (is_second, wide_layers) = match architecture {
            Architecture::Qwen3 => {
                return Ok(Variant { qk_norm: true, ..Variant::default() });
            }
            Architecture::Gemma2 => (true, 46),
            Architecture::Gemma3 => (false, 62),
            _ => return Ok(Variant::default()),
        };
        let width = if n_layers == wide_layers { d_model / n_heads.max(1) } else { head_dim };
        let local_theta = self.number(&key("rope.freq_base_swa"))?.unwrap_or(10_000.0);
        Ok(Variant {
            qk_norm: !is_second,
            post_norms: true,
            unit_offset_norms: true,
            scaled_embedding: true,
            activation: Activation::GeluTanh,
            attention_softcap: match is_second {
                true => cap("attn_logit_softcapping", Some(50.0))?,
                false => None,
            },
            final_softcap: cap("final_logit_softcapping", is_second.then_some(30.0))?,
            query_pre_attn_scalar: Some(width as f64),
            rope_local: (!is_second).then_some(RopeConfig { theta: local_theta, scaling: None }),
            ..Variant::default()
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

    /// The vocabulary, from the keys of the tokenizer.
    pub(crate) fn vocabulary(&self) -> Result<GgufVocabulary, ModelError> {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            _ => None,
        };
        let score = |value: &Value| match value {
            Value::F32(x) => Some(*x),
            _ => None,
        };
        let kind = |value: &Value| whole(value).and_then(|kind| i32::try_from(kind).ok());
        let required = |name: &str| ModelError::ConfigMissing { field: key(name) };
        let model = self.text(&key("model")).ok_or_else(|| required("model"))?.to_owned();
        Ok(GgufVocabulary {
            pre: self.text(&key("pre")).map(str::to_owned),
            tokens: self.array(&key("tokens"), text)?.ok_or_else(|| required("tokens"))?,
            token_types: self.array(&key("token_type"), kind)?.unwrap_or_default(),
            merges: self.array(&key("merges"), text)?.unwrap_or_default(),
            scores: self.array(&key("scores"), score)?.unwrap_or_default(),
            bos_token_id: self.token_id(&key("bos_token_id"))?,
            eos_token_id: self.token_id(&key("eos_token_id"))?,
            unknown_token_id: self.token_id(&key("unknown_token_id"))?,
            // llama.cpp's defaults: SentencePiece vocabularies add both, the others neither.
            add_bos: self.flag(&key("add_bos_token")).unwrap_or(model == "llama"),
            add_space_prefix: self.flag(&key("add_space_prefix")).unwrap_or(model == "llama"),
            model,
        })
    }
}

/// Llama 3's scaling that gives these divisors.
///
/// llama.cpp stores the divisors alone. In every published model they come from the largest of them as
/// factor and from 1 and 4 as frequency factors; the original context is tried, 8192 first.
fn llama3_scaling(
    plain: &[f32],
    divisors: &[f32],
    original_context: Option<usize>,
) -> Result<Llama3Scaling, ModelError> {
    let factor = f64::from(divisors.iter().copied().fold(1.0, f32::max));
    let contexts =
        original_context.into_iter().chain([8192]).chain((5..=20).map(|power| 1 << power));
    let mut scalings = contexts.map(|original_context| Llama3Scaling {
        factor,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context,
    });
    let fits = |scaling: &Llama3Scaling| {
        let ratios = plain
            .iter()
            .zip(divisors)
            .map(|(&frequency, &divisor)| frequency / scaling.stretch(frequency) / divisor);
        plain.len() == divisors.len() && ratios.into_iter().all(|ratio| (ratio - 1.0).abs() < 1e-4)
    };
    scalings.find(fits).ok_or_else(|| {
        let found = format!("{} divisors up to {factor}", divisors.len());
        unsupported(
            "rope_freqs.weight",
            found,
            "only Llama 3's scaling is supported; use the model's Hugging Face folder",
        )
    })
}

fn whole(value: &Value) -> Option<i64> {
    match *value {
        Value::U8(x) => Some(x.into()),
        Value::U16(x) => Some(x.into()),
        Value::U32(x) => Some(x.into()),
        Value::U64(x) => x.try_into().ok(),
        Value::I8(x) => Some(x.into()),
        Value::I16(x) => Some(x.into()),
        Value::I32(x) => Some(x.into()),
        Value::I64(x) => Some(x),
        _ => None,
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("an array of {}", values.len()),
        other => format!("{other:?}").chars().take(60).collect(),
    }
}

fn unsupported(field: &str, found: String, rule: &'static str) -> ModelError {
    ModelError::ConfigUnsupported { field: field.to_owned(), found, rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(scaling: Option<Llama3Scaling>) -> Vec<f32> {
        RopeConfig { theta: 500_000.0, scaling: scaling.map(RopeScaling::Llama3) }
            .inverse_frequencies(64)
    }

    #[test]
    fn llama3_scaling_is_recovered_from_its_divisors() {
        for original_context in [8192, 4096, 1 << 17] {
            let expected = Llama3Scaling {
                factor: 32.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context,
            };
            let plain = frequencies(None);
            let divisors: Vec<f32> =
                plain.iter().zip(frequencies(Some(expected))).map(|(p, s)| p / s).collect();
            assert_eq!(llama3_scaling(&plain, &divisors, None).unwrap(), expected);
        }
    }

    #[test]
    fn other_divisors_are_refused() {
        let plain = frequencies(None);
        let halved = vec![2.0; plain.len()];
        assert!(
            llama3_scaling(&plain, &halved, None)
                .unwrap_err()
                .to_string()
                .contains("rope_freqs.weight")
        );
        assert!(llama3_scaling(&plain, &halved[1..], None).is_err());
    }
}
