use std::f64::consts::TAU;

/// Rotary position embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// Base θ of the frequencies θ^(−2i / dim).
    pub theta: f64,
    /// Stretching to a longer context.
    pub scaling: Option<RopeScaling>,
}

/// Ways to stretch the rotary embedding, by transformers' names of the rope type.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// `linear`: every frequency is divided by the factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// `llama3`.
    Llama3(Llama3Scaling),
    /// `yarn`.
    Yarn(YarnScaling),
    /// `longrope` (`su`).
    LongRope(LongRopeScaling),
}

/// Llama 3's stretching of slow rotations to a longer context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Llama3Scaling {
    /// Divisor of the frequencies whose wavelength exceeds the original context.
    pub factor: f64,
    /// Wavelengths above `original_context / low_freq_factor` tokens are divided in full.
    pub low_freq_factor: f64,
    /// Wavelengths below `original_context / high_freq_factor` tokens stay.
    pub high_freq_factor: f64,
    /// Tokens of context before the stretching.
    pub original_context: usize,
}

/// YaRN (Peng et al. 2023, arXiv 2309.00071): fast rotations stay, slow ones are divided, those between
/// are blended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct YarnScaling {
    /// Divisor of the slow rotations.
    pub factor: f64,
    /// Tokens of context before the stretching.
    pub original_context: usize,
    /// Rotations over the original context above which a frequency stays.
    pub beta_fast: f64,
    /// Rotations over the original context below which a frequency is divided.
    pub beta_slow: f64,
    /// Multiplies queries and keys.
    pub attention_factor: f64,
    /// Whether the bounds of the blend are whole numbers of dimensions.
    pub truncate: bool,
}

/// LongRoPE (Ding et al. 2024, arXiv 2402.13753): a divisor for each frequency.
///
/// transformers takes the short divisors for sequences within the original context and the long ones for
/// longer sequences, for all their tokens. Here a token's numbers do not depend on what follows, so the
/// short ones hold always and sequences end at the original context.
#[derive(Debug, Clone, PartialEq)]
pub struct LongRopeScaling {
    /// Divisors within the original context.
    pub short_factor: Vec<f64>,
    /// Divisors beyond it; kept for export.
    pub long_factor: Vec<f64>,
    /// Multiplies queries and keys.
    pub attention_factor: f64,
    /// Tokens of context before the stretching.
    pub original_context: usize,
    /// Tokens of context after it (`max_position_embeddings`); kept for export.
    pub stretched_context: usize,
}

impl RopeConfig {
    /// Frequencies in radians per token, slowest last.
    ///
    /// θ^(−2i / dim) for i < dim / 2, stretched as transformers' `modeling_rope_utils` does.
    ///
    /// # Shapes
    /// returns `[dim / 2]`
    pub fn inverse_frequencies(&self, dim: usize) -> Vec<f32> {
        let plain = (0..dim / 2).map(|i| {
            let exponent = (2 * i) as f32 / dim as f32;
            1.0 / self.theta.powf(f64::from(exponent)) as f32
        });
        match &self.scaling {
            None => plain.collect(),
            Some(RopeScaling::Linear { factor }) => plain.map(|f| f / *factor as f32).collect(),
            Some(RopeScaling::Llama3(scaling)) => plain.map(|f| scaling.stretch(f)).collect(),
            Some(RopeScaling::Yarn(scaling)) => {
                let (low, high) = scaling.blended(self.theta, dim);
                plain.enumerate().map(|(i, f)| scaling.stretch(f, i, low, high)).collect()
            }
            Some(RopeScaling::LongRope(scaling)) => {
                plain.zip(&scaling.short_factor).map(|(f, by)| f / *by as f32).collect()
            }
        }
    }

    /// What rotated queries and keys are multiplied by.
    pub fn attention_factor(&self) -> f32 {
        match &self.scaling {
            Some(RopeScaling::Yarn(scaling)) => scaling.attention_factor as f32,
            Some(RopeScaling::LongRope(scaling)) => scaling.attention_factor as f32,
            None | Some(RopeScaling::Linear { .. } | RopeScaling::Llama3(_)) => 1.0,
        }
    }

    /// What is wrong with its numbers for `dim` rotated ones.
    pub(crate) fn fault(&self, dim: usize) -> Option<&'static str> {
        let at_least_one = |x: f64| x >= 1.0 && x.is_finite();
        let positive = |x: f64| x > 0.0 && x.is_finite();
        if !positive(self.theta) {
            return Some("its theta must be finite and positive");
        }
        match &self.scaling {
            None => None,
            Some(RopeScaling::Linear { factor }) => {
                (!at_least_one(*factor)).then_some("it needs a factor of at least 1")
            }
            Some(RopeScaling::Llama3(scaling)) => {
                let Llama3Scaling { factor, low_freq_factor: low, high_freq_factor: high, .. } =
                    *scaling;
                let sound = at_least_one(factor) && low > 0.0 && high > low && high.is_finite();
                (!sound || scaling.original_context == 0)
                    .then_some("it needs factor ≥ 1, 0 < low < high and a positive context")
            }
            Some(RopeScaling::Yarn(scaling)) => {
                let YarnScaling { factor, beta_fast, beta_slow, attention_factor, .. } = *scaling;
                let sound = at_least_one(factor)
                    && positive(beta_slow)
                    && beta_fast >= beta_slow
                    && beta_fast.is_finite()
                    && positive(attention_factor)
                    && self.theta > 1.0;
                (!sound || scaling.original_context == 0).then_some(
                    "it needs factor ≥ 1, 0 < beta_slow ≤ beta_fast, theta > 1, a positive attention \
                     factor and context",
                )
            }
            Some(RopeScaling::LongRope(scaling)) => {
                let LongRopeScaling { short_factor, long_factor, .. } = scaling;
                let divisors = |x: &[f64]| x.len() == dim / 2 && x.iter().all(|&x| positive(x));
                let sound = divisors(short_factor)
                    && divisors(long_factor)
                    && positive(scaling.attention_factor);
                (!sound || scaling.original_context == 0).then_some(
                    "it needs a positive short_factor and long_factor for every frequency, a positive \
                     attention factor and context",
                )
            }
        }
    }
}

