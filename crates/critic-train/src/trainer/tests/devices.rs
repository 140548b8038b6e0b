use super::*;

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
