use super::*;
use candle_core::{D, Device};
use critic_forest::PairSequences;
use critic_model::config::{Architecture, DecoderConfig, RopeConfig};
use critic_model::weight_shapes;
use critic_types::SeedTree;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(crate) fn tiny_config(architecture: Architecture, tied_embeddings: bool) -> DecoderConfig {
    DecoderConfig {
        architecture,
        vocab_size: 40,
        d_model: 16,
        d_ff: 24,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        head_dim: 4,
        rms_norm_eps: 1e-5,
        rope: RopeConfig { theta: 10_000.0, scaling: None },
        context_length: 64,
        tied_embeddings,
        qkv_bias: architecture == Architecture::Qwen2,
    }
}

pub(crate) fn tiny_weights(config: &DecoderConfig) -> BTreeMap<String, Tensor> {
    let tree = SeedTree::new(3);
    let random = |(name, shape): (String, Vec<usize>)| {
        let node = tree.child(&name);
        let n: usize = shape.iter().product();
        let center = if name.ends_with("norm.weight") || name.ends_with("layernorm.weight") {
            1.0
        } else {
            0.0
        };
        let values: Vec<f32> = (0..n)
            .map(|i| (center + 0.8 * (node.index(i as u64).uniform() - 0.5)) as f32)
            .collect();
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    };
    weight_shapes(config).into_iter().map(random).collect()
}

fn tiny_model(config: &DecoderConfig) -> TrainableModel {
    TrainableModel::new(config, &tiny_weights(config), None, &SeedTree::new(1)).unwrap()
}

/// The joint loss of sequences that are run one by one, from candle's own operations above the decoder.
fn row_by_row(model: &TrainableModel, pairs: &[PairSequences], weights: LossWeights) -> Tensor {
    let hidden = |tokens: &[u32]| {
        let row = PairSequences {
            responses: [tokens.to_vec(), tokens.to_vec()],
            read_without_critique: true,
            ..Default::default()
        };
        let forest = TrainingForest::build(&[row]).unwrap();
        assert_eq!(forest.tokens, tokens);
        let positions = forest.positions.clone().into();
        model.decoder.hidden(tokens, &positions, &mut ForestAttention::new(&forest)).unwrap()
    };
    let reward = |hidden: &Tensor| {
        let last = hidden.get(hidden.dims()[0] - 1).unwrap();
        (last * model.head.weight().get(0).unwrap()).unwrap().sum_all().unwrap()
    };
    let softplus = |x: Tensor| ((x.exp().unwrap() + 1.0).unwrap()).log().unwrap();
    let mut sum = Tensor::new(0f32, &Device::Cpu).unwrap();
    for pair in pairs {
        let mut comparisons: Vec<(Tensor, Tensor)> = Vec::new();
        let mut rewards: [Vec<Tensor>; 2] = [Vec::new(), Vec::new()];
        for side in 0..2 {
            for (tokens, span) in &pair.critiqued[side] {
                let hidden = hidden(tokens);
                rewards[side].push(reward(&hidden));
                let predicting = hidden.narrow(0, span.start - 1, span.len()).unwrap();
                let logits = predicting.matmul(&model.decoder.lm_head().t().unwrap()).unwrap();
                let ids =
                    Tensor::new(&tokens[span.clone()], &Device::Cpu).unwrap().unsqueeze(1).unwrap();
                let nats = candle_nn::ops::log_softmax(&logits, D::Minus1)
                    .unwrap()
                    .gather(&ids, 1)
                    .unwrap()
                    .sum_all()
                    .unwrap()
                    .neg()
                    .unwrap();
                sum = (sum + (nats * weights.critique).unwrap()).unwrap();
            }
        }
        if pair.read_without_critique {
            let [chosen, rejected] =
                pair.responses.each_ref().map(|tokens| reward(&hidden(tokens)));
            comparisons.push((chosen, rejected));
        }
        let [chosen, rejected] = &rewards;
        if !chosen.is_empty() && !rejected.is_empty() {
            for i in 0..chosen.len().max(rejected.len()) {
                comparisons
                    .push((chosen[i % chosen.len()].clone(), rejected[i % rejected.len()].clone()));
            }
        }
        let n = comparisons.len() as f64;
        for (chosen, rejected) in comparisons {
            let nats = softplus((rejected - chosen).unwrap());
            sum = (sum + (nats * (weights.preference / n)).unwrap()).unwrap();
        }
    }
    sum
}

