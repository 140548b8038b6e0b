//! The two contracts that the procedures of Critic-RM stand on.
//!
//! A [`Generator`] writes critiques and reads the probabilities of fixed answers; a [`Scorer`] gives
//! rewards. Both speak in conversations and texts, take a slice of requests and hand over one result
//! per request as soon as it is there, so that a caller can store it before the next one comes.
//! One failing request never fails its neighbours. This crate knows no tokens and no tensors.

mod choice;
mod control;
mod error;
mod generate;
mod sampling;
mod score;
pub mod scripted;

pub use choice::{ChoiceRequest, log_odds, normalized};
pub use control::{CancelOnDrop, CancelToken, Overflow, RequestControl};
pub use error::{EngineError, EngineErrorKind};
pub use generate::{
    Completion, GenerateRequest, Generator, PieceSink, Probe, ProbeTurn, TextPiece, TokenLogProb,
};
pub use sampling::{Sampling, SamplingError};
pub use score::{ScoreRequest, ScoredResponse, Scorer};

use std::ops::ControlFlow;

/// Receives the result of one request, with its place in the slice, in the order of completion.
///
/// [`ControlFlow::Break`] cancels what has not finished; the engine then returns without calling again.
pub type Sink<'a, T> = dyn FnMut(usize, Result<T, EngineError>) -> ControlFlow<()> + 'a;

/// Runs an engine call to its end and returns the results in the order of the requests.
///
/// # Examples
/// ```
/// use critic_engine::{collect, scripted::Scripted, GenerateRequest, Generator, Sampling};
/// use critic_types::{Conversation, SeedTree};
/// let mut engine = Scripted::answering(|_, _| "Good. Score: 8".to_owned());
/// let conversation = Conversation::from_user("Hi");
/// let request = GenerateRequest::new("a", conversation, Sampling::greedy(16), SeedTree::new(0));
/// let requests = [GenerateRequest { n: 2, ..request }];
/// let results = collect(requests.len(), |sink| engine.generate(&requests, sink));
/// assert_eq!(results[0].as_ref().unwrap().as_ref().unwrap().len(), 2);
/// ```
pub fn collect<T>(
    n: usize,
    run: impl FnOnce(&mut Sink<'_, T>),
) -> Vec<Option<Result<T, EngineError>>> {
    let mut results: Vec<Option<Result<T, EngineError>>> = (0..n).map(|_| None).collect();
    run(&mut |index, result| {
        results[index] = Some(result);
        ControlFlow::Continue(())
    });
    results
}
