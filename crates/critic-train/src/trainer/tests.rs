use super::*;
use crate::loss::tests::{quantised_weights, tiny_config, tiny_heads, tiny_weights};
use crate::{
    CritiqueWeight, EvaluationConfig, JointForm, LearningRate, RewardHeadConfig, RewardHeadKind,
};
use critic_kernels::Precision;
use critic_kernels::quantized::Format;
use critic_model::backprop::{Activations, LoraConfig, TargetModule};
use critic_model::config::Architecture;
use critic_model::sources::read_arrays;
use critic_model::{REWARD_HEAD, RewardHead};
use critic_stats::{MarginUse, PreferenceLoss};
use critic_types::ContentHasher;
use std::collections::BTreeMap;

pub(crate) fn config() -> TrainConfig {
    TrainConfig {
        epochs: 3,
        pairs_per_step: 2,
        tokens_per_pack: 64,
        precision: Precision::F32,
        activations: Activations::F32,
        learning_rate: LearningRate { peak: 1e-2, warmup: 0.2, floor: 0.1 },
        reward_head_learning_rate: 1e-2,
        weight_decay: 0.01,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        max_grad_norm: 1.0,
        joint: JointForm::Convex,
        critique_weight: CritiqueWeight::Paper { beta: 0.9 },
        critiques_per_response: 1,
        preference: PreferenceLoss::default(),
        critique_dropout: 0.5,
        evaluation: EvaluationConfig::default(),
        keep_checkpoints: 1,
        lora: None,
        head_warmup_steps: 0,
        reward_head: RewardHeadConfig::default(),
    }
}

/// Pairs whose chosen responses hold token 7 and whose rejected ones hold token 8.
fn pairs(n: u32) -> Vec<TrainPair> {
    (0..n)
        .map(|i| {
            let response = |mark: u32| vec![1, 2 + i % 3, mark, 9];
            let critiqued = |mark: u32| {
                (0..2)
                    .map(|j| ([response(mark), vec![5, 20 + mark + j, 9]].concat(), 5..7))
                    .collect::<Vec<_>>()
            };
            TrainPair {
                id: format!("p{i}"),
                prompt: key(&format!("prompt {i}")),
                margin: None,
                responses: [response(7), response(8)],
                critiqued: [critiqued(7), critiqued(8)],
            }
        })
        .collect()
}

fn key(name: &str) -> ContentId {
    ContentHasher::new(name).finish()
}

fn train(
    config: &TrainConfig,
    pairs: &[TrainPair],
    folder: &Path,
    stop_after: Option<usize>,
) -> Result<Ended, TrainError> {
    train_on(None, config, pairs, folder, stop_after)
}

