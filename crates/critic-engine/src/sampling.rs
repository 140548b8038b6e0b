use serde::{Deserialize, Serialize};

/// How the next token is drawn.
///
/// | field            | range   | at its neutral value           |
/// |------------------|---------|--------------------------------|
/// | `temperature`    | ≥ 0     | 1; 0 takes the likeliest token |
/// | `top_p`          | (0, 1]  | 1 keeps every token            |
/// | `top_k`          | ≥ 0     | 0 keeps every token            |
/// | `max_new_tokens` | ≥ 1     |                                |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits before the softmax.
    pub temperature: f64,
    /// Keeps the smallest set of likeliest tokens whose probability reaches this.
    pub top_p: f64,
    /// Keeps this many likeliest tokens.
    pub top_k: usize,
    /// Cuts the text after this many tokens.
    pub max_new_tokens: usize,
}

/// A sampling setting is out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("sampling.{field} is {value}; it must be {rule}")]
pub struct SamplingError {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What it must be.
    pub rule: &'static str,
}

impl Sampling {
    /// The likeliest token at every step.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self { temperature: 0.0, top_p: 1.0, top_k: 0, max_new_tokens }
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`SamplingError`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<(), SamplingError> {
        let error = |field, value, rule| Err(SamplingError { field, value, rule });
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return error("temperature", self.temperature, "finite and at least 0");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return error("top_p", self.top_p, "above 0 and at most 1");
        }
        if self.max_new_tokens == 0 {
            return error("max_new_tokens", 0.0, "at least 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let nan = Sampling { temperature: f64::NAN, ..Sampling::greedy(1) };
        assert!(nan.validate().unwrap_err().to_string().contains("sampling.temperature is NaN"));
        assert!(Sampling { top_p: 0.0, ..Sampling::greedy(1) }.validate().is_err());
        assert!(Sampling::greedy(0).validate().is_err());
        assert!(Sampling::greedy(1).validate().is_ok());
    }
}
