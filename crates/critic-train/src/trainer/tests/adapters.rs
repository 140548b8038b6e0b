use super::*;

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
