use super::*;

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

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
