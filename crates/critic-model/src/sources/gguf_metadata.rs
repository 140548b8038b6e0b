use crate::config::Architecture;
use crate::error::ModelError;
use crate::reward_head::{LAYOUTS, REWARD_HEAD};
use crate::weight::Weight;
use candle_core::quantized::gguf_file::Value;
use critic_text::GgufVocabulary;
use std::collections::HashMap;

/// Where a tensor of a reward head stands, row by row: llama.cpp refuses tensors that it does not know, and
/// passes keys over.
pub(crate) fn reward_head_key(name: &str) -> String {
    const KEY: &str = "critic-rm.reward_head";
    if name == REWARD_HEAD { KEY.to_owned() } else { format!("{KEY}.{name}") }
}

/// What a GGUF file says about its model.
#[derive(Debug)]
pub(crate) struct Metadata<'a>(pub(crate) &'a HashMap<String, Value>);

impl Metadata<'_> {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn optional_size(&self, key: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match whole(value).and_then(|size| usize::try_from(size).ok()) {
            Some(size) => Ok(Some(size)),
            None => {
                Err(unsupported(key, describe(value), "it must be one whole number for all layers"))
            }
        }
    }

    pub(crate) fn size(&self, key: &str) -> Result<usize, ModelError> {
        self.optional_size(key)?.ok_or_else(|| ModelError::ConfigMissing { field: key.to_owned() })
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::F32(x)) => Ok(Some(f64::from(*x))),
            Some(Value::F64(x)) => Ok(Some(*x)),
            Some(value) => {
                Err(unsupported(key, describe(value), "it must be a floating-point number"))
            }
        }
    }

    pub(crate) fn array<T>(
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

    /// The tensors of a reward head over hidden states of `d_model` numbers, if the file has one.
    pub(crate) fn reward_head(&self, d_model: usize) -> Result<Vec<(String, Weight)>, ModelError> {
        let number = |value: &Value| match value {
            Value::F32(x) => Some(*x),
            _ => None,
        };
        let mut tensors = Vec::new();
        for layout in LAYOUTS {
            for name in layout.names() {
                let Some(values) = self.array(&reward_head_key(name), number)? else { continue };
                let shape = layout.shape_of_numbers(name, d_model, values.len());
                tensors.push((name.to_owned(), Weight::new(shape, values)?));
            }
        }
        Ok(tensors)
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

pub(crate) fn whole(value: &Value) -> Option<i64> {
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

pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("an array of {}", values.len()),
        other => format!("{other:?}").chars().take(60).collect(),
    }
}

pub(crate) fn unsupported(field: &str, found: String, rule: &'static str) -> ModelError {
    ModelError::ConfigUnsupported { field: field.to_owned(), found, rule }
}
