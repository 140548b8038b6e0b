use crate::arena::KvArena;
use crate::error::LocalError;
use crate::job::Finished;
use crate::log_probs::DrawnLogProb;
use crate::memory::KvMemory;
use crate::model::Model;
use crate::prepare::{Preparer, Request};
use crate::scheduler::Scheduler;
use crate::stats::EngineStats;
use critic_engine::{
    ChoiceRequest, Completion, EngineError, EngineErrorKind, GenerateRequest, Generator, PieceSink,
    ScoreRequest, ScoredResponse, Scorer, Sink, TokenLogProb,
};
use critic_model::{Decoder, RewardHead};
use critic_text::{Prompts, Renderer};
use critic_types::{CritiqueReward, Reward};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// How much is under way at once; no limit changes a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineLimits {
    /// Answers that grow at the same time.
    pub max_leaves: usize,
    /// Prompt tokens computed in one batch.
    pub prefill_tokens: usize,
    /// Tokens whose keys and values are held at once, those kept for requests to come included.
    pub kv_tokens: usize,
}

impl EngineLimits {
    fn validate(&self) -> Result<(), LocalError> {
        let limits = [
            ("max_leaves", self.max_leaves),
            ("prefill_tokens", self.prefill_tokens),
            ("kv_tokens", self.kv_tokens),
        ];
        match limits.into_iter().find(|&(_, value)| value == 0) {
            Some((field, value)) => Err(LocalError::Limit { field, value, rule: "at least 1" }),
            None => Ok(()),
        }
    }
}

/// A decoder with its heads, its tokenizer and its template as a [`Generator`] and a [`Scorer`].
///
/// Keys and values of prompts stay between calls as long as the memory limit leaves room; the least
/// recently used go first.
#[derive(Debug)]
pub struct LocalEngine {
    decoder: Decoder,
    head: Option<RewardHead>,
    renderer: Renderer,
    prompts: Prompts,
    limits: EngineLimits,
    memory: KvMemory,
    stats: EngineStats,
}

impl LocalEngine {
    /// An engine on this model; without `head` it generates and does not score.
    ///
    /// # Errors
    /// [`LocalError::Limit`] when a limit is zero; [`LocalError::NoEndOfTurn`] when the renderer's
    /// end-of-turn token is not the model's.
    pub fn new(
        decoder: Decoder,
        head: Option<RewardHead>,
        renderer: Renderer,
        prompts: Prompts,
        limits: EngineLimits,
    ) -> Result<Self, LocalError> {
        limits.validate()?;
        let config = decoder.config();
        let (id, vocab_size) = (renderer.end_of_turn(), config.vocab_size);
        if id as usize >= vocab_size || renderer.tokenizer().token(id).is_none() {
            return Err(LocalError::NoEndOfTurn { id, vocab_size });
        }
        let width = config.n_kv_heads * config.head_dim;
        let arena = KvArena::new(config.n_layers, width, limits.kv_tokens);
        let memory = KvMemory::new(arena, limits.kv_tokens);
        Ok(Self { decoder, head, renderer, prompts, limits, memory, stats: EngineStats::default() })
    }

