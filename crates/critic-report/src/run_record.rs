use crate::ReportError;
use critic_eval::{Accuracy, ContestantResult, PairedComparison};
use critic_types::{Conversation, RewardPrediction, ScoreKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run knows about itself: enough to make its report without the run.
///
/// Lists may be empty; an empty one means that the run did not do that, and its section is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Rises when the meaning of a field changes; see [`RunRecord::FORMAT_VERSION`].
    pub format_version: u32,
    /// The report's heading.
    pub title: String,
    /// The command line that makes the run again.
    pub command: String,
    /// The model that was trained.
    pub model: ModelRecord,
    /// The preference pairs.
    pub data: DataRecord,
    /// The resolved settings.
    pub settings: Vec<SettingRecord>,
    /// What was done, in order.
    pub stages: Vec<StageRecord>,
    /// Pairs and critiques from candidates to what was trained on, in order.
    pub funnel: Vec<FunnelStep>,
    /// How often each kind of critique score agrees with the label.
    pub score_agreement: Vec<ScoreAgreement>,
    /// Who was measured on the held-out pairs, in the order of the report.
    pub contestants: Vec<ContestantResult>,
    /// Which contestants differ.
    pub comparisons: Vec<PairedComparison>,
    /// One curve a training.
    pub training: Vec<TrainingCurve>,
    /// A handful of held-out pairs with what was written about them.
    pub items: Vec<ItemRecord>,
    /// Remarks a reader must not miss, a sentence each.
    pub notes: Vec<String>,
}

impl RunRecord {
    /// The version that this program writes and the newest it reads.
    pub const FORMAT_VERSION: u32 = 1;

    /// Reads a record from the JSON that [`RunRecord::to_json`] wrote.
    ///
    /// # Errors
    /// [`ReportError::TooNew`] when a newer program wrote it, [`ReportError::Unreadable`] otherwise.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let Version { format_version: found } = serde_json::from_str(text)?;
        if found > Self::FORMAT_VERSION {
            return Err(ReportError::TooNew { found, supported: Self::FORMAT_VERSION });
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The record as indented JSON with a newline at its end.
    ///
    /// # Errors
    /// [`ReportError::Unreadable`] when a field cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// The model that was trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// As it was asked for, such as `smollm2-135m`.
    pub name: String,
    /// Where its weights came from.
    pub source: String,
    /// SHA-256 of the weights in hexadecimal, when they are one file.
    pub digest: Option<String>,
    /// Weights of the decoder and both heads.
    pub n_parameters: u64,
}

/// The preference pairs of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRecord {
    /// What was trained on.
    pub train: SplitRecord,
    /// What was held out.
    pub eval: Option<SplitRecord>,
}

/// One file of pairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitRecord {
    /// The file.
    pub file: String,
    /// The pairs that were kept.
    pub n_pairs: usize,
    /// The rows that were left out, by reason.
    pub dropped: BTreeMap<String, usize>,
}

/// One resolved setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingRecord {
    /// Its name in the run file, such as `generate.n_candidates`.
    pub key: String,
    /// Its value as written in a run file.
    pub value: String,
    /// Who set it: `flag`, `file`, `paper`, `default`.
    pub origin: String,
}

/// One stage of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Such as `generate`.
    pub name: String,
    /// How long it worked, in seconds, over all sittings.
    pub seconds: f64,
    /// What it has to say.
    pub summary: Vec<Fact>,
    /// Whether it was taken up again after an interruption.
    pub resumed: bool,
}

/// A label with a value, both as they are to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Such as `tokens per second`.
    pub label: String,
    /// Such as `412`.
    pub value: String,
}

/// What is left after a step from candidates to training data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunnelStep {
    /// Such as `filter pair_mean`.
    pub label: String,
    /// Pairs with at least one critique left (or, before any critique, all).
    pub n_pairs: usize,
    /// Critiques left; absent where there are none yet.
    pub n_critiques: Option<usize>,
}

/// How often one kind of critique score ranks a pair as its label does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreAgreement {
    /// Which score.
    pub kind: ScoreKind,
    /// Pairs that had critiques.
    pub n_pairs: usize,
    /// Over the pairs where both responses have such a score (its mean over their critiques); absent
    /// when there is none.
    pub accuracy: Option<Accuracy>,
}

/// One training, step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingCurve {
    /// Such as `critic-rm` or `scalar`.
    pub name: String,
    /// In order.
    pub steps: Vec<StepPoint>,
}

/// An optimizer step.
///
/// | field             | unit          |
/// |-------------------|---------------|
/// | `critique_weight` | λ(t), 0–1     |
/// | `critique_loss`   | nats/token    |
/// | `preference_loss` | nats/pair     |
/// | `joint_loss`      | nats          |
/// | `accuracy`        | share, 0–1    |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepPoint {
    /// From 1.
    pub step: usize,
    /// λ(t).
    pub critique_weight: f64,
    /// Absent where the step saw no critique.
    pub critique_loss: Option<f64>,
    /// Absent where the step saw no pair.
    pub preference_loss: Option<f64>,
    /// What was minimized.
    pub joint_loss: f64,
    /// On the step's own pairs.
    pub accuracy: Option<f64>,
    /// Of the decoder.
    pub learning_rate: f64,
    /// Before clipping.
    pub grad_norm: f64,
}

/// A held-out pair with its rewards and critiques.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemRecord {
    /// The pair's id.
    pub pair_id: String,
    /// The pair's domain.
    pub domain: Option<String>,
    /// The conversation up to the response.
    pub prompt: Conversation,
    /// The preferred response.
    pub chosen: String,
    /// The other.
    pub rejected: String,
    /// Of the preferred response.
    pub chosen_prediction: RewardPrediction,
    /// Of the other.
    pub rejected_prediction: RewardPrediction,
    /// Whether the chosen response has the larger mean reward.
    pub correct: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn a_record_survives_its_file() {
        let record = fixtures::record();
        assert_eq!(RunRecord::from_json(&record.to_json().unwrap()).unwrap(), record);
    }

    #[test]
    fn a_newer_record_is_refused_even_with_unknown_fields() {
        let error =
            RunRecord::from_json(r#"{"format_version": 99, "shape": "other"}"#).unwrap_err();
        assert!(error.to_string().contains("version 99"), "{error}");
        assert!(matches!(RunRecord::from_json("{}"), Err(ReportError::Unreadable(_))));
    }
}
