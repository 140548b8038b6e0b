//! What the tests of several procedures share.

use critic_engine::{
    ChoiceRequest, Completion, EngineError, EngineErrorKind, GenerateRequest, Generator, Sampling,
    Sink,
};
use critic_types::{
    Candidate, Conversation, CritiqueScores, FinishReason, PreferencePair, Provenance, Side,
};

pub(crate) fn pair(id: &str) -> PreferencePair {
    PreferencePair {
        id: id.to_owned(),
        prompt: Conversation::from_user(format!("prompt of {id}")),
        chosen: format!("chosen of {id}"),
        rejected: format!("rejected of {id}"),
        margin: None,
        domain: None,
        subset: None,
    }
}

pub(crate) fn candidate(pair_id: &str, side: Side, index: usize, parsed: Option<f64>) -> Candidate {
    Candidate {
        pair_id: pair_id.to_owned(),
        side,
        index,
        text: format!("critique {index} of {pair_id}/{}", side.as_str()),
        scores: CritiqueScores { parsed, ..CritiqueScores::default() },
        finish_reason: FinishReason::Stop,
        n_tokens: 4,
        provenance: Provenance::Sampled,
    }
}

/// An engine whose answers depend on the seed alone; it works backwards, and fails the
/// named requests: for good, or until a server is there.
#[derive(Default)]
pub(crate) struct Backwards {
    pub(crate) failing: Vec<String>,
    pub(crate) unavailable: Vec<String>,
    pub(crate) asked: Vec<String>,
}

impl Backwards {
    fn check(&mut self, id: &str) -> Result<(), EngineError> {
        self.asked.push(id.to_owned());
        if self.failing.iter().any(|failing| failing == id) {
            return Err(EngineError::new(id, EngineErrorKind::NoRewardHead));
        }
        if self.unavailable.iter().any(|unavailable| unavailable == id) {
            let reason = "no server".to_owned();
            return Err(EngineError::new(id, EngineErrorKind::RemoteUnavailable { reason }));
        }
        Ok(())
    }
}

impl Generator for Backwards {
    fn generate(&mut self, requests: &[GenerateRequest], sink: &mut Sink<'_, Vec<Completion>>) {
        for (index, request) in requests.iter().enumerate().rev() {
            let result = self.check(&request.id).map(|()| {
                (0..request.n as u64)
                    .map(|i| Completion {
                        text: format!("draw {:.15}", request.seed.index(i).uniform()),
                        finish_reason: FinishReason::Stop,
                        n_tokens: 2,
                        probes: vec![],
                        log_probs: vec![],
                        n_dropped_turns: 0,
                    })
                    .collect()
            });
            if sink(index, result).is_break() {
                return;
            }
        }
    }

    fn choose(&mut self, requests: &[ChoiceRequest], sink: &mut Sink<'_, Vec<f64>>) {
        for (index, request) in requests.iter().enumerate().rev() {
            let result = self.check(&request.id).map(|()| match request.choices.len() {
                10 => certain(5),
                n => vec![-(n as f64).ln(); n],
            });
            if sink(index, result).is_break() {
                return;
            }
        }
    }
}

/// ln P of the scores 1–10 when `score` is certain; that of "1" holds that of "10".
pub(crate) fn certain(score: usize) -> Vec<f64> {
    let mut log_probs = vec![f64::NEG_INFINITY; 10];
    log_probs[score - 1] = 0.0;
    if score == 10 {
        log_probs[0] = 0.0;
    }
    log_probs
}

pub(crate) fn sampling() -> Sampling {
    Sampling { temperature: 0.9, top_p: 0.95, ..Sampling::greedy(32) }
}