    /// What has been computed so far.
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            peak_kv_tokens: self.memory.peak_rows(),
            kept_kv_tokens: self.memory.forest.n_used_rows(),
            kv_bytes: self.memory.arena.n_bytes(),
            ..self.stats
        }
    }

    /// The model.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// How much is under way at once.
    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    /// Forgets the prompts of earlier calls.
    pub fn drop_prefixes(&mut self) {
        self.memory.drop_kept();
    }

    /// Runs requests and turns what is finished into results.
    fn run<R: Request, T>(
        &mut self,
        requests: &[R],
        pieces: &mut PieceSink<'_>,
        sink: &mut Sink<'_, T>,
        result: impl Fn(&Renderer, &R, Finished) -> Result<T, EngineErrorKind>,
    ) {
        let preparer = Preparer {
            renderer: &self.renderer,
            prompts: &self.prompts,
            has_head: self.head.is_some(),
            context: self.decoder.config().context_length,
            vocab_size: self.decoder.config().vocab_size,
        };
        let scheduler = Scheduler::new(
            Model { decoder: &self.decoder, head: self.head.as_ref() },
            &mut self.memory,
            &self.limits,
            preparer,
            requests.iter().map(|request| request as &dyn Request).collect(),
            &mut self.stats,
        );
        scheduler.run(pieces, &mut |index, finished| {
            let request = &requests[index];
            let finished = finished.and_then(|finished| result(&self.renderer, request, finished));
            sink(index, finished.map_err(|kind| EngineError::new(request.id(), kind)))
        });
    }
}

impl Generator for LocalEngine {
    fn generate(&mut self, requests: &[GenerateRequest], sink: &mut Sink<'_, Vec<Completion>>) {
        self.stream(requests, &mut |_| ControlFlow::Continue(()), sink);
    }

    fn stream(
        &mut self,
        requests: &[GenerateRequest],
        pieces: &mut PieceSink<'_>,
        sink: &mut Sink<'_, Vec<Completion>>,
    ) {
        self.run(requests, pieces, sink, |renderer, request, finished| {
            let n_dropped_turns = finished.n_dropped_turns;
            let completion = |leaf: crate::job::FinishedLeaf| Completion {
                text: leaf.text,
                finish_reason: leaf.finish_reason,
                n_tokens: leaf.n_tokens,
                probes: leaf.choices,
                log_probs: leaf.drawn.iter().map(|drawn| named(renderer, drawn)).collect(),
                n_dropped_turns,
            };
            Ok(finished.leaves.into_iter().take(request.n).map(completion).collect())
        });
    }

    fn choose(&mut self, requests: &[ChoiceRequest], sink: &mut Sink<'_, Vec<f64>>) {
        self.run(requests, &mut |_| ControlFlow::Continue(()), sink, |_, _, finished| {
            let first = finished.leaves.into_iter().next();
            first
                .and_then(|leaf| leaf.choices.into_iter().next())
                .ok_or_else(|| EngineErrorKind::NonFinite { what: "log-probabilities".to_owned() })
        });
    }
}

impl Scorer for LocalEngine {
    fn score(&mut self, requests: &[ScoreRequest], sink: &mut Sink<'_, ScoredResponse>) {
        self.run(requests, &mut |_| ControlFlow::Continue(()), sink, |_, request, finished| {
            let read = |value: Option<f32>| -> Result<Reward, EngineErrorKind> {
                Ok(Reward::new(value.map_or(f64::NAN, f64::from), &request.id)?)
            };
            let without_critique = read(finished.reward)?;
            let critiques = finished.leaves.into_iter().map(|leaf| {
                Ok(CritiqueReward {
                    text: leaf.text,
                    reward: read(leaf.reward)?,
                    finish_reason: leaf.finish_reason,
                    n_tokens: leaf.n_tokens,
                })
            });
            let critiques: Vec<CritiqueReward> =
                critiques.collect::<Result<_, EngineErrorKind>>()?;
            Ok(ScoredResponse {
                without_critique,
                n_failed: request.n_critiques - critiques.len(),
                critiques,
                n_dropped_turns: finished.n_dropped_turns,
            })
        });
    }
}

/// A drawn token by its name in the vocabulary.
fn named(renderer: &Renderer, drawn: &DrawnLogProb) -> TokenLogProb {
    let name = |token: u32| {
        renderer.tokenizer().token(token).unwrap_or_else(|| format!("[token {token}]"))
    };
    TokenLogProb {
        token: name(drawn.token),
        log_prob: drawn.log_prob,
        top: drawn.top.iter().map(|&(token, log_prob)| (name(token), log_prob)).collect(),
    }
}
