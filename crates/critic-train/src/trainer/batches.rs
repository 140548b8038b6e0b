use crate::{TrainConfig, TrainError, TrainPair};
use critic_forest::{PairSequences, TrainingForest, pack};
use critic_types::SeedTree;
use std::collections::HashMap;

/// The pairs in the order of an epoch: prompts in a seeded order, the pairs of a prompt side by side.
pub(super) fn epoch_order(pairs: &[TrainPair], seed: &SeedTree) -> Vec<usize> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut by_prompt: HashMap<&str, usize> = HashMap::new();
    for (i, pair) in pairs.iter().enumerate() {
        let group = *by_prompt.entry(pair.prompt.as_str()).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    let order = seed.permutation(groups.len());
    order.into_iter().flat_map(|group| std::mem::take(&mut groups[group])).collect()
}

/// The forests of a step's pairs: within the token budget, or of a single pair that is longer.
///
/// Pairs of one prompt that follow each other share a forest, and so the prompt, where they fit one.
pub(super) fn forests(
    pairs: &[&TrainPair],
    config: &TrainConfig,
    seed: &SeedTree,
    epoch: usize,
) -> Result<Vec<TrainingForest>, TrainError> {
    let budget = config.tokens_per_pack;
    let n_tokens = |drawn: &[PairSequences]| -> Result<usize, TrainError> {
        Ok(TrainingForest::build(drawn)?.n_tokens())
    };
    let mut items: Vec<Vec<PairSequences>> = Vec::new();
    let mut sizes = Vec::new();
    let mut last_prompt = None;
    for pair in pairs {
        let drawn = pair.draw(seed, epoch, config.critiques_per_response, config.critique_dropout);
        if last_prompt == Some(&pair.prompt)
            && let (Some(item), Some(size)) = (items.last_mut(), sizes.last_mut())
        {
            item.push(drawn);
            let n_together = n_tokens(item)?;
            if n_together <= budget {
                *size = n_together;
                continue;
            }
            let drawn = item.split_off(item.len() - 1);
            sizes.push(n_tokens(&drawn)?);
            items.push(drawn);
        } else {
            sizes.push(n_tokens(std::slice::from_ref(&drawn))?);
            items.push(vec![drawn]);
        }
        last_prompt = Some(&pair.prompt);
    }
    pack(&sizes, budget)
        .into_iter()
        .map(|places| {
            let pairs: Vec<PairSequences> =
                places.into_iter().flat_map(|place| std::mem::take(&mut items[place])).collect();
            Ok(TrainingForest::build(&pairs)?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::ContentHasher;

    fn pairs(prompts: &[u32]) -> Vec<TrainPair> {
        let pair = |(i, &prompt): (usize, &u32)| TrainPair {
            id: i.to_string(),
            prompt: ContentHasher::new(&prompt.to_string()).finish(),
            margin: None,
            responses: [vec![prompt, 7, 7, 50 + i as u32], vec![prompt, 7, 7, 90 + i as u32]],
            critiqued: [vec![], vec![]],
        };
        prompts.iter().enumerate().map(pair).collect()
    }

    #[test]
    fn pairs_of_a_prompt_follow_each_other_in_every_epoch() {
        let pairs = pairs(&[1, 2, 1, 3, 2, 1]);
        let mut seen = Vec::new();
        for epoch in 0..8 {
            let order = epoch_order(&pairs, &SeedTree::new(3).index(epoch));
            let mut prompts: Vec<_> = order.iter().map(|&i| &pairs[i].prompt).collect();
            prompts.dedup();
            assert_eq!(prompts.len(), 3);
            seen.push(order.clone());
            let mut sorted = order;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
        }
        seen.dedup();
        assert!(seen.len() > 1);
    }

    #[test]
    fn pairs_of_a_prompt_share_its_tokens_as_far_as_the_budget_goes() {
        let pairs = pairs(&[1, 1, 1, 2]);
        let all: Vec<&TrainPair> = pairs.iter().collect();
        let sizes = |tokens_per_pack: usize| -> Vec<usize> {
            let config = TrainConfig { tokens_per_pack, ..super::super::tests::config() };
            let forests = forests(&all, &config, &SeedTree::new(0), 0).unwrap();
            forests.iter().map(TrainingForest::n_tokens).collect()
        };
        // A prompt of 3 tokens and 2 of each pair.
        assert_eq!(sizes(100), [9 + 5]);
        let mut two = sizes(9);
        two.sort_unstable();
        assert_eq!(two, [5, 9]);
        assert_eq!(sizes(7).iter().sum::<usize>(), 7 + 5 + 5);
        assert_eq!(sizes(5), [5, 5, 5, 5]);
        assert_eq!(sizes(4), [5, 5, 5, 5]);
    }
}
