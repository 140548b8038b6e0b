use serde::{Deserialize, Serialize};

/// The learning rate as a function of the step: a linear rise, then half a cosine.
///
/// | field    | unit                            | range  |
/// |----------|---------------------------------|--------|
/// | `peak`   | per step                        | > 0    |
/// | `warmup` | share of all steps that rise    | [0, 1] |
/// | `floor`  | share of the peak at the end    | [0, 1] |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRate {
    /// The highest rate.
    pub peak: f64,
    /// Share of the steps over which it rises.
    pub warmup: f64,
    /// Share of the peak that is left at the last step.
    pub floor: f64,
}

impl LearningRate {
    /// The share of the peak at `step`, counted from 0, of `n_steps`.
    pub fn share(&self, step: usize, n_steps: usize) -> f64 {
        let t = (step + 1) as f64;
        let rising = (self.warmup * n_steps as f64).ceil();
        if t <= rising {
            return t / rising;
        }
        let progress = (t - rising) / (n_steps as f64 - rising).max(1.0);
        self.floor
            + (1.0 - self.floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_then_falls_to_the_floor() {
        let rate = LearningRate { peak: 1.0, warmup: 0.2, floor: 0.1 };
        let shares: Vec<f64> = (0..10).map(|step| rate.share(step, 10)).collect();
        assert!((shares[0] - 0.5).abs() < 1e-12 && (shares[1] - 1.0).abs() < 1e-12);
        assert!(shares[1..].windows(2).all(|pair| pair[1] <= pair[0]));
        assert!((shares[9] - 0.1).abs() < 1e-12);
    }
}
