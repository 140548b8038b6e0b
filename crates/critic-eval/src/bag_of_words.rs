use crate::{Contestant, EvalError, PredictionScale, Predictions};
use critic_types::{PreferencePair, Side};
use std::collections::{BTreeMap, BTreeSet};

/// How much a pair weighs against the pull of the weights towards zero; small, for there are more
/// words than pairs.
const PAIR_WEIGHT: f64 = 0.1;
/// A word in fewer training pairs than this has no weight.
const MIN_PAIRS: usize = 2;
/// The passes over the pairs end when none moved further than this share of `PAIR_WEIGHT`.
const TOLERANCE: f64 = 1e-6;
const MAX_PASSES: usize = 200;

/// A response as weights of words, by their index in the vocabulary, ascending.
type Features = Vec<(usize, f64)>;

/// The control that knows words and not their order: r(x, y) = Σ w · ln(1 + count), Bradley–Terry.
///
/// The weights minimize ½‖w‖² + 0.1 · Σ −ln σ(r⁺ − r⁻) over the training pairs, by coordinate ascent
/// on the dual: no learning rate and no randomness, the same weights every time. Words are lower-cased
/// runs of letters and digits that occur in at least two training pairs; the prompt is not read.
/// A reward model that does not beat it has not shown that it reads.
///
/// # Errors
/// [`EvalError::NoTrainingPairs`] when `train` is empty.
pub fn bag_of_words_control(
    train: &[PreferencePair],
    eval: &[PreferencePair],
) -> Result<Contestant, EvalError> {
    if train.is_empty() {
        return Err(EvalError::NoTrainingPairs);
    }
    let vocabulary = vocabulary(train);
    let differences: Vec<Features> = train
        .iter()
        .map(|pair| {
            let chosen = features(&vocabulary, &pair.chosen);
            difference(&chosen, &features(&vocabulary, &pair.rejected))
        })
        .collect();
    let weights = fit(&differences, vocabulary.len());
    let mut predictions = Predictions::new();
    for pair in eval {
        for side in Side::BOTH {
            let reward = dot(&weights, &features(&vocabulary, pair.response(side)));
            predictions.insert((pair.id.clone(), side), reward);
        }
    }
    Ok(Contestant {
        name: "bag of words".to_owned(),
        family: "bag of words".to_owned(),
        n_critiques: None,
        scale: PredictionScale::LogOdds,
        predictions,
    })
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

fn vocabulary(train: &[PreferencePair]) -> BTreeMap<String, usize> {
    let mut n_pairs: BTreeMap<String, usize> = BTreeMap::new();
    for pair in train {
        let of_pair: BTreeSet<String> = words(&pair.chosen).chain(words(&pair.rejected)).collect();
        for word in of_pair {
            *n_pairs.entry(word).or_default() += 1;
        }
    }
    let frequent = n_pairs.into_iter().filter(|&(_, n)| n >= MIN_PAIRS);
    frequent.enumerate().map(|(index, (word, _))| (word, index)).collect()
}

fn features(vocabulary: &BTreeMap<String, usize>, text: &str) -> Features {
    let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
    for word in words(text) {
        if let Some(&index) = vocabulary.get(&word) {
            *counts.entry(index).or_default() += 1.0;
        }
    }
    counts.into_iter().map(|(index, count)| (index, count.ln_1p())).collect()
}

fn difference(chosen: &Features, rejected: &Features) -> Features {
    let mut values: BTreeMap<usize, f64> = chosen.iter().copied().collect();
    for &(index, value) in rejected {
        *values.entry(index).or_default() -= value;
    }
    values.into_iter().filter(|&(_, value)| value != 0.0).collect()
}

fn dot(weights: &[f64], features: &Features) -> f64 {
    features.iter().map(|&(index, value)| weights[index] * value).sum()
}

/// The weights at the optimum: w = Σ αᵢ dᵢ with 0 < αᵢ < C, where d is a pair's difference.
///
/// At the optimum αᵢ = C · σ(−w·dᵢ); each step solves that for one pair exactly.
fn fit(differences: &[Features], n_words: usize) -> Vec<f64> {
    let mut weights = vec![0.0; n_words];
    let mut alphas = vec![0.0; differences.len()];
    for _ in 0..MAX_PASSES {
        let mut largest = 0.0f64;
        for (alpha, pair) in alphas.iter_mut().zip(differences) {
            let norm: f64 = pair.iter().map(|(_, value)| value * value).sum();
            if norm == 0.0 {
                continue;
            }
            let margin_without = dot(&weights, pair) - norm * *alpha;
            let solved = PAIR_WEIGHT * logistic(-margin_at_optimum(margin_without, norm));
            for &(index, value) in pair {
                weights[index] += (solved - *alpha) * value;
            }
            largest = largest.max((solved - *alpha).abs());
            *alpha = solved;
        }
        if largest < TOLERANCE * PAIR_WEIGHT {
            break;
        }
    }
    weights
}

/// The margin m with m = `margin_without` + norm · C · σ(−m), by bisection: the right side falls.
fn margin_at_optimum(margin_without: f64, norm: f64) -> f64 {
    let (mut low, mut high) = (margin_without, margin_without + norm * PAIR_WEIGHT);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if middle < margin_without + norm * PAIR_WEIGHT * logistic(-middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

fn logistic(x: f64) -> f64 {
    critic_stats::log_sigmoid(x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate;
    use crate::fixtures::pair;
    use critic_stats::TieRule;

    fn topics(n: usize) -> Vec<PreferencePair> {
        (0..n)
            .map(|i| {
                let chosen = format!("because topic{} is explained", i % 3);
                pair(&format!("p{i}"), &chosen, &format!("sorry, topic{}?", i % 3))
            })
            .collect()
    }

    #[test]
    fn it_learns_the_words_of_chosen_responses() {
        let eval = [pair("e0", "Because of light.", "Sorry."), pair("e1", "sorry", "BECAUSE!")];
        let control = bag_of_words_control(&topics(12), &eval).unwrap();
        let result = evaluate(&control, &eval, TieRule::Wrong).unwrap();
        assert_eq!(result.accuracy.unwrap().agreement.n_correct, 1);
        let (chosen, rejected) = control.rewards(&eval[0]).unwrap().unwrap();
        assert!(chosen > 0.1 && rejected < -0.1, "{chosen} {rejected}");
    }

    #[test]
    fn unknown_words_tie() {
        let eval = [pair("e0", "zebra", "")];
        let control = bag_of_words_control(&topics(12), &eval).unwrap();
        assert_eq!(control.rewards(&eval[0]).unwrap(), Some((0.0, 0.0)));
    }

    #[test]
    fn the_weights_are_at_the_optimum() {
        let train = topics(9);
        let vocabulary = vocabulary(&train);
        let differences: Vec<Features> = train
            .iter()
            .map(|p| {
                difference(&features(&vocabulary, &p.chosen), &features(&vocabulary, &p.rejected))
            })
            .collect();
        let weights = fit(&differences, vocabulary.len());
        let mut gradient = weights.clone();
        for pair in &differences {
            let pull = PAIR_WEIGHT * logistic(-dot(&weights, pair));
            for &(index, value) in pair {
                gradient[index] -= pull * value;
            }
        }
        assert!(gradient.iter().all(|g| g.abs() < 1e-5), "{gradient:?}");
        assert!(weights.iter().any(|w| w.abs() > 0.1));
    }

    #[test]
    fn equal_responses_teach_nothing() {
        let train =
            [pair("p0", "same words", "same words"), pair("p1", "same words", "words same")];
        let control = bag_of_words_control(&train, &train).unwrap();
        assert_eq!(control.rewards(&train[0]).unwrap(), Some((0.0, 0.0)));
        assert_eq!(bag_of_words_control(&[], &train), Err(EvalError::NoTrainingPairs));
    }
}
