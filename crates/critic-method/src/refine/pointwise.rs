use super::rank::{Answer, question};
use super::{Refined, Survivors};
use crate::expected_score;
use crate::response::critique_id;
use critic_engine::{ChoiceRequest, EngineError};
use critic_text::Prompts;

/// How good each survivor is by itself.
pub(super) fn questions(response: &Survivors<'_>, prompts: &Prompts) -> Vec<ChoiceRequest> {
    let text = response.pair.response(response.side);
    let ask = |critique: &&critic_types::Candidate| {
        let asked = prompts.meta_judge(&response.pair.prompt, text, &critique.text);
        question(critique_id(critique), asked, prompts.meta_choices())
    };
    response.critiques.iter().map(ask).collect()
}

/// The best `keep` of one response's survivors, given the answer about each.
pub(super) fn ranked(
    response: &Survivors<'_>,
    answers: Vec<Answer>,
    keep: usize,
    prompts: &Prompts,
) -> Result<Refined, EngineError> {
    let (scale, n_asked) = (prompts.meta_scale(), answers.len());
    let mut refined = Refined::default();
    let mut scores = Vec::with_capacity(n_asked);
    for (critique, answer) in response.critiques.iter().zip(answers) {
        let score = match answer {
            Ok(log_probs) => {
                let score = expected_score(&log_probs, &scale);
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
    refined.best(response, &scores, keep, n_asked)
}
