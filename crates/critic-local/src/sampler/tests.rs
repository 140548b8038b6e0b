use super::*;
use critic_types::SeedTree;
use proptest::prelude::*;
use serde::Deserialize;

fn sampling(temperature: f64, top_p: f64, top_k: usize) -> Sampling {
    Sampling { temperature, top_p, top_k, ..Sampling::greedy(1) }
}

/// Settings and the probabilities that transformers' processors leave.
#[derive(Deserialize)]
struct Golden {
    sampling: Sampling,
    seen: Vec<u32>,
    logits: Vec<f32>,
    /// By id; 0 for a token that cannot be drawn.
    probabilities: Vec<f64>,
}

#[test]
fn probabilities_equal_transformers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden/sampling.json");
    let rows: Vec<Golden> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(rows.len() >= 40);
    for Golden { sampling, seen, logits, probabilities } in rows {
        let logits = penalize(&logits, sampling.repetition_penalty, &seen);
        let max = logits[likeliest(&logits).unwrap() as usize];
        let kept = Kept::new(&logits, &sampling, max);
        let mut found = vec![0.0; logits.len()];
        for (weight, token) in &kept.tokens {
            found[*token as usize] = weight / kept.mass;
        }
        for (token, (found, expected)) in found.iter().zip(&probabilities).enumerate() {
            assert!((found - expected).abs() < 1e-6, "{sampling:?}: {token}: {found} {expected}");
        }
    }
}

#[test]
fn frequencies_follow_the_softmax() {
    let logits = [0.0f32, 1.0, 2.0, -50.0];
    let tree = SeedTree::new(1);
    let mut counts = [0.0; 4];
    let n = 20_000;
    for i in 0..n {
        let draw = tree.index(i).uniform();
        counts[sample(&logits, &sampling(1.0, 1.0, 0), &[], draw).unwrap() as usize] +=
            1.0 / n as f64;
    }
    let z: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
    for (count, logit) in counts.iter().zip(logits) {
        assert!((count - f64::from(logit).exp() / z).abs() < 0.015);
    }
}

#[test]
fn top_p_keeps_the_smallest_set_that_reaches_it() {
    let logits = [0.6f32.ln(), 0.3f32.ln(), 0.1f32.ln()];
    for draw in [0.0, 0.5, 0.999_999] {
        assert_eq!(sample(&logits, &sampling(1.0, 0.5, 0), &[], draw), Some(0));
        assert!(sample(&logits, &sampling(1.0, 0.85, 0), &[], draw).unwrap() < 2);
    }
    assert_eq!(sample(&logits, &sampling(1.0, 1.0, 0), &[], 0.999_999), Some(2));
    assert_eq!(sample(&logits, &sampling(1.0, 1.0, 2), &[], 0.999_999), Some(1));
}

#[test]
fn a_flat_distribution_keeps_its_tail() {
    let logits = vec![0.0f32; 50_000];
    assert_eq!(sample(&logits, &sampling(1.0, 1.0, 0), &[], 0.999_999), Some(49_999));
    let tail: Vec<f32> = (0..30).map(|i| -(i as f32)).collect();
    assert_eq!(sample(&tail, &sampling(1.0, 1.0, 0), &[], 1.0 - 1e-16), Some(29));
}

#[test]
fn the_likeliest_token_at_temperature_zero_ties_to_the_lower_id() {
    assert_eq!(sample(&[1.0, 3.0, 3.0], &sampling(0.0, 1.0, 0), &[], 0.9), Some(1));
}

#[test]
fn a_penalty_moves_the_greedy_choice_once_for_each_token() {
    let penalty = Sampling { repetition_penalty: 2.0, ..Sampling::greedy(1) };
    assert_eq!(sample(&[3.0, 2.0, -1.0], &penalty, &[0], 0.0), Some(1));
    assert_eq!(sample(&[3.0, 1.4, -1.0], &penalty, &[0, 0, 0], 0.0), Some(0));
    assert_eq!(sample(&[-1.0, -1.5], &penalty, &[0], 0.0), Some(1));
}

#[test]
fn nan_logits_give_nothing() {
    assert_eq!(sample(&[0.0, f32::NAN], &sampling(1.0, 1.0, 0), &[], 0.5), None);
    assert_eq!(sample(&[f32::NEG_INFINITY], &sampling(1.0, 1.0, 0), &[], 0.5), None);
    assert_eq!(sample(&[], &sampling(0.0, 1.0, 0), &[], 0.5), None);
}

proptest! {
    #[test]
    fn any_settings_give_a_token_of_the_vocabulary(
        logits in prop::collection::vec(-60f32..60.0, 1..60),
        temperature in 0.0f64..3.0,
        top_p in 0.001f64..=1.0,
        top_k in 0usize..70,
        min_p in 0.0f64..=1.0,
        penalty in 0.1f64..3.0,
        seen in prop::collection::vec(0u32..80, 0..20),
        draw in 0.0f64..1.0,
    ) {
        let sampling = Sampling { min_p, repetition_penalty: penalty, ..sampling(temperature, top_p, top_k) };
        let token = sample(&logits, &sampling, &seen, draw);
        prop_assert!((token.unwrap() as usize) < logits.len());
    }
}
