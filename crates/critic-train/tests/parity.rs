//! Losses, gradients and updates against PyTorch autograd, every sequence run on its own there:
//! `reference/joint_loss.py` made the numbers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use critic_forest::{PairSequences, TrainingForest};
use critic_kernels::Precision;
use critic_kernels::attention::QueryRun;
use critic_model::backprop::{
    Activations, Batch, Gradients, LoraConfig, Parameters, Pass, TargetModule,
};
use critic_model::sources::{load_folder, read_arrays, write_peft_folder};
use critic_model::{REWARD_HEAD, RewardHead, Weight};
use critic_stats::PreferenceLoss;
use critic_train::{
    CritiqueWeight, EvaluationConfig, JointForm, JointLoss, LearningRate, LossWeights, Optimizer,
    RewardHeadConfig, TrainConfig, TrainableModel,
};
use critic_types::SeedTree;
use serde::Deserialize;
use std::collections::BTreeMap;
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

#[derive(Clone, Deserialize)]
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
    gradients: BTreeMap<String, Weight>,
    model: TrainableModel,
}

impl Case {
    /// The model's parameters, to be updated.
    fn parameters(self) -> Parameters {
        let config = self.model.parameters().config().clone();
        let (weights, head) = self.model.into_weights();
        Parameters::new(&config, weights, head, Precision::F32).unwrap()
    }
}

fn case(name: &str, precision: Precision) -> Case {
    let losses = match name.starts_with("families/") {
        true => format!("{name}/joint_loss"),
        false => format!("joint_loss_{name}"),
    };
    let text = std::fs::read(golden(&format!("{losses}.json"))).unwrap();
    let tensors = golden(&format!("{losses}.safetensors"));
    let mut gradients = BTreeMap::new();
    read_arrays(&tensors, &mut gradients).unwrap();
    let loaded = load_folder(&golden(name)).unwrap();
    let head = gradients["reward_head.weight"].values().to_vec();
    let d_model = loaded.config.d_model;
    let head = RewardHead::linear(Weight::new([1, d_model], head).unwrap(), d_model).unwrap();
    let model = TrainableModel::new(&loaded.config, loaded.weights, head, precision).unwrap();
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
                margin: None,
            }
        })
        .collect();
    TrainingForest::build(&pairs).unwrap()
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-4 * expected.abs(), "{found} is not {expected}");
}

impl Case {
    /// PyTorch's gradient of a parameter; Phi-3's stand in those of fused matrices.
    fn expected(&self, key: &str, n: usize) -> Option<Vec<f32>> {
        if let Some(gradient) = self.gradients.get(key) {
            return Some(gradient.values().to_vec());
        }
        let config = self.model.parameters().config();
        let (q, kv) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
        let parts = [
            (".q_proj.", ".qkv_proj.", 0),
            (".k_proj.", ".qkv_proj.", q),
            (".v_proj.", ".qkv_proj.", q + kv),
            (".gate_proj.", ".gate_up_proj.", 0),
            (".up_proj.", ".gate_up_proj.", config.d_ff),
        ];
        let &(part, fused, row) = parts.iter().find(|(part, ..)| key.contains(part))?;
        let fused = self.gradients.get(&key.replace(part, fused))?;
        Some(fused.values()[row * config.d_model..][..n].to_vec())
    }
}

/// Every gradient of PyTorch is ours, within `tolerance` of its largest element and in its direction.
fn check_gradients(case: &Case, found: &Gradients, prefix: &str, tolerance: f32) {
    let (mut n_checked, mut all) = (0, [0.0; 3]);
    let cosine = |[product, ours, theirs]: [f64; 3]| product / (ours * theirs).sqrt();
    let parameters = case.model.parameters();
    for id in parameters.ids() {
        let name = parameters.name(id);
        let key =
            format!("{prefix}.{}", if name == REWARD_HEAD { "reward_head.weight" } else { name });
        let Some(expected) = case.expected(&key, parameters.values(id).len()) else {
            assert!(
                name == "lm_head.weight" && prefix == "scalar",
                "{key} is not among the goldens"
            );
            continue;
        };
        let found = found.get(id).unwrap_or_else(|| panic!("{name} has no gradient"));
        let scale = expected.iter().fold(0f32, |max, g| max.max(g.abs()));
        assert!(scale > 0.0, "{key} is zero");
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= tolerance * scale,
                "{key}: {found} is not {expected} (scale {scale})"
            );
        }
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        let products = [dot(found, &expected), dot(found, found), dot(&expected, &expected)];
        assert!(cosine(products) >= 0.998, "{key}: the cosine is {}", cosine(products));
        (0..3).for_each(|i| all[i] += products[i]);
        n_checked += 1;
    }
    assert!(cosine(all) >= 0.999, "the cosine of the whole gradient is {}", cosine(all));
    assert!(n_checked >= 20, "only {n_checked} parameters were checked");
}

