//! Losses, gradients and updates against PyTorch autograd, every sequence run on its own there:
//! `reference/joint_loss.py` made the numbers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{Device, Tensor};
use critic_forest::{PairSequences, TrainingForest};
use critic_model::sources::load_folder;
use critic_model::{REWARD_HEAD, with_values};
use critic_train::{
    CritiqueWeight, JointForm, LearningRate, LossWeights, Optimizer, TrainConfig, TrainableModel,
    joint_loss,
};
use critic_types::SeedTree;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

#[derive(Deserialize)]
struct Expected {
    request: Vec<u32>,
    pairs: Vec<Pair>,
    n_critique_tokens: usize,
    lam: f64,
    critique_loss: f64,
    preference_loss: f64,
    convex_loss: f64,
    additive_loss: f64,
    scalar: Scalar,
    adamw: AdamW,
}

#[derive(Deserialize)]
struct Pair {
    prompt: Vec<u32>,
    chosen: Response,
    rejected: Response,
}

#[derive(Deserialize)]
struct Response {
    response: Vec<u32>,
    critiques: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct Scalar {
    preference_loss: f64,
}

#[derive(Deserialize)]
struct AdamW {
    lr: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    losses: Vec<f64>,
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden")).join(name)
}

struct Case {
    expected: Expected,
    gradients: HashMap<String, Tensor>,
    model: TrainableModel,
}

fn case(name: &str) -> Case {
    let text = std::fs::read(golden(&format!("joint_loss_{name}.json"))).unwrap();
    let tensors = golden(&format!("joint_loss_{name}.safetensors"));
    let gradients = candle_core::safetensors::load(tensors, &Device::Cpu).unwrap();
    let loaded = load_folder(&golden(name)).unwrap();
    let head = gradients["reward_head.weight"].reshape((1, loaded.config.d_model)).unwrap();
    let model =
        TrainableModel::new(&loaded.config, &loaded.weights, Some(&head), &SeedTree::new(0))
            .unwrap();
    Case { expected: serde_json::from_slice(&text).unwrap(), gradients, model }
}

fn forest(expected: &Expected, with_critiques: bool) -> TrainingForest {
    let pairs: Vec<PairSequences> = expected
        .pairs
        .iter()
        .map(|pair| {
            let answered = |r: &Response| [&pair.prompt[..], &r.response].concat();
            let critiqued = |r: &Response| {
                let asked = [answered(r), expected.request.clone()].concat();
                let sequence =
                    |z: &Vec<u32>| ([&asked[..], z].concat(), asked.len()..asked.len() + z.len());
                if with_critiques { r.critiques.iter().map(sequence).collect() } else { Vec::new() }
            };
            PairSequences {
                responses: [answered(&pair.chosen), answered(&pair.rejected)],
                read_without_critique: !with_critiques,
                critiqued: [critiqued(&pair.chosen), critiqued(&pair.rejected)],
            }
        })
        .collect();
    TrainingForest::build(&pairs).unwrap()
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-4 * expected.abs(), "{found} is not {expected}");
}

/// Every gradient of PyTorch is ours, within 1e-4 of its largest element.
fn check_gradients(case: &Case, joint: &Tensor, prefix: &str) {
    let store = joint.backward().unwrap();
    let mut n_checked = 0;
    for (name, var) in case.model.parameters() {
        let key = format!(
            "{prefix}.{}",
            if name == REWARD_HEAD { "reward_head.weight" } else { name.as_str() }
        );
        let Some(expected) = case.gradients.get(&key) else {
            assert!(
                name == "lm_head.weight" && prefix == "scalar",
                "{key} is not among the goldens"
            );
            continue;
        };
        let values = |t: &Tensor| with_values(t, |values| Ok(values.to_vec())).unwrap();
        let found =
            values(store.get(var.as_tensor()).unwrap_or_else(|| panic!("{name} has no gradient")));
        let expected = values(expected);
        let scale = expected.iter().fold(0f32, |max, g| max.max(g.abs()));
        assert!(scale > 0.0, "{key} is zero");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 1e-4 * scale,
                "{key}: {found} is not {expected} (scale {scale})"
            );
        }
        n_checked += 1;
    }
    assert!(n_checked >= 20, "only {n_checked} parameters were checked");
}

