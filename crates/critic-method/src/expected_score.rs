use critic_engine::normalized;
use critic_text::ScoreScale;

/// The expected score, Σ sᵢ·pᵢ over the scores of a scale, in its points.
///
/// `log_probs` holds ln P of each of [`ScoreScale::scores`] as a continuation at the score's place, in nats;
/// the pᵢ are those probabilities normalized over the scale. Where one is how others begin, as "1" is of
/// "10", its P includes theirs: the probability of exactly 1 is max(P("1") − P("10"), 0), taken before
/// normalizing.
/// That holds for tokenizers that write every digit as a token of its own; where "10" is one token
/// the two events are disjoint and the probability of 1 comes out too low by P("10").
///
/// Our reading: the paper scores by the number in the text; the expectation is the usual way of
/// having a score that cannot fail to parse.
///
/// Returns nothing unless there is a number for each score, none of them NaN, and at least one is finite.
///
/// # Examples
/// ```
/// let mut log_probs = [f64::NEG_INFINITY; 10];
/// log_probs[7] = 0.75_f64.ln();
/// log_probs[3] = 0.25_f64.ln();
/// let scale = critic_text::ScoreScale::default();
/// let score = critic_method::expected_score(&log_probs, &scale).unwrap();
/// assert!((score - 7.0).abs() < 1e-12); // 0.75 · 8 + 0.25 · 4
/// ```
pub fn expected_score(log_probs: &[f64], scale: &ScoreScale) -> Option<f64> {
    let scores = scale.scores();
    if log_probs.len() != scores.len() || log_probs.iter().any(|l| l.is_nan()) {
        return None;
    }
    let exact: Vec<f64> = (0..scores.len())
        .map(|i| {
            let longer: Vec<f64> = next(&scores, i).map(|j| log_probs[j]).collect();
            match longer.as_slice() {
                [] => log_probs[i],
                [one] => log_difference(log_probs[i], *one),
                several => log_difference(log_probs[i], log_sum(several)),
            }
        })
        .collect();
    let probabilities = normalized(&exact)?;
    Some(probabilities.iter().zip(&scores).map(|(p, (_, score))| p * score).sum())
}

/// The labels that go on from the i-th one with no other of the scale between them.
fn next(scores: &[(String, f64)], i: usize) -> impl Iterator<Item = usize> + '_ {
    let goes_on = move |from: usize, to: usize| {
        let (shorter, longer) = (&scores[from].0, &scores[to].0);
        longer.len() > shorter.len() && longer.starts_with(shorter.as_str())
    };
    let is_next = move |j: &usize| {
        goes_on(i, *j) && !(0..scores.len()).any(|k| goes_on(i, k) && goes_on(k, *j))
    };
    (0..scores.len()).filter(is_next)
}

/// ln Σ eᵃ.
fn log_sum(logs: &[f64]) -> f64 {
    let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match highest.is_finite() {
        true => highest + logs.iter().map(|log| (log - highest).exp()).sum::<f64>().ln(),
        false => highest,
    }
}
/// ln max(eᵃ − eᵇ, 0).
fn log_difference(a: f64, b: f64) -> f64 {
    if b < a { a + (-(b - a).exp()).ln_1p() } else { f64::NEG_INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(probabilities: [f64; 10]) -> f64 {
        expected_score(&probabilities.map(f64::ln), &ScoreScale::default()).unwrap()
    }

    #[test]
    fn labels_expect_what_they_count() {
        let yes_no: ScoreScale = "yes-no".parse().unwrap();
        let p = [0.3_f64.ln(), 0.1_f64.ln()];
        assert!((expected_score(&p, &yes_no).unwrap() - 0.75).abs() < 1e-12);
    }

    #[test]
    fn every_number_that_others_begin_with_is_counted_without_them() {
        // P("1") = 0.4 holds "10" to "12" with 0.1 in all, P("0") = 0.2 holds nothing else.
        let scale: ScoreScale = "0-12".parse().unwrap();
        let mut p = [0.0_f64; 13];
        p[0] = 0.2;
        p[1] = 0.4;
        (p[10], p[11], p[12]) = (0.05, 0.03, 0.02);
        let expected = (0.3 + 0.5 + 0.33 + 0.24) / 0.6;
        let found = expected_score(&p.map(f64::ln), &scale).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}");
    }

    #[test]
    fn a_hundred_is_taken_once_from_ten_and_not_from_one() {
        let scale: ScoreScale = "1-100".parse().unwrap();
        let mut p = [0.0_f64; 100];
        (p[0], p[9], p[99]) = (0.5, 0.3, 0.1);
        let expected = (0.2 + 2.0 + 10.0) / 0.5;
        let found = expected_score(&p.map(f64::ln), &scale).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}");
    }

    #[test]
    fn a_uniform_distribution_expects_the_middle() {
        // P("1") = 0.2 holds the 0.1 of "10", so each score has 0.1.
        let mut p = [0.1; 10];
        p[0] = 0.2;
        assert!((of(p) - 5.5).abs() < 1e-12);
    }

    #[test]
    fn ten_is_not_counted_as_one() {
        let mut p = [0.0; 10];
        p[0] = 0.9;
        p[9] = 0.9;
        assert!((of(p) - 10.0).abs() < 1e-9);
        p[9] = 0.3;
        // exactly 1: 0.6; exactly 10: 0.3
        assert!((of(p) - (0.6 + 3.0) / 0.9).abs() < 1e-12);
    }

    #[test]
    fn one_is_never_negative() {
        let mut p = [0.0; 10];
        p[0] = 0.1;
        p[4] = 0.5;
        p[9] = 0.5;
        assert!((of(p) - 7.5).abs() < 1e-12);
    }

    #[test]
    fn probabilities_are_normalized_over_the_ten() {
        let mut p = [0.0; 10];
        p[5] = 1e-30;
        p[7] = 1e-30;
        assert!((of(p) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn there_is_no_score_without_ten_numbers() {
        let scale = ScoreScale::default();
        assert_eq!(expected_score(&[], &scale), None);
        assert_eq!(expected_score(&[-1.0; 9], &scale), None);
        assert_eq!(expected_score(&[f64::NEG_INFINITY; 10], &scale), None);
        let mut log_probs = [-1.0; 10];
        log_probs[3] = f64::NAN;
        assert_eq!(expected_score(&log_probs, &scale), None);
    }
}
