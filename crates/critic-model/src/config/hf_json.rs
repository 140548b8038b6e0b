use super::hf_rope::Ropes;
use super::{Architecture, DecoderConfig, RopeScaling, Variant};
use crate::error::ModelError;
use critic_kernels::gated::Activation;
use serde_json::{Map, Value};

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

pub(super) fn unsupported(field: &str, found: impl ToString, rule: &'static str) -> ModelError {
    ModelError::ConfigUnsupported { field: field.to_owned(), found: found.to_string(), rule }
}

pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The field, unless it is absent or null.
    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn map(&self, field: &str) -> Result<Option<&'a Map<String, Value>>, ModelError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(unsupported(field, other, "it must be an object")),
        }
    }

    pub(super) fn optional_size(&self, field: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.map(Some).ok_or_else(|| unsupported(field, value, "it must be a whole number"))
    }

    pub(super) fn size(&self, field: &str) -> Result<usize, ModelError> {
        self.optional_size(field)?
            .ok_or_else(|| ModelError::ConfigMissing { field: field.to_owned() })
    }

    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| unsupported(field, value, "it must be a number"))
    }

    pub(super) fn required_number(&self, field: &str) -> Result<f64, ModelError> {
        self.number(field)?.ok_or_else(|| ModelError::ConfigMissing { field: field.to_owned() })
    }

    pub(super) fn numbers(&self, field: &str) -> Result<Vec<f64>, ModelError> {
        let value =
            self.get(field).ok_or_else(|| ModelError::ConfigMissing { field: field.to_owned() })?;
        let numbers = value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
        numbers.ok_or_else(|| unsupported(field, value, "it must be a list of numbers"))
    }

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, ModelError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value
            .as_bool()
            .map(Some)
            .ok_or_else(|| unsupported(field, value, "it must be true or false"))
    }

    fn architecture(&self) -> Result<Architecture, ModelError> {
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

    fn head_dim(
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
    fn variant(&self, architecture: Architecture) -> Result<Variant, ModelError> {
        let capped = |field: &str, default: Option<f64>| -> Result<Option<f32>, ModelError> {
            let given = if self.0.contains_key(field) { self.number(field)? } else { default };
            Ok(given.map(|cap| cap as f32))
        };
        Ok(match architecture {
            Architecture::Qwen3 => Variant { qk_norm: true, ..Variant::default() },
            Architecture::Gemma2 | Architecture::Gemma3 => {
                let is_second = architecture == Architecture::Gemma2;
                Variant {
                    qk_norm: !is_second,
                    post_norms: true,
                    unit_offset_norms: true,
                    scaled_embedding: true,
                    activation: Activation::GeluTanh,
                    attention_softcap: match is_second {
                        true => capped("attn_logit_softcapping", Some(50.0))?,
                        // transformers reads the field and does not use it.
                        false => None,
                    },
                    final_softcap: capped("final_logit_softcapping", is_second.then_some(30.0))?,
                    query_pre_attn_scalar: Some(
                        self.number("query_pre_attn_scalar")?.unwrap_or(256.0),
                    ),
                    ..Variant::default()
                }
            }
            _ => Variant::default(),
        })
    }

    /// The window of each layer, empty where none has one.
    fn windows(
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
            None => (0..n_layers.min(super::MAX_LAYERS)).map(pattern).collect(),
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

    fn refuse_unsupported(&self, architecture: Architecture) -> Result<(), ModelError> {
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

#[cfg(test)]
mod tests {
    use super::super::tests::tiny;
    use super::super::{Llama3Scaling, RopeConfig};
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<DecoderConfig, ModelError> {
        DecoderConfig::from_hf_json(value.to_string().as_bytes())
    }

    fn with(field: &str, value: Value) -> String {
        let mut json: Value =
            serde_json::from_str(&tiny(Architecture::Llama).to_hf_json(2, None)).unwrap();
        json[field] = value;
        read(&json).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut llama3 = tiny(Architecture::Llama);
        llama3.rope = RopeConfig {
            theta: 500_000.0,
            scaling: Some(RopeScaling::Llama3(Llama3Scaling {
                factor: 32.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context: 8192,
            })),
        };
        let golden = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden/families");
            std::fs::read(format!("{folder}/{name}/config.json")).unwrap()
        };
        let mut configs = vec![tiny(Architecture::Llama), tiny(Architecture::Qwen2), llama3];
        for name in FAMILIES {
            let config = DecoderConfig::from_hf_json(&golden(name)).unwrap();
            configs.push(DecoderConfig { rms_norm_eps: 1e-5, ..config });
        }
        for config in configs {
            let json = config.to_hf_json(2, Some(1));
            assert!(json.contains("\"rms_norm_eps\": 0.00001"), "{json}");
            assert_eq!(DecoderConfig::from_hf_json(json.as_bytes()).unwrap(), config);
        }
    }

    const FAMILIES: [&str; 9] = [
        "llama_linear_biased",
        "llama_yarn",
        "mistral",
        "qwen2_window",
        "qwen3",
        "gemma2",
        "gemma3",
        "phi3",
        "phi3_longrope",
    ];

    #[test]
    fn the_form_of_the_hub_says_the_same_as_that_of_transformers_5() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden/families");
        for name in FAMILIES {
            let config = |file: &str| {
                let bytes = std::fs::read(format!("{folder}/{name}/{file}")).unwrap();
                DecoderConfig::from_hf_json(&bytes).unwrap()
            };
            assert_eq!(config("config.json"), config("config_hub.json"), "{name}");
        }
    }

    #[test]
    fn layers_with_windows_follow_the_pattern_of_the_family() {
        let sizes = json!({"hidden_size": 8, "num_attention_heads": 2, "vocab_size": 5,
            "intermediate_size": 16, "num_hidden_layers": 12, "num_key_value_heads": 1});
        let windows = |fields: Value| {
            let mut json = sizes.clone();
            for (field, value) in fields.as_object().unwrap() {
                json[field] = value.clone();
            }
            let windows = read(&json).unwrap().variant.windows;
            let full = |(layer, window): (usize, &Option<usize>)| window.is_none().then_some(layer);
            (
                windows.iter().flatten().next().copied(),
                windows.iter().enumerate().filter_map(full).collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            windows(json!({"model_type": "gemma3_text", "sliding_window": 512})),
            (Some(512), vec![5, 11])
        );
        assert_eq!(
            windows(json!({"model_type": "gemma3_text", "sliding_window_pattern": 3})),
            (Some(4096), vec![2, 5, 8, 11])
        );
        assert_eq!(windows(json!({"model_type": "gemma2"})), (Some(4096), vec![1, 3, 5, 7, 9, 11]));
        assert_eq!(windows(json!({"model_type": "mistral"})), (Some(4096), vec![]));
        assert_eq!(
            windows(json!({"model_type": "mistral", "sliding_window": null})),
            (None, vec![])
        );
        let qwen = json!({"model_type": "qwen2", "use_sliding_window": true, "max_window_layers": 10, "sliding_window": 7});
        assert_eq!(windows(qwen), (Some(7), (0..10).collect()));
        assert_eq!(windows(json!({"model_type": "qwen3", "sliding_window": 7})), (None, vec![]));
    }

    #[test]
    fn both_ways_to_write_rope_are_read() {
        let mut json: Value =
            serde_json::from_str(&tiny(Architecture::Llama).to_hf_json(2, None)).unwrap();
        json["rope_theta"] = Value::Null;
        json["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 1234.0});
        assert_eq!(read(&json).unwrap().rope, RopeConfig { theta: 1234.0, scaling: None });
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_transformers() {
        let json = json!({"model_type": "qwen2", "hidden_size": 8, "num_attention_heads": 2, "vocab_size": 5,
            "intermediate_size": 16, "num_hidden_layers": 1});
        let config = read(&json).unwrap();
        assert_eq!((config.n_kv_heads, config.head_dim, config.context_length), (2, 4, 32_768));
        assert_eq!(
            (config.rope.theta, config.rms_norm_eps, config.tied_embeddings),
            (10_000.0, 1e-6, false)
        );
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        assert!(with("model_type", json!("mixtral")).contains("mixtral"));
        assert!(with("model_type", json!("gemma3")).contains("gemma3_text"));
        assert!(with("hidden_act", json!("gelu")).contains("gelu"));
        assert!(with("mlp_bias", json!(true)).contains("mlp_bias"));
        assert!(
            with("rope_scaling", json!({"type": "dynamic", "factor": 4.0})).contains("dynamic")
        );
        assert!(
            with("rope_scaling", json!({"type": "yarn", "factor": 0.5})).contains("factor ≥ 1")
        );
        assert!(with("rope_scaling", json!({"rope_type": "llama3"})).contains("factor"));
        assert!(
            with("layer_types", json!(["full_attention", "sliding_attention"]))
                .contains("sliding_attention")
        );
        assert!(with("layer_types", json!(["full_attention"])).contains("every layer"));
        assert!(with("use_bidirectional_attention", json!(true)).contains("bidirectional"));
        assert!(with("partial_rotary_factor", json!(0.5)).contains("partial_rotary_factor"));
        assert!(with("quantization_config", json!({"quant_method": "gptq"})).contains("gptq"));
        assert!(with("hidden_size", json!("12")).contains("hidden_size"));
        assert!(with("num_hidden_layers", json!(1_000_000)).contains("1000000"));
        assert!(with("vocab_size", Value::Null).contains("vocab_size"));
    }

    #[test]
    fn a_sliding_window_that_no_layer_uses_is_no_obstacle() {
        let mut json: Value =
            serde_json::from_str(&tiny(Architecture::Qwen2).to_hf_json(2, None)).unwrap();
        json["layer_types"] = Value::Null;
        json["use_sliding_window"] = json!(true);
        json["max_window_layers"] = json!(2);
        assert_eq!(read(&json).unwrap(), tiny(Architecture::Qwen2));
    }

    #[test]
    fn torn_json_is_an_error() {
        assert!(DecoderConfig::from_hf_json(b"{\"model_type\": \"lla").is_err());
        assert!(DecoderConfig::from_hf_json(b"[]").is_err());
    }
}
