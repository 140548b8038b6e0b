use super::{mean, unique};
use crate::EvalError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const BENCH: &str = "CriticBench";

/// A critique's verdict on one response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueVerdict {
    /// Unique.
    pub id: String,
    /// The group of a report, such as the published `question_type`.
    pub domain: String,
    /// Whether the response is right.
    pub response_is_right: bool,
    /// Whether the critique says so; absent when no verdict can be read.
    pub says_right: Option<bool>,
}

/// How well wrong responses are found; shares are 0–1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CritiqueF1 {
    /// Verdicts asked for.
    pub n_rows: usize,
    /// Verdicts that could not be read.
    pub n_missing: usize,
    /// F1 of "wrong" over the verdicts that could be read; absent when nothing is or is called wrong.
    pub f1: Option<f64>,
    /// Of the responses called wrong, the share that is; absent when none is called so.
    pub precision: Option<f64>,
    /// Of the wrong responses, the share called so; absent when none is wrong.
    pub recall: Option<f64>,
    /// Share of verdicts that are right.
    pub accuracy: Option<f64>,
    /// The published number: F1 over all rows, an unreadable verdict being taken as the opposite of the
    /// truth.
    pub published_f1: Option<f64>,
}

/// CriticBench's critique task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueScore {
    /// Over all rows.
    pub overall: CritiqueF1,
    /// By domain.
    pub domains: BTreeMap<String, CritiqueF1>,
}

/// CriticBench's critique score (Lin et al. 2024): F1 of the label "wrong".
///
/// 2·TP / (2·TP + FP + FN), pooled over rows. The published code gives 0 where nothing is wrong or
/// called wrong; here that is absent.
///
/// # Errors
/// [`EvalError::BenchTwice`].
pub fn critique_f1(rows: &[CritiqueVerdict]) -> Result<CritiqueScore, EvalError> {
    unique(BENCH, rows.iter().map(|row| row.id.as_str()))?;
    Ok(CritiqueScore {
        overall: f1_of(&rows.iter().collect::<Vec<_>>()),
        domains: by_domain(rows, |row| &row.domain, f1_of),
    })
}

fn f1_of(rows: &[&CritiqueVerdict]) -> CritiqueF1 {
    let read: Vec<(bool, bool)> =
        rows.iter().filter_map(|row| Some((row.response_is_right, row.says_right?))).collect();
    let published: Vec<(bool, bool)> = rows
        .iter()
        .map(|row| (row.response_is_right, row.says_right.unwrap_or(!row.response_is_right)))
        .collect();
    let counts = Counts::of(&read);
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    CritiqueF1 {
        n_rows: rows.len(),
        n_missing: rows.len() - read.len(),
        f1: counts.f1(),
        precision: share(counts.found, counts.found + counts.false_alarms),
        recall: share(counts.found, counts.found + counts.missed),
        accuracy: share(read.iter().filter(|(is, says)| is == says).count(), read.len()),
        published_f1: Counts::of(&published).f1(),
    }
}

/// Wrong responses found and missed, and right ones called wrong.
struct Counts {
    found: usize,
    missed: usize,
    false_alarms: usize,
}

impl Counts {
    fn of(verdicts: &[(bool, bool)]) -> Self {
        let count =
            |what: (bool, bool)| verdicts.iter().filter(|&&verdict| verdict == what).count();
        Self {
            found: count((false, false)),
            missed: count((false, true)),
            false_alarms: count((true, false)),
        }
    }

    fn f1(&self) -> Option<f64> {
        let whole = 2 * self.found + self.false_alarms + self.missed;
        (whole > 0).then(|| 2.0 * self.found as f64 / whole as f64)
    }
}

/// A response before and after it was corrected with a critique.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorrectionRow {
    /// Unique.
    pub id: String,
    /// The group of a report.
    pub domain: String,
    /// Whether the response was right.
    pub right_before: bool,
    /// Whether the corrected one is; absent when none could be had or read.
    pub right_after: Option<bool>,
}

/// What correction gains; shares are 0–1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CorrectionGain {
    /// Responses given.
    pub n_rows: usize,
    /// Responses without a correction.
    pub n_missing: usize,
    /// Share that was right, over responses with a correction.
    pub before: Option<f64>,
    /// Share that is right, over the same.
    pub after: Option<f64>,
    /// after − before.
    pub gain: Option<f64>,
    /// Wrong ones that were put right.
    pub n_mended: usize,
    /// Right ones that were spoilt.
    pub n_spoilt: usize,
    /// The published number: share right after correction over all rows, a missing one being wrong.
    pub published: Option<f64>,
}

/// CriticBench's correction task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorrectionScore {
    /// Over all rows.
    pub overall: CorrectionGain,
    /// By domain.
    pub domains: BTreeMap<String, CorrectionGain>,
}

