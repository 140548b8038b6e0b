use crate::config::{Architecture, DecoderConfig, Llama3Scaling, RopeConfig, RopeScaling, Variant};
use crate::error::ModelError;
use candle_core::quantized::gguf_file::Value;
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
    /// `rope_freqs.weight`: divisors of the rotary frequencies.
    pub(crate) rope_divisors: Option<Vec<f32>>,
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
        for (name, rule) in [
            ("rope.dimension_count", "only whole heads rotate"),
            ("attention.value_length", "keys and values must have one width"),
        ] {
            if let Some(other) = self.optional_size(&key(name))?.filter(|&width| width != head_dim)
            {
                return Err(unsupported(
                    &key(name),
                    format!("{other} for heads of {head_dim}"),
                    rule,
                ));
            }
        }
        if let Some(window) =
            self.optional_size(&key("attention.sliding_window"))?.filter(|&window| window > 0)
        {
            return Err(unsupported(
                &key("attention.sliding_window"),
                window.to_string(),
                "every layer must see its whole context",
            ));
        }
        if let Some(kind) = self.text(&key("rope.scaling.type")).filter(|&kind| kind != "none") {
            return Err(unsupported(
                &key("rope.scaling.type"),
                kind.to_owned(),
                "only Llama 3's scaling is supported",
            ));
        }
        let epsilon = key("attention.layer_norm_rms_epsilon");
        let plain = DecoderConfig {
            architecture,
            vocab_size: tensors.vocab_size,
            d_model,
            d_ff: self.size(&key("feed_forward_length"))?,
            n_layers: self.size(&key("block_count"))?,
            n_heads,
            n_kv_heads: self.optional_size(&key("attention.head_count_kv"))?.unwrap_or(n_heads),
            head_dim,
            rms_norm_eps: self
                .number(&epsilon)?
                .ok_or(ModelError::ConfigMissing { field: epsilon })?
                as f32,
            rope: RopeConfig {
                theta: self.number(&key("rope.freq_base"))?.unwrap_or(10_000.0),
                scaling: None,
            },
            context_length: self.size(&key("context_length"))?,
            tied_embeddings: tensors.tied_embeddings,
            qkv_bias: architecture == Architecture::Qwen2,
            variant: Variant::default(),
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
