use super::*;

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