/// What bf16 may move: eight significant bits of an operand or of an activation that was kept move single
/// elements of a gradient of these tiny random models by many percents, the loss by a few, and the
/// direction of the gradient hardly.
const BF16: f32 = 0.25;

#[track_caller]
fn check(name: &str) {
    for (precision, activations, tolerance) in [
        (Precision::F32, Activations::F32, 1e-4),
        (Precision::F32, Activations::Recompute, 1e-4),
        (Precision::F32, Activations::Bf16, BF16),
        (Precision::Bf16, Activations::F32, BF16),
        (Precision::Bf16, Activations::Bf16, BF16),
    ] {
        check_precision(name, precision, activations, tolerance);
    }
}

#[track_caller]
fn check_precision(name: &str, precision: Precision, activations: Activations, tolerance: f32) {
    let case = case(name, precision);
    let expected = &case.expected;
    let near = |found: f64, expected: f64| {
        let tolerance =
            if precision == Precision::Bf16 { 0.02 + 0.02 * expected } else { 1e-4 * expected };
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    };
    let whole = forest(expected, true);
    assert_eq!(whole.targets.len(), expected.n_critique_tokens);
    let n_pairs = expected.pairs.len();
    let weights = |form| LossWeights::new(form, expected.lam, expected.n_critique_tokens, n_pairs);
    let parameters = case.model.parameters();
    let mut losses = JointLoss::new(activations, parameters.config().n_layers);
    let mut gradients = case.model.gradients();
    let mut run = |forest: &TrainingForest, weights: LossWeights| {
        gradients.clear();
        let sums = losses.add(parameters, forest, weights, &mut gradients).unwrap();
        let joint =
            weights.critique * sums.critique_nats + weights.preference * sums.preference_nats;
        (sums, joint)
    };
    let (_, additive) = run(&whole, weights(JointForm::Additive));
    near(additive, expected.additive_loss);
    let (sums, convex) = run(&whole, weights(JointForm::Convex));
    near(sums.critique_nats / sums.n_critique_tokens as f64, expected.critique_loss);
    near(sums.preference_nats / sums.n_pairs as f64, expected.preference_loss);
    near(convex, expected.convex_loss);
    check_gradients(&case, &gradients, "joint", tolerance);

    let scalar_forest = forest(expected, false);
    let scalar_weights = LossWeights::new(JointForm::Convex, 0.0, 0, n_pairs);
    let mut gradients = case.model.gradients();
    let sums = losses.add(parameters, &scalar_forest, scalar_weights, &mut gradients).unwrap();
    near(scalar_weights.preference * sums.preference_nats, expected.scalar.preference_loss);
    check_gradients(&case, &gradients, "scalar", tolerance);
}

#[test]
fn the_joint_loss_of_llama_has_pytorchs_gradients() {
    check("tiny_llama");
}

#[test]
fn the_joint_loss_of_qwen2_has_pytorchs_gradients() {
    check("tiny_qwen2");
}

#[test]
fn the_joint_losses_of_llamas_with_biases_and_stretched_rotations_have_pytorchs_gradients() {
    check("families/llama_linear_biased");
    check("families/llama_yarn");
}

#[test]
fn the_joint_losses_of_models_with_windows_have_pytorchs_gradients() {
    check("families/mistral");
    check("families/qwen2_window");
}

#[test]
fn the_joint_loss_of_qwen3_has_pytorchs_gradients() {
    check("families/qwen3");
}

#[test]
fn the_joint_losses_of_gemma_have_pytorchs_gradients() {
    check("families/gemma2");
    check("families/gemma3");
}

#[test]
fn the_joint_losses_of_phi3_have_pytorchs_gradients() {
    check("families/phi3");
    check("families/phi3_longrope");
}

#[track_caller]
fn check_steps(name: &str) {
    let case = case(name, Precision::F32);
    let AdamW { lr, beta1, beta2, eps, weight_decay, losses } = &case.expected.adamw.clone();
    let config = TrainConfig {
        epochs: 1,
        pairs_per_step: 2,
        tokens_per_pack: 4096,
        precision: Precision::F32,
        activations: Activations::F32,
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
        preference: PreferenceLoss::default(),
        critique_dropout: 0.0,
        evaluation: EvaluationConfig::default(),
        keep_checkpoints: 1,
        lora: None,
        head_warmup_steps: 0,
        reward_head: RewardHeadConfig::default(),
    };
    let whole = forest(&case.expected, true);
    let weights = LossWeights::new(
        config.joint,
        case.expected.lam,
        case.expected.n_critique_tokens,
        case.expected.pairs.len(),
    );
    let mut parameters = case.parameters();
    let mut gradients = Gradients::new(&parameters);
    let mut joint = JointLoss::new(config.activations, parameters.config().n_layers);
    let mut optimizer = Optimizer::new(&parameters);
    for (step, expected) in losses.iter().enumerate() {
        gradients.clear();
        let sums = joint.add(&parameters, &whole, weights, &mut gradients).unwrap();
        let found =
            weights.critique * sums.critique_nats + weights.preference * sums.preference_nats;
        near(found, *expected);
        optimizer.step(&mut parameters, &gradients, &config, 1.0, step).unwrap();
    }
    assert_eq!(losses.len(), 10);
}

