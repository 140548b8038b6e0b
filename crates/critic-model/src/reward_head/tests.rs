use super::layout::LAYOUTS;
use super::*;
use crate::backprop::{Gradients, Parameters, RewardPass};
use crate::config::tests::tiny;
use crate::config::{Architecture, DecoderConfig};
use crate::sources::testing::{bits, random_weight, random_weights};
use critic_kernels::Precision;
use proptest::prelude::*;

const WIDTH: usize = 5;

/// The tensors of a head of this layout.
fn tensors(layout: &HeadLayout, d_model: usize) -> BTreeMap<String, Weight> {
    let tensor = |name| random_weight(name, &layout.shape(name, d_model, WIDTH));
    layout.names().map(|name| (name.to_owned(), tensor(name))).collect()
}

/// A head of every layout.
fn heads(d_model: usize) -> Vec<RewardHead> {
    let taken = |layout| RewardHead::take(&mut tensors(layout, d_model), d_model);
    LAYOUTS.into_iter().map(|layout| taken(layout).unwrap().unwrap()).collect()
}

fn states(n: usize, d_model: usize) -> Vec<f32> {
    random_weight("states", &[n, d_model]).into_values().iter().map(|x| 4.0 * x).collect()
}

/// A reward by its formula, in f64.
fn by_formula(head: &RewardHead, state: &[f32]) -> f64 {
    let tensors = head.tensors();
    let dot =
        |a: &[f32], b: &[f64]| -> f64 { a.iter().zip(b).map(|(&a, b)| f64::from(a) * b).sum() };
    let state: Vec<f64> = state.iter().map(|&x| f64::from(x)).collect();
    let layer = |weight: &str, bias: &str, activation: fn(f64) -> f64| -> Vec<f64> {
        let (weight, bias) = (tensors[weight].values(), tensors[bias].values());
        let rows = weight.chunks(state.len()).zip(&*bias);
        rows.map(|(row, &bias)| activation(dot(row, &state) + f64::from(bias))).collect()
    };
    let silu = |x: f64| x / (1.0 + (-x).exp());
    match head.layout().kind {
        "linear" => dot(&tensors["score.weight"].values(), &state),
        "mlp" => {
            let features = layer("score.0.weight", "score.0.bias", silu);
            dot(&tensors["score.2.weight"].values(), &features)
        }
        "value head" => {
            let shift = f64::from(tensors["v_head.summary.bias"].values()[0]);
            dot(&tensors["v_head.summary.weight"].values(), &state) + shift
        }
        "CLoud" => {
            let features = layer("reward_head.dense.weight", "reward_head.dense.bias", f64::tanh);
            let shift = f64::from(tensors["reward_head.out_proj.bias"].values()[0]);
            dot(&tensors["reward_head.out_proj.weight"].values(), &features) + shift
        }
        kind => panic!("{kind} has no formula"),
    }
}

#[test]
fn every_layout_reads_by_its_formula() {
    for head in heads(12) {
        let states = states(9, 12);
        for (found, state) in head.rewards(&states).unwrap().iter().zip(states.chunks(12)) {
            let expected = by_formula(&head, state);
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{head}: {found}, {expected}");
        }
    }
}

proptest! {
    #[test]
    fn a_rewards_bits_do_not_depend_on_the_other_rows(
        n in 1usize..40,
        d_model in 1usize..70,
        width in 1usize..90,
        row in 0usize..40,
    ) {
        let seed = SeedTree::new(3);
        let random = [
            RewardHead::random_linear(d_model, &seed),
            RewardHead::random_mlp(d_model, width, &seed),
        ];
        let (row, states) = (row % n, states(n, d_model));
        for head in random.into_iter().chain(heads(d_model)) {
            let together = head.rewards(&states).unwrap();
            prop_assert_eq!(together.len(), n);
            let alone = head.rewards(&states[row * d_model..][..d_model]).unwrap();
            prop_assert_eq!(alone[0].to_bits(), together[row].to_bits());
        }
    }
}

fn with_head(config: &DecoderConfig, head: RewardHead) -> Parameters {
    Parameters::new(config, random_weights(config), head, Precision::F32).unwrap()
}

#[test]
fn the_gradients_of_every_layout_are_those_of_finite_differences() {
    let config = tiny(Architecture::Llama);
    let (states, slopes) = (states(4, config.d_model), [0.7f32, -1.3, 0.2, 0.9]);
    for head in heads(config.d_model) {
        // The loss is Σ slope · reward, by the formula.
        let loss = |head: &RewardHead, states: &[f32]| -> f64 {
            let rows = states.chunks(config.d_model).zip(slopes);
            rows.map(|(state, slope)| f64::from(slope) * by_formula(head, state)).sum()
        };
        let parameters = with_head(&config, head.clone());
        let (mut pass, mut gradients) = (RewardPass::default(), Gradients::new(&parameters));
        let mut grad_states = vec![0.0; states.len()];
        // Twice, after a pass over more rows: gradients of parameters add up.
        pass.forward(&parameters, &[states.clone(), states.clone()].concat()).unwrap();
        let rewards = pass.forward(&parameters, &states).unwrap();
        assert_eq!(rewards, head.rewards(&states).unwrap());
        for _ in 0..2 {
            pass.backward(&parameters, &states, &slopes, &mut grad_states, &mut gradients).unwrap();
        }
        let step = 1e-3;
        let near = |found: f32, up: f64, down: f64, what: &str| {
            let expected = (up - down) / (2.0 * f64::from(step));
            assert!((f64::from(found) - expected).abs() < 2e-3, "{what}: {found}, {expected}");
        };
        for (i, &found) in grad_states.iter().enumerate() {
            let moved = |by: f32| {
                let mut moved = states.clone();
                moved[i] += by;
                loss(&head, &moved)
            };
            near(found, moved(step), moved(-step), "a state");
        }
        let ids: Vec<_> =
            parameters.ids().filter(|&id| parameters.reward_head().contains(id)).collect();
        assert_eq!(ids.len(), head.trained().count());
        for id in ids {
            let name = parameters.name(id);
            for (i, &found) in gradients.get(id).unwrap().iter().enumerate() {
                let moved = |by: f32| {
                    let mut tensors = head.tensors();
                    let mut values = tensors[name].values().to_vec();
                    values[i] += by;
                    let (key, _) = tensors.remove_entry(name).unwrap();
                    tensors.insert(key, Weight::new(parameters.shape(id), values).unwrap());
                    let moved = head.frame.filled(|name| tensors.remove(name)).unwrap();
                    loss(&moved, &states)
                };
                near(found / 2.0, moved(step), moved(-step), name);
            }
        }
    }
}

