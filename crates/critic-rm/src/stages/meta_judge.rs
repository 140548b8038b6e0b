use anyhow::Result;
use critic_method::{Comparison, PositionConsistency, Refined};
use critic_store::{MetaComparison, MetaScore, Store, StoreError};
use critic_types::{ContentId, Side};

/// Stores what the meta-judge said about one response.
pub(super) fn put(
    store: &mut Store,
    key: &ContentId,
    pair_id: &str,
    side: Side,
    refined: &Refined,
) -> Result<(), StoreError> {
    let scores: Vec<MetaScore> = refined
        .ranking
        .iter()
        .map(|ranked| MetaScore {
            pair_id: pair_id.to_owned(),
            side,
            index: ranked.index,
            score: ranked.score,
        })
        .collect();
    let comparisons: Vec<MetaComparison> = refined
        .comparisons
        .iter()
        .map(|asked| MetaComparison {
            pair_id: pair_id.to_owned(),
            side,
            first: asked.first,
            second: asked.second,
            log_odds: asked.log_odds,
        })
        .collect();
    store.put_meta_scores(key, &scores)?;
    store.put_meta_comparisons(key, &comparisons).map(drop)
}

/// How far a pairwise meta-judge agrees with itself, over all that is stored of a refinement.
pub(super) fn consistency(store: &Store, key: &ContentId) -> Result<PositionConsistency> {
    let asked = store.meta_comparisons(key)?;
    let mut found = PositionConsistency::default();
    for response in asked.chunk_by(|a, b| (&a.pair_id, a.side) == (&b.pair_id, b.side)) {
        let response: Vec<Comparison> = response
            .iter()
            .map(|asked| Comparison {
                first: asked.first,
                second: asked.second,
                log_odds: asked.log_odds,
            })
            .collect();
        found.count(&response);
    }
    Ok(found)
}

/// The same for the stage's line.
pub(super) fn facts(found: &PositionConsistency) -> Vec<(&'static str, String)> {
    let mut facts = vec![("comparisons", found.n_comparisons.to_string())];
    let shares = [
        ("alike in both orders", found.consistency()),
        ("of answers for the first place", found.first_share()),
    ];
    for (label, share) in shares {
        if let Some(share) = share {
            facts.push((label, format!("{:.1} %", 100.0 * share)));
        }
    }
    if found.n_failed > 0 {
        facts.push(("questions without an answer", found.n_failed.to_string()));
    }
    facts
}
