use critic_engine::normalized;

/// How many scores the scale has.
const N_SCORES: usize = 10;

/// The expected score, Σ k·p_k for k = 1..10, in score points.
///
/// `log_probs` holds ln P of the continuations "1", "2", …, "10" at the score's place, in nats; the
/// p_k are those probabilities normalized over the ten. As "1" is how "10" begins, P("1") includes
/// P("10"): the probability of exactly 1 is max(P("1") − P("10"), 0), taken before normalizing.
/// That holds for tokenizers that write every digit as a token of its own; where "10" is one token
/// the two events are disjoint and the probability of 1 comes out too low by P("10").
///
/// Our reading: the paper scores by the number in the text; the expectation is the usual way of
/// having a score that cannot fail to parse.
///
/// Returns nothing unless there are ten numbers, none of them NaN, and at least one is finite.
///
/// # Examples
/// ```
/// let mut log_probs = [f64::NEG_INFINITY; 10];
/// log_probs[7] = 0.75_f64.ln();
/// log_probs[3] = 0.25_f64.ln();
/// let score = critic_method::expected_score(&log_probs).unwrap();
/// assert!((score - 7.0).abs() < 1e-12); // 0.75 · 8 + 0.25 · 4
/// ```
pub fn expected_score(log_probs: &[f64]) -> Option<f64> {
    if log_probs.len() != N_SCORES || log_probs.iter().any(|l| l.is_nan()) {
        return None;
    }
    let mut exact = log_probs.to_vec();
    exact[0] = log_difference(log_probs[0], log_probs[N_SCORES - 1]);
    let probabilities = normalized(&exact)?;
    Some(probabilities.iter().zip(1u32..).map(|(p, score)| p * f64::from(score)).sum())
}

/// ln max(eᵃ − eᵇ, 0).
fn log_difference(a: f64, b: f64) -> f64 {
    if b < a { a + (-(b - a).exp()).ln_1p() } else { f64::NEG_INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(probabilities: [f64; 10]) -> f64 {
        expected_score(&probabilities.map(f64::ln)).unwrap()
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
        assert_eq!(expected_score(&[]), None);
        assert_eq!(expected_score(&[-1.0; 9]), None);
        assert_eq!(expected_score(&[f64::NEG_INFINITY; 10]), None);
        let mut log_probs = [-1.0; 10];
        log_probs[3] = f64::NAN;
        assert_eq!(expected_score(&log_probs), None);
    }
}
