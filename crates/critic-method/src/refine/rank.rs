use super::{MetaJudge, Refined, Survivors, pairwise, pointwise};
use crate::response::{ResponseSink, critique_id};
use critic_engine::{ChoiceRequest, EngineError, Generator, RequestControl};
use critic_text::Prompts;
use critic_types::Conversation;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The meta-judge's score of one critique.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetaScore {
    /// The critique's index within its response.
    pub index: usize,
    /// How good a critique it is, larger for a better one: the expected score, 1–10, of a pointwise judge;
    /// the mean log-odds in its favor, in nats, of a pairwise one.
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

/// ln P of every choice, or why there is none.
pub(super) type Answer = Result<Vec<f64>, EngineError>;

/// Responses whose questions are asked in one call; every question holds its whole conversation.
const AT_ONCE: usize = 256;

/// Ranks every response's survivors; a response is handed over when its last answer is there, one that
/// needs no question before those.
pub(super) fn rank(
    responses: &[Survivors<'_>],
    keep: usize,
    judge: MetaJudge,
    generator: &mut dyn Generator,
    prompts: &Prompts,
    sink: &mut ResponseSink<'_, Refined>,
) {
    for part in responses.chunks(AT_ONCE) {
        if rank_part(part, keep, judge, generator, prompts, sink).is_break() {
            break;
        }
    }
}

fn rank_part(
    responses: &[Survivors<'_>],
    keep: usize,
    judge: MetaJudge,
    generator: &mut dyn Generator,
    prompts: &Prompts,
    sink: &mut ResponseSink<'_, Refined>,
) -> ControlFlow<()> {
    let mut requests = Vec::new();
    let mut asked = Vec::new();
    let mut answers: Vec<Vec<Option<Answer>>> = Vec::with_capacity(responses.len());
    for (r, response) in responses.iter().enumerate() {
        let questions = match judge {
            MetaJudge::Pointwise => pointwise::questions(response, prompts),
            MetaJudge::Pairwise => pairwise::questions(response, prompts),
        };
        if questions.is_empty() {
            sink(response.place, response.side, Ok(response.as_they_are()))?;
        }
        asked.extend((0..questions.len()).map(|q| (r, q)));
        answers.push(questions.iter().map(|_| None).collect());
        requests.extend(questions);
    }
    let mut flow = ControlFlow::Continue(());
    generator.choose(&requests, &mut |index, answer| {
        let (r, q) = asked[index];
        answers[r][q] = Some(answer);
        if answers[r].iter().any(Option::is_none) {
            return ControlFlow::Continue(());
        }
        let response = &responses[r];
        let complete = std::mem::take(&mut answers[r]).into_iter().flatten().collect();
        let ranked = match judge {
            MetaJudge::Pointwise => pointwise::ranked(response, complete, keep, prompts),
            MetaJudge::Pairwise => pairwise::ranked(response, complete, keep),
        };
        flow = sink(response.place, response.side, ranked);
        flow
    });
    flow
}

/// A question of the meta-judge.
pub(super) fn question(
    id: String,
    conversation: Conversation,
    choices: Vec<String>,
) -> ChoiceRequest {
    ChoiceRequest { id, conversation, choices, control: RequestControl::default() }
}

impl Refined {
    /// Keeps the critiques with the `keep` best scores; `scores` has one for each survivor, in order.
    ///
    /// # Errors
    /// A failure that may pass, or the first one when all of the response's `n_asked` questions failed.
    pub(super) fn best(
        mut self,
        response: &Survivors<'_>,
        scores: &[Option<f64>],
        keep: usize,
        n_asked: usize,
    ) -> Result<Self, EngineError> {
        let open = self.failures.iter().position(|error| error.kind.stays_open());
        let all_failed = self.failures.len() == n_asked;
        if let Some(place) = open.or(all_failed.then_some(0)) {
            return Err(self.failures.swap_remove(place));
        }
        for (rank, place) in rank_order(scores).into_iter().enumerate() {
            let critique = response.critiques[place];
            let score = scores[place].expect("rank_order gives places that have a score");
            self.ranking.push(MetaScore { index: critique.index, score });
            if rank < keep {
                self.report.keep();
                self.critiques.push(critique.clone());
            } else {
                self.report.drop("not among the best", critique_id(critique));
            }
        }
        Ok(self)
    }
}
