use super::{Architecture, DecoderConfig, Llama3Scaling, RopeConfig};
use crate::error::ModelError;
use serde_json::{Map, Value, json};

impl DecoderConfig {
    /// Reads `config.json` of transformers; fields it leaves out have the defaults of transformers.
    ///
    /// # Errors
    /// [`ModelError`] naming the field when the JSON is torn, a size is missing, or the model uses what
    /// [`Decoder`](crate::Decoder) does not compute: another architecture or activation, a sliding window,
    /// another rope scaling, partial rotation, quantised weights, biases other than Qwen2's.
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
        let head_dim = match fields.optional_size("head_dim")? {
            Some(head_dim) => head_dim,
            None if n_heads > 0 && d_model.is_multiple_of(n_heads) => d_model / n_heads,
            None => {
                let found = format!("{d_model} for {n_heads} heads");
                return Err(unsupported(
                    "hidden_size",
                    found,
                    "it must be a multiple of the number of heads, or head_dim be given",
                ));
            }
        };
        let default_context = match architecture {
            Architecture::Llama => 2048,
            Architecture::Qwen2 => 32_768,
        };
        Self {
            architecture,
            vocab_size: fields.size("vocab_size")?,
            d_model,
            d_ff: fields.size("intermediate_size")?,
            n_layers: fields.size("num_hidden_layers")?,
            n_heads,
            n_kv_heads: fields.optional_size("num_key_value_heads")?.unwrap_or(n_heads),
            head_dim,
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            rope: fields.rope()?,
            context_length: fields
                .optional_size("max_position_embeddings")?
                .unwrap_or(default_context),
            tied_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(false),
            qkv_bias: architecture == Architecture::Qwen2,
        }
        .validated()
    }

    /// A `config.json` that transformers loads as a causal language model in f32.
    pub fn to_hf_json(&self, eos_token_id: u32, bos_token_id: Option<u32>) -> String {
        let class = match self.architecture {
            Architecture::Llama => "LlamaForCausalLM",
            Architecture::Qwen2 => "Qwen2ForCausalLM",
        };
        let scaling = self.rope.scaling.map(|scaling| {
            json!({
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low_freq_factor,
                "high_freq_factor": scaling.high_freq_factor,
                "original_max_position_embeddings": scaling.original_context,
            })
        });
        let mut value = json!({
            "architectures": [class],
            "model_type": self.architecture.name(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.d_model,
            "intermediate_size": self.d_ff,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": shortest(self.rms_norm_eps),
            "rope_theta": self.rope.theta,
            "rope_scaling": scaling,
            "max_position_embeddings": self.context_length,
            "tie_word_embeddings": self.tied_embeddings,
            "attention_dropout": 0.0,
            "bos_token_id": bos_token_id,
            "eos_token_id": eos_token_id,
            "torch_dtype": "float32",
        });
        match self.architecture {
            Architecture::Llama => {
                value["attention_bias"] = json!(false);
                value["mlp_bias"] = json!(false);
            }
            Architecture::Qwen2 => value["use_sliding_window"] = json!(false),
        }
        format!("{value:#}\n")
    }
}

/// The f64 of fewest digits that is this f32 when rounded.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

