use critic_engine::Sampling;

/// Draws a token from logits.
///
/// The order is that of transformers' `generate`: repetition penalty, temperature, `top_k`, `top_p`
/// (the smallest set of likeliest tokens whose probability reaches it), `min_p`. Then the inverse of
/// the cumulative distribution at `draw`, tokens ordered from the likeliest, ties by id. Temperature 0
/// takes the likeliest token after the penalty.
/// Returns nothing when a logit is NaN or none is finite.
///
/// # Arguments
/// - `logits`: `[vocab_size]`
/// - `seen`: the tokens of prompt and answer, for the repetition penalty, in any order
/// - `draw`: in [0, 1)
pub fn sample(logits: &[f32], sampling: &Sampling, seen: &[u32], draw: f64) -> Option<u32> {
    let penalized;
    let logits = if sampling.repetition_penalty == 1.0 {
        logits
    } else {
        penalized = penalize(logits, sampling.repetition_penalty, seen);
        &penalized
    };
    let best = likeliest(logits)?;
    if sampling.temperature <= 0.0 {
        return Some(best);
    }
    let kept = Kept::new(logits, sampling, logits[best as usize]);
    let target = draw * kept.mass;
    let mut sum = 0.0;
    for &(weight, token) in &kept.tokens {
        sum += weight;
        if sum > target {
            return Some(token);
        }
    }
    kept.tokens.last().map(|&(_, token)| token)
}

/// The likeliest token, ties by id; nothing when a logit is NaN or none is finite.
fn likeliest(logits: &[f32]) -> Option<u32> {
    let mut best = 0;
    for (token, &logit) in logits.iter().enumerate() {
        if logit.is_nan() {
            return None;
        }
        if logit > logits[best] {
            best = token;
        }
    }
    logits.get(best).filter(|logit| logit.is_finite()).map(|_| best as u32)
}

/// Logits of seen tokens divided where positive and multiplied where negative, each once.
fn penalize(logits: &[f32], penalty: f64, seen: &[u32]) -> Vec<f32> {
    let mut distinct = seen.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut penalized = logits.to_vec();
    for token in distinct {
        if let Some(logit) = penalized.get_mut(token as usize) {
            let wide = f64::from(*logit);
            *logit = if wide < 0.0 { wide * penalty } else { wide / penalty } as f32;
        }
    }
    penalized
}

/// The tokens that can be drawn.
struct Kept {
    /// (weight relative to the likeliest token, id), the likeliest first.
    tokens: Vec<(f64, u32)>,
    /// Their weight together.
    mass: f64,
}

/// How far below the likeliest a token may be, in units of temperature. The first depth nearly always
/// holds all that `top_p` keeps, so that few tokens are sorted; e^−40 times any vocabulary is below the
/// resolution of the sum.
const DEPTHS: [f64; 3] = [6.0, 14.0, 40.0];

impl Kept {
    fn new(logits: &[f32], sampling: &Sampling, max: f32) -> Self {
        let weight = |logit: f32| (f64::from(logit - max) / sampling.temperature).exp();
        let least = if sampling.top_k > 0 { kth_largest(logits, sampling.top_k) } else { f32::MIN };
        let base: f64 =
            logits.iter().filter(|&&logit| logit >= least).map(|&logit| weight(logit)).sum();
        let mut tokens = Vec::new();
        for depth in DEPTHS {
            let floor = (f64::from(max) - depth * sampling.temperature).max(f64::from(least));
            tokens = logits
                .iter()
                .zip(0u32..)
                .filter(|&(&logit, _)| f64::from(logit) >= floor)
                .map(|(&logit, token)| (weight(logit), token, logit))
                .collect();
            let mass: f64 = tokens.iter().map(|&(weight, ..)| weight).sum();
            if mass >= sampling.top_p * base || (-depth).exp() <= sampling.min_p {
                break;
            }
        }
        tokens.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then(a.1.cmp(&b.1)));
        let mut kept = Self { tokens: Vec::new(), mass: 0.0 };
        for (weight, token, _) in tokens {
            if !kept.tokens.is_empty()
                && (kept.mass >= sampling.top_p * base || weight < sampling.min_p)
            {
                break;
            }
            kept.mass += weight;
            kept.tokens.push((weight, token));
        }
        kept
    }
}

/// The `k`-th largest logit; all below it have no place in the `k` largest.
fn kth_largest(logits: &[f32], k: usize) -> f32 {
    if k >= logits.len() {
        return f32::MIN;
    }
    let mut sorted = logits.to_vec();
    *sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
}

#[cfg(test)]
mod tests;
