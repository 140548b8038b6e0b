use crate::error::{all_finite, same_length, valid_confidence};
use crate::{Interval, StatsError, mean_std};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A result over several seeds of one recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeedEffect {
    /// The seeds.
    pub n_seeds: usize,
    /// Mean over seeds.
    pub mean: f64,
    /// Sample standard deviation between seeds (n − 1).
    pub std: f64,
    /// Student's t interval of the mean: what another seed's recipe would give on these items.
    pub interval: Interval,
}

/// One number a seed (an accuracy): mean, spread between seeds, t interval with n − 1 degrees.
///
/// The interval holds for new seeds on the same items; for new items too, see [`seeds_and_items`].
///
/// # Errors
/// [`StatsError::TooFew`] below two seeds, [`StatsError::NotFinite`], [`StatsError::Confidence`].
///
/// # Examples
/// ```
/// let effect = critic_stats::seed_effect(&[0.70, 0.72, 0.74], 0.95)?;
/// assert!((effect.mean - 0.72).abs() < 1e-12 && (effect.std - 0.02).abs() < 1e-12);
/// assert!(effect.interval.low < 0.68); // three seeds are few
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn seed_effect(values: &[f64], confidence: f64) -> Result<SeedEffect, StatsError> {
    valid_confidence(confidence)?;
    all_finite("result of seed", values)?;
    let n_seeds = values.len();
    let (mean, std) = match mean_std(values) {
        Ok(crate::MeanStd { mean, std: Some(std), .. }) => (mean, std),
        _ => {
            return Err(StatsError::TooFew { what: "spread of seeds", needed: 2, found: n_seeds });
        }
    };
    let half_width = t_quantile(confidence, n_seeds - 1) * std / (n_seeds as f64).sqrt();
    let interval = Interval { low: mean - half_width, high: mean + half_width, confidence };
    Ok(SeedEffect { n_seeds, mean, std, interval })
}

/// Where the variance of a table of seeds by items comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeedsAndItems {
    /// The seeds.
    pub n_seeds: usize,
    /// The items.
    pub n_items: usize,
    /// Mean over the table.
    pub mean: f64,
    /// Variance of the seeds' own effect, at least 0: how much better one seed is on every item.
    pub seed_variance: f64,
    /// Variance of the items' own effect, at least 0.
    pub item_variance: f64,
    /// What is left: seeds that are right on different items.
    pub residual_variance: f64,
    /// Standard error of the mean for other seeds and other items of the same kind.
    pub standard_error: f64,
}

/// Two-way random effects without repetition: `table[seed][item]`, such as 1 for right and 0 for wrong.
///
/// By the mean squares of seeds, items and rest (Searle, Casella and McCulloch 1992, §4.3): seed
/// variance = max(0, (MS_seed − MS_rest) / items), item variance = max(0, (MS_item − MS_rest) / seeds),
/// and se² = seed / n_seeds + item / n_items + rest / (n_seeds · n_items).
///
/// # Errors
/// [`StatsError::TooFew`] below two seeds or two items, [`StatsError::Lengths`] when the rows differ in
/// length, [`StatsError::NotFinite`] (the index counts along the rows).
pub fn seeds_and_items(table: &[Vec<f64>]) -> Result<SeedsAndItems, StatsError> {
    let n_seeds = table.len();
    let n_items = table.first().map_or(0, Vec::len);
    for (what, found) in [("seeds as a random effect", n_seeds), ("items of a seed", n_items)] {
        if found < 2 {
            return Err(StatsError::TooFew { what, needed: 2, found });
        }
    }
    for row in table {
        same_length(n_items, row.len())?;
    }
    all_finite("result", &table.concat())?;
    let (k, n) = (n_seeds as f64, n_items as f64);
    let seed_means: Vec<f64> = table.iter().map(|row| row.iter().sum::<f64>() / n).collect();
    let item_means: Vec<f64> =
        (0..n_items).map(|item| table.iter().map(|row| row[item]).sum::<f64>() / k).collect();
    let mean = seed_means.iter().sum::<f64>() / k;
    let squares = |means: &[f64]| means.iter().map(|m| (m - mean).powi(2)).sum::<f64>();
    let of_seeds = n * squares(&seed_means) / (k - 1.0);
    let of_items = k * squares(&item_means) / (n - 1.0);
    let mut rest = 0.0;
    for (row, seed_mean) in table.iter().zip(&seed_means) {
        for (value, item_mean) in row.iter().zip(&item_means) {
            rest += (value - seed_mean - item_mean + mean).powi(2);
        }
    }
    rest /= (k - 1.0) * (n - 1.0);
    let seed_variance = ((of_seeds - rest) / n).max(0.0);
    let item_variance = ((of_items - rest) / k).max(0.0);
    Ok(SeedsAndItems {
        n_seeds,
        n_items,
        mean,
        seed_variance,
        item_variance,
        residual_variance: rest,
        standard_error: (seed_variance / k + item_variance / n + rest / (k * n)).sqrt(),
    })
}

/// The two-sided quantile of Student's t.
fn t_quantile(confidence: f64, degrees: usize) -> f64 {
    let student = StudentsT::new(0.0, 1.0, degrees as f64).expect("at least one degree of freedom");
    -student.inverse_cdf((1.0 - confidence) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_has_no_spread() {
        assert!(matches!(seed_effect(&[0.7], 0.95), Err(StatsError::TooFew { found: 1, .. })));
        assert!(seed_effect(&[], 0.95).is_err());
        assert!(seed_effect(&[0.7, f64::NAN], 0.95).unwrap_err().to_string().contains("number 1"));
        assert!(seed_effect(&[0.7, 0.8], 95.0).is_err());
        assert!(seeds_and_items(&[vec![1.0, 0.0]]).is_err());
        assert!(seeds_and_items(&[vec![1.0], vec![0.0]]).is_err());
        assert!(seeds_and_items(&[vec![1.0, 0.0], vec![0.0]]).is_err());
    }

    #[test]
    fn equal_seeds_leave_the_items_alone() {
        let row = vec![1.0, 0.0, 1.0, 1.0];
        let effect = seeds_and_items(&[row.clone(), row.clone(), row]).unwrap();
        assert_eq!((effect.seed_variance, effect.residual_variance), (0.0, 0.0));
        assert!((effect.item_variance - 0.25).abs() < 1e-15);
        assert!((effect.standard_error - 0.25).abs() < 1e-15);
        let equal = seed_effect(&[0.75; 3], 0.95).unwrap();
        assert_eq!((equal.std, equal.interval.low, equal.interval.high), (0.0, 0.75, 0.75));
    }
}