/// Trains with the kernels, or through candle's operations on a device.
fn train_on(
    device: Option<Device>,
    config: &TrainConfig,
    pairs: &[TrainPair],
    folder: &Path,
    stop_after: Option<usize>,
) -> Result<Ended, TrainError> {
    let decoder = tiny_config(Architecture::Llama, true);
    let trainer =
        Trainer::new(config, pairs, SeedTree::new(4), key("run"), folder, Duration::ZERO)?;
    let trainer = match device {
        Some(device) => trainer.composed_on(device)?,
        None => trainer,
    };
    let mut n_steps = 0;
    trainer.run(
        || {
            let head = config.reward_head.draw(decoder.d_model, &SeedTree::new(4));
            TrainableModel::new(&decoder, tiny_weights(&decoder), head, config.precision)
        },
        &mut |_| {
            n_steps += 1;
            if Some(n_steps) == stop_after {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )
}

fn base() -> TrainableModel {
    let decoder = tiny_config(Architecture::Llama, true);
    let weights = tiny_weights(&decoder);
    let head = RewardHead::random_linear(decoder.d_model, &SeedTree::new(4));
    TrainableModel::new(&decoder, weights, head, Precision::F32).unwrap()
}

fn finished(ended: Ended) -> (BTreeMap<String, Vec<f32>>, Vec<StepRecord>) {
    let Ended::Finished { model, mut records } = ended else { panic!("training was interrupted") };
    records.iter_mut().for_each(|record| record.seconds = 0.0);
    let (mut weights, head) = model.into_weights();
    weights.extend(head.tensors().into_iter().map(|(name, tensor)| (name.to_owned(), tensor)));
    (
        weights.iter().map(|(name, weight)| (name.clone(), weight.values().to_vec())).collect(),
        records,
    )
}

#[test]
fn both_losses_fall_and_the_pairs_are_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig { epochs: 12, ..config() };
    let (_, records) = finished(train(&config, &pairs(6), folder.path(), None).unwrap());
    assert_eq!(records.len(), 36);
    assert!(records[30].critique_loss < records[0].critique_loss);
    let last = &records[35];
    assert!(last.preference_loss.unwrap() < 0.6, "{last:?}");
    assert!((last.accuracy.unwrap() - 1.0).abs() < 1e-12);
    assert!(
        (records[0].critique_weight - 1.0).abs() < 1e-12
            && (last.critique_weight - 0.1).abs() < 1e-12
    );
}

#[test]
fn stop_and_resume_equals_a_straight_run_to_the_bit() {
    let data = pairs(5);
    for device in [None, Some(Device::Cpu)] {
        let run = |folder: &Path, stop_after| {
            train_on(device.clone(), &config(), &data, folder, stop_after).unwrap()
        };
        let straight = tempfile::tempdir().unwrap();
        let expected = finished(run(straight.path(), None));
        for stop_after in [1, 4, 8] {
            let folder = tempfile::tempdir().unwrap();
            let stopped = run(folder.path(), Some(stop_after));
            assert!(matches!(stopped, Ended::Interrupted { n_steps } if n_steps == stop_after));
            assert_eq!(finished(run(folder.path(), None)), expected);
        }
    }
}

#[test]
fn the_head_learns_alone_first_and_the_joint_schedule_follows() {
    let config = TrainConfig { head_warmup_steps: 7, ..config() };
    let start = base();
    let (weights, head) = start.into_weights();
    for device in [None, Some(Device::Cpu)] {
        let folder = tempfile::tempdir().unwrap();
        // Stopped after the head's last step, its weights stand in the checkpoint.
        let run = |stop| train_on(device.clone(), &config, &pairs(6), folder.path(), stop).unwrap();
        assert!(matches!(run(Some(3)), Ended::Interrupted { n_steps: 3 }));
        assert!(matches!(run(Some(4)), Ended::Interrupted { n_steps: 7 }));
        let mut saved = BTreeMap::new();
        for entry in walk(folder.path()) {
            if entry.ends_with("weights.safetensors") {
                read_arrays(&entry, &mut saved).unwrap();
            }
        }
        assert!(!saved.is_empty());
        for (name, weight) in &saved {
            match name.as_str() {
                REWARD_HEAD => assert_ne!(*weight, head.tensors()[REWARD_HEAD]),
                name => assert_eq!(weight.values(), weights[name].values(), "{name}"),
            }
        }
        let (resumed, records) = finished(run(None));
        assert_eq!(records.len(), 7 + 9);
        assert!(records[..7].iter().all(|r| (r.critique_weight, r.learning_rate) == (0.0, 0.0)));
        assert!(records[6].preference_loss < records[0].preference_loss);
        let plain = TrainConfig { head_warmup_steps: 0, ..config.clone() };
        let other = tempfile::tempdir().unwrap();
        let (_, of_plain) =
            finished(train_on(device.clone(), &plain, &pairs(6), other.path(), None).unwrap());
        for (joint, plain) in records[7..].iter().zip(&of_plain) {
            assert_eq!(joint.critique_weight, plain.critique_weight);
            assert_eq!(joint.learning_rate, plain.learning_rate);
        }
        let other = tempfile::tempdir().unwrap();
        let straight = train_on(device, &config, &pairs(6), other.path(), None).unwrap();
        assert_eq!(finished(straight), (resumed, records));
    }
}

fn with_mlp() -> TrainConfig {
    let reward_head = RewardHeadConfig { kind: RewardHeadKind::Mlp, hidden: Some(5) };
    TrainConfig { reward_head, ..config() }
}

#[test]
fn a_head_of_two_layers_learns_and_its_training_goes_on_exactly() {
    let data = pairs(6);
    for (device, config) in [
        (None, TrainConfig { head_warmup_steps: 2, ..with_mlp() }),
        (Some(Device::Cpu), TrainConfig { head_warmup_steps: 2, ..with_mlp() }),
        (None, TrainConfig { reward_head: with_mlp().reward_head, ..with_lora() }),
    ] {
        let run = |folder: &Path, stop| train_on(device.clone(), &config, &data, folder, stop);
        let folder = tempfile::tempdir().unwrap();
        let expected = finished(run(folder.path(), None).unwrap());
        assert_eq!(expected.0["score.0.weight"].len(), 5 * 16);
        let start = config.reward_head.draw(16, &SeedTree::new(4)).tensors();
        for (name, tensor) in start {
            assert_ne!(expected.0[name], *tensor.values(), "{name}");
        }
        for stop_after in [1, 2, 5] {
            let folder = tempfile::tempdir().unwrap();
            run(folder.path(), Some(stop_after)).unwrap();
            assert_eq!(finished(run(folder.path(), None).unwrap()), expected);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let critique_weight = CritiqueWeight::Constant { weight: 0.5 };
    let long = TrainConfig { epochs: 12, critique_weight, ..with_mlp() };
    let (_, records) = finished(train(&long, &data, folder.path(), None).unwrap());
    assert!(records[35].preference_loss.unwrap() < 0.6, "{:?}", records[35]);
}

#[test]
fn training_goes_on_from_a_foreign_head_and_keeps_its_shift() {
    let (data, config) = (pairs(6), config());
    let decoder = tiny_config(Architecture::Llama, true);
    for head in tiny_heads(decoder.d_model) {
        let folder = tempfile::tempdir().unwrap();
        let (seed, path) = (SeedTree::new(4), folder.path());
        let trainer = Trainer::new(&config, &data, seed, key("run"), path, Duration::MAX).unwrap();
        let given = head.clone();
        let start = || TrainableModel::new(&decoder, tiny_weights(&decoder), given, Precision::F32);
        let ended = trainer.run(start, &mut |_| ControlFlow::Continue(())).unwrap();
        let Ended::Finished { model, .. } = ended else { panic!("training was interrupted") };
        let (_, trained) = model.into_weights();
        assert_eq!(trained.layout(), head.layout());
        let (before, after) = (head.tensors(), trained.tensors());
        for (name, tensor) in before {
            let is_shift = tensor.shape() == [1];
            assert_eq!(tensor == after[name], is_shift, "{name}");
        }
    }
}

#[test]
fn a_head_that_is_asked_for_is_the_one_that_the_model_has_or_refused() {
    let mlp = |hidden| RewardHeadConfig { kind: RewardHeadKind::Mlp, hidden };
    let [linear, two_layers, ..] = tiny_heads(16);
    for head in tiny_heads(16) {
        assert!(RewardHeadConfig::default().check_start(&head).is_ok());
    }
    assert!(mlp(None).check_start(&two_layers).is_ok());
    assert!(mlp(Some(7)).check_start(&two_layers).is_ok());
    for (config, head) in [(mlp(Some(8)), &two_layers), (mlp(None), &linear)] {
        let message = config.check_start(head).unwrap_err().to_string();
        assert!(message.contains("train.reward_head") && message.contains("score"), "{message}");
    }
    for (kind, hidden) in [(RewardHeadKind::Mlp, 0), (RewardHeadKind::Linear, 8)] {
        let reward_head = RewardHeadConfig { kind, hidden: Some(hidden) };
        let refused = TrainConfig { reward_head, ..config() }.validate().unwrap_err().to_string();
        assert!(refused.contains(&format!("train.reward_head.hidden is {hidden}")), "{refused}");
    }
}

#[test]
fn a_setting_that_is_left_alone_is_not_in_a_trainings_address() {
    let text = serde_json::to_string(&config()).unwrap();
    assert!(!text.contains("reward_head\""), "{text}");
    assert_eq!(serde_json::from_str::<TrainConfig>(&text).unwrap(), config());
    let text = serde_json::to_string(&with_mlp()).unwrap();
    assert!(text.contains("\"reward_head\":{\"kind\":\"mlp\",\"hidden\":5}"), "{text}");
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn with_lora() -> TrainConfig {
    let lora = LoraConfig {
        rank: 3,
        alpha: 6.0,
        dropout: 0.2,
        target_modules: vec![TargetModule::QProj, TargetModule::VProj, TargetModule::DownProj],
        rslora: false,
    };
    TrainConfig { lora: Some(lora), ..config() }
}

#[test]
fn adapters_stop_and_resume_to_the_bit_and_leave_the_rest_as_it_was() {
    let data = pairs(5);
    let straight = tempfile::tempdir().unwrap();
    let expected = finished(train(&with_lora(), &data, straight.path(), None).unwrap());
    for stop_after in [1, 4, 8] {
        let folder = tempfile::tempdir().unwrap();
        train(&with_lora(), &data, folder.path(), Some(stop_after)).unwrap();
        let mut arrays = BTreeMap::new();
        let step = format!("step-{stop_after:06}/weights.safetensors");
        read_arrays(&folder.path().join(step), &mut arrays).unwrap();
        assert_eq!(arrays.len(), 2 * 3 * 2 + 1, "{:?}", arrays.keys());
        let resumed = finished(train(&with_lora(), &data, folder.path(), None).unwrap());
        assert_eq!(resumed, expected);
    }
    let targets = ["q_proj", "v_proj", "down_proj", REWARD_HEAD];
    let (mut before, head) = base().into_weights();
    before.extend(head.tensors().into_iter().map(|(name, tensor)| (name.to_owned(), tensor)));
    for (name, weight) in before {
        let is_target = targets.iter().any(|target| name.contains(target));
        assert_eq!(*weight.values() != expected.0[&name], is_target, "{name}");
    }
}

#[test]
fn adapters_over_a_quantised_base_stop_and_resume_to_the_bit() {
    let (config, data) = (with_lora(), pairs(5));
    let decoder = tiny_config(Architecture::Llama, true);
    let loaded = quantised_weights(&decoder, Format::Q4_0);
    let run = |folder: &Path, stop_after: Option<usize>| {
        let seed = SeedTree::new(4);
        let trainer =
            Trainer::new(&config, &data, seed, key("run"), folder, Duration::ZERO).unwrap();
        let head = config.reward_head.draw(decoder.d_model, &seed);
        let start = || TrainableModel::new(&decoder, loaded.clone(), head, config.precision);
        let ended = trainer.run(start, &mut |record| match Some(record.step + 1) == stop_after {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        ended.unwrap()
    };
    let straight = tempfile::tempdir().unwrap();
    let expected = finished(run(straight.path(), None));
    for stop_after in [1, 4, 8] {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), Some(stop_after));
        assert_eq!(finished(run(folder.path(), None)), expected);
    }
    let bytes = loaded.values().map(|weight| weight.bytes() as u64).sum::<u64>();
    let trainer =
        Trainer::new(&config, &data, SeedTree::new(4), key("run"), straight.path(), Duration::ZERO);
    let memory = trainer.unwrap().memory(&decoder, bytes, None).unwrap();
    assert_eq!((memory.base, memory.weights), (bytes, memory.gradients));
}

#[test]
fn adapters_learn_with_any_precision_and_activations() {
    for (precision, activations) in
        [(Precision::F32, Activations::Recompute), (Precision::Bf16, Activations::Bf16)]
    {
        let folder = tempfile::tempdir().unwrap();
        let config = TrainConfig { epochs: 12, precision, activations, ..with_lora() };
        let (_, records) = finished(train(&config, &pairs(6), folder.path(), None).unwrap());
        assert!(records[30].critique_loss < records[0].critique_loss);
        assert!(records[35].preference_loss.unwrap() < 0.6, "{:?}", records[35]);
    }
}

#[test]
fn a_training_goes_on_elsewhere_and_ends_with_the_same_weights() {
    let data = pairs(6);
    // Three steps; an ε that keeps the length of a step from hanging on the last bits of small gradients.
    let config = TrainConfig { epochs: 1, epsilon: 1e-3, ..config() };
    let run = |sittings: [Option<Device>; 2], stop_after: Option<usize>| {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = sittings;
        match train_on(first, &config, &data, folder.path(), stop_after).unwrap() {
            Ended::Interrupted { .. } => {
                finished(train_on(second, &config, &data, folder.path(), None).unwrap())
            }
            ended => finished(ended),
        }
    };
    let (kernels, candle) = (None, Some(Device::Cpu));
    let (expected, records) = run([kernels.clone(), kernels.clone()], None);
    assert_eq!(records.len(), 3);
    for (sittings, stop_after) in [
        ([candle.clone(), candle.clone()], None),
        ([kernels.clone(), candle.clone()], Some(1)),
        ([candle, kernels], Some(2)),
    ] {
        let (weights, found) = run(sittings, stop_after);
        for (found, record) in found.iter().zip(&records) {
            assert!((found.joint_loss - record.joint_loss).abs() < 1e-4, "{found:?}");
            assert!((found.grad_norm / record.grad_norm - 1.0).abs() < 1e-3, "{found:?}");
        }
        assert!(weights.keys().eq(expected.keys()));
        for (name, expected) in &expected {
            for (found, expected) in weights[name].iter().zip(expected) {
                // A thousandth of one step's length.
                assert!((found - expected).abs() < 1e-5, "{name}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn what_only_the_kernels_do_is_refused_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |config: &TrainConfig| {
        train_on(Some(Device::Cpu), config, &pairs(1), folder.path(), None).unwrap_err()
    };
    let error = refused(&TrainConfig { precision: Precision::Bf16, ..config() });
    assert!(matches!(error, TrainError::NotOnDevice { setting: "precision", .. }), "{error}");
    let error = refused(&with_lora());
    assert!(matches!(error, TrainError::NotOnDevice { setting: "lora", .. }), "{error}");
    let error = refused(&TrainConfig { activations: Activations::Recompute, ..config() });
    assert!(matches!(error, TrainError::NotOnDevice { setting: "activations", .. }), "{error}");
}

#[test]
fn how_a_step_is_cut_into_packs_does_not_matter() {
    let data = pairs(4);
    let run = |tokens_per_pack| {
        let folder = tempfile::tempdir().unwrap();
        let config = TrainConfig { tokens_per_pack, pairs_per_step: 4, epochs: 1, ..config() };
        finished(train(&config, &data, folder.path(), None).unwrap()).1
    };
    let (whole, cut, alone) = (run(64), run(14), run(1));
    assert!(cut[0].n_tokens > whole[0].n_tokens, "nothing was cut");
    assert_eq!(alone[0].n_tokens, cut[0].n_tokens, "a pair longer than a pack is not alone");
    for (a, b) in whole.iter().zip(&cut).chain(whole.iter().zip(&alone)) {
        assert!(
            (a.joint_loss - b.joint_loss).abs() < 1e-5
                && (a.grad_norm - b.grad_norm).abs() < 1e-4 * a.grad_norm
        );
    }
}

#[test]
fn a_checkpoint_of_another_run_is_not_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    train(&config(), &pairs(4), folder.path(), Some(2)).unwrap();
    let checkpoints = Checkpoints::new(folder.path(), 1);
    assert!(checkpoints.load(&key("run")).unwrap().is_some());
    assert!(checkpoints.load(&key("another run")).unwrap().is_none());
    checkpoints.clear();
    assert!(checkpoints.load(&key("run")).unwrap().is_none());
}

#[test]
fn a_torn_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    train(&config(), &pairs(4), folder.path(), Some(1)).unwrap();
    let file = folder.path().join("step-000001/weights.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    critic_types::atomic_file::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let error = train(&config(), &pairs(4), folder.path(), None).unwrap_err();
    assert!(matches!(&error, TrainError::Checkpoint { path, .. } if path == &file), "{error}");
}

#[test]
fn memory_is_reckoned_with_the_longest_pair_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig { pairs_per_step: 1, epochs: 1, tokens_per_pack: 1, ..config() };
    let mut data = pairs(400);
    let memory = |data: &[TrainPair]| {
        let seed = SeedTree::new(0);
        let trainer =
            Trainer::new(&config, data, seed, key("run"), folder.path(), Duration::MAX).unwrap();
        trainer.memory(&tiny_config(Architecture::Llama, true), 0, None).unwrap().activations
    };
    let (short, n_short) = (memory(&data), data[0].n_tokens(1).unwrap() as u64);
    for i in [0, 100, 200, 399] {
        let plain = data[i].clone();
        data[i].responses[0] = (0..100).collect();
        let n_long = data[i].n_tokens(1).unwrap() as u64;
        assert!(n_long > 100 && memory(&data) * n_short == short * n_long, "pair {i}");
        data[i] = plain;
    }
}

#[test]
fn nothing_to_train_on_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(train(&config(), &[], folder.path(), None), Err(TrainError::NoPairs)));
}

#[test]
fn a_margin_that_would_turn_a_label_round_is_refused_where_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let with = |margin: Option<f64>| -> Vec<TrainPair> {
        pairs(2).into_iter().map(|pair| TrainPair { margin, ..pair }).collect()
    };
    let using = |margin_use| TrainConfig {
        preference: PreferenceLoss { margin: margin_use, ..PreferenceLoss::default() },
        epochs: 1,
        ..config()
    };
    for margin_use in [MarginUse::Subtract, MarginUse::Scale] {
        for margin in [-1.0, f64::NAN, f64::INFINITY] {
            let found = train(&using(margin_use), &with(Some(margin)), folder.path(), None);
            assert!(matches!(found, Err(TrainError::Margin { pair_id, .. }) if pair_id == "p0"));
        }
        let found = train(&using(margin_use), &with(None), folder.path(), None);
        assert!(matches!(found, Err(TrainError::NoMargins { n_pairs: 2 })));
    }
    assert!(train(&using(MarginUse::Ignore), &with(Some(-1.0)), folder.path(), None).is_ok());
}

#[test]
fn the_scalar_baseline_is_the_same_trainer_without_critiques() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        critique_weight: CritiqueWeight::Constant { weight: 0.0 },
        critique_dropout: 1.0,
        epochs: 8,
        ..config()
    };
    let data: Vec<TrainPair> = pairs(6)
        .into_iter()
        .map(|pair| TrainPair { critiqued: [vec![], vec![]], ..pair })
        .collect();
    let (_, records) = finished(train(&config, &data, folder.path(), None).unwrap());
    assert!(records.iter().all(|record| record.critique_loss.is_none()));
    assert!(records.last().unwrap().preference_loss < records[0].preference_loss);
}

