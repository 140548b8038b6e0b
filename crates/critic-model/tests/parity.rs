//! Decoders against transformers (f32) on tiny random models: `reference/tiny_models.py` made the numbers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use critic_forest::{PairSequences, TrainingForest};
use critic_model::sources::{LoadedModel, load_folder, load_gguf, load_path, load_path_as};
use critic_model::{Decoder, ForestAttention, WeightFormat};
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Expected {
    ids: Vec<u32>,
    greedy: Vec<u32>,
    last_hidden: Vec<f32>,
    logits: Vec<Vec<f32>>,
}

/// A sequence of `reference/families.py`, its last rows.
#[derive(Deserialize)]
struct Rows {
    ids: Vec<u32>,
    greedy: Vec<u32>,
    first: usize,
    hidden: Vec<Vec<f32>>,
    logits: Vec<Vec<f32>>,
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden")).join(name)
}

/// Hidden states of one sequence.
fn hidden(decoder: &Decoder, tokens: &[u32]) -> Vec<f32> {
    let pair = PairSequences {
        responses: [tokens.to_vec(), tokens.to_vec()],
        read_without_critique: true,
        ..PairSequences::default()
    };
    let forest = TrainingForest::build(&[pair]).unwrap();
    let mut attention = ForestAttention::new(&forest);
    decoder.hidden(&forest.tokens, &forest.positions, &mut attention).unwrap()
}

#[track_caller]
fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 1e-4 * scale,
            "{found} is not {expected} (scale {scale})"
        );
    }
}

#[track_caller]
fn check(model: &LoadedModel, expected: &str) {
    let decoder = Decoder::new(&model.config, &model.weights, WeightFormat::F32).unwrap();
    let rows: Vec<Expected> =
        serde_json::from_slice(&std::fs::read(golden(expected)).unwrap()).unwrap();
    assert_eq!(rows.len(), 4);
    let (d_model, vocab_size) = (model.config.d_model, model.config.vocab_size);
    let mut logits = Vec::new();
    for row in rows {
        let states = hidden(&decoder, &row.ids);
        decoder.logits(&states, &mut logits).unwrap();
        for (found, expected) in logits.chunks_exact(vocab_size).zip(&row.logits) {
            close(found, expected);
        }
        close(&states[(row.ids.len() - 1) * d_model..], &row.last_hidden);
        assert_eq!(greedy(&decoder, &row.ids, row.greedy.len()), row.greedy);
    }
}

/// The likeliest tokens past `ids`, one by one.
fn greedy(decoder: &Decoder, ids: &[u32], n: usize) -> Vec<u32> {
    let (mut tokens, mut logits) = (ids.to_vec(), Vec::new());
    for _ in 0..n {
        let states = hidden(decoder, &tokens);
        let last = (tokens.len() - 1) * decoder.config().d_model;
        decoder.logits(&states[last..], &mut logits).unwrap();
        let likeliest = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        tokens.push(likeliest.unwrap() as u32);
    }
    tokens.split_off(ids.len())
}

#[track_caller]
fn check_family(model: &LoadedModel, name: &str) {
    let decoder = Decoder::new(&model.config, &model.weights, WeightFormat::F32).unwrap();
    let expected = golden(&format!("families/{name}/expected.json"));
    let rows: Vec<Rows> = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
    assert!(rows.iter().any(|row| row.ids.len() > 20));
    let mut logits = Vec::new();
    for row in rows {
        let states = hidden(&decoder, &row.ids);
        let states = &states[row.first * model.config.d_model..];
        decoder.logits(states, &mut logits).unwrap();
        close(states, &row.hidden.concat());
        close(&logits, &row.logits.concat());
        assert_eq!(greedy(&decoder, &row.ids, row.greedy.len()), row.greedy);
    }
}

fn family(name: &str) -> LoadedModel {
    load_folder(&golden(&format!("families/{name}"))).unwrap()
}

#[test]
fn a_tied_llama_equals_transformers() {
    check(&load_folder(&golden("tiny_llama")).unwrap(), "tiny_llama_expected.json");
}

#[test]
fn an_untied_llama_with_scaled_rope_equals_transformers() {
    check(&load_folder(&golden("tiny_llama3_untied")).unwrap(), "tiny_llama3_untied_expected.json");
}

#[test]
fn qwen2_with_biases_equals_transformers() {
    check(&load_folder(&golden("tiny_qwen2")).unwrap(), "tiny_qwen2_expected.json");
}

#[test]
fn llama_with_biases_and_with_stretched_rotations_equals_transformers() {
    let biased = family("llama_linear_biased");
    assert!(biased.config.qkv_bias && biased.config.variant.o_bias);
    check_family(&biased, "llama_linear_biased");
    check_family(&family("llama_yarn"), "llama_yarn");
}

#[test]
fn sliding_windows_of_mistral_and_qwen2_equal_transformers() {
    let (mistral, qwen2) = (family("mistral"), family("qwen2_window"));
    assert_eq!(mistral.config.variant.windows, [Some(9); 2]);
    assert_eq!(qwen2.config.variant.windows, [None, Some(5)]);
    check_family(&mistral, "mistral");
    check_family(&qwen2, "qwen2_window");
}

