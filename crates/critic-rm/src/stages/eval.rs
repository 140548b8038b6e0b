use super::score::Predictions;
use super::session::Session;
use crate::progress::answer;
use anyhow::Result;
use critic_eval::{
    Contestant, ContestantResult, CorrectedComparison, Diagnostics, LengthUnit, SampledCritique,
    SampledResponse, Samples, bag_of_words_control, compare_matches, diagnose, evaluate,
    length_control, study_critiques,
};
use critic_report::StudyRecord;
use critic_stats::{Bootstrap, TieRule};
use critic_types::PreferencePair;

/// Bars of margins and bins of confidence.
const N_BINS: usize = 10;

/// Everyone who was measured.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) entrants: Vec<Contestant>,
    /// One for each entrant.
    pub(crate) contestants: Vec<ContestantResult>,
    pub(crate) comparisons: Vec<CorrectedComparison>,
    pub(crate) diagnostics: Vec<Diagnostics>,
    pub(crate) studies: Vec<StudyRecord>,
    /// The entrant that the run is about.
    pub(crate) main: Option<String>,
}

/// Pairwise accuracy of every model, at several m where it reads critiques, and of the controls; what lies
/// behind it, who differs, and what the critiques are worth.
pub(crate) fn run(session: &mut Session, predictions: &[Predictions]) -> Result<Results> {
    let pairs = &session.eval.pairs;
    let bootstrap = Bootstrap::new(session.seed().child("bootstrap"));
    let mut entrants = Vec::new();
    let mut studies = Vec::new();
    for model in predictions {
        let means = |m: usize| {
            model
                .at(m)
                .into_iter()
                .map(|(key, prediction)| (key, prediction.mean.value()))
                .collect()
        };
        if !model.reads_critiques {
            entrants.push(Contestant::scalar(&model.name, means(0)));
            continue;
        }
        let mut counts = vec![0, 1, model.n_critiques];
        counts.retain(|&m| m <= model.n_critiques);
        counts.dedup();
        entrants.extend(
            counts.into_iter().map(|m| Contestant::with_critiques(&model.name, m, means(m))),
        );
        let study = study_critiques(
            &samples(model),
            pairs,
            &critique_counts(model.n_critiques),
            TieRule::Wrong,
            &bootstrap,
        )?;
        studies.push(StudyRecord { family: model.name.clone(), study });
    }
    entrants.push(length_control(pairs, LengthUnit::Words));
    entrants.push(bag_of_words_control(&session.train.pairs, pairs)?);
    let contestants: Vec<ContestantResult> = entrants
        .iter()
        .map(|contestant| evaluate(contestant, pairs, TieRule::Wrong))
        .collect::<Result<_, _>>()?;
    let diagnostics = entrants
        .iter()
        .map(|contestant| diagnose(contestant, pairs, N_BINS))
        .collect::<Result<_, _>>()?;
    let family = Predictions::main(predictions).map(|model| model.name.as_str());
    let of_family = entrants.iter().filter(|one| Some(one.family.as_str()) == family);
    let main = of_family.max_by_key(|one| one.n_critiques);
    let matches = main.map_or_else(Vec::new, |main| matches(main, &entrants, pairs));
    let comparisons = compare_matches(&matches, pairs, TieRule::Wrong, &bootstrap)?;
    let main = main.map(|main| main.name.clone());
    tell(&contestants);
    Ok(Results { entrants, contestants, comparisons, diagnostics, studies, main })
}

fn tell(contestants: &[ContestantResult]) {
    answer(format!(
        "{:<18} {:>9}  {:>15}  {:>9}",
        "contestant", "accuracy", "95 % interval", "right/n"
    ));
    for result in contestants {
        match &result.accuracy {
            Some(accuracy) => answer(format!(
                "{:<18} {:>7.1} %  {:>5.1} to {:>5.1} %  {:>4}/{}",
                result.name,
                100.0 * accuracy.agreement.accuracy,
                100.0 * accuracy.interval.low,
                100.0 * accuracy.interval.high,
                accuracy.agreement.n_correct,
                accuracy.agreement.n,
            )),
            None => answer(format!("{:<18} no pair could be scored", result.name)),
        }
    }
}

