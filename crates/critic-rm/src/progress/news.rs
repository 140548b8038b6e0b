use critic_report::{FunnelStep, StageRecord};
use critic_train::StepRecord;
use critic_types::{Candidate, PreferencePair, RewardPrediction, Side};
use std::path::{Path, PathBuf};

/// What stages tell beyond lines and counts.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// A run begins: where it stands, what it works with, which stages it has.
    Planned { folder: PathBuf, model: String, stages: Vec<Planned> },
    /// A stage is over.
    Finished(StageRecord),
    /// Critiques of a response were written.
    Wrote { pair: PreferencePair, side: Side, critiques: Vec<Candidate> },
    /// What is left of the critiques after a step.
    Left(FunnelStep),
    /// A training takes a step of `n_steps`; `folder` keeps its metrics.
    Stepped { folder: PathBuf, name: String, n_steps: u64, record: StepRecord },
    /// A training that had ended before.
    Trained { name: String, records: Vec<StepRecord> },
    /// A held-out response has its reward with up to `n_critiques` critiques.
    Scored {
        model: String,
        n_critiques: usize,
        pair: String,
        side: Side,
        prediction: RewardPrediction,
    },
}

/// A stage before it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    /// As it is called when it is over.
    pub(crate) name: String,
    /// How long it may take.
    pub(crate) seconds: Option<f64>,
}

impl News {
    pub(crate) fn wrote(pair: &PreferencePair, side: Side, critiques: &[Candidate]) -> Self {
        Self::Wrote { pair: pair.clone(), side, critiques: critiques.to_vec() }
    }

    pub(crate) fn stepped(folder: &Path, name: &str, n_steps: u64, record: &StepRecord) -> Self {
        let (folder, name, record) = (folder.to_owned(), name.to_owned(), record.clone());
        Self::Stepped { folder, name, n_steps, record }
    }

    pub(crate) fn scored(
        model: &str,
        n_critiques: usize,
        pair: &str,
        side: Side,
        prediction: &RewardPrediction,
    ) -> Self {
        let (model, pair, prediction) = (model.to_owned(), pair.to_owned(), prediction.clone());
        Self::Scored { model, n_critiques, pair, side, prediction }
    }
}
