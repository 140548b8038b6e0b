use super::*;
use critic_forest::PairSequences;
use critic_kernels::Precision;
use critic_kernels::attention::QueryRun;
use critic_kernels::gated::Activation;
use critic_kernels::quantized::{self, Format};
use critic_model::backprop::{LoraConfig, TargetModule};
use critic_model::config::{Architecture, DecoderConfig, RopeConfig, Variant};
use critic_model::{RewardHead, Weight, weight_shapes};
use critic_stats::{MarginUse, PreferenceLoss};
use critic_types::SeedTree;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

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
        variant: Variant::default(),
    }
}

pub(crate) fn tiny_weights(config: &DecoderConfig) -> BTreeMap<String, Weight> {
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
        (name, Weight::new(shape, values).unwrap())
    };
    weight_shapes(config).into_iter().map(random).collect()
}

/// A reward head of every layout.
pub(crate) fn tiny_heads(d_model: usize) -> [RewardHead; 4] {
    let seed = SeedTree::new(1);
    let foreign = |shapes: &[(&str, Vec<usize>)]| {
        let tensor = |(name, shape): &(&str, Vec<usize>)| {
            let node = seed.child(name);
            let n = shape.iter().product::<usize>() as u64;
            let values = (0..n).map(|i| node.index(i).uniform() as f32 - 0.4).collect();
            ((*name).to_owned(), Weight::new(shape.clone(), values).unwrap())
        };
        let mut tensors = shapes.iter().map(tensor).collect();
        RewardHead::take(&mut tensors, d_model).unwrap().unwrap()
    };
    [
        RewardHead::random_linear(d_model, &seed),
        RewardHead::random_mlp(d_model, 7, &seed),
        foreign(&[("v_head.summary.weight", vec![1, d_model]), ("v_head.summary.bias", vec![1])]),
        foreign(&[
            ("reward_head.dense.weight", vec![d_model, d_model]),
            ("reward_head.dense.bias", vec![d_model]),
            ("reward_head.out_proj.weight", vec![1, d_model]),
            ("reward_head.out_proj.bias", vec![1]),
        ]),
    ]
}

/// The matrices of [`tiny_weights`] in blocks.
pub(crate) fn quantised_weights(
    config: &DecoderConfig,
    format: Format,
) -> BTreeMap<String, Weight> {
    let quantised = |(name, weight): (String, Weight)| match weight.shape() {
        &[n_out, n_in] => {
            let blocks = quantized::Weight::from_f32(format, n_out, n_in, &weight.values());
            (name, Weight::from_blocks(blocks.unwrap()))
        }
        _ => (name, weight),
    };
    tiny_weights(config).into_iter().map(quantised).collect()
}

fn tiny_parameters(config: &DecoderConfig) -> Parameters {
    let head = RewardHead::random_linear(config.d_model, &SeedTree::new(1));
    Parameters::new(config, tiny_weights(config), head, Precision::F32).unwrap()
}

/// A sequence that is run on its own.
struct Row<'a> {
    tokens: &'a [u32],
    /// Tokens that the critique loss predicts.
    labels: Range<usize>,
    /// Derivative of the joint loss with respect to its reward.
    slope: f64,
}

