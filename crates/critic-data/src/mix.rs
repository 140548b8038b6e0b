use crate::ids::Ids;
use crate::{DataError, PairFormat, PairReader, PairWriter, ReadOptions};
use critic_types::SeedTree;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A source of a mixture and its weight, above 0.
#[derive(Debug, Clone, PartialEq)]
pub struct MixSource {
    /// The source, as in [`crate::read_pairs`].
    pub path: PathBuf,
    /// Its share of the mixture is its weight over the sum of all weights.
    pub weight: f64,
}

/// What a mixture is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MixReport {
    /// Each source with its pairs and how many of them were taken.
    pub sources: Vec<(PathBuf, usize, usize)>,
    /// Pairs in the mixture.
    pub n_pairs: usize,
}

/// Mixes sources by weight into one file in the own format: a seeded draw of each source's pairs without
/// replacement, in its own order, dealt out in a seeded order.
///
/// Without `n_pairs` the mixture is as large as the weights allow without taking a pair twice. Every source
/// is read twice, once to be counted. An id that two sources share gets a suffix, `#2`.
///
/// # Errors
/// [`DataError`] when a source is standard input, has no pairs or fewer than its share of `n_pairs`, a
/// weight is not above 0, or reading or writing fails.
pub fn mix(
    sources: &[MixSource],
    options: &ReadOptions,
    n_pairs: Option<usize>,
    seed: u64,
    output: &Path,
) -> Result<MixReport, DataError> {
    if sources.is_empty()
        || sources.iter().any(|source| !(source.weight > 0.0 && source.weight.is_finite()))
    {
        return Err(DataError::Parts {
            what: "a mixture needs sources whose weights are above 0".to_owned(),
            way_out: "write each as source=weight, such as a.jsonl=0.7",
        });
    }
    if sources.iter().any(|source| source.path == Path::new("-")) {
        return Err(DataError::StdinTwice);
    }
    let counts = sources.iter().map(|s| count(&s.path, options)).collect::<Result<Vec<_>, _>>()?;
    let shares = shares(sources, &counts, n_pairs)?;
    let seed = SeedTree::new(seed).child("mix");
    let mut draws = Vec::new();
    for (i, source) in sources.iter().enumerate() {
        let reader = PairReader::open(&source.path, options)?;
        draws.push(Draw {
            reader,
            seed: seed.index(i as u64),
            seen: 0,
            total: counts[i],
            left: shares[i],
        });
    }
    let mut out = PairWriter::create(output, PairFormat::Own)?;
    let mut ids = Ids::default();
    let order = seed.child("order");
    let total: usize = shares.iter().sum();
    for n in 0..total {
        let left: usize = draws.iter().map(|draw| draw.left).sum();
        let mut at = (order.index(n as u64).uniform() * left as f64) as usize;
        let turn = draws.iter().position(|draw| {
            let here = at < draw.left;
            at = at.saturating_sub(draw.left);
            here
        });
        let Some(draw) = turn.and_then(|turn| draws.get_mut(turn)) else { break };
        if let Some(mut pair) = draw.next()? {
            pair.pair.id = ids.give(pair.pair.id);
            out.write(pair)?;
        }
    }
    let written = out.finish()?;
    let paths = sources.iter().map(|source| source.path.clone());
    Ok(MixReport {
        sources: paths.zip(counts).zip(shares).map(|((path, n), taken)| (path, n, taken)).collect(),
        n_pairs: written,
    })
}

fn count(path: &Path, options: &ReadOptions) -> Result<usize, DataError> {
    let mut reader = PairReader::open(path, options)?;
    for pair in &mut reader {
        pair?;
    }
    match reader.report() {
        report if report.n_kept == 0 => {
            Err(DataError::NoRows { path: path.to_owned(), report: report.clone() })
        }
        report => Ok(report.n_kept),
    }
}

