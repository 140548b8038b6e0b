//! SmolLM2-135M-Instruct against transformers (f32, the same dequantised weights). `.ci/run` runs these:
//! `cargo test --release -- --ignored`. They fetch the model into the cache.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test says what it left out")]

use critic_engine::{GenerateRequest, Generator, Sampling, collect};
use critic_forest::{PairSequences, TrainingForest};
use critic_kernels::Precision;
use critic_local::{EngineLimits, LocalEngine};
use critic_model::backprop::Activations;
use critic_model::sources::{LoadedModel, ModelRef, load};
use critic_model::{Decoder, ForestAttention, RewardHead, WeightFormat};
use critic_text::{Ending, Prompts};
use critic_train::{CritiqueText, JointForm, JointLoss, LossWeights, TrainableModel, build_pairs};
use critic_types::{Conversation, Message, PreferencePair, SeedTree, Side};
use flate2::read::GzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The goldens are of this file; the hub's weights are others.
const GGUF_SOURCE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

fn golden<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden")).join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn model() -> &'static LoadedModel {
    static MODEL: OnceLock<LoadedModel> = OnceLock::new();
    let name = ModelRef::parse("smollm2-135m").unwrap();
    MODEL.get_or_init(|| load(&name, WeightFormat::Source, &mut |_| {}).unwrap())
}

fn is_golden_model() -> bool {
    let found = model().identity.source.contains(GGUF_SOURCE);
    if !found {
        println!(
            "left out: the model came from {}, the goldens are of {GGUF_SOURCE}",
            model().identity.source
        );
    }
    found
}

#[derive(Deserialize)]
struct Tokens {
    text: String,
    ids: Vec<u32>,
}

#[test]
#[ignore = "needs the real model: cargo test --release -- --ignored"]
fn tokens_equal_transformers_on_texts_of_all_kinds() {
    let rows: Vec<Tokens> = golden("tokens_own.json");
    assert!(rows.len() > 50);
    for row in rows {
        assert_eq!(
            model().renderer.tokenizer().encode(&row.text).unwrap(),
            row.ids,
            "{:?}",
            row.text
        );
    }
}

#[derive(Deserialize)]
struct SharedTokens {
    file: String,
    row: usize,
    column: String,
    n_tokens: usize,
    sha256: String,
}

#[test]
#[ignore = "needs the real model: cargo test --release -- --ignored"]
fn tokens_equal_transformers_on_a_thousand_real_texts() {
    let Some(folder) = std::env::var_os("CRITIC_RM_SHARED_DATA").map(PathBuf::from) else {
        println!("left out: CRITIC_RM_SHARED_DATA names no folder of real data");
        return;
    };
    let rows: Vec<SharedTokens> = golden("tokens_shared.json");
    assert!(rows.len() >= 1000);
    let mut files: HashMap<String, Vec<serde_json::Value>> = HashMap::new();
    for row in rows {
        let lines = files.entry(row.file.clone()).or_insert_with(|| {
            let file = std::fs::File::open(folder.join(&row.file)).unwrap();
            let lines = BufReader::new(GzDecoder::new(file)).lines();
            lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
        });
        let ids = model()
            .renderer
            .tokenizer()
            .encode(lines[row.row][&row.column].as_str().unwrap())
            .unwrap();
        assert_eq!(ids.len(), row.n_tokens, "{} {} {}", row.file, row.row, row.column);
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let digest: String =
            Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, row.sha256, "{} {} {}", row.file, row.row, row.column);
    }
}

#[derive(Deserialize)]
struct Logits {
    columns: Vec<usize>,
    texts: Vec<LogitText>,
}

#[derive(Deserialize)]
struct LogitText {
    ids: Vec<u32>,
    logsumexp: Vec<f32>,
    last_hidden: Vec<f32>,
    logits: Vec<Vec<f32>>,
}

#[test]
#[ignore = "needs the real model: cargo test --release -- --ignored"]
fn logits_equal_transformers_on_ten_texts() {
    if !is_golden_model() {
        return;
    }
    let expected: Logits = golden("smollm2_logits.json");
    assert_eq!(expected.texts.len(), 10);
    let decoder = Decoder::new(&model().config, &model().weights, WeightFormat::F32).unwrap();
    let mut worst = 0f32;
    for text in &expected.texts {
        let row = PairSequences {
            responses: [text.ids.clone(), text.ids.clone()],
            read_without_critique: true,
            ..PairSequences::default()
        };
        let forest = TrainingForest::build(&[row]).unwrap();
        let mut attention = ForestAttention::new(&forest);
        let hidden = decoder.hidden(&text.ids, &forest.positions, &mut attention).unwrap();
        let mut logits = Vec::new();
        decoder.logits(&hidden, &mut logits).unwrap();
        for ((found, expected_row), log_sum_exp) in
            logits.chunks_exact(decoder.config().vocab_size).zip(&text.logits).zip(&text.logsumexp)
        {
            let scale = expected_row.iter().fold(0f32, |max, x| max.max(x.abs()));
            for (&column, expected) in expected.columns.iter().zip(expected_row) {
                worst = worst.max((found[column] - expected).abs() / scale);
            }
            let max = found.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let found = max + found.iter().map(|x| (x - max).exp()).sum::<f32>().ln();
            assert!(
                (found - log_sum_exp).abs() <= 1e-3 * log_sum_exp.abs(),
                "{found} is not {log_sum_exp}"
            );
        }
        let found = &hidden[(text.ids.len() - 1) * decoder.config().d_model..];
        let scale = text.last_hidden.iter().fold(0f32, |max, x| max.max(x.abs()));
        for (found, expected) in found.iter().zip(&text.last_hidden) {
            assert!((found - expected).abs() <= 1e-3 * scale, "{found} is not {expected}");
        }
    }
    println!("largest relative difference of a logit: {worst:e}");
    assert!(worst <= 1e-3, "{worst}");
}

