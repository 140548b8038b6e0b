use super::*;
use crate::config::tests::of_family;
use crate::config::{Llama3Scaling, LongRopeScaling, RopeScaling, Variant, YarnScaling};
use crate::reward_head::{LAYOUTS, RewardHead};
use crate::sources::testing::{bits, random_weight, random_weights};
use crate::sources::{load_folder, load_gguf};
use std::path::PathBuf;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/golden").join(name)
}

/// A model of this configuration with the tokenizer of a golden one.
fn model(config: DecoderConfig) -> LoadedModel {
    let tokenizer = load_folder(&golden("tiny_llama")).unwrap();
    let config = DecoderConfig { vocab_size: tokenizer.config.vocab_size, ..config };
    LoadedModel { weights: random_weights(&config), config, ..tokenizer }
}

fn written(model: &LoadedModel, format: GgufFormat) -> Result<LoadedModel, ModelError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write_gguf(&path, model, format)?;
    load_gguf(&path)
}

#[test]
fn a_golden_folder_becomes_the_file_that_llama_cpp_made_of_it() {
    for name in ["tiny_llama", "tiny_qwen2", "tiny_llama3_untied"] {
        let mut folder = load_folder(&golden(name)).unwrap();
        let d_model = folder.config.d_model;
        let head = RewardHead::linear(random_weight("head", &[1, d_model]), d_model).unwrap();
        folder.reward_head = Some(head.clone());
        let ours = written(&folder, GgufFormat::F32).unwrap();
        let theirs = load_gguf(&golden(&format!("{name}_f32.gguf"))).unwrap();
        assert_eq!(ours.config, theirs.config, "{name}");
        assert!(ours.weights.keys().eq(theirs.weights.keys()));
        for (name, weight) in &theirs.weights {
            assert_eq!(bits(weight), bits(&ours.weights[name]), "{name}");
        }
        assert_eq!(ours.renderer.digest(), theirs.renderer.digest(), "{name}");
        assert_eq!(ours.reward_head, Some(head));
        assert!(theirs.reward_head.is_none());
    }
}

#[test]
fn every_family_is_read_back_exactly() {
    let scaled = |scaling| {
        let mut config = of_family(Architecture::Llama);
        config.rope.scaling = Some(scaling);
        config
    };
    let long_rope = RopeScaling::LongRope(LongRopeScaling {
        short_factor: vec![1.05],
        long_factor: vec![4.2],
        attention_factor: 1.19,
        original_context: 64,
        stretched_context: 256,
    });
    let mut phi3 = of_family(Architecture::Phi3);
    phi3.rope.scaling = Some(long_rope);
    let mut gemma3 = of_family(Architecture::Gemma3);
    gemma3.variant.windows = vec![Some(9); 2];
    let mut mistral = of_family(Architecture::Mistral);
    mistral.variant = Variant::default();
    let yarn = YarnScaling {
        factor: 4.0,
        original_context: 16,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: YarnScaling::default_attention_factor(4.0, None),
        truncate: true,
    };
    let families = [
        of_family(Architecture::Llama),
        mistral,
        of_family(Architecture::Qwen2),
        of_family(Architecture::Qwen3),
        of_family(Architecture::Gemma2),
        gemma3,
        of_family(Architecture::Phi3),
        phi3,
        scaled(RopeScaling::Linear { factor: 2.0 }),
        scaled(RopeScaling::Yarn(yarn)),
    ];
    for config in families {
        let model = model(config);
        let again = written(&model, GgufFormat::F32).unwrap();
        for (name, weight) in &model.weights {
            if model.config.variant.unit_offset_norms && name.ends_with("norm.weight") {
                let (before, again) = (weight.values(), again.weights[name].values());
                let pairs = before.iter().zip(&*again);
                assert!(pairs.into_iter().all(|(x, y)| (x - y).abs() < 2e-7), "{name}");
            } else {
                assert_eq!(bits(weight), bits(&again.weights[name]), "{name}");
            }
        }
        let frequencies =
            |config: &DecoderConfig| config.rope.inverse_frequencies(config.rotary_dim());
        let pairs = frequencies(&model.config).into_iter().zip(frequencies(&again.config));
        assert!(pairs.into_iter().all(|(x, y)| (x - y).abs() <= 1e-6 * x));
    }
}

#[test]
fn reward_heads_of_every_layout_are_read_back_exactly() {
    let mut model = model(of_family(Architecture::Llama));
    let d_model = model.config.d_model;
    for layout in LAYOUTS {
        let tensor = |name| random_weight(name, &layout.shape(name, d_model, 5));
        let mut tensors = layout.names().map(|name| (name.to_owned(), tensor(name))).collect();
        model.reward_head = RewardHead::take(&mut tensors, d_model).unwrap();
        assert!(model.reward_head.is_some());
        assert_eq!(written(&model, GgufFormat::Q8_0).unwrap().reward_head, model.reward_head);
    }
}

#[test]
fn smaller_formats_stay_near_the_numbers() {
    let mut wide = of_family(Architecture::Llama);
    (wide.d_model, wide.n_heads, wide.head_dim, wide.d_ff) = (32, 4, 8, 64);
    let model = model(wide);
    for (format, bound) in
        [(GgufFormat::F16, 5e-4), (GgufFormat::Bf16, 4e-3), (GgufFormat::Q8_0, 6e-3)]
    {
        let again = written(&model, format).unwrap();
        for (name, weight) in &model.weights {
            let (before, again) = (weight.values(), again.weights[name].values());
            let pairs = before.iter().zip(&*again);
            let furthest = pairs.map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
            // Numbers are within a half.
            assert!(furthest <= 0.5 * bound, "{name} {format:?}: {furthest}");
            assert!((furthest == 0.0) == (weight.shape().len() == 1), "{name} {format:?}");
        }
    }
}

#[test]
fn models_that_llama_cpp_would_compute_otherwise_are_refused() {
    let refusal = |model: &LoadedModel, format| written(model, format).unwrap_err().to_string();
    let mistral = model(of_family(Architecture::Mistral));
    assert!(refusal(&mistral, GgufFormat::F32).contains("windows"));
    let mut llama = of_family(Architecture::Llama);
    llama.head_dim = 8;
    llama.rope.scaling = Some(RopeScaling::Llama3(Llama3Scaling {
        factor: 8.0,
        low_freq_factor: 2.0,
        high_freq_factor: 3.0,
        original_context: 150,
    }));
    let message = refusal(&model(llama), GgufFormat::F32);
    assert!(message.contains("rope_freqs.weight"), "{message}");
    let mut large = model(of_family(Architecture::Llama));
    let name = "model.layers.0.mlp.up_proj.weight";
    let shape = large.weights[name].shape().to_vec();
    let n = shape.iter().product();
    large.weights.insert(name.to_owned(), Weight::new(shape, vec![70_000.0; n]).unwrap());
    let message = refusal(&large, GgufFormat::F16);
    assert!(message.contains(name) && message.contains("F16 holds"), "{message}");
    assert!(written(&large, GgufFormat::Bf16).is_ok());
    large.weights.remove(name);
    assert!(refusal(&large, GgufFormat::F32).contains(name));
}
