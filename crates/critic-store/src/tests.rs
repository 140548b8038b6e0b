mod migrations;
mod opening;
mod round_trips;
mod transactions;
mod transfers;

use crate::{Store, StoreError};
use critic_types::{
    Candidate, ContentHasher, ContentId, Conversation, CritiqueReward, CritiqueScores,
    FinishReason, PreferencePair, Provenance, Reward, RewardPrediction, Role, Side,
};
use tempfile::TempDir;

fn new_store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store.sqlite")).unwrap();
    (folder, store)
}

fn key(name: &str) -> ContentId {
    let mut hasher = ContentHasher::new("test");
    hasher.text(name);
    hasher.finish()
}

fn pair(id: &str) -> PreferencePair {
    PreferencePair {
        id: id.to_owned(),
        prompt: Conversation::from_user("é\0\n?").with(Role::Assistant, "x").with(Role::User, id),
        chosen: "good".to_owned(),
        rejected: String::new(),
        margin: Some(0.1 + 0.2),
        domain: Some("math".to_owned()),
        subset: None,
    }
}

fn candidate(pair_id: &str, side: Side, index: usize) -> Candidate {
    Candidate {
        pair_id: pair_id.to_owned(),
        side,
        index,
        text: format!("critique {index} of {pair_id}"),
        scores: CritiqueScores { parsed: Some(7.0), expected: Some(6.1), verdict: None },
        finish_reason: FinishReason::Stop,
        n_tokens: 12,
        provenance: Provenance::Sampled,
    }
}

/// Stores candidates of any pairs, each pair's in one call.
fn put(store: &mut Store, generation: &ContentId, all: &[Candidate]) -> Result<usize, StoreError> {
    let mut n_new = 0;
    for of_pair in all.chunk_by(|a, b| a.pair_id == b.pair_id) {
        n_new += store.put_candidates(generation, &pair(&of_pair[0].pair_id), of_pair)?;
    }
    Ok(n_new)
}

fn prediction(mean: f64, n: usize) -> RewardPrediction {
    let reward = |value| Reward::new(value, "test").unwrap();
    RewardPrediction {
        mean: reward(mean),
        std: (n > 1).then_some(0.3),
        without_critique: (n == 0).then(|| reward(mean)),
        critiques: (0..n)
            .map(|i| CritiqueReward {
                text: format!("z{i}"),
                reward: reward(mean + i as f64 / 3.0),
                finish_reason: FinishReason::Length,
                n_tokens: i,
            })
            .collect(),
        n_failed: 1,
    }
}