/// How many pairs each source gives: shares of the whole, rounded so that they add up to it.
fn shares(
    sources: &[MixSource],
    counts: &[usize],
    n_pairs: Option<usize>,
) -> Result<Vec<usize>, DataError> {
    let weights: f64 = sources.iter().map(|source| source.weight).sum();
    let part = |i: usize| sources[i].weight / weights;
    let allowed = |i: usize| counts[i] as f64 / part(i);
    let most = (0..counts.len()).map(allowed).fold(f64::INFINITY, f64::min) + 1e-6;
    let total = n_pairs.unwrap_or(most as usize);
    // The ends of the shares are rounded, not the shares: so they add up.
    let mut end = 0.0;
    let mut taken = 0;
    let mut shares = Vec::new();
    for i in 0..counts.len() {
        end += part(i) * total as f64;
        let share = (end.round() as usize).min(total) - taken;
        taken += share;
        if share > counts[i] && n_pairs.is_some() {
            return Err(DataError::Parts {
                what: format!(
                    "{total} pairs need {share} of {}, which has {}",
                    sources[i].path.display(),
                    counts[i]
                ),
                way_out: "ask for fewer pairs, lower its weight, or leave the number out",
            });
        }
        shares.push(share.min(counts[i]));
    }
    Ok(shares)
}

/// Draws `left` of the pairs to come, each set of them equally likely (Knuth's selection sampling).
struct Draw {
    reader: PairReader<'static>,
    seed: SeedTree,
    seen: usize,
    total: usize,
    left: usize,
}

impl Draw {
    fn next(&mut self) -> Result<Option<crate::AnnotatedPair>, DataError> {
        while self.left > 0 {
            let Some(pair) = self.reader.next().transpose()? else { break };
            let rest = self.total.saturating_sub(self.seen).max(1);
            let draw = self.seed.index(self.seen as u64).uniform();
            self.seen += 1;
            if draw * (rest as f64) < self.left as f64 {
                self.left -= 1;
                return Ok(Some(pair));
            }
        }
        self.left = 0;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::{Conversation, PreferencePair};

    fn source(folder: &Path, name: &str, n: usize, weight: f64) -> MixSource {
        let pairs: Vec<_> = (0..n)
            .map(|i| PreferencePair {
                id: format!("{i}"),
                prompt: Conversation::from_user(format!("{name} {i}")),
                chosen: "a".to_owned(),
                rejected: "b".to_owned(),
                margin: None,
                domain: Some(name.to_owned()),
                subset: None,
            })
            .collect();
        let path = folder.join(format!("{name}.jsonl"));
        crate::write_pairs(&path, &pairs).unwrap();
        MixSource { path, weight }
    }

    fn mixed(sources: &[MixSource], n: Option<usize>, seed: u64) -> Vec<PreferencePair> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mix.jsonl");
        let report = mix(sources, &ReadOptions::default(), n, seed, &path).unwrap();
        let set = crate::read_pairs(&path, &ReadOptions::default()).unwrap();
        assert_eq!(set.pairs.len(), report.n_pairs);
        set.pairs
    }

    #[test]
    fn a_mixture_has_the_weights_shares_is_seeded_and_takes_no_pair_twice() {
        let folder = tempfile::tempdir().unwrap();
        let sources = [source(folder.path(), "x", 100, 3.0), source(folder.path(), "y", 60, 1.0)];
        let pairs = mixed(&sources, None, 1);
        let of = |name: &str| pairs.iter().filter(|p| p.domain.as_deref() == Some(name)).count();
        assert_eq!((of("x"), of("y")), (100, 33));
        assert_eq!(pairs, mixed(&sources, None, 1));
        assert_ne!(pairs, mixed(&sources, None, 2));
        let few = mixed(&sources, Some(20), 1);
        assert_eq!(few.iter().filter(|p| p.domain.as_deref() == Some("x")).count(), 15);
        assert!(few.iter().any(|p| p.prompt.last_user_text() > "x 5"), "not only the first ones");
    }

    #[test]
    fn what_cannot_be_mixed_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let x = source(folder.path(), "x", 3, 1.0);
        let out = folder.path().join("out.jsonl");
        let error = |sources: &[MixSource], n| {
            mix(sources, &ReadOptions::default(), n, 0, &out).unwrap_err().to_string()
        };
        assert!(error(std::slice::from_ref(&x), Some(4)).contains("4 pairs need 4 of"));
        let bad = MixSource { weight: 0.0, ..x };
        assert!(error(&[bad], None).contains("above 0"));
        let stdin = MixSource { path: "-".into(), weight: 1.0 };
        assert!(error(&[stdin], None).contains("standard input cannot be read twice"));
    }
}
