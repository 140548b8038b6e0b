use crate::TextError;
use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// The highest number of a scale: each is asked for as a continuation of its own.
const HIGHEST: u32 = 100;

/// What a critique's score is given on: whole numbers from one to another, or labels with a number each.
///
/// Written as `"1-10"` (the default), `"1-5"`, any `"LOW-HIGH"` with 0 ≤ LOW < HIGH ≤ 100, `"yes-no"`
/// (Yes is 1, No is 0), or as the labels of a rubric, the worst first:
/// `{ levels = ["poor", "fair", "good"] }` (1, 2, 3), `{ levels = [{ label = "wrong", value = 0 }, …] }`.
///
/// Our reading: the paper scores from 1 to 10.
///
/// # Examples
/// ```
/// use critic_text::ScoreScale;
///
/// let scale: ScoreScale = "1-5".parse()?;
/// assert_eq!(scale.parse("Right, but terse.\nScore: 4/5"), Some(4.0));
/// assert_eq!(scale.parse("Score: 7"), None);
/// # Ok::<(), critic_text::TextError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct ScoreScale {
    kind: Kind,
}

/// Numbers or labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Numbers { low: u32, high: u32 },
    YesNo,
    Levels(Vec<Level>),
}

/// One score of a rubric's own scale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// What the critic writes.
    pub label: String,
    /// What it counts.
    pub value: i32,
}

/// A scale as settings and files have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a scale is LOW-HIGH such as \"1-5\", \"yes-no\", or { levels = [...] }"
)]
enum Written {
    Name(String),
    Levels(WrittenLevels),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLevels {
    levels: Vec<WrittenLevel>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "a level is a label, or { label = \"fair\", value = 2 }")]
enum WrittenLevel {
    Label(String),
    Whole(Level),
}

impl Default for ScoreScale {
    /// 1–10.
    fn default() -> Self {
        Self { kind: Kind::Numbers { low: 1, high: 10 } }
    }
}

impl ScoreScale {
    /// A rubric's own scale.
    ///
    /// # Errors
    /// [`TextError::BadScale`] for fewer than two levels, a label that is blank, holds anything but letters
    /// and single spaces, stands twice, or begins a longer word of another (`fair` and `fairly good`: their
    /// probabilities cannot be told apart), and for levels that all count the same.
    pub fn of_levels(levels: Vec<Level>) -> Result<Self, TextError> {
        let bad = |rule: &'static str| TextError::BadScale {
            scale: levels.iter().map(|level| level.label.as_str()).collect::<Vec<_>>().join(", "),
            rule,
        };
        if levels.len() < 2 {
            return Err(bad("at least two levels"));
        }
        let is_word = |word: &str| !word.is_empty() && word.chars().all(char::is_alphabetic);
        if !levels.iter().all(|level| level.label.split(' ').all(is_word)) {
            return Err(bad("labels of letters, their words with one space between them"));
        }
        let repeats = |i: usize| {
            let label = levels[i].label.to_lowercase();
            levels[..i].iter().any(|earlier| earlier.label.to_lowercase() == label)
        };
        if (0..levels.len()).any(repeats) {
            return Err(bad("labels that differ in more than upper and lower case"));
        }
        let begins_a_word = |short: &Level| {
            levels.iter().any(|long| {
                let rest = long.label.strip_prefix(short.label.as_str());
                rest.is_some_and(|rest| rest.starts_with(char::is_alphabetic))
            })
        };
        if levels.iter().any(begins_a_word) {
            return Err(bad("labels none of which begins a longer word of another"));
        }
        if levels.iter().all(|level| level.value == levels[0].value) {
            return Err(bad("levels that count differently"));
        }
        Ok(Self { kind: Kind::Levels(levels) })
    }

    /// Every score as a critic writes it, with what it counts; a numeric scale's from the lowest on.
    pub fn scores(&self) -> Vec<(String, f64)> {
        match &self.kind {
            Kind::Numbers { low, high } => {
                (*low..=*high).map(|score| (score.to_string(), f64::from(score))).collect()
            }
            Kind::YesNo => vec![("Yes".to_owned(), 1.0), ("No".to_owned(), 0.0)],
            Kind::Levels(levels) => {
                let score = |level: &Level| (level.label.clone(), f64::from(level.value));
                levels.iter().map(score).collect()
            }
        }
    }

    /// The lowest and the highest score.
    pub fn range(&self) -> (f64, f64) {
        let fold =
            |(low, high): (f64, f64), (_, value): (String, f64)| (low.min(value), high.max(value));
        self.scores().into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), fold)
    }

    /// How the built-in prompts ask for the score: `"Score: N", N from 1 (bad) to 10 (perfect)`.
    pub fn request(&self) -> String {
        match &self.kind {
            Kind::Numbers { low, high } => {
                format!("\"Score: N\", N from {low} (bad) to {high} (perfect)")
            }
            Kind::YesNo => "\"Score: Yes\" if it is right, \"Score: No\" if it is not".to_owned(),
            Kind::Levels(levels) => {
                let labels: Vec<&str> = levels.iter().map(|level| level.label.as_str()).collect();
                format!("\"Score: L\", L one of these, the worst first: {}", labels.join(", "))
            }
        }
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }
}

