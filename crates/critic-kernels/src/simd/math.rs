//! Functions of numbers and of slices on the operations of an instruction set.

use super::Simd;

/// `log₂ e`.
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// `ln 2`, the leading bits: its products with whole numbers up to 2⁷ are exact.
const LN2_HIGH: f32 = 0.693_359_4;
/// `ln 2 − LN2_HIGH`.
const LN2_LOW: f32 = -2.121_944_4e-4;
/// `1.5 · 2²³`: adding it leaves the nearest whole number in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// Below it `exp` gives 0; what it cuts off is less than 2e-38.
const EXP_LOWEST: f32 = -87.0;
/// Above it `exp` gives what it gives here, which is finite.
const EXP_HIGHEST: f32 = 88.0;

/// `eˣ` to 2 units in the last place for `x` in `[-87, 88]`; 0 below, constant above, NaN of NaN.
///
/// Without branches, so that a loop of it vectorises: `x = n·ln 2 + r`, then `2ⁿ` times the Taylor
/// polynomial of `eʳ` of degree 7, `|r| ≤ ln 2 / 2`.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: f32) -> f32 {
    let clamped = if x < EXP_LOWEST { EXP_LOWEST } else { x };
    let clamped = if clamped > EXP_HIGHEST { EXP_HIGHEST } else { clamped };
    let rounded = simd.mul_add_number(clamped, LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = simd.mul_add_number(n, -LN2_HIGH, clamped);
    let r = simd.mul_add_number(n, -LN2_LOW, r);
    let mut power = 1.0 / 5040.0;
    power = simd.mul_add_number(power, r, 1.0 / 720.0);
    power = simd.mul_add_number(power, r, 1.0 / 120.0);
    power = simd.mul_add_number(power, r, 1.0 / 24.0);
    power = simd.mul_add_number(power, r, 1.0 / 6.0);
    power = simd.mul_add_number(power, r, 0.5);
    power = simd.mul_add_number(power, r, 1.0);
    power = simd.mul_add_number(power, r, 1.0);
    let scaled = f32::from_bits(power.to_bits().wrapping_add(rounded.to_bits() << 23));
    let finite = if x < EXP_LOWEST { 0.0 } else { scaled };
    if x.is_nan() { x } else { finite }
}

/// Below it `tanh` is the start of its series, whose next term is 1e-8 of the result.
const TANH_SERIES: f32 = 0.25;

/// `tanh x` to 4 units in the last place, NaN of NaN; without branches, as [`exp`].
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: f32) -> f32 {
    let shrunk = exp(simd, -2.0 * x.abs());
    let large = ((1.0 - shrunk) / (1.0 + shrunk)).copysign(x);
    let square = x * x;
    let mut series = 62.0 / 2835.0;
    series = simd.mul_add_number(series, square, -17.0 / 315.0);
    series = simd.mul_add_number(series, square, 2.0 / 15.0);
    series = simd.mul_add_number(series, square, -1.0 / 3.0);
    series = simd.mul_add_number(series * square, x, x);
    if x.abs() < TANH_SERIES { series } else { large }
}

/// The greatest number of a slice, −∞ of an empty one.
#[inline(always)]
pub(crate) fn max<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let mut greatest = simd.splat(f32::NEG_INFINITY);
    let (blocks, rest) = S::blocks(x);
    for block in blocks {
        greatest = simd.max(greatest, simd.load(block));
    }
    let mut lanes = S::padded(&[], f32::NEG_INFINITY);
    simd.store(greatest, &mut lanes);
    let mut max = f32::NEG_INFINITY;
    for &x in S::numbers(&lanes).iter().chain(rest) {
        max = if x > max { x } else { max };
    }
    max
}

