use crate::reader::{FileSummary, PairReader, ReadOptions};
use crate::{DataError, PairFormat, RowProblem};
use critic_types::{ContentId, DropReport, PreferencePair, Role, SeedTree};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// What a source of pairs holds, at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The format it was read in, the first file's; absent when no row can be used.
    pub format: Option<PairFormat>,
    /// Each file.
    pub files: Vec<FileSummary>,
    /// Address of the bytes.
    pub content: Option<ContentId>,
    /// Rows of all files, usable or not.
    pub n_rows: usize,
    /// Usable pairs.
    pub n_pairs: usize,
    /// Distinct prompts among them, after [`crate::normalised_prompt`].
    pub n_prompts: usize,
    /// Critiques that came with them.
    pub n_critiques: usize,
    /// Pairs with a margin.
    pub n_margins: usize,
    /// Pairs whose prompt has more than one user turn.
    pub n_multi_turn: usize,
    /// Pairs whose prompt has a system message.
    pub n_system: usize,
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
    /// Pairs that repeated an earlier one; they are among the dropped.
    pub n_duplicates: usize,
    /// Rows and comparisons left out, by reason, with the places of the first few.
    pub report: DropReport,
    /// Up to three pairs, in the order of the source, drawn by the seed.
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
    /// The distribution of lengths given as how often each occurs; all zero when there are none.
    fn of(counts: &BTreeMap<usize, usize>) -> Self {
        let n: usize = counts.values().sum();
        let (Some((&min, _)), Some((&max, _))) =
            (counts.first_key_value(), counts.last_key_value())
        else {
            return Self::default();
        };
        let at = |rank: usize| {
            let mut below = 0;
            let found = counts.iter().find(|(_, count)| {
                below += **count;
                below > rank
            });
            found.map_or(max, |(length, _)| *length)
        };
        let sum: usize = counts.iter().map(|(length, count)| length * count).sum();
        Self {
            min,
            median: (at((n - 1) / 2) + at(n / 2)) as f64 / 2.0,
            mean: sum as f64 / n as f64,
            p95: at((n * 95).div_ceil(100) - 1),
            max,
        }
    }
}

const N_SAMPLES: usize = 3;

/// Reads a source once and says what it holds; `seed` draws the samples.
///
/// # Errors
/// [`DataError`] when the source cannot be read, or `strict` is set and a row cannot be used. A source
/// without a usable row is no error here: that is what it holds.
pub fn inspect(path: &Path, options: &ReadOptions, seed: u64) -> Result<Inspection, DataError> {
    inspect_stream(PairReader::open(path, options)?, seed)
}

/// Reads a stream of pairs to its end and says what it held.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_stream(mut pairs: PairReader<'_>, seed: u64) -> Result<Inspection, DataError> {
    let mut tally = Tally::new(seed);
    while let Some(batch) = pairs.next_batch().transpose()? {
        let (first, seed) = (tally.n_pairs, tally.seed);
        let measured: Vec<Measures> = batch
            .par_iter()
            .enumerate()
            .map(|(at, annotated)| Measures::of(&annotated.pair, seed.index((first + at) as u64)))
            .collect();
        for (annotated, measures) in batch.into_iter().zip(measured) {
            tally.n_critiques += annotated.critiques.len();
            tally.add(annotated.pair, &measures);
        }
    }
    let files = pairs.files().to_vec();
    let duplicate = RowProblem::Duplicate { of: crate::Place::Line(0), file: None }.to_string();
    let report = pairs.report().clone();
    let n_pairs = tally.n_pairs;
    tally.samples.sort_by_key(|(index, ..)| *index);
    Ok(Inspection {
        format: files.iter().find_map(|file| file.format),
        content: pairs.content(),
        n_rows: files.iter().map(|file| file.n_rows).sum(),
        files,
        n_pairs,
        n_prompts: tally.prompts.len(),
        n_critiques: tally.n_critiques,
        n_margins: tally.n_margins,
        n_multi_turn: tally.n_multi_turn,
        n_system: tally.n_system,
        by_domain: tally.by_domain,
        prompt_words: Lengths::of(&tally.prompt_words),
        chosen_words: Lengths::of(&tally.chosen_words),
        rejected_words: Lengths::of(&tally.rejected_words),
        longer_chosen: if n_pairs == 0 { 0.5 } else { tally.longer / n_pairs as f64 },
        n_duplicates: report.dropped.get(&duplicate).copied().unwrap_or_default(),
        report,
        samples: tally.samples.into_iter().map(|(_, _, pair)| pair).collect(),
    })
}

/// What is counted as pairs go by.
struct Tally {
    seed: SeedTree,
    n_pairs: usize,
    n_critiques: usize,
    n_margins: usize,
    n_multi_turn: usize,
    n_system: usize,
    prompts: HashSet<u64>,
    by_domain: BTreeMap<String, usize>,
    prompt_words: BTreeMap<usize, usize>,
    chosen_words: BTreeMap<usize, usize>,
    rejected_words: BTreeMap<usize, usize>,
    longer: f64,
    /// Place in the stream, draw, pair: the pairs with the smallest draws so far.
    samples: Vec<(usize, f64, PreferencePair)>,
}

impl Tally {
    fn new(seed: u64) -> Self {
        Self {
            seed: SeedTree::new(seed).child("inspect"),
            n_pairs: 0,
            n_critiques: 0,
            n_margins: 0,
            n_multi_turn: 0,
            n_system: 0,
            prompts: HashSet::new(),
            by_domain: BTreeMap::new(),
            prompt_words: BTreeMap::new(),
            chosen_words: BTreeMap::new(),
            rejected_words: BTreeMap::new(),
            longer: 0.0,
            samples: Vec::new(),
        }
    }