/// The joint loss and its gradients of sequences that are run one by one; losses in f64 by their formulas.
fn row_by_row(
    parameters: &Parameters,
    pairs: &[PairSequences],
    weights: LossWeights,
) -> (f64, Gradients) {
    let (d, head) = (parameters.config().d_model, parameters.values(parameters.reward_head().out));
    let lm_head = parameters.values(parameters.lm_head());
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let cap = parameters.config().variant.final_softcap.map(f64::from);
    let mut pass = Pass::new(Activations::F32, parameters.config().n_layers);
    let mut gradients = Gradients::new(parameters);
    let mut run = |row: &Row<'_>, gradients: Option<&mut Gradients>| -> (f64, f64) {
        let n = row.tokens.len();
        let positions: Vec<u32> = (0..n as u32).collect();
        let runs = [QueryRun { query_start: 0, query_len: n, prefix: Vec::new(), own_start: 0 }];
        let read: Vec<usize> = row.labels.clone().map(|label| label - 1).chain([n - 1]).collect();
        let batch = Batch {
            tokens: row.tokens,
            positions: &positions,
            runs: &runs,
            read: &read,
            dropout_key: None,
        };
        let hidden = pass.forward(parameters, &batch).unwrap().to_vec();
        let mut grad_hidden = vec![0.0; hidden.len()];
        let (mut nats, mut grad_lm_head) = (0.0, vec![0.0; lm_head.len()]);
        for (i, label) in row.labels.clone().enumerate() {
            let h = &hidden[i * d..][..d];
            let bounded = |x: f64| cap.map_or(x, |cap| cap * (x / cap).tanh());
            let logits: Vec<f64> = lm_head.chunks(d).map(|row| bounded(dot(row, h))).collect();
            let sum: f64 = logits.iter().map(|x| x.exp()).sum();
            nats += sum.ln() - logits[row.tokens[label] as usize];
            for (token, logit) in logits.iter().enumerate() {
                let is_label = f64::from(u8::from(token == row.tokens[label] as usize));
                let slope = weights.critique * (logit.exp() / sum - is_label);
                let slope = (slope * cap.map_or(1.0, |cap| 1.0 - (logit / cap).powi(2))) as f32;
                for j in 0..d {
                    grad_hidden[i * d + j] += slope * lm_head[token * d + j];
                    grad_lm_head[token * d + j] += slope * h[j];
                }
            }
        }
        let last = hidden.len() - d;
        if let Some(gradients) = gradients {
            for j in 0..d {
                grad_hidden[last + j] = (row.slope * f64::from(head[j])) as f32;
                gradients.add_to(parameters.reward_head().out)[j] +=
                    (row.slope * f64::from(hidden[last + j])) as f32;
            }
            let to = gradients.add_to(parameters.lm_head());
            to.iter_mut().zip(&grad_lm_head).for_each(|(to, grad)| *to += grad);
            pass.backward(parameters, &batch, &grad_hidden, gradients).unwrap();
        }
        (nats, dot(&hidden[last..], &head))
    };
    let mut loss = 0.0;
    for pair in pairs {
        let mut rows: Vec<Row<'_>> = Vec::new();
        let mut comparisons = Vec::new();
        if pair.read_without_critique {
            rows.extend(pair.responses.iter().map(|tokens| Row {
                tokens,
                labels: 0..0,
                slope: 0.0,
            }));
            comparisons.push((0, 1));
        }
        let first = [rows.len(), rows.len() + pair.critiqued[0].len()];
        for (tokens, span) in pair.critiqued.iter().flatten() {
            rows.push(Row { tokens, labels: span.clone(), slope: 0.0 });
        }
        let n = pair.critiqued.each_ref().map(Vec::len);
        if n.iter().all(|&n| n > 0) {
            comparisons
                .extend((0..n[0].max(n[1])).map(|i| (first[0] + i % n[0], first[1] + i % n[1])));
        }
        let found: Vec<(f64, f64)> = rows.iter().map(|row| run(row, None)).collect();
        loss += weights.critique * found.iter().map(|(nats, _)| nats).sum::<f64>();
        for &(chosen, rejected) in &comparisons {
            let weight = weights.preference / comparisons.len() as f64;
            let (plus, minus) = (found[chosen].1, found[rejected].1);
            let PreferenceLoss { label_smoothing, centering, .. } = weights.pair_loss;
            let d = plus - minus - pair.margin.unwrap_or(0.0);
            let right = (1.0 - label_smoothing) * (-d).exp().ln_1p();
            let wrong = label_smoothing * d.exp().ln_1p();
            loss += weight * (right + wrong + centering * (plus + minus).powi(2));
            let slope =
                label_smoothing / (1.0 + (-d).exp()) - (1.0 - label_smoothing) / (1.0 + d.exp());
            let pull = 2.0 * centering * (plus + minus);
            rows[chosen].slope += weight * (pull + slope);
            rows[rejected].slope += weight * (pull - slope);
        }
        for row in &rows {
            run(row, Some(&mut gradients));
        }
    }
    (loss, gradients)
}

pub(crate) fn pair() -> impl Strategy<Value = PairSequences> {
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
        prop::option::of(0.0f64..2.0),
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
                margin,
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
                    margin,
                }
            },
        )
}

