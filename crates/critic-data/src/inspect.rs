use crate::{PairFormat, PairSet};
use critic_types::{ContentId, PreferencePair, SeedTree};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a set of pairs holds, at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The format it was read in.
    pub format: PairFormat,
    /// Address of the file's bytes.
    pub content: ContentId,
    /// Usable pairs.
    pub n_pairs: usize,
    /// Pairs by `domain`; those without one stand under `(none)`.
    pub by_domain: BTreeMap<String, usize>,
    /// Lengths of the prompts, all turns together, in words.
    pub prompt_words: Lengths,
    /// Lengths of the chosen responses, in words.
    pub chosen_words: Lengths,
    /// Lengths of the rejected responses, in words.
    pub rejected_words: Lengths,
    /// Share of pairs whose chosen response has more words, ties counted half; 0–1. What a judge gets
    /// right who only looks at the length.
    pub longer_chosen: f64,
    /// Rows that repeated an earlier one; they are among the dropped.
    pub n_duplicates: usize,
    /// Rows left out, by reason.
    pub dropped: BTreeMap<String, usize>,
    /// Up to three pairs, in the order of the file, drawn from a fixed seed.
    pub samples: Vec<PreferencePair>,
}

/// A distribution of lengths in words, which are runs of characters that are not white space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Lengths {
    /// The shortest.
    pub min: usize,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The smallest length that at least 95 % do not exceed.
    pub p95: usize,
    /// The longest.
    pub max: usize,
}

impl Lengths {
    /// The distribution of `lengths`; all zero when there are none.
    fn of(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        let n = lengths.len();
        let (Some(&min), Some(&max)) = (lengths.first(), lengths.last()) else {
            return Self::default();
        };
        Self {
            min,
            median: (lengths[(n - 1) / 2] + lengths[n / 2]) as f64 / 2.0,
            mean: lengths.iter().sum::<usize>() as f64 / n as f64,
            p95: lengths[(n * 95).div_ceil(100) - 1],
            max,
        }
    }
}

const N_SAMPLES: usize = 3;

/// Counts and measures a set of pairs.
pub fn inspect(set: &PairSet) -> Inspection {
    let mut by_domain = BTreeMap::new();
    let (mut prompts, mut chosen, mut rejected) = (vec![], vec![], vec![]);
    let mut longer = 0.0;
    for pair in &set.pairs {
        let domain = pair.domain.clone().unwrap_or_else(|| "(none)".to_owned());
        *by_domain.entry(domain).or_default() += 1;
        prompts.push(pair.prompt.messages().iter().map(|m| words(&m.content)).sum());
        let (a, b) = (words(&pair.chosen), words(&pair.rejected));
        longer += match a.cmp(&b) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        chosen.push(a);
        rejected.push(b);
    }
    let n_pairs = set.pairs.len();
    let mut drawn = SeedTree::new(0).child("inspect").permutation(n_pairs);
    drawn.truncate(N_SAMPLES);
    drawn.sort_unstable();
    Inspection {
        format: set.format,
        content: set.content.clone(),
        n_pairs,
        by_domain,
        prompt_words: Lengths::of(prompts),
        chosen_words: Lengths::of(chosen),
        rejected_words: Lengths::of(rejected),
        longer_chosen: if n_pairs == 0 { 0.5 } else { longer / n_pairs as f64 },
        n_duplicates: duplicates(set),
        dropped: set.report.dropped.clone(),
        samples: drawn.into_iter().map(|index| set.pairs[index].clone()).collect(),
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn duplicates(set: &PairSet) -> usize {
    let reason = crate::RowProblem::Duplicate { of: crate::Place::Line(0) }.to_string();
    set.report.dropped.get(&reason).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_their_definitions() {
        let lengths = Lengths::of((1..=20).rev().collect());
        assert_eq!((lengths.min, lengths.p95, lengths.max), (1, 19, 20));
        assert!((lengths.median - 10.5).abs() < 1e-12 && (lengths.mean - 10.5).abs() < 1e-12);
        assert_eq!(Lengths::of(vec![7]).p95, 7);
        assert_eq!(Lengths::of(vec![]), Lengths::default());
    }

    #[test]
    fn a_set_is_counted_by_domain_and_its_length_bias_is_told() {
        let text = r#"{"domain":"a","prompt":"one two","chosen":"x y z","rejected":"x"}
            {"domain":"a","prompt":"p","chosen":"x y","rejected":"y x"}
            {"prompt":"p","chosen":"x","rejected":"a b c d"}
            {"prompt":"p","chosen":"x","rejected":"a b c d"}"#;
        let set =
            crate::read_pairs_from(text.as_bytes(), "t".as_ref(), &Default::default()).unwrap();
        let seen = inspect(&set);
        assert_eq!(seen.by_domain, BTreeMap::from([("a".into(), 2), ("(none)".into(), 1)]));
        assert!((seen.longer_chosen - 0.5).abs() < 1e-12);
        assert_eq!((seen.n_duplicates, seen.n_pairs, seen.samples.len()), (1, 3, 3));
        assert_eq!((seen.prompt_words.max, seen.rejected_words.max), (2, 4));
        assert_eq!(seen, inspect(&set));
    }
}
