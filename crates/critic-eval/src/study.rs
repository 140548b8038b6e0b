use crate::compare_all::prompt_key;
use crate::{CONFIDENCE, Contestant, EvalError};
use critic_stats::{
    Bootstrap, Clusters, Interval, PermutationTest, SeedEffect, SeedsAndItems, StatsError, TieRule,
    clustered_paired_bootstrap, clustered_share_interval, holm, paired_permutation_test,
    seed_effect, seeds_and_items,
};
use critic_types::PreferencePair;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One run of a study: a configuration with one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRun {
    /// What the runs that differ in nothing but the seed share.
    pub configuration: String,
    /// The seed.
    pub seed: u64,
    /// Who was measured in it, readings of the main method first.
    pub contestants: Vec<Contestant>,
    /// On what.
    pub pairs: Vec<PreferencePair>,
}

/// A contestant of one configuration over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyRow {
    /// The configuration.
    pub configuration: String,
    /// The contestant's name.
    pub contestant: String,
    /// The domain of the pairs; absent for all pairs.
    pub domain: Option<String>,
    /// Pairs that the contestant scored with every seed.
    pub n_pairs: usize,
    /// The accuracy of each seed on them, 0–1.
    pub by_seed: BTreeMap<u64, f64>,
    /// Mean of the seeds, 0–1.
    pub accuracy: f64,
    /// Interval of the mean for other pairs and these seeds: a bootstrap that draws whole prompts.
    pub interval: Interval,
    /// What other seeds would give on these pairs; absent for one seed.
    pub seeds: Option<SeedEffect>,
    /// How much of the spread comes from seeds and from pairs; absent for one seed.
    pub effects: Option<SeedsAndItems>,
    /// Against the first configuration; absent there, by domain, and where that one has no such contestant.
    pub against_first: Option<StudyDifference>,
    /// Against the main contestant of its own configuration; absent there and by domain.
    pub against_main: Option<StudyDifference>,
}

/// What someone adds to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyDifference {
    /// Pairs that both have scored with every seed.
    pub n_pairs: usize,
    /// Its mean accuracy less that of the other, −1–1.
    pub difference: f64,
    /// For other pairs and these seeds: a bootstrap that draws whole prompts.
    pub interval: Interval,
    /// Swaps the two on whole prompts.
    pub permutation: PermutationTest,
    /// The permutation test's p-value after Holm's correction over all differences of its kind.
    pub holm_p: f64,
}

/// Sets the configurations of a study beside each other.
///
/// A pair is worth the mean of its credits over the seeds. Rows stand in the order of the runs, for all
/// pairs first and then by domain where there are several. The main contestant of a configuration is the
/// last one of the family that is named first: the main method at its most critiques.
///
/// # Errors
/// [`EvalError::NotFinite`]; [`EvalError::Statistic`] when a number is not defined, which no input with at
/// least one scored pair gives.
pub fn study(
    runs: &[StudyRun],
    tie_rule: TieRule,
    bootstrap: &Bootstrap,
) -> Result<Vec<StudyRow>, EvalError> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    for run in runs {
        for contestant in &run.contestants {
            let key = (run.configuration.as_str(), contestant.name.as_str());
            let at = tables.iter().position(|table| table.key == key).unwrap_or_else(|| {
                tables.push(Table { key, pairs: BTreeMap::new(), seeds: BTreeMap::new() });
                tables.len() - 1
            });
            tables[at].add(run, contestant, tie_rule)?;
        }
    }
    let domains: BTreeSet<&str> =
        runs.iter().flat_map(|run| &run.pairs).filter_map(|pair| pair.domain.as_deref()).collect();
    let domains = if domains.len() > 1 { domains } else { BTreeSet::new() };
    let first = runs.first().map_or("", |run| run.configuration.as_str());
    let mut rows = Vec::new();
    for domain in std::iter::once(None).chain(domains.into_iter().map(Some)) {
        for table in &tables {
            let Some(mut row) = table.row(domain, bootstrap)? else { continue };
            if domain.is_none() {
                let against = |key: (&str, &str)| {
                    let other = tables.iter().find(|other| other.key == key && key != table.key);
                    other.map_or(Ok(None), |other| table.against(other, bootstrap))
                };
                let (configuration, contestant) = table.key;
                row.against_first = against((first, contestant))?;
                row.against_main = match main(runs, configuration) {
                    Some(main) => against((configuration, main))?,
                    None => None,
                };
            }
            rows.push(row);
        }
    }
    correct(rows.iter_mut().filter_map(|row| row.against_first.as_mut()).collect())?;
    correct(rows.iter_mut().filter_map(|row| row.against_main.as_mut()).collect())?;
    Ok(rows)
}

