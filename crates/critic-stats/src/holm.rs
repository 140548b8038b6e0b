use crate::StatsError;
use crate::error::all_probabilities;

/// Holm's correction: the p-values to hold against one level when several tests are looked at.
///
/// Sorted ascending, p̃₍ᵢ₎ = max_{j ≤ i} min(1, (k − j + 1) · p₍ⱼ₎) for k tests; returned in the order
/// given. Rejecting those at or below α keeps the chance of any false rejection at α, whatever the
/// tests have to do with each other. Holm 1979.
///
/// # Errors
/// [`StatsError::Probability`] for a value outside `[0, 1]` or NaN.
///
/// # Examples
/// ```
/// let corrected = critic_stats::holm(&[0.01, 0.04, 0.03])?;
/// assert_eq!(corrected, [0.03, 0.06, 0.06]);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, StatsError> {
    all_probabilities("p-value", p_values)?;
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (place, &index) in order.iter().enumerate() {
        let factor = (p_values.len() - place) as f64;
        largest = largest.max((factor * p_values[index]).min(1.0));
        corrected[index] = largest;
    }
    Ok(corrected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_test_needs_no_correction_and_none_gives_none() {
        assert_eq!(holm(&[0.2]).unwrap(), [0.2]);
        assert!(holm(&[]).unwrap().is_empty());
        assert!(holm(&[0.1, f64::NAN]).unwrap_err().to_string().contains("number 1 is NaN"));
        assert!(holm(&[1.1]).is_err());
    }

    proptest! {
        #[test]
        fn correction_only_raises_and_keeps_the_order(p in prop::collection::vec(0.0f64..=1.0, 1..20)) {
            let corrected = holm(&p).unwrap();
            for (i, j) in (0..p.len()).flat_map(|i| (0..p.len()).map(move |j| (i, j))) {
                prop_assert!(corrected[i] >= p[i] && corrected[i] <= 1.0);
                prop_assert!(p[i] > p[j] || corrected[i] <= corrected[j]);
            }
        }
    }
}
