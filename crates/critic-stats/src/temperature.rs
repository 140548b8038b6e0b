use crate::StatsError;
use crate::bradley_terry::probability;
use crate::error::all_finite;
use serde::{Deserialize, Serialize};

/// A divisor of margins that makes the chances they state come true; fitted on pairs that are not
/// reported on.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Temperature(f64);

impl Temperature {
    /// The T > 0 that minimizes the mean of −ln σ(m / T) over margins m = r⁺ − r⁻.
    ///
    /// Guo et al. 2017, for two responses. The loss is convex in 1 / T, and its slope there, the mean
    /// of −m · σ(−m / T), is brought to zero by bisection. Above 1 the rewards were too sure, below 1
    /// too shy. The ranking, and so the accuracy, does not change.
    ///
    /// # Errors
    /// [`StatsError::NoTemperature`] when no margin is negative (the best T is 0) or their mean is not
    /// positive (it is infinite); [`StatsError::Empty`], [`StatsError::NotFinite`].
    ///
    /// # Examples
    /// ```
    /// use critic_stats::Temperature;
    /// // Three in four are right, and always by 4: the margin should be ln 3.
    /// let temperature = Temperature::fit(&[4.0, 4.0, -4.0, 4.0])?;
    /// assert!((temperature.value() - 4.0 / 3f64.ln()).abs() < 1e-9);
    /// assert!((temperature.apply(&[4.0])[0] - 3f64.ln()).abs() < 1e-9);
    /// # Ok::<(), critic_stats::StatsError>(())
    /// ```
    pub fn fit(dev_margins: &[f64]) -> Result<Self, StatsError> {
        all_finite("margin", dev_margins)?;
        if dev_margins.is_empty() {
            return Err(StatsError::Empty { what: "temperature fit" });
        }
        let n = dev_margins.len();
        let n_wrong = dev_margins.iter().filter(|&&margin| margin < 0.0).count();
        // In units of the largest margin nothing over- or underflows.
        let unit = dev_margins.iter().fold(0.0f64, |largest, margin| largest.max(margin.abs()));
        let scaled: Vec<f64> = dev_margins.iter().map(|margin| margin / unit).collect();
        let mean = scaled.iter().sum::<f64>() / n as f64;
        if n_wrong == 0 || mean <= 0.0 {
            let mean = dev_margins.iter().sum::<f64>() / n as f64;
            return Err(StatsError::NoTemperature { n, n_wrong, mean });
        }
        let slope = |inverse: f64| -> Result<f64, StatsError> {
            let mut sum = 0.0;
            for &margin in &scaled {
                sum -= margin * probability(0.0, inverse * margin)?;
            }
            Ok(sum)
        };
        let (mut low, mut high) = (0.0, 1.0);
        while slope(high)? < 0.0 {
            (low, high) = (high, 2.0 * high);
        }
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if slope(middle)? < 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(Self(unit / (0.5 * (low + high))))
    }

    /// T, larger than 0.
    pub fn value(self) -> f64 {
        self.0
    }

    /// The margins divided by T.
    #[must_use]
    pub fn apply(self, margins: &[f64]) -> Vec<f64> {
        margins.iter().map(|margin| margin / self.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::log_loss;
    use proptest::prelude::*;

    #[test]
    fn margins_without_an_optimum_are_refused() {
        for margins in [vec![1.0, 2.0], vec![1.0, -1.0], vec![-3.0, 1.0], vec![0.0]] {
            let error = Temperature::fit(&margins).unwrap_err();
            assert!(matches!(error, StatsError::NoTemperature { .. }), "{error}");
        }
        assert!(Temperature::fit(&[]).is_err());
        assert!(Temperature::fit(&[1.0, f64::NAN]).is_err());
    }

    proptest! {
        #[test]
        fn no_other_temperature_is_better(
            mut margins in prop::collection::vec(-3.0f64..5.0, 2..40), factor in 0.5f64..2.0,
        ) {
            margins.extend([-0.5, 4.0]);
            prop_assume!(margins.iter().sum::<f64>() > 0.1);
            let best = Temperature::fit(&margins).unwrap();
            let other = Temperature(best.value() * factor);
            let loss = |t: Temperature| log_loss(&t.apply(&margins)).unwrap();
            prop_assert!(loss(best) <= loss(other) + 1e-12);
        }

        #[test]
        fn the_unit_of_the_rewards_only_scales_it(scale in -60i32..60) {
            let unit = 10f64.powi(scale);
            let fit = Temperature::fit(&[2.0 * unit, -unit, 3.0 * unit]).unwrap().value();
            let reference = Temperature::fit(&[2.0, -1.0, 3.0]).unwrap().value();
            prop_assert!((fit / unit / reference - 1.0).abs() < 1e-9);
        }
    }
}
