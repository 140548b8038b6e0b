use crate::fields::{Object, present, required};
use crate::{RowProblem, dialogue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// How a row holds a preference pair. All have `chosen` and `rejected`; null counts as absent.
///
/// Optional in each: `id` or `prompt_id`, `domain`, `subset`, `margin` (or `score_chosen` with
/// `score_rejected`, whose difference it then is).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PairFormat {
    /// Our own: `id, domain, subset, prompt, chosen, rejected, margin`; the prompt a text (one user turn,
    /// or a dialogue in Anthropic's form) or a list of messages, the responses texts.
    Own,
    /// TRL standard, explicit prompt: `prompt, chosen, rejected`, all texts.
    TrlStandard,
    /// TRL standard, implicit prompt: the words both texts begin with are the prompt.
    TrlStandardImplicit,
    /// TRL conversational, explicit prompt: `prompt` a text or messages, `chosen` and `rejected` messages
    /// that may repeat the prompt.
    TrlConversational,
    /// TRL conversational, implicit prompt: all messages before the last one, which both must share.
    TrlConversationalImplicit,
    /// Anthropic HH: both texts are whole dialogues, `\n\nHuman: …\n\nAssistant: …`.
    AnthropicHh,
}

impl PairFormat {
    /// Every format.
    pub const ALL: [PairFormat; 6] = [
        PairFormat::Own,
        PairFormat::TrlStandard,
        PairFormat::TrlStandardImplicit,
        PairFormat::TrlConversational,
        PairFormat::TrlConversationalImplicit,
        PairFormat::AnthropicHh,
    ];

    /// The name on the command line, such as `trl-standard`.
    pub fn as_str(self) -> &'static str {
        match self {
            PairFormat::Own => "own",
            PairFormat::TrlStandard => "trl-standard",
            PairFormat::TrlStandardImplicit => "trl-standard-implicit",
            PairFormat::TrlConversational => "trl-conversational",
            PairFormat::TrlConversationalImplicit => "trl-conversational-implicit",
            PairFormat::AnthropicHh => "anthropic-hh",
        }
    }

    /// Whether the prompt is taken from the responses.
    pub(crate) fn is_implicit(self) -> bool {
        matches!(
            self,
            PairFormat::TrlStandardImplicit
                | PairFormat::TrlConversationalImplicit
                | PairFormat::AnthropicHh
        )
    }

    /// The format a row's fields and their kinds belong to.
    pub(crate) fn detect(row: &Object) -> Result<Self, RowProblem> {
        let chosen = required(row, "chosen")?;
        let rejected = required(row, "rejected")?;
        let prompt = present(row, "prompt");
        let is_own = prompt.is_some_and(Value::is_array)
            || ["id", "domain", "subset"].iter().any(|field| present(row, field).is_some());
        match (chosen, rejected) {
            (Value::String(chosen), Value::String(rejected)) => Ok(match prompt {
                Some(_) if is_own => PairFormat::Own,
                Some(_) => PairFormat::TrlStandard,
                None if dialogue::is_dialogue(chosen) && dialogue::is_dialogue(rejected) => {
                    PairFormat::AnthropicHh
                }
                None => PairFormat::TrlStandardImplicit,
            }),
            (Value::Array(_), Value::Array(_)) => Ok(match prompt {
                Some(_) => PairFormat::TrlConversational,
                None => PairFormat::TrlConversationalImplicit,
            }),
            (Value::String(_) | Value::Array(_), _) => Err(RowProblem::WrongType {
                field: "rejected",
                expected: "of the same kind as `chosen`",
            }),
            _ => Err(RowProblem::WrongType {
                field: "chosen",
                expected: "a text or a list of messages",
            }),
        }
    }
}

impl fmt::Display for PairFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no [`PairFormat`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no format of preference pairs; use one of {}", PairFormat::ALL.map(PairFormat::as_str).join(", "))]
pub struct UnknownFormat {
    /// What was asked for.
    pub name: String,
}

impl FromStr for PairFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let known = Self::ALL.into_iter().find(|format| format.as_str() == name);
        known.ok_or_else(|| UnknownFormat { name: name.to_owned() })
    }
}
