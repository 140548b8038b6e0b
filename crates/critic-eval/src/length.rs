use crate::{Contestant, PredictionScale};
use critic_types::{PreferencePair, Side};
use serde::{Deserialize, Serialize};

/// What a length counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LengthUnit {
    /// Runs of characters between white space.
    Words,
    /// Unicode scalar values.
    Chars,
}

impl LengthUnit {
    fn count(self, text: &str) -> usize {
        match self {
            LengthUnit::Words => text.split_whitespace().count(),
            LengthUnit::Chars => text.chars().count(),
        }
    }
}

/// The control that prefers the longer response.
///
/// A reward model that does not beat it may have learnt nothing but length.
pub fn length_control(pairs: &[PreferencePair], unit: LengthUnit) -> Contestant {
    let mut predictions = crate::Predictions::new();
    for pair in pairs {
        for side in Side::BOTH {
            let length = unit.count(pair.response(side)) as f64;
            predictions.insert((pair.id.clone(), side), length);
        }
    }
    Contestant {
        name: "length".to_owned(),
        family: "length".to_owned(),
        n_critiques: None,
        scale: PredictionScale::Ordinal,
        predictions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::pair;
    use critic_stats::TieRule;

    #[track_caller]
    fn check(unit: LengthUnit, chosen: &str, rejected: &str, expected: (f64, f64)) {
        let pair = pair("p0", chosen, rejected);
        let control = length_control(std::slice::from_ref(&pair), unit);
        assert_eq!(control.rewards(&pair).unwrap(), Some(expected));
    }

    #[test]
    fn length_is_in_words_or_in_characters() {
        check(LengthUnit::Words, "one two\n three", "", (3.0, 0.0));
        check(LengthUnit::Chars, "größe", "日本", (5.0, 2.0));
    }

    #[test]
    fn equally_long_responses_tie() {
        let pairs = [pair("p0", "a b", "c d")];
        let control = length_control(&pairs, LengthUnit::Words);
        let result = crate::evaluate(&control, &pairs, TieRule::Wrong).unwrap();
        let agreement = result.accuracy.unwrap().agreement;
        assert_eq!((agreement.n_ties, agreement.accuracy), (1, 0.0));
    }
}
