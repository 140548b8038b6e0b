use super::rank::{Answer, question};
use super::{Comparison, Refined, Survivors};
use crate::response::{critique_id, response_id};
use critic_engine::{ChoiceRequest, EngineError, log_odds};
use critic_text::Prompts;

/// The places of the critique shown first and of the one shown second: every two of `n`, in both orders.
/// Those with the same first one stand together, so that their common beginning is computed once.
fn orders(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |first| {
        (0..n).filter(move |&second| second != first).map(move |second| (first, second))
    })
}

/// Which of every two survivors is better, in both orders; none where there is a single one.
pub(super) fn questions(response: &Survivors<'_>, prompts: &Prompts) -> Vec<ChoiceRequest> {
    let Survivors { pair, side, critiques, .. } = response;
    let ask = |(first, second): (usize, usize)| {
        let [first, second] = [critiques[first], critiques[second]];
        let response = pair.response(*side);
        let asked = prompts.meta_judge_pairwise(&pair.prompt, response, &first.text, &second.text);
        let id = format!("{}/{} or {}", response_id(&pair.id, *side), first.index, second.index);
        question(id, asked, prompts.meta_judge_pairwise_choices())
    };
    orders(critiques.len()).map(ask).collect()
}

/// The best `keep` of one response's survivors, given the answer to each question.
pub(super) fn ranked(
    response: &Survivors<'_>,
    answers: Vec<Answer>,
    keep: usize,
) -> Result<Refined, EngineError> {
    let (n, n_asked) = (response.critiques.len(), answers.len());
    let mut refined = Refined::default();
    let mut odds = vec![vec![None; n]; n];
    for ((first, second), answer) in orders(n).zip(answers) {
        match answer {
            Ok(log_probs) => odds[first][second] = log_odds(&log_probs),
            Err(error) => refined.failures.push(error),
        }
        refined.comparisons.push(Comparison {
            first: response.critiques[first].index,
            second: response.critiques[second].index,
            log_odds: odds[first][second],
        });
    }
    let scores: Vec<Option<f64>> = (0..n).map(|place| meta_score(&odds, place)).collect();
    for (critique, score) in response.critiques.iter().zip(&scores) {
        if score.is_none() {
            refined.report.drop("no meta-score", critique_id(critique));
        }
    }
    refined.best(response, &scores, keep, n_asked)
}

/// The mean of ½·(odds\[i\]\[j\] − odds\[j\]\[i\]) over the j that i was compared with in both orders; absent
/// without one.
fn meta_score(odds: &[Vec<Option<f64>>], i: usize) -> Option<f64> {
    let in_favor: Vec<f64> =
        (0..odds.len()).filter_map(|j| Some(0.5 * (odds[i][j]? - odds[j][i]?))).collect();
    let n = in_favor.len();
    (n > 0).then(|| in_favor.iter().sum::<f64>() / n as f64)
}
