//! Log-probabilities of tokens under the model's own distribution.

use critic_kernels::logits;

/// A drawn token with its ln P, and the likeliest tokens with theirs.
#[derive(Debug, Clone)]
pub(crate) struct DrawnLogProb {
    pub(crate) token: u32,
    pub(crate) log_prob: f64,
    pub(crate) top: Vec<(u32, f64)>,
}

impl DrawnLogProb {
    /// What these logits say of `token` and of the `n_top` likeliest tokens, ties by id.
    pub(crate) fn new(logits: &[f32], token: u32, n_top: usize) -> Self {
        let log_sum = log_sum_exp(logits);
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let by_logit =
            |&a: &u32, &b: &u32| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b));
        if n_top > 0 && n_top < order.len() {
            order.select_nth_unstable_by(n_top - 1, by_logit);
        }
        order.truncate(n_top);
        order.sort_unstable_by(by_logit);
        let of = |token: u32| f64::from(logits[token as usize]) - log_sum;
        let top = order.into_iter().map(|token| (token, of(token))).collect();
        Self { token, log_prob: of(token), top }
    }
}

/// ln P(token) under the softmax of these logits, nats; NaN when a logit is.
pub(crate) fn log_prob(logits: &[f32], token: u32) -> f64 {
    f64::from(logits[token as usize]) - log_sum_exp(logits)
}

/// NaN when a logit is, or none is finite.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let greatest = logits::greatest(logits).filter(|logit| logit.is_finite());
    greatest.map_or(f64::NAN, |greatest| {
        f64::from(greatest) + logits::exp_sum(logits, greatest, 1.0).ln()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first_and_their_probabilities_are_of_the_whole() {
        let logits = [0.1f32.ln(), 0.4f32.ln(), 0.1f32.ln(), 0.4f32.ln()];
        let drawn = DrawnLogProb::new(&logits, 2, 3);
        assert!((drawn.log_prob - 0.1f64.ln()).abs() < 1e-6);
        let ids: Vec<u32> = drawn.top.iter().map(|&(token, _)| token).collect();
        assert_eq!(ids, [1, 3, 0]);
        assert!((drawn.top[0].1 - 0.4f64.ln()).abs() < 1e-6);
        assert!(DrawnLogProb::new(&logits, 0, 0).top.is_empty());
        assert_eq!(DrawnLogProb::new(&logits, 0, 99).top.len(), 4);
        assert!(log_prob(&[0.0, f32::NAN], 0).is_nan());
    }
}