impl Llama3Scaling {
    /// The stretched frequency: long waves are divided by the factor, short ones stay, those between are
    /// blended linearly in original_context / wavelength.
    pub(crate) fn stretch(&self, frequency: f32) -> f32 {
        let factor = self.factor as f32;
        let context = self.original_context as f64;
        let wavelength = std::f32::consts::TAU / frequency;
        if wavelength < (context / self.high_freq_factor) as f32 {
            return frequency;
        }
        if wavelength > (context / self.low_freq_factor) as f32 {
            return frequency / factor;
        }
        let (low, high) = (self.low_freq_factor as f32, self.high_freq_factor as f32);
        let kept = (context as f32 / wavelength - low) / (high - low);
        (1.0 - kept) * frequency / factor + kept * frequency
    }
}

impl YarnScaling {
    /// YaRN's attention factor where a file gives none: `0.1 · mscale · ln(factor) + 1`, over the same of
    /// `mscale_all_dim` where both are given (transformers' `_compute_yarn_parameters`).
    pub fn default_attention_factor(factor: f64, mscales: Option<(f64, f64)>) -> f64 {
        let grown =
            |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 };
        match mscales {
            Some((mscale, all)) if mscale != 0.0 && all != 0.0 => grown(mscale) / grown(all),
            _ => grown(1.0),
        }
    }

    /// The numbers of the pairs between which frequencies are blended.
    fn blended(&self, theta: f64, dim: usize) -> (f32, f32) {
        let pair_of = |rotations: f64| {
            let wavelength = self.original_context as f64 / (rotations * TAU);
            dim as f64 * wavelength.ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (pair_of(self.beta_fast), pair_of(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low.max(0.0) as f32, high.min(dim as f64 - 1.0) as f32)
    }

    fn stretch(&self, frequency: f32, i: usize, low: f32, high: f32) -> f32 {
        let width = if high == low { 0.001 } else { high - low };
        let divided = ((i as f32 - low) / width).clamp(0.0, 1.0);
        frequency / self.factor as f32 * divided + frequency * (1.0 - divided)
    }
}

impl LongRopeScaling {
    /// The attention factor where a file gives none: `√(1 + ln(factor) / ln(original context))`
    /// (transformers' `_compute_longrope_parameters`).
    pub fn default_attention_factor(factor: f64, original_context: usize) -> f64 {
        match factor <= 1.0 || original_context <= 1 {
            true => 1.0,
            false => (1.0 + factor.ln() / (original_context as f64).ln()).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(theta: f64, scaling: Option<RopeScaling>, dim: usize) -> Vec<f32> {
        RopeConfig { theta, scaling }.inverse_frequencies(dim)
    }

    #[test]
    fn plain_frequencies_are_powers_of_theta() {
        assert_eq!(frequencies(10_000.0, None, 4), [1.0, 0.01]);
    }

    #[test]
    fn llama3_scaling_keeps_short_waves_divides_long_ones_and_blends_between() {
        let plain = frequencies(500_000.0, None, 128);
        let scaling = RopeScaling::Llama3(Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192,
        });
        let scaled = frequencies(500_000.0, Some(scaling), 128);
        assert_eq!(scaled[0], plain[0]);
        assert_eq!(scaled[63], plain[63] / 8.0);
        let blended = plain.iter().zip(&scaled).filter(|&(p, s)| s < p && *s > p / 8.0).count();
        assert!(blended > 3, "{blended}");
        assert!(scaled.windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn yarn_keeps_fast_rotations_divides_slow_ones_and_blends_between() {
        let plain = frequencies(1e6, None, 128);
        let scaling = YarnScaling {
            factor: 4.0,
            original_context: 32_768,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: YarnScaling::default_attention_factor(4.0, None),
            truncate: true,
        };
        assert!((scaling.attention_factor - 1.138_629_436).abs() < 1e-9);
        let scaled = frequencies(1e6, Some(RopeScaling::Yarn(scaling)), 128);
        assert_eq!(scaled[..20], plain[..20]);
        assert_eq!(scaled[63], plain[63] / 4.0);
        let blended = plain.iter().zip(&scaled).filter(|&(p, s)| s < p && *s > p / 3.9).count();
        assert!(blended > 3, "{blended}");
    }

    #[test]
    fn a_linear_factor_divides_all() {
        let scaled = frequencies(10_000.0, Some(RopeScaling::Linear { factor: 8.0 }), 4);
        assert_eq!(scaled, [0.125, 0.00125]);
    }
}