/// The main contestant of a configuration.
fn main<'a>(runs: &'a [StudyRun], configuration: &str) -> Option<&'a str> {
    let run = runs.iter().find(|run| run.configuration == configuration)?;
    let family = &run.contestants.first()?.family;
    let last = run.contestants.iter().rev().find(|one| one.family == *family)?;
    Some(&last.name)
}

/// Holm's correction over all differences of a kind.
fn correct(mut differences: Vec<&mut StudyDifference>) -> Result<(), EvalError> {
    if differences.is_empty() {
        return Ok(());
    }
    let p_values: Vec<f64> = differences.iter().map(|found| found.permutation.p).collect();
    let corrected = holm(&p_values).map_err(statistic("all differences"))?;
    differences.iter_mut().zip(corrected).for_each(|(found, holm_p)| found.holm_p = holm_p);
    Ok(())
}

fn statistic(contestant: &str) -> impl Fn(StatsError) -> EvalError {
    move |source| EvalError::Statistic { contestant: contestant.to_owned(), source }
}

/// What every pair is worth to a contestant of a configuration, by seed.
struct Table<'a> {
    key: (&'a str, &'a str),
    pairs: BTreeMap<&'a str, &'a PreferencePair>,
    seeds: BTreeMap<u64, BTreeMap<&'a str, f64>>,
}

impl<'a> Table<'a> {
    fn add(
        &mut self,
        run: &'a StudyRun,
        contestant: &Contestant,
        tie_rule: TieRule,
    ) -> Result<(), EvalError> {
        let credits = self.seeds.entry(run.seed).or_default();
        for pair in &run.pairs {
            let rewards = contestant.rewards(pair)?;
            let credit = rewards.and_then(|(chosen, rejected)| tie_rule.credit(chosen, rejected));
            if let Some(credit) = credit {
                credits.insert(&pair.id, credit);
                self.pairs.insert(&pair.id, pair);
            }
        }
        Ok(())
    }

