//! Decoders against transformers (f32) on tiny random models: `reference/tiny_models.py` made the numbers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use critic_forest::{PairSequences, TrainingForest};
use critic_model::sources::{LoadedModel, load_folder, load_gguf};
use critic_model::{Decoder, ForestAttention};
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Expected {
    ids: Vec<u32>,
    greedy: Vec<u32>,
    last_hidden: Vec<f32>,
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
    let decoder = Decoder::new(&model.config, &model.weights).unwrap();
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
        let mut tokens = row.ids.clone();
        for _ in 0..row.greedy.len() {
            let states = hidden(&decoder, &tokens);
            decoder.logits(&states[(tokens.len() - 1) * d_model..], &mut logits).unwrap();
            let likeliest = (0..vocab_size).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            tokens.push(likeliest.unwrap() as u32);
        }
        assert_eq!(tokens[row.ids.len()..], row.greedy);
    }
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
fn gguf_files_equal_transformers() {
    check(&load_gguf(&golden("tiny_llama_f32.gguf")).unwrap(), "tiny_llama_expected.json");
    check(&load_gguf(&golden("tiny_qwen2_f32.gguf")).unwrap(), "tiny_qwen2_expected.json");
    check(
        &load_gguf(&golden("tiny_llama3_untied_f32.gguf")).unwrap(),
        "tiny_llama3_untied_expected.json",
    );
    check(&load_gguf(&golden("tiny_llama_q8_0.gguf")).unwrap(), "tiny_llama_q8_0_expected.json");
}