fn train_looking(
    device: Option<Device>,
    config: &TrainConfig,
    folder: &Path,
    stop_after: Option<usize>,
) -> Result<Ended, TrainError> {
    let decoder = tiny_config(Architecture::Llama, true);
    let data = pairs(4);
    // Labelled the other way round, so that they fare the worse the more is learned.
    let mut others = pairs(6).split_off(4);
    for pair in &mut others {
        pair.responses.swap(0, 1);
        pair.critiqued.swap(0, 1);
    }
    let held_out = [HeldOut { name: "dev".to_owned(), pairs: others }];
    let trainer =
        Trainer::new(config, &data, SeedTree::new(4), key("run"), folder, Duration::ZERO)?
            .with_held_out(&held_out);
    let trainer = match device {
        Some(device) => trainer.composed_on(device)?,
        None => trainer,
    };
    let weights = tiny_weights(&decoder);
    let head = config.reward_head.draw(decoder.d_model, &SeedTree::new(4));
    let start = || TrainableModel::new(&decoder, weights, head, config.precision);
    let mut n_steps = 0;
    trainer.run(start, &mut |_| {
        n_steps += 1;
        if Some(n_steps) == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}

fn looking() -> TrainConfig {
    TrainConfig {
        epochs: 6,
        critique_weight: CritiqueWeight::Constant { weight: 0.5 },
        evaluation: EvaluationConfig { every: 2, keep: Keep::Best, ..EvaluationConfig::default() },
        keep_checkpoints: 2,
        ..config()
    }
}

#[test]
fn looking_at_held_out_pairs_changes_nothing_but_what_is_kept() {
    for device in [None, Some(Device::Cpu)] {
        looking_changes_nothing_but_what_is_kept(device);
    }
}

fn looking_changes_nothing_but_what_is_kept(device: Option<Device>) {
    let (folder, plain) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (best, records) =
        finished(train_looking(device.clone(), &looking(), folder.path(), None).unwrap());
    let last = TrainConfig { evaluation: EvaluationConfig::default(), ..looking() };
    let (_, unseen) = finished(train_looking(device.clone(), &last, plain.path(), None).unwrap());
    let losses = |records: &[StepRecord]| -> Vec<f64> {
        records.iter().map(|record| record.joint_loss).collect()
    };
    assert_eq!(losses(&records), losses(&unseen));
    let evaluated: Vec<usize> =
        records.iter().filter(|r| !r.evaluations.is_empty()).map(|r| r.step).collect();
    assert_eq!(evaluated, [1, 3, 5, 7, 9, 11]);
    assert!(records[1].evaluations[0].n_pairs == 2);
    // Stopping right after the best step gives the weights that were kept.
    let (step, _) = best_step(&looking(), &records).unwrap();
    assert!(step < 11, "the best step is the last one: {records:?}");
    let stopped = tempfile::tempdir().unwrap();
    let ended = train_looking(device.clone(), &looking(), stopped.path(), Some(step + 1)).unwrap();
    assert!(matches!(ended, Ended::Interrupted { .. }));
    let name = format!("step-{:06}", step + 1);
    let mut weights = BTreeMap::new();
    read_arrays(&stopped.path().join(name).join("weights.safetensors"), &mut weights).unwrap();
    for (name, values) in best {
        assert_eq!(*weights[&name].values(), values, "{name}");
    }
}

#[test]
fn stopping_early_is_exact_across_interruptions() {
    let evaluation = EvaluationConfig { patience: 2, ..looking().evaluation };
    let config = TrainConfig { evaluation, ..looking() };
    for device in [None, Some(Device::Cpu)] {
        let run = |folder: &Path, stop_after| {
            train_looking(device.clone(), &config, folder, stop_after).unwrap()
        };
        let straight = tempfile::tempdir().unwrap();
        let expected = finished(run(straight.path(), None));
        assert!(expected.1.len() < 12, "{}", expected.1.len());
        for stop_after in 1..expected.1.len() {
            let folder = tempfile::tempdir().unwrap();
            run(folder.path(), Some(stop_after));
            assert_eq!(finished(run(folder.path(), None)), expected);
        }
    }
}

#[test]
fn the_newest_checkpoints_stay() {
    let folder = tempfile::tempdir().unwrap();
    train_looking(None, &looking(), folder.path(), Some(5)).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("step-"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["step-000004", "step-000005"]);
}

/// The joint loss of every step in this precision from this seed.
fn curve(precision: Precision, activations: Activations, seed: u64) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    let decoder = tiny_config(Architecture::Llama, true);
    let config = TrainConfig { precision, activations, epochs: 8, ..config() };
    let (data, seed) = (pairs(8), SeedTree::new(seed));
    let trainer =
        Trainer::new(&config, &data, seed, key("curve"), folder.path(), Duration::MAX).unwrap();
    let head = config.reward_head.draw(decoder.d_model, &seed);
    let start = || TrainableModel::new(&decoder, tiny_weights(&decoder), head, config.precision);
    let ended = trainer.run(start, &mut |_| ControlFlow::Continue(())).unwrap();
    finished(ended).1.iter().map(|record| record.joint_loss).collect()
}

#[test]
fn curves_in_bf16_leave_those_in_f32_by_less_than_seeds_leave_each_other() {
    let seeds = [1, 2, 3];
    let exact = seeds.map(|seed| curve(Precision::F32, Activations::F32, seed));
    let rounded = seeds.map(|seed| curve(Precision::Bf16, Activations::Bf16, seed));
    let distance = |a: &[f64], b: &[f64]| -> f64 {
        (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
    };
    let noise = [(0, 1), (0, 2), (1, 2)].map(|(a, b)| distance(&exact[a], &exact[b]));
    let least_noise = noise.into_iter().fold(f64::INFINITY, f64::min);
    for (exact, rounded) in exact.iter().zip(&rounded) {
        assert_ne!(exact, rounded);
        let moved = distance(exact, rounded);
        assert!(moved < 0.25 * least_noise, "moved by {moved}, seeds differ by {noise:?}");
        assert!(rounded[rounded.len() - 1] < 0.5 * rounded[0], "{rounded:?}");
    }
}