    /// The pairs that every seed has scored, of a domain if one is named.
    fn scored(&self, domain: Option<&str>) -> Vec<&'a PreferencePair> {
        let of_domain =
            |pair: &&PreferencePair| domain.is_none() || pair.domain.as_deref() == domain;
        let by_all = |pair: &&PreferencePair| {
            self.seeds.values().all(|credits| credits.contains_key(pair.id.as_str()))
        };
        self.pairs.values().copied().filter(of_domain).filter(by_all).collect()
    }

    /// What a pair is worth over all seeds.
    fn mean(&self, pair: &PreferencePair) -> f64 {
        let sum: f64 = self.seeds.values().map(|credits| credits[pair.id.as_str()]).sum();
        sum / self.seeds.len() as f64
    }

    fn row(
        &self,
        domain: Option<&str>,
        bootstrap: &Bootstrap,
    ) -> Result<Option<StudyRow>, EvalError> {
        let pairs = self.scored(domain);
        if pairs.is_empty() {
            return Ok(None);
        }
        let name = format!("{} of {}", self.key.1, self.key.0);
        let failed = statistic(&name);
        let table: Vec<Vec<f64>> = self
            .seeds
            .values()
            .map(|credits| pairs.iter().map(|pair| credits[pair.id.as_str()]).collect())
            .collect();
        let accuracies = table.iter().map(|row| row.iter().sum::<f64>() / row.len() as f64);
        let by_seed: BTreeMap<u64, f64> = self.seeds.keys().copied().zip(accuracies).collect();
        let values: Vec<f64> = by_seed.values().copied().collect();
        let means: Vec<f64> = pairs.iter().map(|pair| self.mean(pair)).collect();
        let clusters = clusters(&pairs);
        let (has_seeds, has_items) = (values.len() > 1, pairs.len() > 1);
        Ok(Some(StudyRow {
            configuration: self.key.0.to_owned(),
            contestant: self.key.1.to_owned(),
            domain: domain.map(str::to_owned),
            n_pairs: pairs.len(),
            accuracy: values.iter().sum::<f64>() / values.len() as f64,
            by_seed,
            interval: clustered_share_interval(&means, &clusters, bootstrap).map_err(&failed)?,
            seeds: has_seeds
                .then(|| seed_effect(&values, CONFIDENCE).map_err(&failed))
                .transpose()?,
            effects: (has_seeds && has_items)
                .then(|| seeds_and_items(&table).map_err(&failed))
                .transpose()?,
            against_first: None,
            against_main: None,
        }))
    }

    fn against(
        &self,
        other: &Table<'_>,
        bootstrap: &Bootstrap,
    ) -> Result<Option<StudyDifference>, EvalError> {
        let theirs: BTreeSet<&str> =
            other.scored(None).iter().map(|pair| pair.id.as_str()).collect();
        let mut pairs = self.scored(None);
        pairs.retain(|pair| theirs.contains(pair.id.as_str()));
        if pairs.is_empty() {
            return Ok(None);
        }
        let [ours, theirs] =
            [self, other].map(|table| format!("{} of {}", table.key.1, table.key.0));
        let name = format!("{ours} − {theirs}");
        let failed = statistic(&name);
        let means =
            |table: &Table<'_>| pairs.iter().map(|pair| table.mean(pair)).collect::<Vec<f64>>();
        let (ours, theirs) = (means(self), means(other));
        let clusters = clusters(&pairs);
        let found =
            clustered_paired_bootstrap(&ours, &theirs, &clusters, bootstrap).map_err(&failed)?;
        let differences: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a - b).collect();
        let sums = clusters.sums(&differences).map_err(&failed)?;
        let seed = bootstrap.seed.child("permutation");
        let permutation = paired_permutation_test(&sums, bootstrap.n_resamples, seed);
        Ok(Some(StudyDifference {
            n_pairs: pairs.len(),
            difference: found.difference,
            interval: found.interval,
            permutation: permutation.map_err(&failed)?,
            holm_p: 1.0,
        }))
    }
}

