//! The formats of preference data: one table, in the order in which a row is tried against them.

mod help_steer;
mod many;
mod suggest;
mod trainers;
mod trl;
mod two_sided;

use crate::RowProblem;
use crate::fields::{Object, present, required};
use crate::ranked::Ranked;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

pub use suggest::nearest;

/// How a row holds responses and which of them is preferred; null counts as absent.
///
/// Optional in each: `id` (or `prompt_id`, `pair_id`, `uid`, `question_id`, `post_id`, `idx`), `domain`,
/// `subset` (or `source`), `margin`. [`PairFormat::columns`] says what each one needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PairFormat {
    /// Our own: the prompt a text (one user turn, or a dialogue in Anthropic's form) or a list of
    /// messages, the responses texts; `margin` may be `score_chosen` with `score_rejected`. `critique` is
    /// a person's, about both; `critiques` holds any number.
    Own,
    /// TRL standard, explicit prompt; also OpenRLHF under its default keys.
    TrlStandard,
    /// TRL standard, implicit prompt: the words both texts begin with are the prompt.
    TrlStandardImplicit,
    /// TRL conversational, explicit prompt: `prompt` a text or messages, `chosen` and `rejected` messages
    /// that may repeat the prompt; also UltraFeedback binarized.
    TrlConversational,
    /// TRL conversational, implicit prompt: all messages before the last one, which both must share; also
    /// Skywork-Reward-Preference and RLHFlow.
    TrlConversationalImplicit,
    /// TRL unpaired: one labelled completion a row.
    TrlUnpaired,
    /// Anthropic HH: both texts are whole dialogues, `\n\nHuman: …\n\nAssistant: …`.
    AnthropicHh,
    /// UltraFeedback with several rated completions.
    UltraFeedback,
    /// HelpSteer2: one response with its attributes a row.
    HelpSteer2,
    /// HelpSteer2's preferences with strengths.
    HelpSteer2Preference,
    /// HelpSteer3's preferences with strengths and the annotators' feedback.
    HelpSteer3,
    /// PKU-SafeRLHF by helpfulness.
    SafeRlhf,
    /// PKU-SafeRLHF by safety.
    SafeRlhfSafety,
    /// Stanford Human Preferences.
    Shp,
    /// Nectar: seven ranked answers.
    Nectar,
    /// LLaMA-Factory's ranking data in alpaca form.
    LlamaFactoryAlpaca,
    /// LLaMA-Factory's ranking data in ShareGPT form.
    LlamaFactoryShareGpt,
    /// NeMo-RL: completions with ranks.
    Nemo,
    /// ms-swift: messages with a rejected response.
    Swift,
    /// CLoud: pairs with feedback on each response.
    Cloud,
    /// RewardBench.
    RewardBench,
    /// RewardBench 2: right and wrong completions.
    RewardBench2,
    /// RM-Bench: three styles of a right and of a wrong response.
    RmBench,
    /// JudgeBench.
    JudgeBench,
    /// LLMBar.
    LlmBar,
    /// PandaLM with its annotators' votes.
    PandaLm,
    /// Best-of-n sets: candidates marked right or wrong, or scored.
    BestOfN,
    /// PPE, correctness.
    PpeBestOfK,
    /// PPE, human preferences.
    PpeHuman,
    /// LMSYS arena, human preferences.
    Arena,
    /// MT-bench, human judgements.
    MtBench,
    /// Unified-Feedback: two rated conversations.
    UnifiedFeedback,
    /// Helpful, honest, harmless alignment.
    HhhAlignment,
    /// RM-Gallery: answers with labels.
    RmGallery,
}

/// One line of the table.
pub(crate) struct Spec {
    format: PairFormat,
    name: &'static str,
    columns: &'static str,
    /// Whether a row holds one response, to be compared with those of other rows.
    is_grouped: bool,
    matches: fn(&Object) -> bool,
    read: fn(&Object) -> Result<Ranked, RowProblem>,
}

impl Spec {
    const fn row(
        format: PairFormat,
        name: &'static str,
        columns: &'static str,
        matches: fn(&Object) -> bool,
        read: fn(&Object) -> Result<Ranked, RowProblem>,
    ) -> Self {
        Self { format, name, columns, is_grouped: false, matches, read }
    }

    const fn grouped(
        format: PairFormat,
        name: &'static str,
        columns: &'static str,
        matches: fn(&Object) -> bool,
        read: fn(&Object) -> Result<Ranked, RowProblem>,
    ) -> Self {
        Self { format, name, columns, is_grouped: true, matches, read }
    }
}

/// Formats with columns of their own before those that need only `chosen` and `rejected`.
const TABLE: [&[Spec]; 5] =
    [&help_steer::SPECS, &two_sided::SPECS, &many::SPECS, &trainers::SPECS, &trl::SPECS];

fn table() -> impl Iterator<Item = &'static Spec> {
    TABLE.into_iter().flatten()
}

impl PairFormat {
    /// Every format, in the order in which a row is tried against them.
    pub fn all() -> impl Iterator<Item = PairFormat> {
        table().map(|spec| spec.format)
    }

    fn spec(self) -> &'static Spec {
        table().find(|spec| spec.format == self).expect("every format has a line in the table")
    }

    /// The name on the command line, such as `trl-standard`.
    pub fn as_str(self) -> &'static str {
        self.spec().name
    }

    /// The columns it needs, in words.
    pub fn columns(self) -> &'static str {
        self.spec().columns
    }

    /// Whether a row holds one response, so that rows of one prompt are compared with each other.
    pub(crate) fn is_grouped(self) -> bool {
        self.spec().is_grouped
    }

    /// Reads a row; the texts are as written.
    pub(crate) fn read(self, row: &Object) -> Result<Ranked, RowProblem> {
        (self.spec().read)(row)
    }

    /// The format a row's fields and their kinds belong to.
    pub(crate) fn detect(row: &Object) -> Result<Self, RowProblem> {
        if let Some(spec) = table().find(|spec| (spec.matches)(row)) {
            return Ok(spec.format);
        }
        let speaks_of_pairs = ["prompt", "chosen", "rejected"].iter().any(|f| row.contains_key(*f));
        if !speaks_of_pairs && !row.is_empty() {
            let columns = row.keys().take(8).cloned().collect::<Vec<_>>().join(", ");
            return Err(RowProblem::UnknownColumns { columns });
        }
        let (chosen, rejected) = (required(row, "chosen")?, required(row, "rejected")?);
        let is_text_or_list = |value: &serde_json::Value| value.is_string() || value.is_array();
        Err(if is_text_or_list(chosen) && present(row, "rejected") == Some(rejected) {
            let expected = "of the same kind as `chosen`";
            RowProblem::WrongType { field: "rejected", expected }
        } else {
            RowProblem::WrongType { field: "chosen", expected: "a text or a list of messages" }
        })
    }
}

impl Serialize for PairFormat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for PairFormat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for PairFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no [`PairFormat`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no format of preference pairs; {}", way_out(name))]
pub struct UnknownFormat {
    /// What was asked for.
    pub name: String,
}

fn way_out(name: &str) -> String {
    let names: Vec<&str> = PairFormat::all().map(PairFormat::as_str).collect();
    match nearest(name, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use one of {}", names.join(", ")),
    }
}

impl FromStr for PairFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let known = table().find(|spec| spec.name == name).map(|spec| spec.format);
        known.ok_or_else(|| UnknownFormat { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests;
