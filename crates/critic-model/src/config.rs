//! The resolved architecture of a decoder, whatever file it came from.

mod hf_json;

use crate::decoder::weight_shapes;
use crate::error::ModelError;
use critic_kernels::attention::AttentionShape;

/// Families of decoders that [`Decoder`](crate::Decoder) computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// transformers' `LlamaForCausalLM`: no biases.
    Llama,
    /// transformers' `Qwen2ForCausalLM`: biases on the query, key and value projections.
    Qwen2,
}

impl Architecture {
    /// The names by which files call the supported architectures.
    pub const NAMES: &str = "llama, qwen2";

    /// The name in `config.json` (`model_type`) and in GGUF (`general.architecture`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
        }
    }

    /// The architecture of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Llama, Self::Qwen2].into_iter().find(|architecture| architecture.name() == name)
    }
}

/// Llama 3's stretching of slow rotations to a longer context (transformers' `llama3` rope type).
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

/// Rotary position embedding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeConfig {
    /// Base θ of the frequencies θ^(−2i / head_dim).
    pub theta: f64,
    /// Stretching to a longer context.
    pub scaling: Option<Llama3Scaling>,
}

/// Everything about a decoder that is not a weight.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Its family.
    pub architecture: Architecture,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub d_model: usize,
    /// Width of the feed-forward network.
    pub d_ff: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// ε of the RMS norms.
    pub rms_norm_eps: f32,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// Tokens that fit.
    pub context_length: usize,
    /// Whether the LM head is the embedding.
    pub tied_embeddings: bool,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
}

/// Above these a file lies about its model, and tables of that size would not fit anyway.
const MAX_LAYERS: usize = 4096;
const MAX_WIDTH: usize = 1 << 24;

impl DecoderConfig {
    /// Frequencies of the rotary embedding in radians per token, slowest last.
    ///
    /// θ^(−2i / head_dim) for i < head_dim / 2, stretched as in transformers'
    /// `_compute_llama3_parameters`: long waves are divided by the factor, short ones stay, those between
    /// are blended linearly in original_context / wavelength.
    ///
    /// # Shapes
    /// returns `[head_dim / 2]`
    pub fn inverse_frequencies(&self) -> Vec<f32> {
        (0..self.head_dim / 2)
            .map(|i| {
                let exponent = (2 * i) as f32 / self.head_dim as f32;
                let frequency = 1.0 / self.rope.theta.powf(f64::from(exponent)) as f32;
                match &self.rope.scaling {
                    Some(scaling) => scaling.stretch(frequency),
                    None => frequency,
                }
            })
            .collect()
    }

    /// How its heads attend: scaled by 1 / √head_dim.
    pub fn attention_shape(&self) -> AttentionShape {
        AttentionShape {
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            head_dim: self.head_dim,
            scale: (self.head_dim as f32).powf(-0.5),
        }
    }

    /// Number of weights, tied ones once, without a reward head.
    pub fn n_parameters(&self) -> usize {
        weight_shapes(self).values().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Checks what the shapes of the weights cannot show.
    pub(crate) fn validated(self) -> Result<Self, ModelError> {
        let refuse = |field: &str, found: String, rule: &'static str| {
            Err(ModelError::ConfigUnsupported { field: field.to_owned(), found, rule })
        };
        let sizes = [
            ("vocabulary size", self.vocab_size, MAX_WIDTH),
            ("hidden size", self.d_model, MAX_WIDTH),
            ("feed-forward size", self.d_ff, MAX_WIDTH),
            ("number of layers", self.n_layers, MAX_LAYERS),
            ("number of heads", self.n_heads, MAX_WIDTH),
            ("number of key-value heads", self.n_kv_heads, MAX_WIDTH),
            ("head width", self.head_dim, MAX_WIDTH),
            ("context length", self.context_length, MAX_WIDTH),
        ];
        for (field, size, limit) in sizes {
            if size == 0 || size > limit {
                return refuse(
                    field,
                    size.to_string(),
                    "a size lies between 1 and 16777216, a number of layers below 4097",
                );
            }
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let found = format!("{} for {} heads", self.n_kv_heads, self.n_heads);
            return refuse(
                "number of key-value heads",
                found,
                "it must divide the number of heads",
            );
        }
        if !self.head_dim.is_multiple_of(2) {
            return refuse(
                "head width",
                self.head_dim.to_string(),
                "rotary embedding needs an even width",
            );
        }
        if !(self.rope.theta.is_finite() && self.rope.theta > 0.0) {
            return refuse(
                "rope theta",
                self.rope.theta.to_string(),
                "it must be finite and positive",
            );
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps >= 0.0) {
            return refuse(
                "rms norm epsilon",
                self.rms_norm_eps.to_string(),
                "it must be finite and not negative",
            );
        }
        if let Some(scaling) = &self.rope.scaling {
            let Llama3Scaling {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_context,
            } = *scaling;
            if !(factor >= 1.0
                && factor.is_finite()
                && low > 0.0
                && high > low
                && high.is_finite()
                && original_context > 0)
            {
                return refuse(
                    "rope scaling",
                    format!("{scaling:?}"),
                    "it needs factor ≥ 1, 0 < low < high and a positive context",
                );
            }
        }
        Ok(self)
    }
}

impl Llama3Scaling {
    /// The stretched frequency.
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A model of a few thousand weights.
    pub(crate) fn tiny(architecture: Architecture) -> DecoderConfig {
        DecoderConfig {
            architecture,
            vocab_size: 11,
            d_model: 12,
            d_ff: 20,
            n_layers: 2,
            n_heads: 3,
            n_kv_heads: 1,
            head_dim: 4,
            rms_norm_eps: 1e-5,
            rope: RopeConfig { theta: 10_000.0, scaling: None },
            context_length: 64,
            tied_embeddings: architecture == Architecture::Llama,
            qkv_bias: architecture == Architecture::Qwen2,
        }
    }

    #[test]
    fn plain_frequencies_are_powers_of_theta() {
        let frequencies =
            DecoderConfig { head_dim: 4, ..tiny(Architecture::Llama) }.inverse_frequencies();
        assert_eq!(frequencies, [1.0, 0.01]);
    }

    #[test]
    fn llama3_scaling_keeps_short_waves_divides_long_ones_and_blends_between() {
        let mut config = DecoderConfig { head_dim: 128, ..tiny(Architecture::Llama) };
        config.rope.theta = 500_000.0;
        let plain = config.inverse_frequencies();
        config.rope.scaling = Some(Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192,
        });
        let scaled = config.inverse_frequencies();
        assert_eq!(scaled[0], plain[0]);
        assert_eq!(scaled[63], plain[63] / 8.0);
        let blended = plain.iter().zip(&scaled).filter(|&(p, s)| s < p && *s > p / 8.0).count();
        assert!(blended > 3, "{blended}");
        assert!(scaled.windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn parameters_are_counted_once_when_tied() {
        let tied = tiny(Architecture::Llama);
        let untied = DecoderConfig { tied_embeddings: false, ..tied.clone() };
        assert_eq!(untied.n_parameters() - tied.n_parameters(), 11 * 12);
        let layer = 12 * 12 + 2 * 4 * 12 + 12 * 12 + 3 * 12 * 20 + 2 * 12;
        assert_eq!(tied.n_parameters(), 11 * 12 + 12 + 2 * layer);
    }

    #[test]
    fn heads_that_do_not_divide_are_refused() {
        let config = DecoderConfig { n_kv_heads: 2, ..tiny(Architecture::Llama) };
        assert!(config.validated().unwrap_err().to_string().contains("2 for 3 heads"));
    }
}