    fn add(&mut self, pair: PreferencePair, measures: &Measures) {
        self.n_margins += usize::from(pair.margin.is_some());
        self.n_multi_turn += usize::from(measures.is_multi_turn);
        self.n_system += usize::from(measures.has_system);
        self.prompts.insert(measures.prompt);
        match pair.domain.as_deref().unwrap_or("(none)") {
            known if self.by_domain.contains_key(known) => {
                *self.by_domain.entry(known.to_owned()).or_default() += 1;
            }
            unseen => {
                self.by_domain.insert(unseen.to_owned(), 1);
            }
        }
        let [asked, chosen, rejected] = measures.words;
        self.longer += match chosen.cmp(&rejected) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        *self.prompt_words.entry(asked).or_default() += 1;
        *self.chosen_words.entry(chosen).or_default() += 1;
        *self.rejected_words.entry(rejected).or_default() += 1;
        let draw = measures.draw;
        if self.samples.len() < N_SAMPLES || self.samples.iter().any(|(_, other, _)| draw < *other)
        {
            self.samples.push((self.n_pairs, draw, pair));
            self.samples.sort_by(|a, b| a.1.total_cmp(&b.1));
            self.samples.truncate(N_SAMPLES);
        }
        self.n_pairs += 1;
    }
}

/// What is counted of one pair.
struct Measures {
    /// Words of the prompt, the chosen and the rejected response.
    words: [usize; 3],
    prompt: u64,
    is_multi_turn: bool,
    has_system: bool,
    /// Its draw among the samples, in [0, 1).
    draw: f64,
}

impl Measures {
    fn of(pair: &PreferencePair, seed: SeedTree) -> Self {
        let turns = pair.prompt.messages();
        let n_turns_of = |role| turns.iter().filter(|turn| turn.role == role).count();
        let asked = turns.iter().map(|turn| words(&turn.content)).sum();
        Self {
            words: [asked, words(&pair.chosen), words(&pair.rejected)],
            prompt: crate::prompt_digest(&pair.prompt),
            is_multi_turn: n_turns_of(Role::User) > 1,
            has_system: n_turns_of(Role::System) > 0,
            draw: seed.uniform(),
        }
    }
}

/// Runs of characters that are not white space.
fn words(text: &str) -> usize {
    if !text.is_ascii() {
        return text.split_whitespace().count();
    }
    // The vertical tab is white space to Unicode and not to `is_ascii_whitespace`.
    let is_space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
    let mut was_space = true;
    let mut n = 0;
    for byte in text.bytes() {
        let space = is_space(byte);
        n += usize::from(was_space && !space);
        was_space = space;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_their_definitions() {
        let lengths = Lengths::of(&(1..=20).map(|length| (length, 1)).collect());
        assert_eq!((lengths.min, lengths.p95, lengths.max), (1, 19, 20));
        assert!((lengths.median - 10.5).abs() < 1e-12 && (lengths.mean - 10.5).abs() < 1e-12);
        assert_eq!(Lengths::of(&BTreeMap::from([(7, 3)])).p95, 7);
        assert_eq!(Lengths::of(&BTreeMap::new()), Lengths::default());
    }

    fn look(text: &str, seed: u64) -> Inspection {
        let options = ReadOptions::default();
        let reader = Box::new(text.as_bytes());
        inspect_stream(PairReader::from_reader(reader, "t".as_ref(), &options).unwrap(), seed)
            .unwrap()
    }

    proptest::proptest! {
        #[test]
        fn words_are_runs_without_white_space(text in "[a-c \\t\\n\\x0b\\x0c\\rä]{0,30}") {
            proptest::prop_assert_eq!(words(&text), text.split_whitespace().count());
        }
    }

    #[test]
    fn a_set_is_counted_by_domain_and_its_length_bias_is_told() {
        let text = r#"{"domain":"a","prompt":"one two","chosen":"x y z","rejected":"x"}
            {"domain":"a","prompt":"p","chosen":"x y","rejected":"y x"}
            {"prompt":"P ","chosen":"x","rejected":"a b c d"}
            {"prompt":"P ","chosen":"x","rejected":"a b c d"}"#;
        let seen = look(text, 0);
        assert_eq!(seen.by_domain, BTreeMap::from([("a".into(), 2), ("(none)".into(), 1)]));
        assert!((seen.longer_chosen - 0.5).abs() < 1e-12);
        assert_eq!(
            (seen.n_duplicates, seen.n_pairs, seen.n_rows, seen.samples.len()),
            (1, 3, 4, 3)
        );
        assert_eq!((seen.n_prompts, seen.prompt_words.max, seen.rejected_words.max), (2, 2, 4));
        assert_eq!(seen, look(text, 0));
    }

    #[test]
    fn the_samples_are_drawn_by_the_seed_and_nothing_usable_is_told() {
        let text: String = (0..200)
            .map(|i| format!("{{\"prompt\":\"p\",\"chosen\":\"{i}\",\"rejected\":\"b\"}}\n"))
            .collect();
        let drawn = |seed| look(&text, seed).samples;
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        let nothing = look("{}", 0);
        assert_eq!((nothing.format, nothing.n_pairs, nothing.report.n_dropped()), (None, 0, 1));
    }
}
