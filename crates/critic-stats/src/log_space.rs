/// ln(1 + eˣ) without overflow and without losing the tail.
///
/// NaN gives NaN.
///
/// # Examples
/// ```
/// assert_eq!(critic_stats::softplus(1000.0), 1000.0);
/// assert!(critic_stats::softplus(-1000.0) == 0.0);
/// assert!((critic_stats::softplus(0.0) - std::f64::consts::LN_2).abs() < 1e-15);
/// ```
pub fn softplus(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    // The exponent is never positive.
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// ln σ(x) = −softplus(−x), finite for every finite x.
///
/// # Examples
/// ```
/// assert_eq!(critic_stats::log_sigmoid(-1000.0), -1000.0);
/// ```
pub fn log_sigmoid(x: f64) -> f64 {
    -softplus(-x)
}

/// ln Σ eˣ, whatever the size of the numbers; −∞ for an empty list, NaN when one is NaN.
///
/// # Examples
/// ```
/// let both = critic_stats::log_sum_exp(&[1000.0, 1000.0]);
/// assert!((both - (1000.0 + std::f64::consts::LN_2)).abs() < 1e-12);
/// ```
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !max.is_finite() {
        // f64::max passes over NaN, the sum does not.
        return if values.iter().any(|value| value.is_nan()) { f64::NAN } else { max };
    }
    max + values.iter().map(|value| (value - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_far_tails_keep_their_digits() {
        assert!((softplus(-40.0) / (-40.0f64).exp() - 1.0).abs() < 1e-12);
        assert!((log_sigmoid(40.0) / -(-40.0f64).exp() - 1.0).abs() < 1e-12);
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY, 3.0]), 3.0);
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
    }

    #[test]
    fn nan_stays_nan() {
        assert!(softplus(f64::NAN).is_nan());
        assert!(log_sigmoid(f64::NAN).is_nan());
        assert!(log_sum_exp(&[f64::NAN, 1.0]).is_nan());
        assert!(log_sum_exp(&[f64::NAN]).is_nan());
    }

    proptest! {
        #[test]
        fn softplus_of_both_signs_differ_by_the_argument(x in -700.0f64..700.0) {
            let difference = softplus(x) - softplus(-x);
            prop_assert!((difference - x).abs() <= 1e-12 * (1.0 + x.abs()));
        }

        #[test]
        fn log_sum_exp_moves_with_a_constant(
            values in prop::collection::vec(-50.0f64..50.0, 1..20), shift in -500.0f64..500.0,
        ) {
            let moved: Vec<f64> = values.iter().map(|v| v + shift).collect();
            prop_assert!((log_sum_exp(&moved) - log_sum_exp(&values) - shift).abs() < 1e-9);
        }
    }
}