#[test]
fn a_head_comes_out_of_training_as_it_went_in() {
    let config = tiny(Architecture::Qwen2);
    for head in heads(config.d_model) {
        assert_eq!(with_head(&config, head.clone()).head().unwrap(), head);
        assert_eq!(
            with_head(&config, head.clone()).into_weights(),
            (random_weights(&config), head)
        );
    }
    let narrow = RewardHead::random_mlp(7, 3, &SeedTree::new(0));
    let refused = Parameters::new(&config, random_weights(&config), narrow, Precision::F32);
    assert!(
        matches!(refused, Err(ModelError::WeightShape { name, .. }) if name == "score.0.weight")
    );
}

#[test]
fn draws_depend_on_the_seed_alone_and_have_the_stated_spread() {
    let head = |seed| RewardHead::random_mlp(64, 48, &SeedTree::new(seed)).tensors();
    assert_eq!(head(1), head(1));
    assert_ne!(head(1), head(2));
    for (name, n_in) in [("score.0.weight", 64.0), ("score.2.weight", 48.0)] {
        let values = head(1)[name].values().to_vec();
        let square: f32 = values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
        assert!((square * (n_in + 1.0) - 1.0).abs() < 0.5, "{name}: {square}");
    }
    assert!(head(1)["score.0.bias"].values().iter().all(|&x| x == 0.0));
    let linear = RewardHead::random_linear(48, &SeedTree::new(1)).tensors();
    assert_eq!(bits(&linear["score.weight"]), bits(&head(1)["score.2.weight"]));
}

#[track_caller]
fn refused(tensors: BTreeMap<String, Weight>, words: &[&str]) {
    let message = RewardHead::take(&mut tensors.clone(), 12).unwrap_err().to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn heads_that_are_torn_misshaped_or_several_are_refused_with_their_names() {
    for layout in LAYOUTS {
        for name in layout.names().filter(|_| layout.names().count() > 1) {
            let mut torn = tensors(layout, 12);
            torn.remove(name);
            refused(torn, &["lacks", name, "score.weight"]);
        }
        for name in layout.names() {
            let mut misshaped = tensors(layout, 12);
            misshaped.insert(name.to_owned(), random_weight("", &[2, 13]));
            refused(misshaped, &["expected"]);
        }
        let other = LAYOUTS.into_iter().find(|other| *other != layout).unwrap();
        let mut both = tensors(layout, 12);
        both.extend(tensors(other, 12));
        refused(both, &["2 reward heads", layout.out, other.out]);
    }
    let mut empty = tensors(&MLP, 12);
    empty.insert("score.0.weight".to_owned(), random_weight("", &[0, 12]));
    refused(empty, &["score.0.weight", "[0, 12]", "[1, 12]"]);
    assert!(RewardHead::take(&mut BTreeMap::new(), 12).unwrap().is_none());
}

#[test]
fn no_two_layouts_share_a_name_or_a_kind() {
    let names: Vec<_> = LAYOUTS.into_iter().flat_map(HeadLayout::names).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len());
    assert!(names.iter().all(|name| is_reward_head(name)) && !is_reward_head("score.bias"));
    for layout in LAYOUTS {
        assert_eq!(HeadLayout::of_kind(layout.kind), Some(layout));
    }
}

#[test]
fn python_puts_every_head_but_the_linear_one_on_a_classifier() {
    let lines = |kind| HeadLayout::of_kind(kind).unwrap().in_pytorch(32, 16);
    assert_eq!(lines("linear"), "");
    assert_eq!(
        lines("mlp"),
        "tensors = safetensors.torch.load_file(f\"{folder}/model.safetensors\")\n\
         model.score = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.SiLU(), \
         torch.nn.Linear(16, 1, bias=False))\n\
         model.score.load_state_dict({\n    \"0.weight\": tensors[\"score.0.weight\"],\n    \
         \"0.bias\": tensors[\"score.0.bias\"],\n    \"2.weight\": tensors[\"score.2.weight\"],\n})\n"
    );
    assert!(lines("value head").contains("\"0.bias\": tensors[\"v_head.summary.bias\"]"));
    assert!(lines("CLoud").contains("torch.nn.Tanh(), torch.nn.Linear(16, 1, bias=True)"));
}
