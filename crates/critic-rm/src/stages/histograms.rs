//! Lengths and scores of candidates in bars, for the report.

use anyhow::Result;
use critic_report::HistogramRecord;
use critic_stats::{HistogramBin, shared_histograms};
use critic_text::ScoreScale;
use critic_types::{Candidate, ScoreKind, Side};

const N_BARS: usize = 20;

/// Lengths and each kind of score of the candidates, of chosen and of rejected responses; a score that no
/// candidate has is left out.
pub(super) fn of_candidates(
    candidates: &[Candidate],
    scale: &ScoreScale,
) -> Result<Vec<HistogramRecord>> {
    let (low, high) = scale.range();
    let kinds = [
        (None, "Length of critiques", "tokens".to_owned()),
        (Some(ScoreKind::Parsed), "Score written in critiques", format!("score, {low} to {high}")),
        (Some(ScoreKind::Expected), "Expected score", format!("expected score, {low} to {high}")),
        (Some(ScoreKind::Verdict), "Verdict", "log-odds of yes against no".to_owned()),
    ];
    let mut records = Vec::new();
    for (kind, title, unit) in kinds {
        let value = |one: &Candidate| match kind {
            Some(kind) => one.scores.get(kind),
            None => Some(one.n_tokens as f64),
        };
        let lists: [Vec<f64>; 2] = Side::BOTH.map(|side| {
            let of_side = candidates.iter().filter(|one| one.side == side);
            of_side.filter_map(value).collect()
        });
        let bars = match lists.concat() {
            all if all.is_empty() => continue,
            all if all.iter().all(|value| value.fract() == 0.0) => whole_bars(&lists, &all),
            _ => shared_histograms(&[&lists[0], &lists[1]], N_BARS)?,
        };
        let names = Side::BOTH.map(|side| side.as_str().to_owned());
        records.push(HistogramRecord {
            title: title.to_owned(),
            unit,
            series: names.into_iter().zip(bars).collect(),
        });
    }
    Ok(records)
}

/// Bars of whole numbers: each as wide as the same count of them, centred on them.
fn whole_bars(lists: &[Vec<f64>], all: &[f64]) -> Vec<Vec<HistogramBin>> {
    let (low, high) = all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
        (low.min(value), high.max(value))
    });
    let width = ((high - low + 1.0) / N_BARS as f64).ceil();
    let n_bars = ((high - low + 1.0) / width).ceil() as usize;
    let bars_of = |list: &Vec<f64>| {
        let edge = |i: usize| low - 0.5 + width * i as f64;
        let bar = |i| HistogramBin { low: edge(i), high: edge(i + 1), n: 0 };
        let mut bars: Vec<HistogramBin> = (0..n_bars).map(bar).collect();
        for value in list {
            bars[((value - low) / width) as usize].n += 1;
        }
        bars
    };
    lists.iter().map(bars_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::{CritiqueScores, FinishReason, Provenance};

    fn candidate(side: Side, n_tokens: usize, parsed: Option<f64>, verdict: f64) -> Candidate {
        Candidate {
            pair_id: "p".to_owned(),
            side,
            index: 0,
            text: "Fine.".to_owned(),
            scores: CritiqueScores { parsed, expected: None, verdict: Some(verdict) },
            finish_reason: FinishReason::Stop,
            n_tokens,
            provenance: Provenance::Sampled,
        }
    }

    #[test]
    fn every_candidate_is_in_one_bar_of_its_side() {
        let mut candidates: Vec<Candidate> = (0..300)
            .map(|i| candidate(Side::BOTH[i % 2], i, (i % 3 == 0).then_some(7.0), 0.1 * i as f64))
            .collect();
        candidates.push(candidate(Side::Chosen, 300, Some(9.0), -1.0));
        let records = of_candidates(&candidates, &ScoreScale::default()).unwrap();
        let found: Vec<(&str, [usize; 2], usize)> = records
            .iter()
            .map(|record| {
                let n = |place: usize| record.series[place].1.iter().map(|bar| bar.n).sum();
                (record.title.as_str(), [n(0), n(1)], record.series[0].1.len())
            })
            .collect();
        assert_eq!(
            found,
            [
                ("Length of critiques", [151, 150], 19),
                ("Score written in critiques", [51, 50], 3),
                ("Verdict", [151, 150], N_BARS),
            ]
        );
        let scores = &records[1].series[0].1;
        assert_eq!([scores[0].low, scores[0].high, scores[2].high], [6.5, 7.5, 9.5]);
        assert!(of_candidates(&[], &ScoreScale::default()).unwrap().is_empty());
    }
}
