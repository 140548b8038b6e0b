use super::{Refined, Survivors};
use crate::expected_score;
use crate::response::{ResponseSink, critique_id};
use critic_engine::{ChoiceRequest, EngineError, Generator, RequestControl};
use critic_text::{Prompts, ScoreScale};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The meta-judge's score of one critique.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetaScore {
    /// The critique's index within its response.
    pub index: usize,
    /// How good a critique it is: the expected score, 1–10.
    pub score: f64,
}

/// The places of the critiques that have a score, the best first; ties go to the earlier place.
///
/// # Examples
/// ```
/// let order = critic_method::rank_order(&[Some(4.0), None, Some(9.0), Some(4.0)]);
/// assert_eq!(order, [2, 0, 3]);
/// ```
pub fn rank_order(scores: &[Option<f64>]) -> Vec<usize> {
    let mut scored: Vec<(usize, f64)> =
        scores.iter().enumerate().filter_map(|(i, s)| s.map(|s| (i, s))).collect();
    // The sort is stable, so equal scores keep their order.
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    scored.into_iter().map(|(place, _)| place).collect()
}

type Answer = Result<Vec<f64>, EngineError>;

/// Ranks every response's survivors; a response is handed over when its last answer is there.
pub(super) fn rank(
    responses: &[Survivors<'_>],
    keep: usize,
    generator: &mut dyn Generator,
    prompts: &Prompts,
    sink: &mut ResponseSink<'_, Refined>,
) {
    let mut requests = Vec::new();
    let mut asked = Vec::new();
    for (r, response) in responses.iter().enumerate() {
        for (c, critique) in response.critiques.iter().enumerate() {
            let text = response.pair.response(response.side);
            requests.push(ChoiceRequest {
                id: critique_id(critique),
                conversation: prompts.meta_judge(&response.pair.prompt, text, &critique.text),
                choices: prompts.meta_choices(),
                control: RequestControl::default(),
            });
            asked.push((r, c));
        }
    }
    let mut answers: Vec<Vec<Option<Answer>>> =
        responses.iter().map(|r| r.critiques.iter().map(|_| None).collect()).collect();
    generator.choose(&requests, &mut |index, answer| {
        let (r, c) = asked[index];
        answers[r][c] = Some(answer);
        if answers[r].iter().any(Option::is_none) {
            return ControlFlow::Continue(());
        }
        let response = &responses[r];
        let complete = std::mem::take(&mut answers[r]).into_iter().flatten().collect();
        sink(response.place, response.side, ranked(response, &prompts.meta_scale(), complete, keep))
    });
}

/// The best `keep` of one response's survivors, given the answer about each.
fn ranked(
    response: &Survivors<'_>,
    scale: &ScoreScale,
    answers: Vec<Answer>,
    keep: usize,
) -> Result<Refined, EngineError> {
    let mut refined = Refined::default();
    let mut scores = Vec::with_capacity(answers.len());
    for (critique, answer) in response.critiques.iter().zip(answers) {
        let score = match answer {
            Ok(log_probs) => {
                let score = expected_score(&log_probs, scale);
                if score.is_none() {
                    refined.report.drop("no meta-score", critique_id(critique));
                }
                score
            }
            Err(error) => {
                refined.report.drop("meta-judge request failed", critique_id(critique));
                refined.failures.push(error);
                None
            }
        };
        scores.push(score);
    }
    let open = refined.failures.iter().position(|error| error.kind.stays_open());
    let all_failed = refined.failures.len() == response.critiques.len();
    if let Some(place) = open.or(all_failed.then_some(0)) {
        return Err(refined.failures.swap_remove(place));
    }
    for (rank, place) in rank_order(&scores).into_iter().enumerate() {
        let critique = response.critiques[place];
        let score = scores[place].expect("rank_order gives places that have a score");
        refined.ranking.push(MetaScore { index: critique.index, score });
        if rank < keep {
            refined.report.keep();
            refined.critiques.push(critique.clone());
        } else {
            refined.report.drop("not among the best", critique_id(critique));
        }
    }
    Ok(refined)
}