/// Anything that families have, in any combination.
pub(crate) fn variant() -> impl Strategy<Value = Variant> {
    let window = || prop::option::of(1usize..12);
    let cap = || prop::option::of(0.5f32..8.0);
    let flags = any::<[bool; 8]>();
    (window(), window(), cap(), cap(), flags).prop_map(|(first, second, scores, logits, flags)| {
        let [o_bias, qk_norm, post_norms, offset, scaled, gelu, local, partial] = flags;
        Variant {
            o_bias,
            qk_norm,
            post_norms,
            unit_offset_norms: offset,
            scaled_embedding: scaled,
            activation: if gelu { Activation::GeluTanh } else { Activation::Silu },
            attention_softcap: scores,
            final_softcap: logits,
            query_pre_attn_scalar: Some(6.0),
            windows: vec![first, second],
            rope_local: local.then_some(RopeConfig { theta: 100.0, scaling: None }),
            rotary_dim: partial.then_some(2),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_forest_has_the_loss_and_gradients_of_its_sequences_one_by_one(
        pairs in prop::collection::vec(pair(), 1..4),
        is_qwen in any::<bool>(),
        variant in prop_oneof![Just(Variant::default()), variant()],
        tied in any::<bool>(),
        with_lora in any::<bool>(),
        critique_weight in 0.0f64..1.0,
        label_smoothing in 0.0f64..0.4,
        centering in 0.0f64..0.1,
    ) {
        let architecture = if is_qwen { Architecture::Qwen2 } else { Architecture::Llama };
        let config = DecoderConfig { variant, ..tiny_config(architecture, tied) };
        // A norm of what products give makes much of their rounding where it is small.
        let has_such_norms = config.variant.post_norms || config.variant.qk_norm;
        let tolerance = if has_such_norms { 1e-3 } else { 1e-4 };
        let parameters = if with_lora { adapted(&config, 0.5) } else { tiny_parameters(&config) };
        let forest = TrainingForest::build(&pairs).unwrap();
        let n_pairs = forest.comparisons.iter().filter(|pair| !pair.is_empty()).count();
        let pair_loss = PreferenceLoss { margin: MarginUse::Subtract, label_smoothing, centering };
        let weights = LossWeights { pair_loss, ..LossWeights::new(JointForm::Convex, critique_weight, forest.targets.len(), n_pairs) };
        let (expected, theirs) = row_by_row(&parameters, &pairs, weights);
        for activations in [Activations::F32, Activations::Recompute] {
            let mut ours = Gradients::new(&parameters);
            let mut losses = JointLoss::new(activations, config.n_layers);
            let sums = losses.add(&parameters, &forest, weights, &mut ours).unwrap();
            let found = weights.critique * sums.critique_nats + weights.preference * sums.preference_nats;
            prop_assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1e-3), "{} is not {}", found, expected);
            for id in parameters.ids() {
                let (Some(found), Some(expected)) = (ours.get(id), theirs.get(id)) else { continue };
                let scale = expected.iter().fold(0f32, |max, g| max.max(g.abs()));
                for (found, expected) in found.iter().zip(expected) {
                    prop_assert!((found - expected).abs() <= tolerance * scale + 1e-7, "{}: {} is not {}", parameters.name(id), found, expected);
                }
            }
        }
    }
}

/// What a step over these weights gives: its losses, every gradient, and the model after an update along
/// the gradients.
fn step_over(
    config: &DecoderConfig,
    weights: BTreeMap<String, Weight>,
    is_adapted: bool,
    activations: Activations,
    (forest, loss_weights): (&TrainingForest, LossWeights),
) -> (LossSums, Vec<Option<Vec<f32>>>, BTreeMap<String, Weight>) {
    let head = RewardHead::random_linear(config.d_model, &SeedTree::new(1));
    let mut parameters = Parameters::new(config, weights, head, Precision::F32).unwrap();
    if is_adapted {
        parameters = with_adapters(parameters, 0.3);
    }
    let mut gradients = Gradients::new(&parameters);
    let mut losses = JointLoss::new(activations, config.n_layers);
    let sums =
        losses.add_dropped(&parameters, forest, loss_weights, Some(3), &mut gradients).unwrap();
    for id in parameters.trained_ids() {
        let Some(gradient) = gradients.get(id) else { continue };
        let values = parameters.values_mut(id).iter_mut();
        values.zip(gradient).for_each(|(value, gradient)| *value -= 0.1 * gradient);
    }
    let found = parameters.ids().map(|id| gradients.get(id).map(<[f32]>::to_vec)).collect();
    let (mut weights, head) = parameters.into_weights();
    weights.extend(head.tensors().into_iter().map(|(name, tensor)| (name.to_owned(), tensor)));
    (sums, found, weights)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_base_in_blocks_has_the_bits_of_its_numbers(
        pairs in prop::collection::vec(pair(), 1..4),
        format in prop::sample::select(vec![Format::Q8_0, Format::Q4_0, Format::Q4_1, Format::F16, Format::Bf16]),
        architecture in prop::sample::select(vec![Architecture::Llama, Architecture::Qwen2]),
        variant in prop_oneof![Just(Variant::default()), variant()],
        tied in any::<bool>(),
        is_adapted in prop::bool::weighted(0.8),
        recomputes in any::<bool>(),
    ) {
        let config = DecoderConfig { variant, ..tiny_config(architecture, tied) };
        let blocks = quantised_weights(&config, format);
        let dense: BTreeMap<_, _> = blocks
            .iter()
            .map(|(name, weight)| {
                (name.clone(), Weight::new(weight.shape(), weight.values().to_vec()).unwrap())
            })
            .collect();
        let forest = TrainingForest::build(&pairs).unwrap();
        let n_pairs = forest.comparisons.iter().filter(|pair| !pair.is_empty()).count();
        let weights = LossWeights::new(JointForm::Convex, 0.6, forest.targets.len(), n_pairs);
        let activations = if recomputes { Activations::Recompute } else { Activations::F32 };
        let step = |base| step_over(&config, base, is_adapted, activations, (&forest, weights));
        let (found, expected) = (step(blocks.clone()), step(dense));
        prop_assert_eq!(found.0.critique_nats.to_bits(), expected.0.critique_nats.to_bits());
        prop_assert_eq!(found.0.preference_nats.to_bits(), expected.0.preference_nats.to_bits());
        prop_assert!(found.1 == expected.1, "the gradients differ");
        prop_assert!(found.2 == expected.2, "the models differ");
        // What the run started from is as it was, in its blocks.
        prop_assert!(blocks.values().all(|weight| weight.shape().len() < 2 || weight.blocks().is_some()));
        prop_assert!(blocks == quantised_weights(&config, format));
    }
}

#[test]
fn the_weights_of_both_forms_follow_their_formulas() {
    let neutral = LossWeights::new(JointForm::Convex, 0.0, 1, 1);
    let convex = LossWeights::new(JointForm::Convex, 0.75, 10, 5);
    assert_eq!(convex, LossWeights { critique: 0.075, preference: 0.05, ..neutral });
    let additive = LossWeights::new(JointForm::Additive, 0.75, 10, 5);
    assert_eq!(additive, LossWeights { critique: 0.075, preference: 0.2, ..neutral });
    assert_eq!(
        LossWeights::new(JointForm::Convex, 1.0, 0, 0),
        LossWeights { critique: 0.0, preference: 0.0, ..neutral }
    );
}

/// Parameters with adapters everywhere whose B is not zero.
fn adapted(config: &DecoderConfig, dropout: f64) -> Parameters {
    with_adapters(tiny_parameters(config), dropout)
}

fn with_adapters(parameters: Parameters, dropout: f64) -> Parameters {
    let mut parameters = parameters.with_adapters(&lora(dropout), &SeedTree::new(2));
    for id in parameters.adapter_ids() {
        let node = SeedTree::new(5).child(parameters.name(id));
        for (i, value) in parameters.values_mut(id).iter_mut().enumerate() {
            *value = (0.6 * (node.index(i as u64).uniform() - 0.5)) as f32;
        }
    }
    parameters
}

fn lora(dropout: f64) -> LoraConfig {
    use TargetModule::{DownProj, GateProj, KProj, OProj, QProj, UpProj, VProj};
    let target_modules = vec![QProj, KProj, VProj, OProj, GateProj, UpProj, DownProj];
    LoraConfig { rank: 3, alpha: 4.0, dropout, target_modules, rslora: true }
}

fn two_sequences() -> (Vec<u32>, Vec<u32>, [QueryRun; 2]) {
    let tokens = vec![3, 14, 15, 9, 26, 5, 35, 8];
    let positions = vec![0, 1, 2, 3, 0, 1, 2, 3];
    let run = |at| QueryRun { query_start: at, query_len: 4, prefix: Vec::new(), own_start: at };
    (tokens, positions, [run(0), run(4)])
}

fn hidden(parameters: &Parameters, dropout_key: Option<u64>) -> Vec<f32> {
    let (tokens, positions, runs) = two_sequences();
    let read = [3, 7];
    let batch =
        Batch { tokens: &tokens, positions: &positions, runs: &runs, read: &read, dropout_key };
    let mut pass = Pass::new(Activations::F32, parameters.config().n_layers);
    pass.forward(parameters, &batch).unwrap().to_vec()
}

#[test]
fn fresh_adapters_change_no_bit_and_merged_ones_give_the_same_numbers() {
    let config = tiny_config(Architecture::Qwen2, false);
    let plain = hidden(&tiny_parameters(&config), None);
    let fresh = tiny_parameters(&config).with_adapters(&lora(0.3), &SeedTree::new(2));
    assert_eq!(hidden(&fresh, Some(1)), plain);
    let adapted = adapted(&config, 0.3);
    let expected = hidden(&adapted, None);
    assert_ne!(expected, plain);
    let (weights, head) = adapted.into_weights();
    let merged = Parameters::new(&config, weights, head, Precision::F32).unwrap();
    for (found, expected) in hidden(&merged, None).iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{found} {expected}");
    }
}

