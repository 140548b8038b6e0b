//! Scores kept within bounds: `cap · tanh(x / cap)` (Gemma 2, arXiv 2408.00118, §2.1).

use rayon::prelude::*;

use crate::simd::{Kernel, Simd, dispatch, tanh};

/// Numbers of a piece of work.
const CHUNK: usize = 1 << 13;

/// `x = cap · tanh(x / cap)`, number by number.
pub fn forward_in_place(x: &mut [f32], cap: f32) {
    x.par_chunks_mut(CHUNK).for_each(|x| dispatch(Forward { x, cap }));
}

/// [`forward_in_place`], and the derivative of each result with respect to what stood there.
///
/// # Shapes
/// `slopes` as `x`
pub(crate) fn forward_with_slopes(x: &mut [f32], cap: f32, slopes: &mut [f32]) {
    x.par_chunks_mut(CHUNK)
        .zip(slopes.par_chunks_mut(CHUNK))
        .for_each(|(x, slopes)| dispatch(WithSlopes { x, cap, slopes }));
}

/// [`forward_in_place`] within a kernel.
#[inline(always)]
pub(crate) fn softcap<S: Simd>(simd: S, x: &mut [f32], cap: f32) {
    let inverse = 1.0 / cap;
    for x in x {
        *x = cap * tanh(simd, *x * inverse);
    }
}

/// [`forward_with_slopes`] within a kernel.
#[inline(always)]
pub(crate) fn softcap_and_slopes<S: Simd>(simd: S, x: &mut [f32], cap: f32, slopes: &mut [f32]) {
    let inverse = 1.0 / cap;
    for (x, slope) in x.iter_mut().zip(slopes) {
        let share = tanh(simd, *x * inverse);
        *x = cap * share;
        *slope = (1.0 - share) * (1.0 + share);
    }
}

struct Forward<'a> {
    x: &'a mut [f32],
    cap: f32,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        softcap(simd, self.x, self.cap);
    }
}

struct WithSlopes<'a> {
    x: &'a mut [f32],
    cap: f32,
    slopes: &'a mut [f32],
}

impl Kernel for WithSlopes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        softcap_and_slopes(simd, self.x, self.cap, self.slopes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, bits, differences, numbers, wide};

    #[test]
    fn numbers_and_slopes_equal_the_formula() {
        for (cap, scale) in [(30.0, 1.0), (30.0, 100.0), (0.5, 1.0), (50.0, 1e-6)] {
            let x: Vec<f32> = numbers(CHUNK + 61, 1).iter().map(|x| x * scale).collect();
            let capped = |x: f64| f64::from(cap) * (x / f64::from(cap)).tanh();
            let expected: Vec<f64> = wide(&x).into_iter().map(capped).collect();
            let (mut alone, mut found) = (x.clone(), x.clone());
            let mut slopes = vec![f32::NAN; x.len()];
            forward_in_place(&mut alone, cap);
            forward_with_slopes(&mut found, cap, &mut slopes);
            assert_close(&found, &expected, 1e-6);
            assert_eq!(bits(&alone), bits(&found));
            let few = &x[..61];
            let sum = |x: &[f64]| x.iter().map(|x| capped(*x)).sum();
            assert_close(&slopes[..61], &differences(few, sum), 1e-4);
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so_and_extremes_meet_the_cap() {
        let mut x = [f32::NAN, 1e30, -1e30, f32::INFINITY];
        forward_in_place(&mut x, 30.0);
        assert!(x[0].is_nan());
        assert_eq!(x[1..], [30.0, -30.0, 30.0]);
    }
}
