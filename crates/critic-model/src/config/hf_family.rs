use super::hf_fields::{Fields, unsupported};
use super::{Architecture, MAX_LAYERS, Variant};
use crate::error::ModelError;
use serde_json::Value;

/// What `config.json` says in the terms of a family.
impl Fields<'_> {
    pub(super) fn architecture(&self) -> Result<Architecture, ModelError> {
        let value = self
            .get("model_type")
            .ok_or_else(|| ModelError::ConfigMissing { field: "model_type".to_owned() })?;
        let name = value.as_str().unwrap_or_default();
        if name == "gemma3" {
            return Err(unsupported(
                "model_type",
                name,
                "Gemma 3 with images is not supported; use a model of type gemma3_text, or its GGUF file",
            ));
        }
        Architecture::from_name(name)
            .ok_or_else(|| ModelError::UnknownArchitecture { found: name.to_owned() })
    }

    pub(super) fn head_dim(
        &self,
        architecture: Architecture,
        d_model: usize,
        n_heads: usize,
    ) -> Result<usize, ModelError> {
        let default = match architecture {
            Architecture::Qwen3 => Some(128),
            Architecture::Gemma2 | Architecture::Gemma3 => Some(256),
            _ => None,
        };
        match self.optional_size("head_dim")?.or(default) {
            Some(head_dim) => Ok(head_dim),
            None if n_heads > 0 && d_model.is_multiple_of(n_heads) => Ok(d_model / n_heads),
            None => Err(unsupported(
                "hidden_size",
                format!("{d_model} for {n_heads} heads"),
                "it must be a multiple of the number of heads, or head_dim be given",
            )),
        }
    }

    /// What the family brings with it, and the numbers that it sets.
    pub(super) fn variant(&self, architecture: Architecture) -> Result<Variant, ModelError> {
        let capped = |field: &str, default: Option<f64>| -> Result<Option<f32>, ModelError> {
            let given = if self.0.contains_key(field) { self.number(field)? } else { default };
            Ok(given.map(|cap| cap as f32))
        };
        let family = Variant::of(architecture);
        let is_second = match architecture {
            Architecture::Gemma2 => true,
            Architecture::Gemma3 => false,
            _ => return Ok(family),
        };
        Ok(Variant {
            attention_softcap: match is_second {
                true => capped("attn_logit_softcapping", Some(50.0))?,
                // transformers reads the field and does not use it.
                false => None,
            },
            final_softcap: capped("final_logit_softcapping", is_second.then_some(30.0))?,
            query_pre_attn_scalar: Some(self.number("query_pre_attn_scalar")?.unwrap_or(256.0)),
            ..family
        })
    }

    /// The window of each layer, empty where none has one.
    pub(super) fn windows(
        &self,
        architecture: Architecture,
        n_layers: usize,
    ) -> Result<Vec<Option<usize>>, ModelError> {
        // Absent is transformers' default, null is no window.
        let field = "sliding_window";
        let given = self.optional_size(field)?;
        let by_default = given.or((!self.0.contains_key(field)).then_some(4096));
        let (window, pattern): (Option<usize>, Box<dyn Fn(usize) -> bool>) = match architecture {
            Architecture::Llama => (None, Box::new(|_| false)),
            Architecture::Mistral => (by_default, Box::new(|_| true)),
            Architecture::Phi3 => (given, Box::new(|_| true)),
            Architecture::Qwen2 | Architecture::Qwen3 => {
                let slides = self.flag("use_sliding_window")? == Some(true);
                let first = self.optional_size("max_window_layers")?.unwrap_or(28);
                (by_default.filter(|_| slides), Box::new(move |layer| layer >= first))
            }
            Architecture::Gemma2 => (by_default, Box::new(|layer| layer % 2 == 0)),
            Architecture::Gemma3 => {
                let every = self.optional_size("sliding_window_pattern")?.unwrap_or(6).max(1);
                (by_default, Box::new(move |layer| !(layer + 1).is_multiple_of(every)))
            }
        };
        let slides: Vec<bool> = match self.get("layer_types") {
            None => (0..n_layers.min(MAX_LAYERS)).map(pattern).collect(),
            Some(types) => self.layer_types(types, n_layers)?,
        };
        let by_family = matches!(
            architecture,
            Architecture::Llama | Architecture::Mistral | Architecture::Phi3
        );
        if by_family
            && self.get("layer_types").is_some()
            && slides.iter().any(|&slides| slides != window.is_some())
        {
            return Err(unsupported(
                "layer_types",
                self.get("layer_types").unwrap_or(&Value::Null),
                "the layers of this architecture are all alike, with its sliding_window or without",
            ));
        }
        if window.is_none() && !by_family && slides.contains(&true) {
            return Err(unsupported(field, "none", "layers with sliding_attention need a window"));
        }
        Ok(match window.filter(|_| slides.contains(&true)) {
            None => Vec::new(),
            Some(window) => slides.into_iter().map(|slides| slides.then_some(window)).collect(),
        })
    }

    /// By layer, whether it has a window.
    fn layer_types(&self, types: &Value, n_layers: usize) -> Result<Vec<bool>, ModelError> {
        let slides = |kind: &Value| match kind.as_str() {
            Some("full_attention") => Some(false),
            Some("sliding_attention") => Some(true),
            _ => None,
        };
        let found: Option<Vec<bool>> =
            types.as_array().and_then(|types| types.iter().map(slides).collect());
        found.filter(|found| found.len() == n_layers).ok_or_else(|| {
            unsupported(
                "layer_types",
                types,
                "it must say full_attention or sliding_attention for every layer",
            )
        })
    }

    pub(super) fn refuse_unsupported(&self, architecture: Architecture) -> Result<(), ModelError> {
        // The field that transformers reads, and the one activation of the family.
        let (field, expected, rule) = match architecture.is_gemma() {
            true => (
                "hidden_activation",
                "gelu_pytorch_tanh",
                "only \"gelu_pytorch_tanh\" is supported in this architecture",
            ),
            false => ("hidden_act", "silu", "only \"silu\" is supported in this architecture"),
        };
        if let Some(activation) = self.get(field).filter(|value| value.as_str() != Some(expected)) {
            return Err(unsupported(field, activation, rule));
        }
        if let Some(quantisation) = self.get("quantization_config") {
            let method = quantisation.get("quant_method").unwrap_or(quantisation);
            return Err(unsupported(
                "quantization_config",
                method,
                "weights must be f32, f16 or bf16; use the unquantised model or a GGUF file",
            ));
        }
        if architecture == Architecture::Llama && self.flag("mlp_bias")? == Some(true) {
            return Err(unsupported(
                "mlp_bias",
                true,
                "a feed-forward network with biases is not supported",
            ));
        }
        if self.flag("use_bidirectional_attention")? == Some(true) {
            return Err(unsupported(
                "use_bidirectional_attention",
                true,
                "a token must see only those before it",
            ));
        }
        Ok(())
    }
}