fn unsupported(field: &str, found: impl ToString, rule: &'static str) -> ModelError {
    ModelError::ConfigUnsupported { field: field.to_owned(), found: found.to_string(), rule }
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    /// The field, unless it is absent or null.
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn optional_size(&self, field: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.map(Some).ok_or_else(|| unsupported(field, value, "it must be a whole number"))
    }

    fn size(&self, field: &str) -> Result<usize, ModelError> {
        self.optional_size(field)?
            .ok_or_else(|| ModelError::ConfigMissing { field: field.to_owned() })
    }

    fn number(&self, field: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| unsupported(field, value, "it must be a number"))
    }

    fn required_number(&self, field: &str) -> Result<f64, ModelError> {
        self.number(field)?.ok_or_else(|| ModelError::ConfigMissing { field: field.to_owned() })
    }

    fn flag(&self, field: &str) -> Result<Option<bool>, ModelError> {
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
        Architecture::from_name(name)
            .ok_or_else(|| ModelError::UnknownArchitecture { found: name.to_owned() })
    }

    fn refuse_unsupported(&self, architecture: Architecture) -> Result<(), ModelError> {
        if let Some(activation) =
            self.get("hidden_act").filter(|value| value.as_str() != Some("silu"))
        {
            return Err(unsupported("hidden_act", activation, "only \"silu\" is supported"));
        }
        if let Some(quantisation) = self.get("quantization_config") {
            let method = quantisation.get("quant_method").unwrap_or(quantisation);
            return Err(unsupported(
                "quantization_config",
                method,
                "weights must be f32, f16 or bf16; use the unquantised model or a GGUF file",
            ));
        }
        if let Some(part) = self.number("partial_rotary_factor")?.filter(|&part| part != 1.0) {
            return Err(unsupported("partial_rotary_factor", part, "only whole heads rotate"));
        }
        for field in ["attention_bias", "mlp_bias"] {
            if architecture == Architecture::Llama && self.flag(field)? == Some(true) {
                return Err(unsupported(
                    field,
                    true,
                    "Llama decoders with biases are not supported",
                ));
            }
        }
        if self.flag("use_sliding_window")? == Some(true) {
            let (first, n_layers) =
                (self.optional_size("max_window_layers")?, self.size("num_hidden_layers")?);
            // transformers slides only in the layers from max_window_layers on.
            if first.is_none_or(|first| first < n_layers) {
                return Err(unsupported(
                    "use_sliding_window",
                    true,
                    "every layer must see its whole context",
                ));
            }
        }
        let layer_types = self.get("layer_types").and_then(Value::as_array).into_iter().flatten();
        if let Some(other) =
            layer_types.into_iter().find(|kind| kind.as_str() != Some("full_attention"))
        {
            return Err(unsupported("layer_types", other, "every layer must have full attention"));
        }
        Ok(())
    }

    fn rope(&self) -> Result<RopeConfig, ModelError> {
        // transformers 5 writes both in `rope_parameters`; before it they stood in two fields.
        let parameters = self.get("rope_parameters").or_else(|| self.get("rope_scaling"));
        let empty = Map::new();
        let parameters = match parameters {
            None => Fields(&empty),
            Some(Value::Object(map)) => Fields(map),
            Some(other) => return Err(unsupported("rope_scaling", other, "it must be an object")),
        };
        let theta = match parameters.number("rope_theta")? {
            Some(theta) => theta,
            None => self.number("rope_theta")?.unwrap_or(10_000.0),
        };
        let kind = parameters.get("rope_type").or_else(|| parameters.get("type"));
        let scaling = match kind.map(|kind| kind.as_str().unwrap_or_default()) {
            None if parameters.get("factor").is_some() => {
                return Err(unsupported(
                    "rope_scaling",
                    Value::Object(parameters.0.clone()),
                    "it must name its rope_type",
                ));
            }
            None | Some("default") => None,
            Some("llama3") => Some(Llama3Scaling {
                factor: parameters.required_number("factor")?,
                low_freq_factor: parameters.required_number("low_freq_factor")?,
                high_freq_factor: parameters.required_number("high_freq_factor")?,
                original_context: parameters.size("original_max_position_embeddings")?,
            }),
            Some(other) => {
                return Err(unsupported(
                    "rope_scaling",
                    other,
                    "only \"default\" and \"llama3\" are supported",
                ));
            }
        };
        Ok(RopeConfig { theta, scaling })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::tiny;
    use super::*;

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
            scaling: Some(Llama3Scaling {
                factor: 32.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context: 8192,
            }),
        };
        for config in [tiny(Architecture::Llama), tiny(Architecture::Qwen2), llama3] {
            let json = config.to_hf_json(2, Some(1));
            assert!(json.contains("\"rms_norm_eps\": 0.00001"), "{json}");
            assert_eq!(DecoderConfig::from_hf_json(json.as_bytes()).unwrap(), config);
        }
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
        assert!(with("model_type", json!("mistral")).contains("mistral"));
        assert!(with("hidden_act", json!("gelu")).contains("gelu"));
        assert!(with("mlp_bias", json!(true)).contains("mlp_bias"));
        assert!(with("attention_bias", json!(true)).contains("attention_bias"));
        assert!(with("rope_scaling", json!({"type": "yarn", "factor": 4.0})).contains("yarn"));
        assert!(with("rope_scaling", json!({"rope_type": "llama3"})).contains("factor"));
        assert!(with("use_sliding_window", json!(true)).contains("use_sliding_window"));
        assert!(
            with("layer_types", json!(["full_attention", "sliding_attention"]))
                .contains("sliding_attention")
        );
        assert!(with("quantization_config", json!({"quant_method": "gptq"})).contains("gptq"));
        assert!(with("hidden_size", json!("12")).contains("hidden_size"));
        assert!(with("num_hidden_layers", json!(1_000_000)).contains("1000000"));
        assert!(with("vocab_size", Value::Null).contains("vocab_size"));
    }

    #[test]
    fn a_sliding_window_that_no_layer_uses_is_no_obstacle() {
        let mut json: Value =
            serde_json::from_str(&tiny(Architecture::Qwen2).to_hf_json(2, None)).unwrap();
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
