use critic_engine::Sampling;
use critic_kernels::logits;

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
    let greatest = logits::greatest(logits).filter(|logit| logit.is_finite())?;
    logits.iter().position(|&logit| logit == greatest).map(|token| token as u32)
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

/// Logits that are compared together.
const GROUP: usize = 32;

impl Kept {
    fn new(logits: &[f32], sampling: &Sampling, max: f32) -> Self {
        let weight = |logit: f32| (f64::from(logit - max) / sampling.temperature).exp();
        let least = if sampling.top_k > 0 { kth_largest(logits, sampling.top_k) } else { f32::MIN };
        let enough = if sampling.top_p >= 1.0 {
            f64::INFINITY
        } else if sampling.top_k > 0 {
            let kept = logits.iter().filter(|&&logit| logit >= least);
            sampling.top_p * kept.map(|&logit| weight(logit)).sum::<f64>()
        } else {
            let scale = sampling.temperature.recip().min(f64::from(f32::MAX));
            sampling.top_p * logits::exp_sum(logits, max, scale as f32)
        };
        let mut tokens = Vec::new();
        for depth in DEPTHS {
            let floor = (f64::from(max) - depth * sampling.temperature) as f32;
            tokens = not_below(logits, floor.max(least))
                .map(|token| (weight(logits[token as usize]), token, logits[token as usize]))
                .collect();
            let mass: f64 = tokens.iter().map(|&(weight, ..)| weight).sum();
            if mass >= enough || (-depth).exp() <= sampling.min_p {
                break;
            }
        }
        tokens.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then(a.1.cmp(&b.1)));
        let mut kept = Self { tokens: Vec::new(), mass: 0.0 };
        for (weight, token, _) in tokens {
            if !kept.tokens.is_empty() && (kept.mass >= enough || weight < sampling.min_p) {
                break;
            }
            kept.mass += weight;
            kept.tokens.push((weight, token));
        }
        kept
    }
}

/// The tokens whose logit is `floor` at least, by id.
fn not_below(logits: &[f32], floor: f32) -> impl Iterator<Item = u32> {
    // Most groups have none, which is seen for a whole group at once.
    let has_one =
        move |group: &&[f32]| group.iter().fold(false, |one, &logit| one | (logit >= floor));
    let groups = logits.chunks(GROUP).zip((0u32..).step_by(GROUP));
    groups.filter(move |(group, _)| has_one(group)).flat_map(move |(group, first)| {
        let kept = group.iter().zip(first..).filter(move |&(&logit, _)| logit >= floor);
        kept.map(|(_, token)| token)
    })
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
