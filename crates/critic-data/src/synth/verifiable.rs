use super::answer::{GoldAnswer, Grade};
use crate::AnnotatedPair;
use critic_types::{Conversation, PreferencePair, SeedTree};
use std::collections::HashSet;

/// Sampled solutions of one question, graded, and the pairs made of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Graded {
    /// The grade of each sample, in order.
    pub grades: Vec<Grade>,
    /// Right solutions chosen over wrong ones.
    pub pairs: Vec<AnnotatedPair>,
}

/// Grades sampled solutions against the gold answer and pairs right ones with wrong ones.
///
/// Unreadable samples are in no pair, and equal texts count once. Of all combinations at most `max_pairs`
/// are drawn by the seed and the question's id. The ids are `id/right>wrong` by the samples' places.
pub fn pair_right_with_wrong(
    id: &str,
    prompt: &Conversation,
    gold: &GoldAnswer,
    samples: &[String],
    max_pairs: usize,
    seed: &SeedTree,
) -> Graded {
    let grades: Vec<Grade> = samples.iter().map(|sample| gold.grade(sample)).collect();
    let mut seen = HashSet::new();
    let distinct: Vec<usize> =
        (0..samples.len()).filter(|i| seen.insert(samples[*i].trim())).collect();
    let of = |grade| -> Vec<usize> {
        distinct.iter().copied().filter(|i| grades[*i] == grade).collect()
    };
    let wrong = of(Grade::Wrong);
    let all: Vec<(usize, usize)> = of(Grade::Right)
        .into_iter()
        .flat_map(|right| wrong.iter().map(move |wrong| (right, *wrong)))
        .collect();
    let order = seed.child("verifiable").child(id).permutation(all.len());
    let pairs = order.into_iter().take(max_pairs).map(|at| {
        let (right, wrong) = all[at];
        AnnotatedPair {
            pair: PreferencePair {
                id: format!("{id}/{right}>{wrong}"),
                prompt: prompt.clone(),
                chosen: samples[right].clone(),
                rejected: samples[wrong].clone(),
                margin: None,
                domain: None,
                subset: None,
            },
            critiques: Vec::new(),
        }
    });
    let pairs = pairs.collect();
    Graded { grades, pairs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_ones_are_chosen_over_wrong_ones_and_nothing_else() {
        let samples =
            ["#### 4", "#### 5", "so 4", "no idea", "#### 4 ", "#### 6"].map(str::to_owned);
        let prompt = Conversation::from_user("2+2?");
        let make = |max, seed| {
            let gold = GoldAnswer::of("#### 4");
            pair_right_with_wrong("q", &prompt, &gold, &samples, max, &SeedTree::new(seed))
        };
        let all = make(100, 0);
        let of = |grade| all.grades.iter().filter(|g| **g == grade).count();
        assert_eq!((of(Grade::Right), of(Grade::Wrong), of(Grade::Unreadable)), (3, 2, 1));
        assert_eq!(all.pairs.len(), 4, "the fifth sample repeats the first");
        assert!(
            all.pairs.iter().all(|p| p.pair.chosen.contains('4') && !p.pair.rejected.contains('4'))
        );
        assert_eq!(make(2, 1).pairs, make(2, 1).pairs);
        assert_eq!(make(2, 1).pairs.len(), 2);
    }
}
