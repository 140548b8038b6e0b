use serde::{Deserialize, Serialize};

/// How the next token is drawn.
///
/// | field                | range      | at its neutral value           |
/// |----------------------|------------|--------------------------------|
/// | `repetition_penalty` | above 0    | 1                              |
/// | `temperature`        | ≥ 0        | 1; 0 takes the likeliest token |
/// | `top_k`              | ≥ 0        | 0 keeps every token            |
/// | `top_p`              | (0, 1]     | 1 keeps every token            |
/// | `min_p`              | [0, 1]     | 0 keeps every token            |
/// | `max_new_tokens`     | ≥ 1        |                                |
/// | `stop`               | not empty  | none                           |
///
/// They apply in this order, which is that of transformers' `generate`: penalty, temperature, `top_k`,
/// `top_p`, `min_p`. (vLLM has `min_p` before `top_k`; with `top_p` = 1 both give the same.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits before the softmax.
    pub temperature: f64,
    /// Keeps the smallest set of likeliest tokens whose probability reaches this.
    pub top_p: f64,
    /// Keeps this many likeliest tokens, and those as likely as the last of them.
    pub top_k: usize,
    /// Keeps tokens at least this times as probable as the likeliest (arXiv 2407.01082).
    #[serde(default)]
    pub min_p: f64,
    /// Divides the positive logits, and multiplies the negative ones, of every token that stands in
    /// the prompt or in the answer so far (arXiv 1909.05858). Prompt and answer both, as in
    /// transformers and vLLM.
    #[serde(default = "neutral_penalty")]
    pub repetition_penalty: f64,
    /// Cuts the text after this many tokens.
    pub max_new_tokens: usize,
    /// The answer ends before the first of these texts, wherever the borders of tokens are. One that
    /// spells a special token ends it at that token.
    #[serde(default)]
    pub stop: Vec<String>,
}

fn neutral_penalty() -> f64 {
    1.0
}

/// A sampling setting is out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sampling.{field} is {value}; it must be {rule}")]
pub struct SamplingError {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub rule: &'static str,
}

impl Sampling {
    /// The likeliest token at every step; every other setting neutral.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: neutral_penalty(),
            max_new_tokens,
            stop: Vec::new(),
        }
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`SamplingError`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<(), SamplingError> {
        let is_positive = |x: f64| x > 0.0 && x.is_finite();
        let at_least_0 = self.temperature == 0.0 || is_positive(self.temperature);
        let numbers = [
            ("temperature", self.temperature, at_least_0, "finite and at least 0"),
            ("top_p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "above 0 and at most 1"),
            ("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "at least 0 and at most 1"),
            (
                "repetition_penalty",
                self.repetition_penalty,
                is_positive(self.repetition_penalty),
                "finite and above 0; 1 changes nothing",
            ),
        ];
        let error = |field, value, rule| Err(SamplingError { field, value, rule });
        for (field, value, holds, rule) in numbers {
            if !holds {
                return error(field, value.to_string(), rule);
            }
        }
        if self.max_new_tokens == 0 {
            return error("max_new_tokens", "0".to_owned(), "at least 1");
        }
        if self.stop.iter().any(String::is_empty) {
            let rule = "texts of at least one character; leave the empty one out";
            return error("stop", format!("{:?}", self.stop), rule);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let neutral = Sampling::greedy(1);
        neutral.validate().unwrap();
        let named = |sampling: Sampling, words: &str| {
            let message = sampling.validate().unwrap_err().to_string();
            assert!(message.contains(words), "`{words}` is not in: {message}");
        };
        named(Sampling { temperature: f64::NAN, ..neutral.clone() }, "sampling.temperature is NaN");
        named(Sampling { temperature: -1.0, ..neutral.clone() }, "temperature is -1");
        named(Sampling { top_p: 0.0, ..neutral.clone() }, "top_p is 0");
        named(Sampling { min_p: 1.5, ..neutral.clone() }, "min_p is 1.5");
        named(Sampling { repetition_penalty: 0.0, ..neutral.clone() }, "repetition_penalty is 0");
        named(
            Sampling { stop: vec!["a".into(), String::new()], ..neutral },
            "stop is [\"a\", \"\"]",
        );
        named(Sampling::greedy(0), "max_new_tokens is 0");
    }
}
