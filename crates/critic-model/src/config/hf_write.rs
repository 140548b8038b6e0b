use super::{Architecture, DecoderConfig, RopeScaling};
use serde_json::{Map, Value, json};

impl DecoderConfig {
    /// A `config.json` that transformers loads as a causal language model in f32.
    pub fn to_hf_json(&self, eos_token_id: u32, bos_token_id: Option<u32>) -> String {
        let architecture = self.architecture;
        let scaling = self.rope.scaling.as_ref();
        let mut value = json!({
            "architectures": [architecture.class()],
            "model_type": architecture.name(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.d_model,
            "intermediate_size": self.d_ff,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.head_dim,
            "rms_norm_eps": shortest(self.rms_norm_eps),
            "rope_theta": self.rope.theta,
            "rope_scaling": scaling.map(RopeScaling::to_json),
            "max_position_embeddings": match scaling {
                Some(RopeScaling::LongRope(scaling)) => scaling.stretched_context,
                _ => self.context_length,
            },
            "tie_word_embeddings": self.tied_embeddings,
            "attention_dropout": 0.0,
            "bos_token_id": bos_token_id,
            "eos_token_id": eos_token_id,
            // Some families would take 0 or another row of their own vocabulary for padding.
            "pad_token_id": null,
            "torch_dtype": "float32",
        });
        if let Value::Object(fields) = &mut value {
            self.write_variant(fields);
        }
        format!("{value:#}\n")
    }

    fn write_variant(&self, fields: &mut Map<String, Value>) {
        let variant = &self.variant;
        let mut put = |field: &str, value: Value| {
            fields.insert(field.to_owned(), value);
        };
        let window = variant.windows.iter().flatten().next();
        let gelu = "gelu_pytorch_tanh";
        match self.architecture.is_gemma() {
            true => put("hidden_activation", json!(gelu)),
            false => put("hidden_act", json!("silu")),
        }
        match self.architecture {
            Architecture::Llama => {
                put("attention_bias", json!(self.qkv_bias));
                put("mlp_bias", json!(false));
            }
            Architecture::Mistral => put("sliding_window", json!(window)),
            Architecture::Qwen2 | Architecture::Qwen3 => {
                put("use_sliding_window", json!(window.is_some()));
                put("sliding_window", json!(window));
                put("layer_types", self.layer_types());
                if self.architecture == Architecture::Qwen3 {
                    put("attention_bias", json!(self.qkv_bias));
                }
            }
            Architecture::Gemma2 | Architecture::Gemma3 => {
                put("attention_bias", json!(self.qkv_bias));
                put("sliding_window", json!(window));
                put("layer_types", self.layer_types());
                put("query_pre_attn_scalar", whole(variant.query_pre_attn_scalar));
                put("final_logit_softcapping", json!(variant.final_softcap.map(shortest)));
                put("attn_logit_softcapping", json!(variant.attention_softcap.map(shortest)));
                if let Some(local) = &variant.rope_local {
                    put("rope_local_base_freq", json!(local.theta));
                }
            }
            Architecture::Phi3 => {
                put("sliding_window", json!(window));
                if let Some(rotary_dim) = variant.rotary_dim {
                    let part = rotary_dim as f64 / self.head_dim as f64;
                    put("partial_rotary_factor", json!(part));
                }
                if let Some(RopeScaling::LongRope(scaling)) = &self.rope.scaling {
                    put("original_max_position_embeddings", json!(scaling.original_context));
                }
            }
        }
    }

    fn layer_types(&self) -> Value {
        let kind = |layer| match self.window(layer) {
            Some(_) => "sliding_attention",
            None => "full_attention",
        };
        (0..self.n_layers).map(kind).collect()
    }
}

/// The f64 of fewest digits that is this f32 when rounded.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

/// A number without its fraction where it has none: transformers wants it whole.
fn whole(x: Option<f64>) -> Value {
    match x {
        Some(x) if x.fract() == 0.0 => json!(x as u64),
        other => json!(other),
    }
}