/// The main contestant against every other one, and the others of each family with the most critiques
/// against each other; those that have no pair in common are not compared.
fn matches<'a>(
    main: &'a Contestant,
    entrants: &'a [Contestant],
    pairs: &[PreferencePair],
) -> Vec<(&'a Contestant, &'a Contestant)> {
    let has_both = |of: &Contestant, pair: &PreferencePair| matches!(of.rewards(pair), Ok(Some(_)));
    let can_meet = |one: &Contestant, other: &Contestant| {
        one.name != other.name
            && pairs.iter().any(|pair| has_both(one, pair) && has_both(other, pair))
    };
    let is_finalist = |one: &&Contestant| {
        let same_family = |other: &&Contestant| other.family == one.family;
        let most = entrants.iter().filter(same_family).map(|other| other.n_critiques).max();
        one.family != main.family && most == Some(one.n_critiques)
    };
    let finalists: Vec<&Contestant> = entrants.iter().filter(is_finalist).collect();
    let mut found: Vec<(&Contestant, &Contestant)> =
        entrants.iter().map(|other| (main, other)).collect();
    for (i, one) in finalists.iter().enumerate() {
        found.extend(finalists[i + 1..].iter().map(|other| (*one, *other)));
    }
    found.retain(|(one, other)| can_meet(one, other));
    found
}

/// What a model wrote, as studies of critiques read it.
fn samples(model: &Predictions) -> Samples {
    let response = |prediction: &critic_types::RewardPrediction| SampledResponse {
        without_critique: prediction.without_critique.map(critic_types::Reward::value),
        critiques: prediction
            .critiques
            .iter()
            .map(|critique| SampledCritique {
                text: critique.text.clone(),
                reward: critique.reward.value(),
                expected_score: None,
                meta_score: None,
            })
            .collect(),
        n_failed: prediction.n_failed,
    };
    model.by_response.iter().map(|(key, one)| (key.clone(), response(one))).collect()
}

/// 0, the powers of two up to the most, and the most.
pub(crate) fn critique_counts(most: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1usize), |m| m.checked_mul(2));
    let mut counts: Vec<usize> =
        std::iter::once(0).chain(powers.take_while(|&m| m <= most)).collect();
    if counts.last() != Some(&most) {
        counts.push(most);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::{Conversation, Side};

    fn scored(pairs: &[PreferencePair]) -> critic_eval::Predictions {
        let keys = pairs.iter().flat_map(|pair| Side::BOTH.map(|side| (pair.id.clone(), side)));
        keys.map(|key| (key, 0.0)).collect()
    }

    #[test]
    fn the_main_contestant_meets_all_and_the_best_of_each_family_meet_each_other() {
        let pair = PreferencePair {
            id: "p".to_owned(),
            prompt: Conversation::from_user("Why?"),
            chosen: "a".to_owned(),
            rejected: "b".to_owned(),
            margin: None,
            domain: None,
            subset: None,
        };
        let pairs = [pair];
        let entrants = [
            Contestant::with_critiques("rm", 0, scored(&pairs)),
            Contestant::with_critiques("rm", 4, scored(&pairs)),
            Contestant::with_critiques("cloud", 0, scored(&pairs)),
            Contestant::with_critiques("cloud", 4, scored(&pairs)),
            Contestant::scalar("scalar", scored(&pairs)),
            Contestant::scalar("silent", critic_eval::Predictions::new()),
        ];
        let found: Vec<(&str, &str)> = matches(&entrants[1], &entrants, &pairs)
            .into_iter()
            .map(|(one, other)| (one.name.as_str(), other.name.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("rm m=4", "rm m=0"),
                ("rm m=4", "cloud m=0"),
                ("rm m=4", "cloud m=4"),
                ("rm m=4", "scalar"),
                ("cloud m=4", "scalar"),
            ]
        );
        assert_eq!(critique_counts(0), [0]);
        assert_eq!(critique_counts(6), [0, 1, 2, 4, 6]);
    }
}