fn pair() -> impl Strategy<Value = PairSequences> {
    let tokens = |len| prop::collection::vec(0u32..40, len);
    let critiques = || prop::collection::vec(tokens(1..5), 1..4);
    (
        tokens(1..6),
        tokens(1..5),
        tokens(1..5),
        tokens(1..4),
        critiques(),
        critiques(),
        any::<bool>(),
    )
        .prop_map(
            |(
                prompt,
                chosen,
                rejected,
                request,
                chosen_critiques,
                rejected_critiques,
                read_without_critique,
            )| {
                let response = |y: &[u32]| [&prompt[..], y].concat();
                let critiqued = |y: &[u32], critiques: Vec<Vec<u32>>| {
                    let asked = [&response(y)[..], &request].concat();
                    critiques
                        .iter()
                        .map(|z| ([&asked[..], z].concat(), asked.len()..asked.len() + z.len()))
                        .collect()
                };
                PairSequences {
                    responses: [response(&chosen), response(&rejected)],
                    read_without_critique,
                    critiqued: [
                        critiqued(&chosen, chosen_critiques),
                        critiqued(&rejected, rejected_critiques),
                    ],
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_forest_has_the_loss_and_gradients_of_its_sequences_one_by_one(
        pairs in prop::collection::vec(pair(), 1..4),
        is_qwen in any::<bool>(),
        tied in any::<bool>(),
        critique_weight in 0.0f64..1.0,
    ) {
        let config = tiny_config(if is_qwen { Architecture::Qwen2 } else { Architecture::Llama }, tied);
        let model = tiny_model(&config);
        let forest = TrainingForest::build(&pairs).unwrap();
        let n_pairs = forest.comparisons.iter().filter(|pair| !pair.is_empty()).count();
        let weights = LossWeights::new(JointForm::Convex, critique_weight, forest.targets.len(), n_pairs);
        let (joint, sums) = joint_loss(&model, &forest, weights).unwrap();
        let joint = joint.unwrap();
        let rows = row_by_row(&model, &pairs, weights);
        let (found, expected) = (joint.to_scalar::<f32>().unwrap(), rows.to_scalar::<f32>().unwrap());
        prop_assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1e-3), "{} is not {}", found, expected);
        let from_sums = weights.critique * sums.critique_nats + weights.preference * sums.preference_nats;
        prop_assert!((from_sums - f64::from(found)).abs() < 1e-4);
        let (ours, theirs) = (joint.backward().unwrap(), rows.backward().unwrap());
        for (name, var) in model.parameters() {
            let Some(expected) = theirs.get(var.as_tensor()) else { continue };
            let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let found = ours.get(var.as_tensor()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let scale = expected.iter().fold(0f32, |max, g| max.max(g.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found - expected).abs() <= 1e-4 * scale + 1e-7, "{}: {} is not {}", name, found, expected);
            }
        }
    }
}

#[test]
fn the_weights_of_both_forms_follow_their_formulas() {
    let convex = LossWeights::new(JointForm::Convex, 0.75, 10, 5);
    assert_eq!(convex, LossWeights { critique: 0.075, preference: 0.05 });
    let additive = LossWeights::new(JointForm::Additive, 0.75, 10, 5);
    assert_eq!(additive, LossWeights { critique: 0.075, preference: 0.2 });
    assert_eq!(
        LossWeights::new(JointForm::Convex, 1.0, 0, 0),
        LossWeights { critique: 0.0, preference: 0.0 }
    );
}
