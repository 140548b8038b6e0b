use crate::MethodError;
use crate::response::{response_id, response_seed};
use critic_engine::{RequestControl, Sampling, ScoreRequest, ScoredResponse};
use critic_stats::mean_std;
use critic_types::{
    Conversation, CritiqueReward, FinishReason, PreferencePair, Reward, RewardPrediction, SeedTree,
    Side,
};

/// How the rewards of responses are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreSettings {
    /// m, critiques of each response; 0 reads the reward right after the response.
    pub n_critiques: usize,
    /// How the critiques are drawn.
    pub sampling: Sampling,
    /// The run's randomness; critique i of a response draws from `"score"` → its names → i.
    pub seed: SeedTree,
}

/// The request for the reward of one response, named by `id`.
pub fn score_request(
    id: &str,
    prompt: &Conversation,
    response: &str,
    settings: &ScoreSettings,
) -> ScoreRequest {
    ScoreRequest {
        id: id.to_owned(),
        prompt: prompt.clone(),
        response: response.to_owned(),
        n_critiques: settings.n_critiques,
        sampling: settings.sampling.clone(),
        seed: settings.seed.child("score").child(id),
        control: RequestControl::default(),
    }
}

/// The requests for the rewards of both responses of every pair: the chosen one, then the rejected
/// one, with ids as of [`response_id`].
pub fn score_requests(pairs: &[PreferencePair], settings: &ScoreSettings) -> Vec<ScoreRequest> {
    pairs
        .iter()
        .flat_map(|pair| {
            Side::BOTH.map(|side| ScoreRequest {
                seed: response_seed(&settings.seed, "score", &pair.id, side),
                ..score_request(
                    &response_id(&pair.id, side),
                    &pair.prompt,
                    pair.response(side),
                    settings,
                )
            })
        })
        .collect()
}

/// The reward of a response from the first m of its sampled critiques.
///
/// r̂(x, y) = (1/m) Σ_{i ≤ m} r(x, y, z_i), with the sample standard deviation (n − 1) beside it; at
/// m = 0 the fast path r(x, y), read without critique.
/// Source: the mean over m critiques is in the digest; the fast path is our reading.
///
/// One set of samples serves every smaller m: the critiques are taken in sampling order, and m = 1 is
/// the first one. A critique that the token limit cut is used when `keep_truncated`, and left out
/// otherwise. What is left out or missing is counted in `n_failed` (m less those averaged), and never
/// imputed; an engine that could not write a critique leaves no gap, so the first m are then the
/// first m that it has.
///
/// # Errors
/// [`MethodError::NoCritique`] when m > 0 and none of the m can be used; [`MethodError::Reward`] when
/// the mean overflows.
pub fn predict(
    id: &str,
    scored: &ScoredResponse,
    m: usize,
    keep_truncated: bool,
) -> Result<RewardPrediction, MethodError> {
    let without_critique = Some(scored.without_critique);
    if m == 0 {
        return Ok(RewardPrediction {
            mean: scored.without_critique,
            std: None,
            without_critique,
            critiques: vec![],
            n_failed: 0,
        });
    }
    let critiques: Vec<CritiqueReward> = scored
        .critiques
        .iter()
        .take(m)
        .filter(|c| keep_truncated || c.finish_reason == FinishReason::Stop)
        .cloned()
        .collect();
    if critiques.is_empty() {
        return Err(MethodError::NoCritique { id: id.to_owned(), n_critiques: m });
    }
    let rewards: Vec<f64> = critiques.iter().map(|c| c.reward.value()).collect();
    let spread = mean_std(&rewards).expect("rewards are finite, and there is at least one");
    Ok(RewardPrediction {
        mean: Reward::new(spread.mean, id)?,
        std: spread.std,
        without_critique,
        n_failed: m - critiques.len(),
        critiques,
    })
}

#[cfg(test)]
mod tests;
