use crate::Side;
use serde::{Deserialize, Serialize};

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model closed its turn, or a stop string came.
    Stop,
    /// The token limit cut it.
    Length,
    /// The request's deadline cut it.
    Deadline,
}

impl FinishReason {
    /// `stop` or `length`, as in the OpenAI API, or `deadline`.
    pub fn as_str(self) -> &'static str {
        match self {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::Deadline => "deadline",
        }
    }
}

/// Which number of [`CritiqueScores`] a stage reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// The score written in the text.
    Parsed,
    /// The expectation of the score under the model's distribution.
    Expected,
    /// The log-odds of yes against no to the fixed question after the critique.
    Verdict,
}

impl ScoreKind {
    /// `parsed`, `expected` or `verdict`.
    pub fn as_str(self) -> &'static str {
        match self {
            ScoreKind::Parsed => "parsed",
            ScoreKind::Expected => "expected",
            ScoreKind::Verdict => "verdict",
        }
    }
}

/// The judgements that come with a critique, s in the paper; each larger for a better response.
///
/// | field      | unit                              | range       |
/// |------------|-----------------------------------|-------------|
/// | `parsed`   | score in the text                 | the scale's |
/// | `expected` | expected score                    | the scale's |
/// | `verdict`  | ln P(yes) − ln P(no), log-odds    | finite      |
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CritiqueScores {
    /// The score the text itself states; absent when none can be read. Never imputed.
    pub parsed: Option<f64>,
    /// The mean of the scale's scores under the model's own distribution at the score's place.
    pub expected: Option<f64>,
    /// Forced verdict: the finished critique is followed by a fixed yes-or-no question.
    pub verdict: Option<f64>,
}

impl CritiqueScores {
    /// The score of this kind, absent when the critique has none.
    pub fn get(&self, kind: ScoreKind) -> Option<f64> {
        match kind {
            ScoreKind::Parsed => self.parsed,
            ScoreKind::Expected => self.expected,
            ScoreKind::Verdict => self.verdict,
        }
    }
}

/// Where a critique's text came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// Sampled from the critic.
    Sampled,
    /// Sampled from a critic that was told the label: its scores say nothing about the critic.
    Conditioned,
    /// Written by the critic from several surviving critiques.
    Summarized,
    /// Written by a person; it came with the data.
    Human,
    /// Written by another model; it came with the data.
    External,
    /// Made together with the response, so that it is true by construction.
    Constructed,
}

impl Provenance {
    /// Every provenance.
    pub const ALL: [Provenance; 6] = [
        Provenance::Sampled,
        Provenance::Conditioned,
        Provenance::Summarized,
        Provenance::Human,
        Provenance::External,
        Provenance::Constructed,
    ];

    /// `sampled`, `conditioned`, `summarized`, `human`, `external` or `constructed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Provenance::Sampled => "sampled",
            Provenance::Conditioned => "conditioned",
            Provenance::Summarized => "summarized",
            Provenance::Human => "human",
            Provenance::External => "external",
            Provenance::Constructed => "constructed",
        }
    }
}

/// A critique z of one response of a pair, with its scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The pair's id.
    pub pair_id: String,
    /// The response it is about.
    pub side: Side,
    /// Which of the N candidates (or drafts), from 0.
    pub index: usize,
    /// The critique, without template text.
    pub text: String,
    /// Its scores.
    pub scores: CritiqueScores,
    /// Why the text ended.
    pub finish_reason: FinishReason,
    /// Its length in tokens, without the closing token.
    pub n_tokens: usize,
    /// Where it came from.
    pub provenance: Provenance,
}

/// A critique that came with the data, beside the label and not from the critic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OracleCritique {
    /// The pair's id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pair_id: String,
    /// The response it is about; absent when it says why one is preferred to the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// What it says, as written.
    pub text: String,
    /// Where it came from.
    pub provenance: Provenance,
}