#[test]
fn dropout_is_the_same_forward_and_backward() {
    let config = tiny_config(Architecture::Llama, true);
    let mut parameters = adapted(&config, 0.4);
    let key = Some(77);
    assert_ne!(hidden(&parameters, key), hidden(&parameters, None));
    assert_ne!(hidden(&parameters, key), hidden(&parameters, Some(78)));
    assert_eq!(hidden(&parameters, key), hidden(&parameters, key));
    // The loss is the sum of the hidden states that are read, each times a number of its own.
    let slopes: Vec<f32> = (0..2 * config.d_model).map(|i| (i as f32 * 0.7).sin()).collect();
    for activations in [Activations::F32, Activations::Recompute] {
        let (tokens, positions, runs) = two_sequences();
        let read = [3, 7];
        let batch = Batch {
            tokens: &tokens,
            positions: &positions,
            runs: &runs,
            read: &read,
            dropout_key: key,
        };
        let mut pass = Pass::new(activations, config.n_layers);
        let mut gradients = Gradients::new(&parameters);
        pass.forward(&parameters, &batch).unwrap();
        pass.backward(&parameters, &batch, &slopes, &mut gradients).unwrap();
        assert!(
            parameters.ids().all(|id| gradients.get(id).is_none() || parameters.is_trained(id))
        );
        for id in parameters.adapter_ids() {
            // Along the gradient itself, the loss rises by the gradient's square norm.
            let gradient = gradients.get(id).unwrap().to_vec();
            let square: f64 = gradient.iter().map(|&g| f64::from(g).powi(2)).sum();
            let mut loss_at = |step: f64| -> f64 {
                let before = parameters.values(id).to_vec();
                let values = parameters.values_mut(id).iter_mut();
                values
                    .zip(&gradient)
                    .for_each(|(value, g)| *value += (step * f64::from(*g)) as f32);
                let found = hidden(&parameters, key);
                parameters.values_mut(id).copy_from_slice(&before);
                found.iter().zip(&slopes).map(|(&h, &s)| f64::from(h) * f64::from(s)).sum()
            };
            let step = 5e-3 / square.sqrt();
            let slope = (loss_at(step) - loss_at(-step)) / (2.0 * step);
            assert!(
                (slope - square).abs() <= 5e-3 * square + 1e-4 * square.sqrt(),
                "{}: {slope} is not {square}",
                parameters.name(id)
            );
        }
    }
}