#[test]
fn qwen3_with_norms_on_its_heads_equals_transformers() {
    check_family(&family("qwen3"), "qwen3");
}

#[test]
fn gemma_equals_transformers() {
    check_family(&family("gemma2"), "gemma2");
    check_family(&family("gemma3"), "gemma3");
}

#[test]
fn phi3_with_fused_matrices_and_long_rope_equals_transformers() {
    let long = family("phi3_longrope");
    assert_eq!((long.config.context_length, long.config.rotary_dim()), (64, 6));
    check_family(&family("phi3"), "phi3");
    check_family(&long, "phi3_longrope");
}

#[test]
fn gguf_files_of_every_family_equal_transformers() {
    for name in ["qwen3", "gemma2", "gemma3", "phi3", "phi3_longrope"] {
        let mut model = load_gguf(&golden(&format!("families/{name}.gguf"))).unwrap();
        if name == "gemma2" {
            // A GGUF file does not say it; llama.cpp takes the width of a head.
            assert_eq!(model.config.variant.query_pre_attn_scalar, Some(8.0));
            model.config.variant.query_pre_attn_scalar = Some(6.0);
        }
        check_family(&model, name);
    }
}

#[test]
fn gguf_files_equal_transformers() {
    check(&load_gguf(&golden("tiny_llama_f32.gguf")).unwrap(), "tiny_llama_expected.json");
    check(&load_gguf(&golden("tiny_qwen2_f32.gguf")).unwrap(), "tiny_qwen2_expected.json");
    check(
        &load_gguf(&golden("tiny_llama3_untied_f32.gguf")).unwrap(),
        "tiny_llama3_untied_expected.json",
    );
    check(&load_gguf(&golden("tiny_llama_q8_0.gguf")).unwrap(), "tiny_llama_q8_0_expected.json");
}

#[test]
fn rounded_weights_give_nearly_the_same_hidden_states_and_a_row_the_same_bits_in_any_batch() {
    let model = load_folder(&golden("tiny_llama")).unwrap();
    let decoder = |format| Decoder::new(&model.config, &model.weights, format).unwrap();
    let tokens: Vec<u32> = (1..20).collect();
    let exact = hidden(&decoder(WeightFormat::F32), &tokens);
    let norm = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    for (format, bound) in
        [(WeightFormat::Bf16, 0.02), (WeightFormat::Q8_0, 0.1), (WeightFormat::Q4_1, 0.6)]
    {
        let decoder = decoder(format);
        let found = hidden(&decoder, &tokens);
        let difference: Vec<f32> = found.iter().zip(&exact).map(|(x, y)| x - y).collect();
        let error = norm(&difference) / norm(&exact);
        assert!(error > 0.0 && error < bound, "{format:?}: {error}");
        let start = hidden(&decoder, &tokens[..7]);
        assert_eq!(start, found[..start.len()], "{format:?}");
        let (mut all, mut some) = (Vec::new(), Vec::new());
        decoder.logits(&found, &mut all).unwrap();
        decoder.logits(&start, &mut some).unwrap();
        assert_eq!(some, all[..some.len()], "{format:?}");
    }
}

#[test]
fn a_model_that_is_rounded_as_it_is_read_is_the_one_that_is_rounded_afterwards() {
    let tokens: Vec<u32> = (1..20).collect();
    let logits = |model: &LoadedModel, format| {
        let decoder = Decoder::new(&model.config, &model.weights, format).unwrap();
        let mut logits = Vec::new();
        decoder.logits(&hidden(&decoder, &tokens), &mut logits).unwrap();
        (logits, decoder.kinds())
    };
    for name in ["tiny_llama", "tiny_llama3_untied", "families/phi3", "tiny_llama_f32.gguf"] {
        let whole = load_path(&golden(name)).unwrap();
        for format in [WeightFormat::Bf16, WeightFormat::Q8_0, WeightFormat::Q4_1] {
            let read = load_path_as(&golden(name), format).unwrap();
            assert!(read.decoder_bytes() < whole.decoder_bytes(), "{name}, {format:?}");
            assert_eq!(logits(&read, format), logits(&whole, format), "{name}, {format:?}");
        }
    }
}

#[test]
fn the_blocks_of_a_file_are_multiplied_as_they_are() {
    let tokens: Vec<u32> = (1..20).collect();
    let run = |model: &LoadedModel, format| {
        let decoder = Decoder::new(&model.config, &model.weights, format).unwrap();
        let states = hidden(&decoder, &tokens);
        let mut logits = Vec::new();
        decoder.logits(&states, &mut logits).unwrap();
        (states, logits, decoder.kinds())
    };
    let blocks = load_gguf(&golden("tiny_llama_q8_0.gguf")).unwrap();
    // Rounding such numbers once more changes none of them.
    let source = run(&blocks, WeightFormat::Source);
    assert_eq!(source, run(&blocks, WeightFormat::Q8_0));
    assert!(source.2.keys().eq(["Q8_0"].iter()), "{:?}", source.2);
    let plain = load_folder(&golden("tiny_llama")).unwrap();
    let source = run(&plain, WeightFormat::Source);
    assert_eq!(source, run(&plain, WeightFormat::F32));
    assert!(source.2.keys().eq(["F32"].iter()), "{:?}", source.2);
}