#[track_caller]
fn check(name: &str) {
    let case = case(name);
    let expected = &case.expected;
    let whole = forest(expected, true);
    assert_eq!(whole.targets.len(), expected.n_critique_tokens);
    let n_pairs = expected.pairs.len();
    let weights = |form| LossWeights::new(form, expected.lam, expected.n_critique_tokens, n_pairs);
    let (joint, sums) = joint_loss(&case.model, &whole, weights(JointForm::Convex)).unwrap();
    near(sums.critique_nats / sums.n_critique_tokens as f64, expected.critique_loss);
    near(sums.preference_nats / sums.n_pairs as f64, expected.preference_loss);
    let joint = joint.unwrap();
    near(f64::from(joint.to_scalar::<f32>().unwrap()), expected.convex_loss);
    check_gradients(&case, &joint, "joint");
    let additive =
        joint_loss(&case.model, &whole, weights(JointForm::Additive)).unwrap().0.unwrap();
    near(f64::from(additive.to_scalar::<f32>().unwrap()), expected.additive_loss);

    let scalar_forest = forest(expected, false);
    let scalar_weights = LossWeights::new(JointForm::Convex, 0.0, 0, n_pairs);
    let scalar = joint_loss(&case.model, &scalar_forest, scalar_weights).unwrap().0.unwrap();
    near(f64::from(scalar.to_scalar::<f32>().unwrap()), expected.scalar.preference_loss);
    check_gradients(&case, &scalar, "scalar");
}

#[test]
fn the_joint_loss_of_llama_has_pytorchs_gradients() {
    check("tiny_llama");
}

#[test]
fn the_joint_loss_of_qwen2_has_pytorchs_gradients() {
    check("tiny_qwen2");
}

#[track_caller]
fn check_steps(name: &str) {
    let case = case(name);
    let AdamW { lr, beta1, beta2, eps, weight_decay, losses } = &case.expected.adamw;
    let config = TrainConfig {
        epochs: 1,
        pairs_per_step: 2,
        tokens_per_pack: 4096,
        learning_rate: LearningRate { peak: *lr, warmup: 0.0, floor: 1.0 },
        reward_head_learning_rate: *lr,
        weight_decay: *weight_decay,
        beta1: *beta1,
        beta2: *beta2,
        epsilon: *eps,
        max_grad_norm: 1e9,
        joint: JointForm::Convex,
        critique_weight: CritiqueWeight::Constant { weight: case.expected.lam },
        critiques_per_response: 0,
        critique_dropout: 0.0,
    };
    let whole = forest(&case.expected, true);
    let weights = LossWeights::new(
        config.joint,
        case.expected.lam,
        case.expected.n_critique_tokens,
        case.expected.pairs.len(),
    );
    let mut optimizer = Optimizer::new(case.model.parameters());
    let mut residuals = Vec::new();
    for (step, expected) in losses.iter().enumerate() {
        let joint = joint_loss(&case.model, &whole, weights).unwrap().0.unwrap();
        let found = f64::from(joint.to_scalar::<f32>().unwrap());
        near(found, *expected);
        residuals.push(found - expected);
        let mut store = joint.backward().unwrap();
        let gradients: BTreeMap<String, Tensor> = case
            .model
            .parameters()
            .iter()
            .filter_map(|(name, var)| Some((name.clone(), store.remove(var.as_tensor())?)))
            .collect();
        optimizer.step(case.model.parameters(), &gradients, &config, 1.0, step).unwrap();
    }
    assert_eq!(residuals.len(), 10);
}

#[test]
fn ten_steps_of_adamw_follow_pytorch() {
    check_steps("tiny_llama");
    check_steps("tiny_qwen2");
}
