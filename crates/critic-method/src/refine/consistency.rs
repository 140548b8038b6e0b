use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the meta-judge answered about two critiques of a response, in one of their orders.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The index of the critique that was shown first.
    pub first: usize,
    /// The index of the critique that was shown second.
    pub second: usize,
    /// ln P(the first is better) − ln P(the second is), in nats; absent where the request failed or its
    /// answer has no finite log-odds.
    pub log_odds: Option<f64>,
}

/// How far a pairwise meta-judge agrees with itself when the two critiques change places.
///
/// Two critiques are counted when both orders were answered, so each stood first as often as second.
/// The two shares are what Zheng et al. (arXiv 2306.05685, §3.3) call consistency and bias toward the first
/// position; how ties count is our choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionConsistency {
    /// Two critiques with an answer in both orders.
    pub n_comparisons: usize,
    /// Those of which both orders prefer the same critique; an order that prefers neither is no agreement.
    pub n_consistent: usize,
    /// Answers of those comparisons, two each, that prefer the critique shown first.
    pub n_first: usize,
    /// Answers of those comparisons that prefer neither: log-odds of exactly 0.
    pub n_ties: usize,
    /// Questions without an answer; their comparisons are not counted.
    pub n_failed: usize,
}

impl PositionConsistency {
    /// Counts what was answered about one response.
    pub fn count(&mut self, response: &[Comparison]) {
        let answers: BTreeMap<(usize, usize), f64> = response
            .iter()
            .filter_map(|asked| Some(((asked.first, asked.second), asked.log_odds?)))
            .collect();
        self.n_failed += response.len() - answers.len();
        for (&(first, second), &one) in answers.iter().filter(|((a, b), _)| a < b) {
            let Some(&other) = answers.get(&(second, first)) else { continue };
            self.n_comparisons += 1;
            self.n_consistent += usize::from(prefer_one(one, other));
            self.n_first += [one, other].iter().filter(|odds| **odds > 0.0).count();
            self.n_ties += [one, other].iter().filter(|odds| **odds == 0.0).count();
        }
    }

    /// The share of comparisons in which both orders prefer the same critique, 0–1; absent without one.
    pub fn consistency(&self) -> Option<f64> {
        let n = self.n_comparisons;
        (n > 0).then(|| self.n_consistent as f64 / n as f64)
    }

    /// The share of answers that prefer the critique shown first, 0–1; a tie counts half, so ½ is a judge
    /// without position bias. Absent without a comparison.
    pub fn first_share(&self) -> Option<f64> {
        let n = 2 * self.n_comparisons;
        (n > 0).then(|| (self.n_first as f64 + 0.5 * self.n_ties as f64) / n as f64)
    }
}

/// Whether two orders, each with the log-odds of its own first critique, prefer the same critique.
fn prefer_one(odds: f64, swapped: f64) -> bool {
    (odds > 0.0 && swapped < 0.0) || (odds < 0.0 && swapped > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(asked: &[(usize, usize, Option<f64>)]) -> PositionConsistency {
        let comparison = |&(first, second, log_odds)| Comparison { first, second, log_odds };
        let mut found = PositionConsistency::default();
        found.count(&asked.iter().map(comparison).collect::<Vec<_>>());
        found
    }

    #[test]
    fn orders_agree_when_they_prefer_the_same_critique() {
        let asked = [
            (0, 1, Some(2.0)),
            (1, 0, Some(-0.5)),
            (0, 2, Some(2.0)),
            (2, 0, Some(0.5)),
            (1, 2, Some(-1e-200)),
            (2, 1, Some(1e-200)),
        ];
        let found = counted(&asked);
        let expected = PositionConsistency {
            n_comparisons: 3,
            n_consistent: 2,
            n_first: 4,
            ..PositionConsistency::default()
        };
        assert_eq!(found, expected);
        assert_eq!(found.consistency(), Some(2.0 / 3.0));
        assert_eq!(found.first_share(), Some(4.0 / 6.0));
    }

    #[test]
    fn a_tie_is_no_agreement_and_half_an_answer_for_the_first_place() {
        let found = counted(&[(3, 5, Some(0.0)), (5, 3, Some(-1.0))]);
        assert_eq!((found.n_comparisons, found.n_consistent, found.n_ties), (1, 0, 1));
        assert_eq!(found.first_share(), Some(0.25));
    }

    #[test]
    fn what_was_answered_in_one_order_alone_is_not_counted() {
        let found = counted(&[(0, 1, Some(2.0)), (1, 0, None), (0, 2, None), (2, 0, None)]);
        assert_eq!(found, PositionConsistency { n_failed: 3, ..PositionConsistency::default() });
        assert_eq!((found.consistency(), found.first_share()), (None, None));
    }
}
