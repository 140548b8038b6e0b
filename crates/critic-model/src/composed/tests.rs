use super::attention::Paths;
use super::decoder::hidden;
use super::*;
use crate::backprop::{self, Activations, Batch};
use crate::config::tests::{of_family, tiny};
use crate::config::{Architecture, DecoderConfig};
use crate::error::ModelError;
use crate::reward_head::{RewardHead, is_reward_head};
use crate::{Weight, weight_shapes};
use candle_core::{Tensor, Var};
use critic_kernels::adamw::{self, AdamW};
use critic_kernels::attention::{AttentionShape, QueryRun};
use critic_kernels::cross_entropy::Target;
use critic_kernels::{KernelError, Precision};
use critic_types::SeedTree;
use std::collections::BTreeMap;

fn weights(config: &DecoderConfig) -> (BTreeMap<String, Weight>, RewardHead) {
    let tree = SeedTree::new(5);
    let random = |(name, shape): (String, Vec<usize>)| {
        let node = tree.child(&name);
        let n = shape.iter().product::<usize>() as u64;
        let values = (0..n).map(|i| node.index(i).uniform() as f32 - 0.4).collect();
        (name, Weight::new(shape, values).unwrap())
    };
    let weights = weight_shapes(config).into_iter().map(random).collect();
    (weights, RewardHead::random_linear(config.d_model, &tree))
}

fn composed(config: &DecoderConfig) -> Parameters {
    let (weights, head) = weights(config);
    Parameters::new(config, &weights, &head, &Device::Cpu).unwrap()
}

fn run(query_start: usize, query_len: usize, prefix: &[std::ops::Range<usize>]) -> QueryRun {
    QueryRun { query_start, query_len, prefix: prefix.to_vec(), own_start: query_start }
}

const TOKENS: [u32; 7] = [3, 1, 4, 1, 5, 9, 2];
const POSITIONS: [u32; 7] = [0, 1, 2, 2, 3, 4, 4];

/// A root of two rows, two children, and a grandchild below the second; not in the order of their rows.
fn runs() -> Vec<QueryRun> {
    let root = 0..2;
    let above = std::slice::from_ref(&root);
    vec![run(3, 3, above), run(0, 2, &[]), run(2, 1, above), run(6, 1, &[0..2, 3..5])]
}

#[test]
fn hidden_states_and_their_gradients_are_those_of_the_kernels() {
    for architecture in Architecture::ALL {
        // A window that hides something, and a bias on every projection of the attention somewhere.
        let mut config = of_family(architecture);
        config.variant.windows.iter_mut().flatten().for_each(|window| *window = 2);
        config.variant.o_bias = architecture == Architecture::Qwen2;
        let runs = runs();
        let read = [1, 6, 4, 6];
        let (tokens, positions) = (&TOKENS[..], &POSITIONS[..]);
        let batch = Batch { tokens, positions, runs: &runs, read: &read, dropout_key: None };
        let (weights, head) = weights(&config);
        let parameters = backprop::Parameters::new(&config, weights, head, Precision::F32).unwrap();
        let mut pass = backprop::Pass::new(Activations::F32, config.n_layers);
        let expected = pass.forward(&parameters, &batch).unwrap().to_vec();
        let mut theirs = backprop::Gradients::new(&parameters);
        pass.backward(&parameters, &batch, &expected, &mut theirs).unwrap();

        let ours = composed(&config);
        let states = hidden(&ours, &batch).unwrap();
        close("hidden states", &values(&states), &expected);
        let mut gradients = Gradients::default();
        // The gradient of half the sum of squares is the number itself.
        let half = (states.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap();
        gradients.add(&ours, half.backward().unwrap()).unwrap();
        for id in parameters.ids() {
            let name = parameters.name(id);
            match (gradients.values(name).unwrap(), theirs.get(id)) {
                (Some(found), Some(expected)) => close(name, &found, expected),
                (None, None) => {}
                (found, expected) => panic!("{name}: {found:?} is not {expected:?}"),
            }
        }
    }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
    assert!(scale > 0.0, "{what} is zero");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-4 * scale, "{what}: {found} is not {expected}");
    }
}

