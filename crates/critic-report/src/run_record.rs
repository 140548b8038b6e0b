use crate::ReportError;
use critic_eval::{Accuracy, ContestantResult, CorrectedComparison, CritiqueStudy, Diagnostics};
use critic_method::{CritiqueAudit, PositionConsistency};
use critic_stats::HistogramBin;
use critic_types::{Conversation, DropReport, RewardPrediction, ScoreKind};
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
    /// One a round of critiques, in order.
    pub rounds: Vec<RoundRecord>,
    /// Who was measured on the held-out pairs, in the order of the report.
    pub contestants: Vec<ContestantResult>,
    /// Which contestants differ from the one the run is about.
    pub comparisons: Vec<CorrectedComparison>,
    /// What lies behind the accuracies, by contestant.
    pub diagnostics: Vec<Diagnostics>,
    /// What several critiques are worth, for each model that writes them.
    pub critique_studies: Vec<StudyRecord>,
    /// One curve a training.
    pub training: Vec<TrainingCurve>,
    /// The contestant that the run is about, whose rewards and critiques `items` hold.
    pub main: Option<String>,
    /// Every held-out pair that was scored, with what was written about it.
    pub items: Vec<ItemRecord>,
    /// Remarks a reader must not miss, a sentence each.
    pub notes: Vec<String>,
}

impl RunRecord {
    /// The version that this program writes and the newest it reads.
    pub const FORMAT_VERSION: u32 = 2;

    /// Reads a record from the JSON that [`RunRecord::to_json`] wrote.
    ///
    /// # Errors
    /// [`ReportError::OtherVersion`] when a program of another version wrote it,
    /// [`ReportError::Unreadable`] otherwise.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let Version { format_version: found } = serde_json::from_str(text)?;
        if found != Self::FORMAT_VERSION {
            return Err(ReportError::OtherVersion { found, supported: Self::FORMAT_VERSION });
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
    /// What tells its weights from others, in hexadecimal.
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

/// What became of one round's critiques.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// From 1.
    pub round: usize,
    /// The model that wrote the critiques.
    pub critic: String,
    /// The family of contestants that the round's critiques trained; absent before it is known.
    pub trained: Option<String>,
    /// Pairs and critiques from candidates to what was trained on, in order.
    pub funnel: Vec<FunnelStep>,
    /// What the filter kept and left out; absent where nothing was filtered.
    pub filter: Option<FilterRecord>,
    /// How often each kind of critique score agrees with the label.
    pub score_agreement: Vec<ScoreAgreement>,
    /// How often the critic's verdict on the responses before any critique agrees with it; absent where
    /// none was read.
    #[serde(default)]
    pub verdict_without_critique: Option<Accuracy>,
    /// Lengths and scores of the candidates.
    pub histograms: Vec<HistogramRecord>,
    /// What the critiques are like, under the name of which ones; absent from records of older versions.
    #[serde(default)]
    pub audits: Vec<(String, CritiqueAudit)>,
    /// How far the meta-judge agrees with itself; absent unless it compared critiques.
    #[serde(default)]
    pub meta_judge: Option<PositionConsistency>,
}

/// What the filter kept and left out, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterRecord {
    /// The pairs.
    pub pairs: DropReport,
    /// The critiques.
    pub critiques: DropReport,
    /// The pairs of each domain.
    pub by_domain: BTreeMap<String, DropReport>,
}

/// Several lists counted in the same bars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistogramRecord {
    /// What is counted, such as `length`.
    pub title: String,
    /// The unit of the bars' edges, such as `tokens`.
    pub unit: String,
    /// The name of each list with its bars.
    pub series: Vec<(String, Vec<HistogramBin>)>,
}

/// What the critiques of one model are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyRecord {
    /// The model's family of contestants.
    pub family: String,
    /// The findings.
    pub study: CritiqueStudy,
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
    /// What held-out pairs said on the way, in order.
    pub held_out: Vec<HeldOutPoint>,
}

/// What a held-out set said after a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOutPoint {
    /// Its name, such as `dev`.
    pub set: String,
    /// From 1.
    pub step: usize,
    /// Nats per pair.
    pub preference_loss: Option<f64>,
    /// Nats per critique token; absent when the set has no critiques.
    pub critique_loss: Option<f64>,
    /// Share, 0–1.
    pub accuracy: Option<f64>,
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
    /// The numbers of the chosen and of the rejected response, by contestant.
    pub rewards: BTreeMap<String, [f64; 2]>,
}

impl ItemRecord {
    /// The chosen response's mean reward less the rejected one's.
    pub(crate) fn margin(&self) -> f64 {
        self.chosen_prediction.mean.value() - self.rejected_prediction.mean.value()
    }
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
    fn a_record_of_another_version_is_refused_even_with_unknown_fields() {
        for version in [1, 99] {
            let text = format!(r#"{{"format_version": {version}, "shape": "other"}}"#);
            let error = RunRecord::from_json(&text).unwrap_err();
            assert!(error.to_string().contains(&format!("version {version}")), "{error}");
        }
        assert!(matches!(RunRecord::from_json("{}"), Err(ReportError::Unreadable(_))));
    }
}
