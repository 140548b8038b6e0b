use super::registry::letters;
use super::{BENCHES, Bench};
use crate::EvalError;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Whose data was scored, and so what a report may call it.
///
/// Only rows that were counted against a bench's published data carry its title; all others carry a name
/// of their own, which no bench has. There is no other way to make one.
#[derive(Debug, Clone, PartialEq)]
pub struct DataOrigin(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Original(&'static Bench),
    Named(String),
}

impl DataOrigin {
    /// The bench's own data: as many rows of each subset as it has.
    ///
    /// `counts` are the rows by subset, named as in [`Bench::counts`]. Counts are necessary and not
    /// sufficient; the digest of a download is checked where it is made.
    ///
    /// # Errors
    /// [`EvalError::NotOriginal`] for the first subset whose count differs,
    /// [`EvalError::CountsUnknown`] for a bench whose counts are not known here.
    pub fn original(
        bench: &'static Bench,
        counts: &BTreeMap<String, usize>,
    ) -> Result<Self, EvalError> {
        let published = bench.counts().ok_or(EvalError::CountsUnknown { bench: bench.title })?;
        let differs = |part: &str, found: usize, published: usize| EvalError::NotOriginal {
            bench: bench.title,
            part: if part.is_empty() { "the whole".to_owned() } else { format!("`{part}`") },
            found,
            published,
        };
        for (&part, &n) in &published {
            let found = counts.get(part).copied().unwrap_or(0);
            if found != n {
                return Err(differs(part, found, n));
            }
        }
        match counts.iter().find(|(part, _)| !published.contains_key(part.as_str())) {
            Some((part, &found)) => Err(differs(part, found, 0)),
            None => Ok(Self(Kind::Original(bench))),
        }
    }

    /// Other data under a name of its own.
    ///
    /// # Errors
    /// [`EvalError::ReservedName`] for an empty name and for the name or title of a bench, whatever
    /// its case, spaces and punctuation.
    ///
    /// # Examples
    /// ```
    /// use critic_eval::benches::DataOrigin;
    /// assert_eq!(DataOrigin::named("my pairs")?.title(), "my pairs");
    /// assert!(DataOrigin::named("Reward Bench").is_err());
    /// # Ok::<(), critic_eval::EvalError>(())
    /// ```
    pub fn named(name: &str) -> Result<Self, EvalError> {
        let wanted = letters(name);
        let owner = BENCHES
            .iter()
            .find(|bench| wanted == letters(bench.name) || wanted == letters(bench.title));
        match owner {
            Some(bench) => {
                Err(EvalError::ReservedName { name: name.to_owned(), bench: bench.title })
            }
            None if wanted.is_empty() => {
                Err(EvalError::ReservedName { name: name.to_owned(), bench: "empty name" })
            }
            None => Ok(Self(Kind::Named(name.to_owned()))),
        }
    }

    /// What a report prints.
    pub fn title(&self) -> &str {
        match &self.0 {
            Kind::Original(bench) => bench.title,
            Kind::Named(name) => name,
        }
    }

    /// The bench whose own data it is.
    pub fn bench(&self) -> Option<&'static Bench> {
        match self.0 {
            Kind::Original(bench) => Some(bench),
            Kind::Named(_) => None,
        }
    }
}

/// As its title.
impl Serialize for DataOrigin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.title())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benches::find_bench;

    fn counts_of(name: &str) -> BTreeMap<String, usize> {
        let counts = find_bench(name).unwrap().counts().unwrap();
        counts.into_iter().map(|(part, n)| (part.to_owned(), n)).collect()
    }

    #[test]
    fn only_all_of_it_carries_the_title() {
        let bench = find_bench("reward-bench").unwrap();
        let mut counts = counts_of("reward-bench");
        let origin = DataOrigin::original(bench, &counts).unwrap();
        assert_eq!((origin.title(), origin.bench()), ("RewardBench", Some(bench)));
        assert_eq!(serde_json::to_string(&origin).unwrap(), "\"RewardBench\"");
        counts.insert("math-prm".to_owned(), 984);
        let error = DataOrigin::original(bench, &counts).unwrap_err().to_string();
        assert!(error.contains("`math-prm` has 984 rows and the published data 447"), "{error}");
        counts.insert("math-prm".to_owned(), 447);
        counts.insert("extra".to_owned(), 1);
        assert!(DataOrigin::original(bench, &counts).is_err());
        counts.clear();
        assert!(DataOrigin::original(bench, &counts).is_err());
    }

    #[test]
    fn unknown_counts_prove_nothing() {
        let bench = find_bench("critic-bench").unwrap();
        let error = DataOrigin::original(bench, &BTreeMap::new()).unwrap_err();
        assert_eq!(error, EvalError::CountsUnknown { bench: "CriticBench" });
    }

    #[test]
    fn no_other_data_takes_a_benchs_name() {
        for name in ["RewardBench", "reward bench", "REWARD_BENCH", "rm-bench", "LLMBar", ""] {
            assert!(DataOrigin::named(name).is_err(), "{name}");
        }
        let origin = DataOrigin::named("LLMBar, natural part").unwrap();
        assert_eq!((origin.title(), origin.bench()), ("LLMBar, natural part", None));
    }
}