#[test]
fn ten_steps_of_adamw_follow_pytorch() {
    check_steps("tiny_llama");
    check_steps("tiny_qwen2");
    check_steps("families/qwen3");
    check_steps("families/gemma2");
}

#[derive(Deserialize)]
struct Adapted {
    rank: usize,
    alpha: f64,
    target_modules: Vec<TargetModule>,
    loss: f64,
}

#[test]
fn adapters_have_pytorchs_loss_and_gradients() {
    let Case { expected, model, .. } = case("tiny_llama", Precision::F32);
    let text = std::fs::read(golden("lora_tiny_llama.json")).unwrap();
    let Adapted { rank, alpha, target_modules, loss } = serde_json::from_slice(&text).unwrap();
    let mut tensors = BTreeMap::new();
    read_arrays(&golden("lora_tiny_llama.safetensors"), &mut tensors).unwrap();
    let lora = LoraConfig { rank, alpha, dropout: 0.0, target_modules, rslora: false };
    let config = model.parameters().config().clone();
    let (weights, head) = model.into_weights();
    let plain = Parameters::new(&config, weights, head, Precision::F32).unwrap();
    let mut parameters = plain.with_adapters(&lora, &SeedTree::new(0));
    for id in parameters.adapter_ids() {
        let value = &tensors[&format!("value.{}", parameters.name(id))];
        assert_eq!(value.shape(), parameters.shape(id));
        parameters.values_mut(id).copy_from_slice(&value.values());
    }
    let n_pairs = expected.pairs.len();
    let weights =
        LossWeights::new(JointForm::Convex, expected.lam, expected.n_critique_tokens, n_pairs);
    let mut gradients = Gradients::new(&parameters);
    let mut joint = JointLoss::new(Activations::F32, config.n_layers);
    let whole = forest(&expected, true);
    let sums = joint.add(&parameters, &whole, weights, &mut gradients).unwrap();
    near(weights.critique * sums.critique_nats + weights.preference * sums.preference_nats, loss);
    for id in parameters.trained_ids() {
        let name = parameters.name(id);
        let name = if name == REWARD_HEAD { "reward_head.weight" } else { name };
        let expected = tensors.remove(&format!("grad.{name}")).unwrap();
        let scale = expected.values().iter().fold(0f32, |max, g| max.max(g.abs()));
        assert!(scale > 0.0, "{name}");
        for (found, expected) in gradients.get(id).unwrap().iter().zip(&*expected.values()) {
            assert!((found - expected).abs() <= 1e-4 * scale, "{name}: {found} is not {expected}");
        }
    }
    assert!(tensors.keys().all(|name| name.starts_with("value.")), "{:?}", tensors.keys());
}

#[derive(Deserialize)]
struct OfHead {
    preference_loss: f64,
    loss: f64,
}

#[test]
fn reward_heads_of_other_shapes_have_pytorchs_losses_and_gradients() {
    let text = std::fs::read(golden("reward_heads_tiny_llama.json")).unwrap();
    let cases: BTreeMap<String, OfHead> = serde_json::from_slice(&text).unwrap();
    assert_eq!(cases.len(), 3);
    let mut tensors = BTreeMap::new();
    read_arrays(&golden("reward_heads_tiny_llama.safetensors"), &mut tensors).unwrap();
    let part = |prefix: &str| -> BTreeMap<String, Weight> {
        let named = |(name, tensor): (&String, &Weight)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        tensors.iter().filter_map(named).collect()
    };
    for (head, expected_of_head) in &cases {
        let Case { expected, model, .. } = case("tiny_llama", Precision::F32);
        let config = model.parameters().config().clone();
        let (weights, _) = model.into_weights();
        let mut values = part(&format!("{head}.value."));
        let taken = RewardHead::take(&mut values, config.d_model).unwrap().unwrap();
        assert!(values.is_empty());
        let parameters = Parameters::new(&config, weights, taken, Precision::F32).unwrap();
        let n_pairs = expected.pairs.len();
        let weights =
            LossWeights::new(JointForm::Convex, expected.lam, expected.n_critique_tokens, n_pairs);
        let mut gradients = Gradients::new(&parameters);
        let mut joint = JointLoss::new(Activations::F32, config.n_layers);
        let whole = forest(&expected, true);
        let sums = joint.add(&parameters, &whole, weights, &mut gradients).unwrap();
        near(sums.preference_nats / n_pairs as f64, expected_of_head.preference_loss);
        let loss =
            weights.critique * sums.critique_nats + weights.preference * sums.preference_nats;
        near(loss, expected_of_head.loss);
        for (name, theirs) in part(&format!("{head}.grad.")) {
            let scale = theirs.values().iter().fold(0f32, |max, g| max.max(g.abs()));
            let Some(id) = parameters.ids().find(|&id| parameters.name(id) == name) else {
                // The shift, which the loss of pairs does not see.
                assert!(theirs.shape() == [1] && scale < 1e-6, "{name}: {scale}");
                continue;
            };
            assert!(scale > 0.0, "{name}");
            for (found, expected) in gradients.get(id).unwrap().iter().zip(&*theirs.values()) {
                let distance = (found - expected).abs();
                assert!(distance <= 1e-4 * scale, "{head} {name}: {found} is not {expected}");
            }
        }
    }
}

