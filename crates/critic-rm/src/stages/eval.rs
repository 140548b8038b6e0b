use super::score::Predictions;
use super::session::Session;
use crate::progress::answer;
use anyhow::Result;
use critic_eval::{
    Contestant, ContestantResult, EvalError, LengthUnit, PairedComparison, bag_of_words_control,
    compare, evaluate, length_control,
};
use critic_stats::{Bootstrap, TieRule};

/// Everyone who was measured.
#[derive(Debug)]
pub(crate) struct Results {
    /// With their numbers for every response.
    pub(crate) entrants: Vec<Contestant>,
    pub(crate) contestants: Vec<ContestantResult>,
    pub(crate) comparisons: Vec<PairedComparison>,
}

/// Pairwise accuracy of every model, at several m where it reads critiques, and of the controls.
pub(crate) fn run(session: &mut Session, predictions: &[Predictions]) -> Result<Results> {
    let pairs = &session.eval.pairs;
    let mut contestants = Vec::new();
    for model in predictions {
        let means = |m: usize| {
            model
                .at(m)
                .into_iter()
                .map(|(key, prediction)| (key, prediction.mean.value()))
                .collect()
        };
        if !model.reads_critiques {
            contestants.push(Contestant::scalar(&model.name, means(0)));
            continue;
        }
        let mut counts = vec![0, 1, model.n_critiques];
        counts.retain(|&m| m <= model.n_critiques);
        counts.dedup();
        contestants.extend(
            counts.into_iter().map(|m| Contestant::with_critiques(&model.name, m, means(m))),
        );
    }
    contestants.push(length_control(pairs, LengthUnit::Words));
    contestants.push(bag_of_words_control(&session.train.pairs, pairs)?);
    let results: Vec<ContestantResult> = contestants
        .iter()
        .map(|contestant| evaluate(contestant, pairs, TieRule::Wrong))
        .collect::<Result<_, _>>()?;
    let main = Predictions::main(predictions).map_or("", |model| model.name.as_str());
    let comparisons = comparisons(main, &contestants, session)?;
    answer(format!(
        "{:<18} {:>9}  {:>15}  {:>9}",
        "contestant", "accuracy", "95 % interval", "right/n"
    ));
    for result in &results {
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
    Ok(Results { entrants: contestants, contestants: results, comparisons })
}

/// The main model with all its critiques against itself without, and against every other contestant.
fn comparisons(
    main: &str,
    contestants: &[Contestant],
    session: &Session,
) -> Result<Vec<PairedComparison>> {
    let best = contestants.iter().filter(|c| c.family == main).max_by_key(|c| c.n_critiques);
    let Some(best) = best else { return Ok(Vec::new()) };
    let others = contestants.iter().filter(|other| other.name != best.name);
    let bootstrap = Bootstrap::new(session.seed().child("bootstrap"));
    let mut comparisons = Vec::new();
    for other in others {
        match compare(best, other, &session.eval.pairs, TieRule::Wrong, &bootstrap) {
            Ok(comparison) => comparisons.push(comparison),
            Err(EvalError::NothingInCommon { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(comparisons)
}
