use super::*;
use crate::JointForm;
use crate::loss::tests::{pair, tiny_config, tiny_heads, tiny_weights, variant};
use critic_forest::PairSequences;
use critic_kernels::Precision;
use critic_model::RewardHead;
use critic_model::backprop::Activations;
use critic_model::composed::Device;
use critic_model::config::{Architecture, DecoderConfig, Variant};
use critic_stats::{MarginUse, PreferenceLoss};
use proptest::prelude::*;

/// The same model with the kernels and through candle's operations.
fn both(config: &DecoderConfig) -> (Kernels, Composed) {
    both_with(config, &tiny_heads(config.d_model)[0])
}

fn both_with(config: &DecoderConfig, head: &RewardHead) -> (Kernels, Composed) {
    let model =
        || TrainableModel::new(config, tiny_weights(config), head.clone(), Precision::F32).unwrap();
    let composed = Composed::new(model(), &Device::Cpu).unwrap();
    (Kernels::new(model(), Activations::F32), composed)
}

fn weights_of(forest: &TrainingForest, critique_weight: f64) -> LossWeights {
    let n_pairs = forest.comparisons.iter().filter(|pair| !pair.is_empty()).count();
    LossWeights::new(JointForm::Convex, critique_weight, forest.targets.len(), n_pairs)
}

/// `found` is within 1e-4 of the largest of `expected`.
fn close(what: &str, found: &[f32], expected: &[f32]) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        let distance = (found - expected).abs();
        prop_assert!(distance <= 1e-4 * scale + 1e-9, "{}: {} is not {}", what, found, expected);
    }
    Ok(())
}

fn same_step(
    (kernels, composed): &mut (Kernels, Composed),
    forest: &TrainingForest,
    weights: LossWeights,
) -> Result<(), TestCaseError> {
    kernels.clear();
    composed.clear();
    // Twice: gradients add up.
    for _ in 0..2 {
        let expected = kernels.add(forest, weights, None).unwrap();
        let found = composed.add(forest, weights, None).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-4 * b.abs() + 1e-9;
        prop_assert!(near(found.critique_nats, expected.critique_nats));
        prop_assert!(near(found.preference_nats, expected.preference_nats));
        let counts = |sums: LossSums| {
            [sums.n_critique_tokens, sums.n_pairs, sums.n_correct, sums.n_comparisons]
        };
        prop_assert_eq!(counts(found), counts(expected));
    }
    let parameters = &kernels.model.parameters;
    for id in parameters.ids() {
        let name = parameters.name(id);
        match (composed.gradients.values(name).unwrap(), kernels.gradients.get(id)) {
            (Some(found), Some(expected)) => close(name, &found, expected)?,
            (None, None) => {}
            (found, expected) => prop_assert!(false, "{}: {:?}, {:?}", name, found, expected),
        }
    }
    prop_assert_eq!(composed.without_gradient().unwrap(), kernels.without_gradient().unwrap());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn losses_and_every_gradient_are_those_of_the_kernels(
        pairs in prop::collection::vec(pair(), 1..4),
        is_qwen in any::<bool>(),
        variant in prop_oneof![Just(Variant::default()), variant()],
        tied in any::<bool>(),
        critique_weight in prop_oneof![Just(0.0), 0.0f64..1.0, Just(1.0)],
        head in 0usize..4,
    ) {
        let architecture = if is_qwen { Architecture::Qwen2 } else { Architecture::Llama };
        let config = DecoderConfig { variant, ..tiny_config(architecture, tied) };
        let forest = TrainingForest::build(&pairs).unwrap();
        let pair_loss = PreferenceLoss { margin: MarginUse::Subtract, label_smoothing: 0.1, centering: 0.01 };
        let weights = LossWeights { pair_loss, ..weights_of(&forest, critique_weight) };
        let head = &tiny_heads(config.d_model)[head];
        same_step(&mut both_with(&config, head), &forest, weights)?;
    }
}

/// A pair with critiques of one side only, all of them dropped, or several of both.
fn sequences(n_critiques: [u32; 2], read_without_critique: bool) -> PairSequences {
    let response = |side: u32| vec![1, 2, 7 + side];
    let critiqued = |side: u32| {
        let sequence = |i| ([response(side), vec![5, 20 + i, 9]].concat(), 4..6);
        (0..n_critiques[side as usize]).map(sequence).collect()
    };
    PairSequences {
        responses: [response(0), response(1)],
        read_without_critique,
        critiqued: [critiqued(0), critiqued(1)],
        margin: None,
    }
}

#[test]
fn dropped_critiques_and_uneven_ones_are_those_of_the_kernels() {
    for pairs in [
        vec![sequences([0, 0], true)],
        vec![sequences([3, 1], false), sequences([0, 0], true)],
        vec![sequences([2, 0], true), sequences([2, 2], true)],
        // Nothing to compare.
        vec![sequences([2, 0], false)],
    ] {
        let forest = TrainingForest::build(&pairs).unwrap();
        for critique_weight in [0.0, 0.6] {
            let weights = weights_of(&forest, critique_weight);
            same_step(&mut both(&tiny_config(Architecture::Qwen2, false)), &forest, weights)
                .unwrap();
        }
    }
}

#[test]
fn looking_leaves_no_gradient() {
    let forest = TrainingForest::build(&[sequences([2, 2], true)]).unwrap();
    let (mut kernels, mut composed) = both(&tiny_config(Architecture::Llama, true));
    let nothing = LossWeights::new(JointForm::Convex, 0.0, 0, 0);
    for backend in [&mut kernels as &mut dyn Backend, &mut composed] {
        assert!(backend.add(&forest, nothing, None).unwrap().critique_nats > 0.0);
        let without = backend.without_gradient().unwrap();
        assert_eq!(without.len(), backend.weights().unwrap().len());
        assert!(without.iter().all(|(_, found)| *found == "none"));
    }
}

#[test]
fn a_state_of_another_model_is_refused() {
    let states = |backend: &dyn Backend| {
        let weight = |shape: &[usize], values: &[f32]| Weight::new(shape, values.to_vec()).unwrap();
        let (weights, moments) = (backend.weights().unwrap(), backend.moments().unwrap());
        let both = weights.iter().zip(&moments).map(|(state, moments)| {
            let saved = SavedMoments {
                n_updates: moments.n_updates,
                first: weight(state.shape, &moments.first),
                second: weight(state.shape, &moments.second),
            };
            let name = state.name.to_owned();
            ((name.clone(), weight(state.shape, &state.values)), (name, saved))
        });
        let (weights, moments): (BTreeMap<_, _>, BTreeMap<_, _>) = both.unzip();
        (weights, moments)
    };
    let tied = both(&tiny_config(Architecture::Llama, true));
    let untied = both(&tiny_config(Architecture::Llama, false));
    for (mut tied, mut untied) in [
        (Box::new(tied.0) as Box<dyn Backend>, Box::new(untied.0) as Box<dyn Backend>),
        (Box::new(tied.1), Box::new(untied.1)),
    ] {
        let (of_tied, of_untied) = (states(tied.as_ref()), states(untied.as_ref()));
        for refused in [untied.restore(of_tied.0), untied.restore_moments(of_tied.1)] {
            assert!(matches!(
                refused,
                Err(TrainError::Model(ModelError::MissingWeight { name, .. })) if name == "lm_head.weight"
            ));
        }
        for refused in [tied.restore(of_untied.0), tied.restore_moments(of_untied.1)] {
            assert!(matches!(
                refused,
                Err(TrainError::Model(ModelError::UnknownWeight { name })) if name == "lm_head.weight"
            ));
        }
    }
}
