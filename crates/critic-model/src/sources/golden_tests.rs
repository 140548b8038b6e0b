//! Tiny models whose files Hugging Face's and llama.cpp's libraries wrote (`reference/tiny_models.py`).

use super::testing::bits;
use super::{LoadedModel, load_folder, load_gguf, write_hf_folder};
use crate::config::{Architecture, DecoderConfig, Llama3Scaling, RopeScaling};
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/golden").join(name)
}

fn assert_same_weights(a: &LoadedModel, b: &LoadedModel) {
    assert!(a.weights.keys().eq(b.weights.keys()));
    for (name, tensor) in &a.weights {
        assert_eq!(tensor.shape(), b.weights[name].shape(), "{name}");
        assert!(bits(tensor) == bits(&b.weights[name]), "{name}");
    }
}

#[test]
fn a_gguf_file_holds_the_model_of_its_folder_exactly() {
    for name in ["tiny_llama", "tiny_qwen2", "tiny_llama3_untied"] {
        let folder = load_folder(&golden(name)).unwrap();
        let gguf = load_gguf(&golden(&format!("{name}_f32.gguf"))).unwrap();
        assert_same_weights(&folder, &gguf);
        assert_eq!(folder.config, gguf.config, "{name}");
        assert_eq!(folder.renderer.end_of_turn(), gguf.renderer.end_of_turn());
        assert_ne!(folder.identity.digest, gguf.identity.digest);
    }
}

#[test]
fn eight_bit_weights_are_near_those_of_the_folder() {
    let folder = load_folder(&golden("tiny_llama")).unwrap();
    let gguf = load_gguf(&golden("tiny_llama_q8_0.gguf")).unwrap();
    for (name, tensor) in &folder.weights {
        let read = gguf.weights[name].values();
        for (block, read) in tensor.values().chunks(32).zip(read.chunks(32)) {
            // Half a step, and the half-precision scale.
            let bound =
                block.iter().fold(0f32, |max, x| max.max(x.abs())) * (0.51 / 127.0 + 1.0 / 2048.0);
            assert!(block.iter().zip(read).all(|(x, y)| (x - y).abs() <= bound), "{name}");
        }
    }
}

#[test]
fn the_folders_are_read_as_transformers_wrote_them() {
    let llama = load_folder(&golden("tiny_llama")).unwrap();
    assert_eq!(llama.config.architecture, Architecture::Llama);
    assert!(llama.config.tied_embeddings && !llama.config.qkv_bias && llama.reward_head.is_none());
    assert_eq!((llama.config.n_heads, llama.config.n_kv_heads, llama.config.head_dim), (4, 2, 8));
    let qwen = load_folder(&golden("tiny_qwen2")).unwrap();
    assert!(!qwen.config.tied_embeddings && qwen.config.qkv_bias);
    assert_eq!(
        qwen.renderer.tokenizer().token(qwen.renderer.end_of_turn()).as_deref(),
        Some("<|im_end|>")
    );
}

#[test]
fn both_generations_of_config_json_say_the_same() {
    let read = |file: &str| {
        let bytes = std::fs::read(golden("tiny_llama3_untied").join(file)).unwrap();
        DecoderConfig::from_hf_json(&bytes).unwrap()
    };
    let config = read("config.json");
    assert_eq!(config, read("config_hub.json"));
    let scaling = Llama3Scaling {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 64,
    };
    assert_eq!(config.rope.scaling, Some(RopeScaling::Llama3(scaling)));
}

#[test]
fn a_golden_model_survives_writing_and_reading() {
    for name in ["tiny_llama", "tiny_qwen2", "tiny_llama3_untied"] {
        let model = load_folder(&golden(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_hf_folder(folder.path(), &model.config, &model.weights, None, &model.renderer)
            .unwrap();
        let again = load_folder(folder.path()).unwrap();
        assert_same_weights(&model, &again);
        assert_eq!(
            (again.config, again.renderer.digest()),
            (model.config, model.renderer.digest())
        );
    }
}