#[derive(Deserialize)]
struct PeftRewards {
    sequences: Vec<Vec<u32>>,
    rewards: Vec<f32>,
}

fn rewards(parameters: &Parameters, sequences: &[Vec<u32>]) -> Vec<f32> {
    let mut pass = Pass::new(Activations::F32, parameters.config().n_layers);
    let reward = |tokens: &Vec<u32>| {
        let n = tokens.len();
        let positions: Vec<u32> = (0..n as u32).collect();
        let runs = [QueryRun { query_start: 0, query_len: n, prefix: Vec::new(), own_start: 0 }];
        let (tokens, positions, read) = (tokens.as_slice(), positions.as_slice(), [n - 1]);
        let batch = Batch { tokens, positions, runs: &runs, read: &read, dropout_key: None };
        let hidden = pass.forward(parameters, &batch).unwrap();
        let head = parameters.values(parameters.reward_head().out);
        hidden.iter().zip(&*head).map(|(h, w)| h * w).sum()
    };
    sequences.iter().map(reward).collect()
}

#[test]
fn an_adapter_folder_of_peft_has_its_rewards_here_and_is_written_as_peft_writes_it() {
    let read_json = |path: PathBuf| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let folder = golden("peft_tiny_llama");
    let config = read_json(folder.join("adapter_config.json"));
    let lora = LoraConfig {
        rank: config["r"].as_u64().unwrap() as usize,
        alpha: config["lora_alpha"].as_f64().unwrap(),
        dropout: config["lora_dropout"].as_f64().unwrap(),
        target_modules: serde_json::from_value(config["target_modules"].clone()).unwrap(),
        rslora: config["use_rslora"].as_bool().unwrap(),
    };
    let mut theirs = BTreeMap::new();
    read_arrays(&folder.join("adapter_model.safetensors"), &mut theirs).unwrap();
    let loaded = load_folder(&golden("tiny_llama")).unwrap();
    let head = theirs["base_model.model.score.weight"].clone();
    let head = RewardHead::linear(head, loaded.config.d_model).unwrap();
    let plain = Parameters::new(&loaded.config, loaded.weights, head, Precision::F32).unwrap();
    let mut parameters = plain.with_adapters(&lora, &SeedTree::new(0));
    for id in parameters.adapter_ids() {
        let value = &theirs[&format!("base_model.model.{}", parameters.name(id))];
        parameters.values_mut(id).copy_from_slice(&value.values());
    }
    let PeftRewards { sequences, rewards: expected } =
        serde_json::from_value(read_json(golden("peft_tiny_llama_rewards.json"))).unwrap();
    let near = |found: &[f32]| {
        let pairs = found.iter().zip(&expected);
        pairs.for_each(|(found, e)| assert!((found - e).abs() < 1e-5, "{found} is not {e}"));
    };
    near(&rewards(&parameters, &sequences));

    let ours = tempfile::tempdir().unwrap();
    write_peft_folder(ours.path(), &parameters, "tiny_llama", true).unwrap();
    let mut arrays = BTreeMap::new();
    read_arrays(&ours.path().join("adapter_model.safetensors"), &mut arrays).unwrap();
    assert_eq!(arrays, theirs);
    let written = read_json(ours.path().join("adapter_config.json"));
    for (key, value) in written.as_object().unwrap() {
        match key.as_str() {
            // PEFT also names the head of other families.
            "modules_to_save" => assert_eq!(value, &serde_json::json!(["score"])),
            _ => assert_eq!(value, &config[key], "{key}"),
        }
    }

    let shape = parameters.config().clone();
    let (weights, head) = parameters.into_weights();
    near(&rewards(&Parameters::new(&shape, weights, head, Precision::F32).unwrap(), &sequences));
}