#[test]
fn how_the_paths_are_cut_into_blocks_does_not_matter() {
    let plain = tiny(Architecture::Llama).attention_shape(0);
    for (window, softcap) in [(None, None), (Some(2), Some(0.5))] {
        how_it_is_cut_does_not_matter(AttentionShape { window, softcap, ..plain });
    }
}

fn how_it_is_cut_does_not_matter(shape: AttentionShape) {
    let tree = SeedTree::new(8);
    let random = |name: &str, width: usize| {
        let node = tree.child(name);
        let numbers: Vec<f32> =
            (0..7 * width).map(|i| node.index(i as u64).uniform() as f32 - 0.5).collect();
        Var::from_vec(numbers, (7, width), &Device::Cpu).unwrap()
    };
    let (q, k, v) = (random("q", 12), random("k", 4), random("v", 4));
    let attend = |keys_of_a_block: usize| {
        let paths = Paths::new(&runs(), 7, shape.window, keys_of_a_block, &Device::Cpu).unwrap();
        let attended = paths.attend(shape, &q, &k, &v).unwrap();
        let found = attended.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let gradients = [&q, &k, &v].map(|x| values(found.get(x).unwrap()));
        (values(&attended), gradients)
    };
    let (whole, gradients) = attend(7);
    for keys_of_a_block in [1, 3, 5] {
        let (cut, their_gradients) = attend(keys_of_a_block);
        close("attended", &cut, &whole);
        for (found, expected) in their_gradients.iter().zip(&gradients) {
            close("a gradient", found, expected);
        }
    }
}

#[test]
fn how_the_targets_are_cut_into_chunks_does_not_matter() {
    let config = tiny(Architecture::Qwen2);
    let (parameters, runs) = (composed(&config), runs());
    let read = [0, 1, 3, 6, 4];
    let batch = Batch {
        tokens: &TOKENS,
        positions: &POSITIONS,
        runs: &runs,
        read: &read,
        dropout_key: None,
    };
    let target = |(row, token)| Target { row, token };
    let targets = [(0, 3), (1, 4), (1, 4), (1, 0), (3, 10)].map(target);
    let run = |rows_of_a_chunk| {
        let mut gradients = Gradients::default();
        let mut pass = Pass::forward(&parameters, &batch).unwrap().in_chunks_of(rows_of_a_chunk);
        let nats = pass.cross_entropy(&targets, 0.3, &mut gradients).unwrap();
        pass.backward(&mut gradients).unwrap();
        (nats, gradients)
    };
    let (whole, gradients) = run(256);
    for rows_of_a_chunk in [1, 2] {
        let (nats, found) = run(rows_of_a_chunk);
        close("nats", &nats, &whole);
        for name in parameters.names().filter(|&name| !is_reward_head(name)) {
            let [found, expected] = [&found, &gradients].map(|g| g.values(name).unwrap().unwrap());
            close(name, &found, &expected);
        }
    }
    let mut pass = Pass::forward(&parameters, &batch).unwrap();
    let mut refused = |row, token| {
        pass.cross_entropy(&[target((row, token))], 1.0, &mut Gradients::default()).unwrap_err()
    };
    assert!(matches!(refused(0, 11), ModelError::UnknownToken { token: 11, .. }));
    assert!(matches!(refused(5, 0), ModelError::NoSuchRow { row: 5, n_rows: 5 }));
}

