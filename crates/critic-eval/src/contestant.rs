use crate::EvalError;
use critic_types::{PreferencePair, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A number for each response, by the pair's id and the side.
pub type Predictions = BTreeMap<(String, Side), f64>;

/// What the predictions' differences mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionScale {
    /// Log-odds of Bradley–Terry: a likelihood can be read from a difference.
    LogOdds,
    /// Only the order counts, as with a length.
    Ordinal,
}

/// Someone who puts a number on responses.
#[derive(Debug, Clone, PartialEq)]
pub struct Contestant {
    /// Unique in a report, such as `critic-rm m=4`.
    pub name: String,
    /// What several contestants share, such as `critic-rm`: a curve over m joins one family.
    pub family: String,
    /// m, for a reward model that writes critiques; absent for one that never does.
    pub n_critiques: Option<usize>,
    /// What the numbers mean.
    pub scale: PredictionScale,
    /// The numbers; a response without one was not scored.
    pub predictions: Predictions,
}

impl Contestant {
    /// A reward model that averages m critiques (0: the fast path), named `family m=n_critiques`.
    pub fn with_critiques(family: &str, n_critiques: usize, predictions: Predictions) -> Self {
        Self {
            name: format!("{family} m={n_critiques}"),
            family: family.to_owned(),
            n_critiques: Some(n_critiques),
            scale: PredictionScale::LogOdds,
            predictions,
        }
    }

    /// A reward model that never writes critiques.
    pub fn scalar(name: &str, predictions: Predictions) -> Self {
        Self {
            name: name.to_owned(),
            family: name.to_owned(),
            n_critiques: None,
            scale: PredictionScale::LogOdds,
            predictions,
        }
    }

    /// The numbers of both responses; nothing when one is missing.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`] when one is NaN or infinite.
    pub fn rewards(&self, pair: &PreferencePair) -> Result<Option<(f64, f64)>, EvalError> {
        match (self.prediction(pair, Side::Chosen)?, self.prediction(pair, Side::Rejected)?) {
            (Some(chosen), Some(rejected)) => Ok(Some((chosen, rejected))),
            _ => Ok(None),
        }
    }

    fn prediction(&self, pair: &PreferencePair, side: Side) -> Result<Option<f64>, EvalError> {
        match self.predictions.get(&(pair.id.clone(), side)) {
            Some(&value) if !value.is_finite() => Err(EvalError::NotFinite {
                contestant: self.name.clone(),
                pair_id: pair.id.clone(),
                side,
                value,
            }),
            found => Ok(found.copied()),
        }
    }
}