#[derive(Deserialize)]
struct Greedy {
    messages: Vec<Message>,
    prompt_ids: Vec<u32>,
    ids: Vec<u32>,
    text: String,
}

#[test]
#[ignore = "needs the real model: cargo test --release -- --ignored"]
fn greedy_continuations_equal_transformers() {
    if !is_golden_model() {
        return;
    }
    let rows: Vec<Greedy> = golden("smollm2_greedy.json");
    let decoder = Decoder::new(&model().config, &model().weights, WeightFormat::F32).unwrap();
    let limits = EngineLimits { max_leaves: 8, prefill_tokens: 128, kv_tokens: 4096 };
    let mut engine =
        LocalEngine::new(decoder, None, model().renderer.clone(), Prompts::builtin(), limits)
            .unwrap();
    let requests: Vec<GenerateRequest> = rows
        .iter()
        .map(|row| {
            let conversation = Conversation(row.messages.clone());
            GenerateRequest::new(&row.text, conversation, Sampling::greedy(64), SeedTree::new(0))
        })
        .collect();
    let results = collect(requests.len(), |sink| engine.generate(&requests, sink));
    let end = model().renderer.end_of_turn();
    for (row, result) in rows.iter().zip(results) {
        let rendered = model()
            .renderer
            .render(&Conversation(row.messages.clone()), Ending::GenerationPrompt)
            .unwrap();
        assert_eq!(rendered.tokens, row.prompt_ids);
        let completion = result.unwrap().unwrap().remove(0);
        let expected: Vec<u32> = row.ids.iter().copied().filter(|&id| id != end).collect();
        assert_eq!(completion.n_tokens, expected.len());
        assert_eq!(completion.text, model().renderer.tokenizer().decode(&expected).unwrap());
    }
}

#[test]
#[ignore = "needs the real model: cargo test --release -- --ignored"]
fn the_gradient_in_bf16_has_the_direction_of_the_gradient_in_f32() {
    let model = model();
    let text = "A right answer, and it says why. Score: 8".to_owned();
    let critiques: Vec<CritiqueText> =
        Side::BOTH.into_iter().map(|side| CritiqueText { side, text: text.clone() }).collect();
    let pair = PreferencePair {
        prompt: Conversation::from_user("Which is larger, 2/3 or 3/4?"),
        chosen: "3/4, since 9/12 is more than 8/12.".to_owned(),
        rejected: "2/3, because thirds are larger than quarters.".to_owned(),
        id: "fractions".to_owned(),
        margin: None,
        domain: None,
        subset: None,
    };
    let pairs = [(&pair, critiques)];
    let built = build_pairs(&pairs, &model.renderer, &Prompts::builtin(), 2048, 0, 2048);
    let sequences = built.into_iter().next().unwrap().unwrap().draw(&SeedTree::new(0), 0, 0, 1.0);
    let forest = TrainingForest::build(&[sequences]).unwrap();
    let weights = LossWeights::new(JointForm::Convex, 0.5, forest.targets.len(), 1);
    let run = |precision, activations| {
        let weights_of_model = model.weights.clone();
        let head = RewardHead::random_linear(model.config.d_model, &SeedTree::new(1));
        let trainable =
            TrainableModel::new(&model.config, weights_of_model, head, precision).unwrap();
        let mut gradients = trainable.gradients();
        let mut losses = JointLoss::new(activations, model.config.n_layers);
        losses.add(trainable.parameters(), &forest, weights, &mut gradients).unwrap();
        let ids = trainable.parameters().ids();
        ids.flat_map(|id| gradients.get(id).unwrap().to_vec()).collect::<Vec<f32>>()
    };
    let exact = run(Precision::F32, Activations::F32);
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    for (precision, activations) in
        [(Precision::F32, Activations::Bf16), (Precision::Bf16, Activations::Bf16)]
    {
        let found = run(precision, activations);
        let norms = dot(&found, &found).sqrt() * dot(&exact, &exact).sqrt();
        let cosine = dot(&found, &exact) / norms;
        println!("{precision:?} products, {activations:?} activations: cosine {cosine}");
        assert!(cosine >= 0.999, "{precision:?}, {activations:?}: {cosine}");
    }
}