#[test]
fn an_update_is_that_of_the_kernel() {
    let config = tiny(Architecture::Llama);
    let parameters = composed(&config);
    let name = "model.layers.1.mlp.up_proj.weight";
    let mut weight = parameters.weight(name).unwrap().into_values();
    let (mut first, mut second) = (vec![0.0; weight.len()], vec![0.0; weight.len()]);
    let mut moments = Moments::zeros(&parameters, name).unwrap();
    let update =
        AdamW { learning_rate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };
    for step in 1..=3 {
        // Of the sum of cubes.
        let loss = parameters.get(name).powf(3.0).unwrap().sum_all().unwrap();
        let mut gradients = Gradients::default();
        gradients.add(&parameters, loss.backward().unwrap()).unwrap();
        let gradient = gradients.values(name).unwrap().unwrap();
        let squares = gradients.sum_of_squares(name).unwrap().unwrap();
        assert!((squares / adamw::sum_of_squares(&gradient) - 1.0).abs() < 1e-6);
        assert_eq!(gradients.is_zero(name).unwrap(), Some(false));
        adamw::step(&update, step, 0.5, &mut weight, &gradient, &mut first, &mut second).unwrap();
        moments.step(&update, 0.5, &parameters, &gradients, name).unwrap();
        assert_eq!(moments.n_updates(), step);
        close("the weight", &parameters.weight(name).unwrap().values(), &weight);
        let [found_first, found_second] = moments.weights().unwrap();
        close("the first moment", &found_first.values(), &first);
        close("the second moment", &found_second.values(), &second);
    }
    assert!(matches!(
        Moments::new(&parameters, name, 1, &first, &second[1..]),
        Err(ModelError::WeightShape { .. })
    ));
}

#[test]
fn weights_come_back_as_they_went() {
    let config = tiny(Architecture::Qwen2);
    let (weights, head) = weights(&config);
    assert_eq!(composed(&config).weights().unwrap(), (weights, head));
}

#[test]
fn weights_of_another_architecture_are_refused() {
    let config = tiny(Architecture::Llama);
    let new = |config: &DecoderConfig, weights: &BTreeMap<String, Weight>, head: &RewardHead| {
        Parameters::new(config, weights, head, &Device::Cpu).unwrap_err()
    };
    let (mut weights, head) = weights(&config);
    let untied = DecoderConfig { tied_embeddings: false, ..config.clone() };
    assert!(matches!(new(&untied, &weights, &head),
        ModelError::MissingWeight { name, .. } if name == "lm_head.weight"));
    let narrow = Weight::new([1, 3], vec![0.0; 3]).unwrap();
    let narrow_head = RewardHead::linear(narrow.clone(), 3).unwrap();
    assert!(matches!(new(&config, &weights, &narrow_head), ModelError::WeightShape { .. }));
    weights.insert("lm_head.weight".to_owned(), narrow);
    assert!(matches!(new(&config, &weights, &head), ModelError::UnknownWeight { .. }));
}

#[test]
fn a_batch_that_does_not_fit_is_refused() {
    let config = tiny(Architecture::Llama);
    let parameters = composed(&config);
    let refused = |tokens: &[u32], positions: &[u32], runs: &[QueryRun], read: &[usize]| {
        hidden(&parameters, &Batch { tokens, positions, runs, read, dropout_key: None })
            .unwrap_err()
    };
    let (two, one) = ([run(0, 2, &[])], [run(0, 1, &[])]);
    assert!(matches!(refused(&[1, 11], &[0, 1], &two, &[0]), ModelError::UnknownToken { .. }));
    assert!(matches!(refused(&[1, 2], &[0, 1], &two, &[2]), ModelError::NoSuchRow { .. }));
    assert!(matches!(
        refused(&[1, 2], &[0, 64], &two, &[0]),
        ModelError::Kernel(KernelError::OutOfRange { operand: "positions", found: 64, .. })
    ));
    assert!(matches!(
        refused(&[1, 2], &[0, 1], &one, &[0]),
        ModelError::Kernel(KernelError::BrokenPartition { found: 1, expected: 2 })
    ));
    let (beyond, own) = (1..3, 0..2);
    assert!(matches!(
        refused(&[1, 2], &[0, 1], &[run(0, 2, std::slice::from_ref(&beyond))], &[0]),
        ModelError::Kernel(KernelError::OutOfRange { operand: "runs", found: 2, .. })
    ));
    assert!(matches!(
        refused(&[1, 2], &[0, 1], &[run(0, 2, std::slice::from_ref(&own))], &[0]),
        ModelError::Kernel(KernelError::RepeatedKey { key: 0 })
    ));
}