fn clusters(pairs: &[&PreferencePair]) -> Clusters {
    Clusters::by_key(pairs.iter().map(|pair| prompt_key(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{contestant, pairs};
    use critic_types::{Conversation, SeedTree};

    fn bootstrap() -> Bootstrap {
        Bootstrap { n_resamples: 2000, ..Bootstrap::new(SeedTree::new(3)) }
    }

    /// A run in which the model is right on these pairs.
    fn run(configuration: &str, seed: u64, right: &[bool]) -> StudyRun {
        let rewards: Vec<(f64, f64)> =
            right.iter().map(|&right| if right { (1.0, 0.0) } else { (0.0, 1.0) }).collect();
        let mut pairs = pairs(right.len());
        for (i, pair) in pairs.iter_mut().enumerate() {
            pair.prompt = Conversation::from_user(format!("Why {i}?"));
            pair.domain = Some(if i % 2 == 0 { "even" } else { "odd" }.to_owned());
        }
        let (configuration, contestants) =
            (configuration.to_owned(), vec![contestant("model", &rewards)]);
        StudyRun { configuration, seed, contestants, pairs }
    }

    #[test]
    fn configurations_are_measured_over_seeds_and_against_the_first() {
        let wrong = [false; 10];
        let mut half = wrong;
        half[..4].fill(true);
        let runs = [
            run("a", 0, &wrong),
            run("a", 1, &half),
            run("b", 0, &[true; 10]),
            run("b", 1, &[true; 10]),
        ];
        let rows = study(&runs, TieRule::Wrong, &bootstrap()).unwrap();
        let all: Vec<&StudyRow> = rows.iter().filter(|row| row.domain.is_none()).collect();
        assert_eq!(all.len(), 2);
        let (a, b) = (all[0], all[1]);
        assert_eq!((a.configuration.as_str(), a.n_pairs), ("a", 10));
        assert!((a.accuracy - 0.2).abs() < 1e-12);
        assert_eq!(a.by_seed, BTreeMap::from([(0, 0.0), (1, 0.4)]));
        let effect = a.seeds.as_ref().unwrap();
        assert!((effect.std - 0.4 / 2f64.sqrt()).abs() < 1e-12);
        assert!(a.effects.is_some() && a.against_first.is_none());
        let found = b.against_first.as_ref().unwrap();
        assert!((found.difference - 0.8).abs() < 1e-12);
        // All ten differences have one sign: two of the 2¹⁰ assignments are as far from zero.
        assert!(found.permutation.exact && (found.permutation.p - 2.0 / 1024.0).abs() < 1e-12);
        assert_eq!(found.holm_p, found.permutation.p);
        let even = rows.iter().find(|row| row.domain.as_deref() == Some("even")).unwrap();
        assert_eq!((even.n_pairs, even.by_seed[&1]), (5, 0.4));
    }

    #[test]
    fn everyone_is_set_against_the_main_contestant_of_the_configuration() {
        let seeds = [0, 1].map(|seed| {
            let mut one = run("a", seed, &[false; 10]);
            one.contestants[0] =
                Contestant { family: "main".to_owned(), ..one.contestants[0].clone() };
            let more = run("a", seed, &[true; 10]).contestants.remove(0);
            let (name, family) = ("model m=2".to_owned(), "main".to_owned());
            one.contestants.push(Contestant { name, family, ..more.clone() });
            one.contestants.push(Contestant { name: "other".to_owned(), ..more });
            one
        });
        let rows = study(&seeds, TieRule::Wrong, &bootstrap()).unwrap();
        let found = |name: &str| rows.iter().find(|row| row.contestant == name).unwrap();
        assert_eq!(found("model m=2").against_main, None);
        assert_eq!(found("other").against_main.as_ref().unwrap().difference, 0.0);
        let below = found("model").against_main.as_ref().unwrap();
        assert!((below.difference + 1.0).abs() < 1e-12);
        // Holm's correction is over the two of this kind.
        assert!((below.holm_p - 2.0 * below.permutation.p).abs() < 1e-12);
        assert!(rows.iter().all(|row| row.against_first.is_none()));
    }

    #[test]
    fn only_pairs_that_every_seed_scored_count() {
        let mut missing = run("a", 1, &[true, true, false]);
        let side = critic_types::Side::Chosen;
        missing.contestants[0].predictions.remove(&("p0".to_owned(), side));
        let rows =
            study(&[run("a", 0, &[true; 3]), missing], TieRule::Wrong, &bootstrap()).unwrap();
        assert_eq!((rows[0].n_pairs, rows[0].accuracy), (2, 0.75));
    }

    #[test]
    fn one_seed_has_no_spread_and_nothing_scored_no_row() {
        let rows = study(&[run("a", 0, &[true, false])], TieRule::Wrong, &bootstrap()).unwrap();
        assert!(rows[0].seeds.is_none() && rows[0].effects.is_none());
        let mut nothing = run("b", 0, &[true]);
        nothing.contestants[0].predictions.clear();
        assert!(study(&[nothing], TieRule::Wrong, &bootstrap()).unwrap().is_empty());
    }
}
