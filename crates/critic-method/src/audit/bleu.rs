use std::collections::HashMap;

/// The longest n-grams that count.
const MAX_N: usize = 4;
/// Stands for a count of zero (NLTK's smoothing method 1).
const EPSILON: f64 = 0.1;

/// The words of a text in small letters: runs of letters and digits, a decimal point within a number kept.
pub(super) fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '\'');
    text.split(|c: char| !is_word(c))
        .map(|word| word.trim_matches(['.', '\'']))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// BLEU-4 of a text against references: the geometric mean of clipped n-gram precisions of n = 1 to 4 with
/// equal weights, times the brevity penalty against the reference of the closest length (Papineni et al.
/// 2002). As `nltk.translate.bleu_score.sentence_bleu` with smoothing method 1: a numerator of 0 is 0.1, a
/// denominator at least 1; 0 where no word is shared.
pub(super) fn bleu(text: &[String], references: &[&[String]]) -> f64 {
    let mut log_precision = 0.0;
    for n in 1..=MAX_N {
        let counts = count(text, n);
        let mut most: HashMap<&[String], usize> = HashMap::new();
        for reference in references {
            for (gram, count) in count(reference, n) {
                let seen = most.entry(gram).or_default();
                *seen = count.max(*seen);
            }
        }
        let clipped: usize =
            counts.iter().map(|(gram, count)| *count.min(most.get(gram).unwrap_or(&0))).sum();
        if n == 1 && clipped == 0 {
            return 0.0;
        }
        let total = text.len().saturating_sub(n - 1).max(1);
        let numerator = if clipped == 0 { EPSILON } else { clipped as f64 };
        log_precision += (numerator / total as f64).ln() / MAX_N as f64;
    }
    let closest = references
        .iter()
        .map(|reference| reference.len())
        .min_by_key(|length| (length.abs_diff(text.len()), *length))
        .unwrap_or_default();
    let penalty = (1.0 - closest as f64 / text.len() as f64).min(0.0);
    (log_precision + penalty).exp()
}

fn count(text: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for gram in text.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}
