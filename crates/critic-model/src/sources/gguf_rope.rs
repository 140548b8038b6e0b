use super::gguf_config::FromTensors;
use super::gguf_metadata::{Metadata, unsupported};
use crate::config::{
    Architecture, Llama3Scaling, LongRopeScaling, RopeConfig, RopeScaling, YarnScaling,
};
use crate::error::ModelError;

impl Metadata<'_> {
    /// The rotary embedding without Llama 3's scaling, which stands in tensors alone.
    pub(crate) fn rope(
        &self,
        architecture: Architecture,
        tensors: &FromTensors,
        context_length: usize,
    ) -> Result<RopeConfig, ModelError> {
        let key = |name: &str| format!("{}.rope.{name}", architecture.gguf_name());
        let theta = self.number(&key("freq_base"))?.unwrap_or(10_000.0);
        let original_context = self.optional_size(&key("scaling.original_context_length"))?;
        let attention_factor = self.number(&key("scaling.attn_factor"))?;
        if let Some((short, long)) = &tensors.long_rope_divisors {
            let original_context = original_context.ok_or_else(|| ModelError::ConfigMissing {
                field: key("scaling.original_context_length"),
            })?;
            let factor = context_length as f64 / original_context.max(1) as f64;
            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect();
            let scaling = RopeScaling::LongRope(LongRopeScaling {
                short_factor: wide(short),
                long_factor: wide(long),
                attention_factor: attention_factor.unwrap_or_else(|| {
                    LongRopeScaling::default_attention_factor(factor, original_context)
                }),
                original_context,
                stretched_context: context_length,
            });
            return Ok(RopeConfig { theta, scaling: Some(scaling) });
        }
        let factor = || {
            let field = key("scaling.factor");
            self.number(&field)?.ok_or(ModelError::ConfigMissing { field })
        };
        if let Some(other) = attention_factor.filter(|&factor| factor != 1.0) {
            return Err(unsupported(
                &key("scaling.attn_factor"),
                other.to_string(),
                "only LongRoPE sets it; use the model's Hugging Face folder",
            ));
        }
        let scaling = match self.text(&key("scaling.type")) {
            None | Some("none" | "longrope") => None,
            Some("linear") => Some(RopeScaling::Linear { factor: factor()? }),
            Some("yarn") => {
                let factor = factor()?;
                Some(RopeScaling::Yarn(YarnScaling {
                    factor,
                    original_context: original_context.unwrap_or(context_length),
                    beta_fast: self.number(&key("scaling.yarn_beta_fast"))?.unwrap_or(32.0),
                    beta_slow: self.number(&key("scaling.yarn_beta_slow"))?.unwrap_or(1.0),
                    attention_factor: YarnScaling::default_attention_factor(factor, None),
                    truncate: true,
                }))
            }
            Some(other) => {
                return Err(unsupported(
                    &key("scaling.type"),
                    other.to_owned(),
                    "supported are linear, yarn, Llama 3's and LongRoPE's scaling",
                ));
            }
        };
        Ok(RopeConfig { theta, scaling })
    }
}

/// Llama 3's scaling that gives these divisors.
///
/// llama.cpp stores the divisors alone. In every published model they come from the largest of them as
/// factor and from 1 and 4 as frequency factors; the original context is tried, 8192 first.
pub(crate) fn llama3_scaling(
    plain: &[f32],
    divisors: &[f32],
    original_context: Option<usize>,
) -> Result<Llama3Scaling, ModelError> {
    let factor = f64::from(divisors.iter().copied().fold(1.0, f32::max));
    let contexts =
        original_context.into_iter().chain([8192]).chain((5..=20).map(|power| 1 << power));
    let mut scalings = contexts.map(|original_context| Llama3Scaling {
        factor,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context,
    });
    let fits = |scaling: &Llama3Scaling| {
        let ratios = plain
            .iter()
            .zip(divisors)
            .map(|(&frequency, &divisor)| frequency / scaling.stretch(frequency) / divisor);
        plain.len() == divisors.len() && ratios.into_iter().all(|ratio| (ratio - 1.0).abs() < 1e-4)
    };
    scalings.find(fits).ok_or_else(|| {
        let found = format!("{} divisors up to {factor}", divisors.len());
        unsupported(
            "rope_freqs.weight",
            found,
            "only Llama 3's scaling is supported; use the model's Hugging Face folder",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(scaling: Option<Llama3Scaling>) -> Vec<f32> {
        RopeConfig { theta: 500_000.0, scaling: scaling.map(RopeScaling::Llama3) }
            .inverse_frequencies(64)
    }

    #[test]
    fn llama3_scaling_is_recovered_from_its_divisors() {
        for original_context in [8192, 4096, 1 << 17] {
            let expected = Llama3Scaling {
                factor: 32.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context,
            };
            let plain = frequencies(None);
            let divisors: Vec<f32> =
                plain.iter().zip(frequencies(Some(expected))).map(|(p, s)| p / s).collect();
            assert_eq!(llama3_scaling(&plain, &divisors, None).unwrap(), expected);
        }
    }

    #[test]
    fn other_divisors_are_refused() {
        let plain = frequencies(None);
        let halved = vec![2.0; plain.len()];
        assert!(
            llama3_scaling(&plain, &halved, None)
                .unwrap_err()
                .to_string()
                .contains("rope_freqs.weight")
        );
        assert!(llama3_scaling(&plain, &halved[1..], None).is_err());
    }
}
