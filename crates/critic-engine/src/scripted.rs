//! An engine whose answers are a function of the request: for tests of what stands on the contracts.

use crate::{
    ChoiceRequest, Completion, GenerateRequest, Generator, ScoreRequest, ScoredResponse, Scorer,
    Sink,
};
use critic_types::{Conversation, CritiqueReward, FinishReason, Reward};
use std::fmt;

type Answer = dyn FnMut(&Conversation, usize) -> String + Send;
type Choice = dyn FnMut(&Conversation, &[String]) -> Vec<f64> + Send;
type Reader = dyn FnMut(&ScoreRequest, Option<&str>) -> f64 + Send;

/// Answers by functions instead of a model.
pub struct Scripted {
    answer: Box<Answer>,
    choice: Box<Choice>,
    reward: Box<Reader>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl Scripted {
    /// Writes `answer(conversation, candidate index)`; every choice is equally likely and every reward 0.
    pub fn answering(answer: impl FnMut(&Conversation, usize) -> String + Send + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            choice: Box::new(|_, choices| vec![-(choices.len() as f64).ln(); choices.len()]),
            reward: Box::new(|_, _| 0.0),
        }
    }

    /// Gives these log-probabilities to choices; a probe is asked with the answer as the last turn.
    #[must_use]
    pub fn choosing(
        mut self,
        choice: impl FnMut(&Conversation, &[String]) -> Vec<f64> + Send + 'static,
    ) -> Self {
        self.choice = Box::new(choice);
        self
    }

    /// Gives this reward to a response, with a critique or without.
    #[must_use]
    pub fn rewarding(
        mut self,
        reward: impl FnMut(&ScoreRequest, Option<&str>) -> f64 + Send + 'static,
    ) -> Self {
        self.reward = Box::new(reward);
        self
    }
}

impl Generator for Scripted {
    fn generate(&mut self, requests: &[GenerateRequest], sink: &mut Sink<'_, Vec<Completion>>) {
        for (index, request) in requests.iter().enumerate() {
            let completions = (0..request.n)
                .map(|i| {
                    let text = (self.answer)(&request.conversation, i);
                    let answered = request
                        .conversation
                        .clone()
                        .with(critic_types::Role::Assistant, text.clone());
                    let probes = request
                        .probes
                        .iter()
                        .map(|p| (self.choice)(&answered, &p.choices))
                        .collect();
                    let n_tokens = text.split_whitespace().count();
                    Completion {
                        text,
                        finish_reason: FinishReason::Stop,
                        n_tokens,
                        probes,
                        log_probs: Vec::new(),
                        n_dropped_turns: 0,
                    }
                })
                .collect();
            if sink(index, Ok(completions)).is_break() {
                return;
            }
        }
    }

    fn choose(&mut self, requests: &[ChoiceRequest], sink: &mut Sink<'_, Vec<f64>>) {
        for (index, request) in requests.iter().enumerate() {
            let log_probs = (self.choice)(&request.conversation, &request.choices);
            if sink(index, Ok(log_probs)).is_break() {
                return;
            }
        }
    }
}

impl Scorer for Scripted {
    fn score(&mut self, requests: &[ScoreRequest], sink: &mut Sink<'_, ScoredResponse>) {
        for (index, request) in requests.iter().enumerate() {
            let result = self.score_one(request);
            if sink(index, result).is_break() {
                return;
            }
        }
    }
}

impl Scripted {
    fn score_one(&mut self, request: &ScoreRequest) -> Result<ScoredResponse, crate::EngineError> {
        let read = |value: f64| {
            Reward::new(value, &request.id).map_err(|e| crate::EngineError::new(&request.id, e))
        };
        let without_critique = read((self.reward)(request, None))?;
        let mut critiques = Vec::with_capacity(request.n_critiques);
        for i in 0..request.n_critiques {
            let text = (self.answer)(&request.prompt, i);
            let reward = read((self.reward)(request, Some(&text)))?;
            let n_tokens = text.split_whitespace().count();
            critiques.push(CritiqueReward {
                text,
                reward,
                finish_reason: FinishReason::Stop,
                n_tokens,
            });
        }
        Ok(ScoredResponse { without_critique, critiques, n_failed: 0, n_dropped_turns: 0 })
    }
}