/// How much critiques help to correct responses.
///
/// # Errors
/// [`EvalError::BenchTwice`].
pub fn correction_gain(rows: &[CorrectionRow]) -> Result<CorrectionScore, EvalError> {
    unique(BENCH, rows.iter().map(|row| row.id.as_str()))?;
    Ok(CorrectionScore {
        overall: gain_of(&rows.iter().collect::<Vec<_>>()),
        domains: by_domain(rows, |row| &row.domain, gain_of),
    })
}

fn gain_of(rows: &[&CorrectionRow]) -> CorrectionGain {
    let read: Vec<(bool, bool)> =
        rows.iter().filter_map(|row| Some((row.right_before, row.right_after?))).collect();
    let one = |holds: bool| f64::from(u8::from(holds));
    let before = mean(&read.iter().map(|&(before, _)| one(before)).collect::<Vec<_>>());
    let after = mean(&read.iter().map(|&(_, after)| one(after)).collect::<Vec<_>>());
    let all: Vec<f64> = rows.iter().map(|row| one(row.right_after == Some(true))).collect();
    CorrectionGain {
        n_rows: rows.len(),
        n_missing: rows.len() - read.len(),
        before,
        after,
        gain: before.zip(after).map(|(before, after)| after - before),
        n_mended: read.iter().filter(|&&pair| pair == (false, true)).count(),
        n_spoilt: read.iter().filter(|&&pair| pair == (true, false)).count(),
        published: mean(&all),
    }
}

fn by_domain<'a, Row, Score>(
    rows: &'a [Row],
    domain: impl Fn(&'a Row) -> &'a String,
    score: impl Fn(&[&'a Row]) -> Score,
) -> BTreeMap<String, Score> {
    let mut members: BTreeMap<&String, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        members.entry(domain(row)).or_default().push(row);
    }
    members.into_iter().map(|(domain, rows)| (domain.clone(), score(&rows))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(rows: &[(bool, Option<bool>)]) -> Vec<CritiqueVerdict> {
        rows.iter()
            .enumerate()
            .map(|(i, &(response_is_right, says_right))| CritiqueVerdict {
                id: i.to_string(),
                domain: if i % 2 == 0 { "math" } else { "code" }.to_owned(),
                response_is_right,
                says_right,
            })
            .collect()
    }

    #[test]
    fn wrong_is_the_label_that_is_looked_for() {
        let rows = verdicts(&[
            (false, Some(false)),
            (false, Some(false)),
            (false, Some(true)),
            (true, Some(false)),
            (true, Some(true)),
        ]);
        let found = critique_f1(&rows).unwrap();
        assert_eq!(found.overall.f1, Some(4.0 / 6.0));
        assert_eq!(
            (found.overall.precision, found.overall.recall),
            (Some(2.0 / 3.0), Some(2.0 / 3.0))
        );
        assert_eq!(
            (found.overall.accuracy, found.overall.published_f1),
            (Some(0.6), found.overall.f1)
        );
        assert_eq!((found.domains["math"].n_rows, found.domains["code"].n_rows), (3, 2));
    }

    #[test]
    fn an_unreadable_verdict_is_published_as_a_mistake_either_way() {
        let rows = verdicts(&[(false, Some(false)), (false, None), (true, None)]);
        let found = critique_f1(&rows).unwrap().overall;
        assert_eq!((found.f1, found.n_missing), (Some(1.0), 2));
        assert_eq!(found.published_f1, Some(0.5));
    }

    #[test]
    fn nothing_wrong_and_nothing_called_wrong_has_no_f1() {
        let found = critique_f1(&verdicts(&[(true, Some(true))])).unwrap().overall;
        assert_eq!((found.f1, found.precision, found.recall), (None, None, None));
        assert_eq!(critique_f1(&[]).unwrap().overall.accuracy, None);
        let twice = [verdicts(&[(true, None)]), verdicts(&[(true, None)])].concat();
        assert!(critique_f1(&twice).is_err());
    }

    #[test]
    fn a_correction_mends_and_spoils() {
        let rows: Vec<CorrectionRow> = [
            (false, Some(true)),
            (false, Some(true)),
            (true, Some(false)),
            (true, Some(true)),
            (true, None),
        ]
        .into_iter()
        .enumerate()
        .map(|(i, (right_before, right_after))| CorrectionRow {
            id: i.to_string(),
            domain: "math".to_owned(),
            right_before,
            right_after,
        })
        .collect();
        let found = correction_gain(&rows).unwrap().overall;
        assert_eq!((found.before, found.after, found.gain), (Some(0.5), Some(0.75), Some(0.25)));
        assert_eq!((found.n_mended, found.n_spoilt, found.n_missing), (2, 1, 1));
        assert_eq!(found.published, Some(0.6));
        assert_eq!(correction_gain(&[]).unwrap().overall.gain, None);
    }
}