/// The sum of a slice, in an order that depends on its length alone.
#[inline(always)]
pub(crate) fn sum<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let zero = simd.splat(0.0);
    let mut sums = [zero; 4];
    let (blocks, rest) = S::blocks(x);
    for (i, block) in blocks.iter().enumerate() {
        sums[i % 4] = simd.add(sums[i % 4], simd.load(block));
    }
    let padded = S::padded(rest, 0.0);
    let low = simd.add(sums[0], sums[1]);
    let high = simd.add(simd.add(sums[2], sums[3]), simd.load(&padded));
    simd.sums([simd.add(low, high), zero, zero, zero])[0]
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, dispatch_on};
    use super::*;
    use crate::testing::{ISAS, numbers, wide};

    struct Exp<'a>(&'a mut [f32]);

    impl Kernel for Exp<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            self.0.iter_mut().for_each(|x| *x = exp(simd, *x));
        }
    }

    struct Tanh<'a>(&'a mut [f32]);

    impl Kernel for Tanh<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            self.0.iter_mut().for_each(|x| *x = tanh(simd, *x));
        }
    }

    struct MaxAndSum<'a>(&'a [f32]);

    impl Kernel for MaxAndSum<'_> {
        type Output = (f32, f32);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> (f32, f32) {
            (max(simd, self.0), sum(simd, self.0))
        }
    }

    #[test]
    fn exp_is_right_to_two_units_in_the_last_place_where_it_is_normal() {
        for isa in ISAS {
            let x: Vec<f32> = (-87_000..=88_000).step_by(7).map(|x| x as f32 / 1000.0).collect();
            let mut found = x.clone();
            dispatch_on(isa, Exp(&mut found));
            for (x, found) in x.iter().zip(found) {
                let expected = f64::from(*x).exp();
                let error = (f64::from(found) - expected).abs();
                assert!(error <= 2.4e-7 * expected, "{isa:?}: exp({x}) = {found}, not {expected}");
            }
        }
    }

    #[test]
    fn exp_of_extremes_is_finite_and_of_nan_is_nan() {
        for isa in ISAS {
            let odd_nan = f32::from_bits(0x7fc0_0001);
            let mut x = [0.0, -0.0, f32::NEG_INFINITY, -1e30, -87.1, 1e30, f32::INFINITY, odd_nan];
            dispatch_on(isa, Exp(&mut x));
            assert_eq!(x[..5], [1.0, 1.0, 0.0, 0.0, 0.0]);
            assert!(x[5].is_finite() && x[5] > 1e38 && x[6] == x[5]);
            assert!(x[7].is_nan());
        }
    }

    #[test]
    fn tanh_is_right_to_four_units_in_the_last_place() {
        for isa in ISAS {
            let x: Vec<f32> = (-9_999..=9_999).map(|x| (x as f32 / 2500.0).powi(3)).collect();
            let mut found = x.clone();
            dispatch_on(isa, Tanh(&mut found));
            for (x, found) in x.iter().zip(found) {
                let expected = f64::from(*x).tanh();
                let error = (f64::from(found) - expected).abs();
                assert!(error <= 5e-7 * expected.abs(), "{isa:?}: tanh({x}) is not {found}");
            }
            let mut x = [f32::INFINITY, f32::NEG_INFINITY, 1e-30, -0.0, f32::NAN];
            dispatch_on(isa, Tanh(&mut x));
            assert_eq!(x[..4], [1.0, -1.0, 1e-30, 0.0]);
            assert!(x[4].is_nan());
        }
    }

    #[test]
    fn max_and_sum_meet_every_number_of_any_length() {
        for isa in ISAS {
            for n in [1, 2, 7, 8, 9, 15, 16, 17, 31, 64, 65, 257] {
                let mut x = numbers(n, n as u64);
                let (_, found) = dispatch_on(isa, MaxAndSum(&x));
                let expected: f64 = wide(&x).iter().sum();
                assert!((f64::from(found) - expected).abs() < 1e-5 * n as f64);
                x[n - 1] = 3.0;
                assert_eq!(dispatch_on(isa, MaxAndSum(&x)).0, 3.0);
                x.rotate_left(n / 2);
                assert_eq!(dispatch_on(isa, MaxAndSum(&x)).0, 3.0);
            }
            assert_eq!(dispatch_on(isa, MaxAndSum(&[])), (f32::NEG_INFINITY, 0.0));
        }
    }
}
