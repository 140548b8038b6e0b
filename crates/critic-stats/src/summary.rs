use crate::StatsError;
use crate::error::all_finite;
use serde::{Deserialize, Serialize};

/// Mean and spread of a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanStd {
    /// How many values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Sample standard deviation (n − 1); absent for a single value.
    pub std: Option<f64>,
}

/// Mean and sample standard deviation, in two passes.
///
/// # Errors
/// [`StatsError::Empty`] and [`StatsError::NotFinite`].
///
/// # Examples
/// ```
/// let spread = critic_stats::mean_std(&[1.0, 2.0, 3.0])?;
/// assert_eq!((spread.mean, spread.std), (2.0, Some(1.0)));
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn mean_std(values: &[f64]) -> Result<MeanStd, StatsError> {
    all_finite("value", values)?;
    if values.is_empty() {
        return Err(StatsError::Empty { what: "mean" });
    }
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let std = (n > 1).then(|| {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / (n - 1) as f64).sqrt()
    });
    Ok(MeanStd { n, mean, std })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_no_spread() {
        assert_eq!(mean_std(&[4.0]).unwrap(), MeanStd { n: 1, mean: 4.0, std: None });
        assert!(mean_std(&[]).is_err());
        assert!(mean_std(&[1.0, f64::INFINITY]).is_err());
    }

    #[test]
    fn a_large_offset_does_not_eat_the_spread() {
        let spread = mean_std(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]).unwrap();
        assert!((spread.std.unwrap() - 30f64.sqrt()).abs() < 1e-9);
    }
}
