use crate::MethodError;
use crate::response::ByResponse;
use critic_text::ScoreScale;
use critic_types::{Candidate, Message, PreferencePair, Side};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

mod bleu;
#[cfg(test)]
mod tests;

use bleu::{bleu, words};

/// Two critiques are near-duplicates from this share of common word trigrams on (our choice).
const NEAR_DUPLICATE: f64 = 0.8;

/// What critiques are like, beside what they decide: how much they repeat each other, whether they speak of
/// the response at hand, whether their numbers agree with themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueAudit {
    /// Critiques of the pairs that were given.
    pub n_critiques: usize,
    /// Those whose distinct word trigrams are, to 80 % (Jaccard), those of an earlier critique of the same
    /// response. Texts below three words count by their words.
    pub n_near_duplicates: usize,
    /// Mean BLEU-4 of each critique against the others of its response, 0–1; absent where no response has
    /// two. Higher is more alike (Self-BLEU, arXiv 1802.01886), smoothed as its method 1 does.
    pub self_bleu: Option<f64>,
    /// Mean length in words; absent without critiques.
    pub mean_words: Option<f64>,
    /// Critiques that name content of the response: a number, or a word of five letters or more, that
    /// stands in the response and neither in the prompt nor in the pair's other response (our reading).
    pub n_concrete: usize,
    /// Critiques that have a verdict and a score, written or else expected.
    pub n_judged_twice: usize,
    /// Of those, the ones whose verdict says yes where the score is above the middle of its scale, or no where
    /// it is below.
    pub n_consistent: usize,
}

/// Audits the critiques of `pairs`, scored on `scale`; critiques of other pairs are an error.
///
/// # Errors
/// [`MethodError::DuplicatePair`] when two pairs share an id, [`MethodError::UnknownPair`] for a critique
/// of none of them.
pub fn audit(
    pairs: &[PreferencePair],
    critiques: &[Candidate],
    scale: &ScoreScale,
) -> Result<CritiqueAudit, MethodError> {
    let (low, high) = scale.range();
    let middle = 0.5 * (low + high);
    let grouped = ByResponse::new(pairs, critiques)?;
    if let Some(&place) = grouped.unknown.first() {
        return Err(MethodError::UnknownPair { id: critiques[place].pair_id.clone() });
    }
    let mut found = CritiqueAudit {
        n_critiques: critiques.len(),
        n_near_duplicates: 0,
        self_bleu: None,
        mean_words: None,
        n_concrete: 0,
        n_judged_twice: 0,
        n_consistent: 0,
    };
    let (mut bleus, mut n_words) = (Vec::new(), 0);
    for (pair, sides) in pairs.iter().zip(&grouped.pairs) {
        for (side, places) in Side::BOTH.into_iter().zip(sides) {
            let of_response: Vec<&Candidate> = places.iter().map(|&p| &critiques[p]).collect();
            let texts: Vec<Vec<String>> = of_response.iter().map(|c| words(&c.text)).collect();
            let concrete = concrete_words(pair, side);
            for (i, (critique, text)) in of_response.iter().zip(&texts).enumerate() {
                n_words += text.len();
                found.n_concrete += usize::from(text.iter().any(|word| concrete.contains(word)));
                let repeats = |earlier: &Vec<String>| overlap(earlier, text) >= NEAR_DUPLICATE;
                found.n_near_duplicates += usize::from(texts[..i].iter().any(repeats));
                if texts.len() > 1 {
                    let others = texts.iter().enumerate().filter(|(j, _)| *j != i);
                    let others: Vec<&[String]> = others.map(|(_, text)| text.as_slice()).collect();
                    bleus.push(bleu(text, &others));
                }
                let score = critique.scores.parsed.or(critique.scores.expected);
                if let (Some(score), Some(verdict)) = (score, critique.scores.verdict) {
                    found.n_judged_twice += 1;
                    let agree = (score - middle) * verdict > 0.0;
                    found.n_consistent += usize::from(agree);
                }
            }
        }
    }
    let mean = |sum: f64, n: usize| (n > 0).then(|| sum / n as f64);
    found.self_bleu = mean(bleus.iter().sum(), bleus.len());
    found.mean_words = mean(n_words as f64, critiques.len());
    Ok(found)
}

/// The share of distinct word trigrams that two texts have in common.
fn overlap(a: &[String], b: &[String]) -> f64 {
    let grams = |text: &[String]| -> HashSet<Vec<String>> {
        let n = text.len().clamp(1, 3);
        text.windows(n).map(<[String]>::to_vec).collect()
    };
    let (a, b) = (grams(a), grams(b));
    match a.union(&b).count() {
        0 => 1.0,
        all => a.intersection(&b).count() as f64 / all as f64,
    }
}

/// What a critique can only have from this response.
fn concrete_words(pair: &PreferencePair, side: Side) -> HashSet<String> {
    let prompt = pair.prompt.messages().iter().flat_map(|Message { content, .. }| words(content));
    let known: HashSet<String> = prompt.chain(words(pair.response(side.other()))).collect();
    let is_content =
        |word: &String| word.chars().any(|c| c.is_ascii_digit()) || word.chars().count() >= 5;
    let response = words(pair.response(side)).into_iter();
    response.filter(|word| is_content(word) && !known.contains(word)).collect()
}
