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
    assert_eq!(windows(json!({"model_type": "mistral", "sliding_window": null})), (None, vec![]));
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
    assert!(with("rope_scaling", json!({"type": "dynamic", "factor": 4.0})).contains("dynamic"));
    assert!(with("rope_scaling", json!({"type": "yarn", "factor": 0.5})).contains("factor ≥ 1"));
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
