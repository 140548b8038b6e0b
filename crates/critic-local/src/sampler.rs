use critic_engine::Sampling;

/// Draws a token from logits.
///
/// Temperature first, then `top_k`, then `top_p` (the smallest set of likeliest tokens whose
/// probability reaches it), then the inverse of the cumulative distribution at `draw`, tokens ordered
/// from the likeliest, ties by id. Temperature 0 takes the likeliest token.
/// Returns nothing when a logit is NaN or none is finite.
///
/// # Arguments
/// - `logits`: `[vocab_size]`
/// - `draw`: in [0, 1)
pub fn sample(logits: &[f32], sampling: &Sampling, draw: f64) -> Option<u32> {
    let mut best = 0;
    for (token, &logit) in logits.iter().enumerate() {
        if logit.is_nan() {
            return None;
        }
        if logit > logits[best] {
            best = token;
        }
    }
    let max = *logits.get(best)?;
    if !max.is_finite() {
        return None;
    }
    if sampling.temperature <= 0.0 {
        return Some(best as u32);
    }
    let weight = |logit: f32| (f64::from(logit - max) / sampling.temperature).exp();
    let total: f64 = logits.iter().map(|&logit| weight(logit)).sum();
    let mut kept: Vec<(f64, u32)> = candidates(logits, sampling, max);
    kept.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    if sampling.top_k > 0 {
        kept.truncate(sampling.top_k);
    }
    let base = if sampling.top_k > 0 {
        kept.iter().map(|&(logit, _)| weight(logit as f32)).sum()
    } else {
        total
    };
    let mut cumulative = 0.0;
    let mut n = 0;
    for &(logit, _) in &kept {
        cumulative += weight(logit as f32);
        n += 1;
        if cumulative >= sampling.top_p * base {
            break;
        }
    }
    let target = draw * cumulative;
    let mut sum = 0.0;
    for &(logit, token) in &kept[..n] {
        sum += weight(logit as f32);
        if sum > target {
            return Some(token);
        }
    }
    kept.get(n.saturating_sub(1)).map(|&(_, token)| token)
}

/// The tokens that can be drawn at all: those far below the best have no weight worth sorting.
fn candidates(logits: &[f32], sampling: &Sampling, max: f32) -> Vec<(f64, u32)> {
    // e^-40 times any vocabulary is below the resolution of the cumulative sum.
    let floor = f64::from(max) - 40.0 * sampling.temperature;
    logits
        .iter()
        .enumerate()
        .filter(|&(_, &logit)| f64::from(logit) >= floor)
        .map(|(token, &logit)| (f64::from(logit), token as u32))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::SeedTree;

    fn sampling(temperature: f64, top_p: f64, top_k: usize) -> Sampling {
        Sampling { temperature, top_p, top_k, max_new_tokens: 1 }
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let logits = [0.0f32, 1.0, 2.0, -50.0];
        let tree = SeedTree::new(1);
        let mut counts = [0.0; 4];
        let n = 20_000;
        for i in 0..n {
            counts[sample(&logits, &sampling(1.0, 1.0, 0), tree.index(i).uniform()).unwrap()
                as usize] += 1.0 / n as f64;
        }
        let z: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
        for (count, logit) in counts.iter().zip(logits) {
            assert!((count - f64::from(logit).exp() / z).abs() < 0.015);
        }
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_it() {
        let logits = [0.6f32.ln(), 0.3f32.ln(), 0.1f32.ln()];
        for draw in [0.0, 0.5, 0.999_999] {
            assert_eq!(sample(&logits, &sampling(1.0, 0.5, 0), draw), Some(0));
            assert!(sample(&logits, &sampling(1.0, 0.85, 0), draw).unwrap() < 2);
        }
        assert_eq!(sample(&logits, &sampling(1.0, 1.0, 0), 0.999_999), Some(2));
        assert_eq!(sample(&logits, &sampling(1.0, 1.0, 2), 0.999_999), Some(1));
    }

    #[test]
    fn the_likeliest_token_at_temperature_zero_ties_to_the_lower_id() {
        assert_eq!(sample(&[1.0, 3.0, 3.0], &sampling(0.0, 1.0, 0), 0.9), Some(1));
    }

    #[test]
    fn nan_logits_give_nothing() {
        assert_eq!(sample(&[0.0, f32::NAN], &sampling(1.0, 1.0, 0), 0.5), None);
        assert_eq!(sample(&[f32::NEG_INFINITY], &sampling(1.0, 1.0, 0), 0.5), None);
        assert_eq!(sample(&[], &sampling(0.0, 1.0, 0), 0.5), None);
    }
}
