use super::*;
use crate::JointForm;
use crate::loss::tests::{pair, tiny_config, tiny_weights};
use critic_forest::PairSequences;
use critic_kernels::Precision;
use critic_model::backprop::Activations;
use critic_model::composed::Device;
use critic_model::config::Architecture;
use critic_types::SeedTree;
use proptest::prelude::*;

/// The same model with the kernels and through candle's operations.
fn both(architecture: Architecture, tied: bool) -> (Kernels, Composed) {
    let config = tiny_config(architecture, tied);
    let model = || {
        let weights = tiny_weights(&config);
        TrainableModel::new(&config, weights, None, Precision::F32, &SeedTree::new(1)).unwrap()
    };
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
        let expected = kernels.add(forest, weights).unwrap();
        let found = composed.add(forest, weights).unwrap();
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
        tied in any::<bool>(),
        critique_weight in prop_oneof![Just(0.0), 0.0f64..1.0, Just(1.0)],
    ) {
        let architecture = if is_qwen { Architecture::Qwen2 } else { Architecture::Llama };
        let forest = TrainingForest::build(&pairs).unwrap();
        let weights = weights_of(&forest, critique_weight);
        same_step(&mut both(architecture, tied), &forest, weights)?;
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
            same_step(&mut both(Architecture::Qwen2, false), &forest, weights).unwrap();
        }
    }
}

#[test]
fn looking_leaves_no_gradient() {
    let forest = TrainingForest::build(&[sequences([2, 2], true)]).unwrap();
    let (mut kernels, mut composed) = both(Architecture::Llama, true);
    let nothing = LossWeights::new(JointForm::Convex, 0.0, 0, 0);
    for backend in [&mut kernels as &mut dyn Backend, &mut composed] {
        assert!(backend.add(&forest, nothing).unwrap().critique_nats > 0.0);
        let without = backend.without_gradient().unwrap();
        assert_eq!(without.len(), backend.states().unwrap().len());
        assert!(without.iter().all(|(_, found)| *found == "none"));
    }
}

#[test]
fn a_state_of_another_model_is_refused() {
    let states = |backend: &dyn Backend| -> BTreeMap<String, SavedParameter> {
        let weight = |state: &ParameterState<'_>, values: &[f32]| {
            Weight::new(state.shape, values.to_vec()).unwrap()
        };
        let saved = |state: &ParameterState<'_>| SavedParameter {
            weight: weight(state, &state.values),
            n_updates: state.n_updates,
            first: weight(state, &state.first),
            second: weight(state, &state.second),
        };
        let states = backend.states().unwrap();
        states.iter().map(|state| (state.name.to_owned(), saved(state))).collect()
    };
    let tied = both(Architecture::Llama, true);
    let untied = both(Architecture::Llama, false);
    for (mut tied, mut untied) in [
        (Box::new(tied.0) as Box<dyn Backend>, Box::new(untied.0) as Box<dyn Backend>),
        (Box::new(tied.1), Box::new(untied.1)),
    ] {
        let (of_tied, of_untied) = (states(tied.as_ref()), states(untied.as_ref()));
        assert!(matches!(
            untied.restore(of_tied),
            Err(TrainError::Model(ModelError::MissingWeight { name, .. })) if name == "lm_head.weight"
        ));
        assert!(matches!(
            tied.restore(of_untied),
            Err(TrainError::Model(ModelError::UnknownWeight { name })) if name == "lm_head.weight"
        ));
    }
}