impl Display for ScoreScale {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            Kind::Numbers { low, high } => write!(f, "{low}-{high}"),
            Kind::YesNo => f.write_str("yes-no"),
            Kind::Levels(levels) => {
                for (i, Level { label, value }) in levels.iter().enumerate() {
                    write!(f, "{}{label} {value}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for ScoreScale {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        if text == "yes-no" {
            return Ok(Self { kind: Kind::YesNo });
        }
        let numbers = text
            .split_once('-')
            .and_then(|(low, high)| Some((low.parse::<u32>().ok()?, high.parse::<u32>().ok()?)));
        match numbers {
            Some((low, high)) if low < high && high <= HIGHEST => {
                Ok(Self { kind: Kind::Numbers { low, high } })
            }
            _ => Err(TextError::BadScale {
                scale: text.to_owned(),
                rule: "LOW-HIGH with 0 ≤ LOW < HIGH ≤ 100, such as 1-5, or yes-no, or { levels = [\"poor\", \"fair\", \"good\"] }",
            }),
        }
    }
}

impl TryFrom<Written> for ScoreScale {
    type Error = TextError;

    fn try_from(written: Written) -> Result<Self, TextError> {
        match written {
            Written::Name(name) => name.parse(),
            Written::Levels(WrittenLevels { levels }) => {
                let level = |(place, level): (i32, WrittenLevel)| match level {
                    WrittenLevel::Label(label) => Level { label, value: place },
                    WrittenLevel::Whole(level) => level,
                };
                Self::of_levels((1..).zip(levels).map(level).collect())
            }
        }
    }
}

impl From<ScoreScale> for Written {
    fn from(scale: ScoreScale) -> Self {
        match scale.kind {
            Kind::Levels(levels) => {
                let levels = levels.into_iter().map(WrittenLevel::Whole).collect();
                Self::Levels(WrittenLevels { levels })
            }
            Kind::Numbers { .. } | Kind::YesNo => Self::Name(scale.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<ScoreScale, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn scales_are_written_as_they_are_read() {
        for json in [r#""1-10""#, r#""0-100""#, r#""yes-no""#] {
            assert_eq!(serde_json::to_string(&of(json).unwrap()).unwrap(), json);
        }
        let levels = of(r#"{"levels": ["poor", {"label": "very good", "value": 5}]}"#).unwrap();
        assert_eq!(levels.scores(), [("poor".to_owned(), 1.0), ("very good".to_owned(), 5.0)]);
        assert_eq!(of(&serde_json::to_string(&levels).unwrap()).unwrap(), levels);
        assert_eq!(levels.range(), (1.0, 5.0));
        assert_eq!(of(r#""yes-no""#).unwrap().range(), (0.0, 1.0));
    }

    #[test]
    fn what_is_no_scale_is_refused_with_the_rule() {
        for (json, rule) in [
            (r#""10-1""#, "LOW < HIGH"),
            (r#""1-1000""#, "≤ 100"),
            (r#""-1-1""#, "LOW-HIGH"),
            (r#""stars""#, "stars"),
            (r#"{"levels": ["good"]}"#, "two levels"),
            (r#"{"levels": ["good", "Good"]}"#, "differ"),
            (r#"{"levels": ["good", "b+"]}"#, "letters"),
            (r#"{"levels": ["good", " "]}"#, "letters"),
            (r#"{"levels": ["fair", "fairly good"]}"#, "begins a longer word"),
            (
                r#"{"levels": [{"label": "a", "value": 2}, {"label": "b", "value": 2}]}"#,
                "count differently",
            ),
            ("3", "a scale is"),
        ] {
            let error = of(json).unwrap_err();
            assert!(error.contains(rule), "{json}: {error}");
        }
    }
}
