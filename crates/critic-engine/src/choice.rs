use crate::RequestControl;
use critic_types::Conversation;

/// Asks how probable each of some fixed answers is.
#[derive(Debug, Clone, PartialEq)]
pub struct ChoiceRequest {
    /// Names the request in errors.
    pub id: String,
    /// Ends with a user turn, and the choices stand at the start of the assistant's next turn; or with a
    /// turn of the assistant that is not finished, and they go on from there.
    pub conversation: Conversation,
    /// The possible answers.
    pub choices: Vec<String>,
    /// Deadline, cancellation, and what happens to a prompt that is too long.
    pub control: RequestControl,
}

/// The probabilities of the choices among themselves: softmax of their log-probabilities.
///
/// Returns nothing when the list is empty or no choice has a finite log-probability.
pub fn normalized(log_probs: &[f64]) -> Option<Vec<f64>> {
    let max = log_probs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !max.is_finite() {
        return None;
    }
    let weights: Vec<f64> = log_probs.iter().map(|l| (l - max).exp()).collect();
    let sum: f64 = weights.iter().sum();
    sum.is_finite().then(|| weights.iter().map(|w| w / sum).collect())
}

/// ln P(yes) − ln P(no) for log-probabilities given in the order yes, no; absent unless finite.
pub fn log_odds(log_probs: &[f64]) -> Option<f64> {
    match log_probs {
        [yes, no] => Some(yes - no).filter(|odds| odds.is_finite()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_however_small() {
        let p = normalized(&[-1000.0, -1001.0]).unwrap();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(p[0] > p[1]);
        assert!(normalized(&[]).is_none());
        assert!(normalized(&[f64::NAN, -1.0]).is_none());
    }

    #[test]
    fn log_odds_need_two_finite_choices() {
        assert_eq!(log_odds(&[-1.0, -3.0]), Some(2.0));
        assert_eq!(log_odds(&[-1.0]), None);
        assert_eq!(log_odds(&[f64::NEG_INFINITY, f64::NEG_INFINITY]), None);
    }
}
