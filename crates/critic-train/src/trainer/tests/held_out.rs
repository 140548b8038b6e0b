use super::*;

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
