//! What the tests of the kernels share.

use rayon::ThreadPoolBuilder;

use crate::isa::Isa;

/// Every instruction set; one that the processor lacks stands for the best that it has.
pub(crate) const ISAS: [Isa; 5] =
    [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16, Isa::AmxBf16];

/// `n` numbers in `[-1, 1)`, the same for the same seed.
pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// The numbers in `f64`.
pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Differences that no test minds: what is left of numbers that saturate.
const NOTHING: f64 = 1e-34;

/// Panics where the greatest difference exceeds `tolerance` times the greatest expected number.
#[track_caller]
pub(crate) fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_close_or_below(found, expected, tolerance, NOTHING);
}

/// Like [`assert_close`], for numbers in which terms far greater than `nothing` may cancel.
#[track_caller]
pub(crate) fn assert_close_or_below(found: &[f32], expected: &[f64], tolerance: f64, nothing: f64) {
    assert_eq!(found.len(), expected.len());
    let greatest = expected.iter().fold(0.0f64, |max, x| max.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(*found) - expected).abs();
        assert!(
            difference <= tolerance * greatest + nothing,
            "number {i} is {found}, expected {expected}, the greatest is {greatest}"
        );
    }
}

/// The bits, for comparisons that tell `0` from `-0`.
pub(crate) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// The result of `work` in a pool of so many threads.
pub(crate) fn with_threads<T: Send>(n: usize, work: impl FnOnce() -> T + Send) -> T {
    ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(work)
}

/// The gradient of `loss` at `x` by central differences.
pub(crate) fn differences(x: &[f32], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut x = wide(x);
    (0..x.len())
        .map(|i| {
            let (at, step) = (x[i], 1e-5 * x[i].abs().max(1e-1));
            x[i] = at + step;
            let above = loss(&x);
            x[i] = at - step;
            let below = loss(&x);
            x[i] = at;
            (above - below) / (2.0 * step)
        })
        .collect()
}
