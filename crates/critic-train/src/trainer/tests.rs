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

mod adapters;
mod devices;
mod heads;
mod held_out;
mod precision;

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
