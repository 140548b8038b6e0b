use crate::arena::KvArena;
use crate::error::LocalError;
use crate::job::{Finished, Job, Tail};
use crate::scheduler::Scheduler;
use critic_engine::{
    ChoiceRequest, Completion, EngineError, EngineErrorKind, GenerateRequest, Generator, Probe,
    ProbeTurn, Sampling, ScoreRequest, ScoredResponse, Scorer, Sink,
};
use critic_model::{Decoder, RewardHead};
use critic_text::{Ending, Prompts, Renderer, TextError};
use critic_types::{Conversation, CritiqueReward, FinishReason, Reward, Role, SeedTree};
use serde::{Deserialize, Serialize};

/// How much is under way at once; no limit changes a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineLimits {
    /// Answers that grow at the same time.
    pub max_leaves: usize,
    /// Prompt tokens computed in one batch.
    pub prefill_tokens: usize,
    /// Tokens whose keys and values are kept at once.
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
#[derive(Debug)]
pub struct LocalEngine {
    decoder: Decoder,
    head: Option<RewardHead>,
    renderer: Renderer,
    prompts: Prompts,
    limits: EngineLimits,
    arena: KvArena,
}

impl LocalEngine {
    /// An engine on this model; without `head` it generates and does not score.
    ///
    /// # Errors
    /// [`LocalError::Limit`] when a limit is zero.
    pub fn new(
        decoder: Decoder,
        head: Option<RewardHead>,
        renderer: Renderer,
        prompts: Prompts,
        limits: EngineLimits,
    ) -> Result<Self, LocalError> {
        limits.validate()?;
        let config = decoder.config();
        let arena = KvArena::new(config.n_layers, config.n_kv_heads * config.head_dim);
        Ok(Self { decoder, head, renderer, prompts, limits, arena })
    }

    /// Turns requests into jobs, runs them, and turns what is finished into results.
    fn run<R, T>(
        &mut self,
        requests: &[R],
        sink: &mut Sink<'_, T>,
        job: impl Fn(&Self, &R) -> Result<Job, EngineError>,
        result: impl Fn(&Renderer, &R, Finished) -> Result<T, EngineError>,
    ) {
        let mut jobs = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            match job(self, request) {
                Ok(job) => jobs.push((index, job)),
                Err(error) => {
                    if sink(index, Err(error)).is_break() {
                        return;
                    }
                }
            }
        }
        let (renderer, end_of_turn) = (&self.renderer, self.renderer.end_of_turn());
        let scheduler = Scheduler::new(
            &self.decoder,
            self.head.as_ref(),
            &mut self.arena,
            &self.limits,
            end_of_turn,
            jobs,
        );
        scheduler.run(&mut |index, finished| {
            sink(index, finished.and_then(|f| result(renderer, &requests[index], f)))
        });
    }

    fn encode(&self, id: &str, text: &str) -> Result<Vec<u32>, EngineError> {
        self.renderer.tokenizer().encode(text).map_err(|error| render_error(id, &error))
    }

    fn choices(&self, id: &str, choices: &[String]) -> Result<Vec<Vec<u32>>, EngineError> {
        let encoded: Vec<Vec<u32>> =
            choices.iter().map(|choice| self.encode(id, choice)).collect::<Result<_, _>>()?;
        match encoded.iter().position(Vec::is_empty) {
            Some(empty) => Err(EngineError::new(
                id,
                EngineErrorKind::Render { reason: format!("choice {empty} has no tokens") },
            )),
            None => Ok(encoded),
        }
    }

    fn tail(
        &self,
        id: &str,
        conversation: &Conversation,
        probe: &Probe,
    ) -> Result<Tail, EngineError> {
        let (after_close, lead) = match &probe.turn {
            ProbeTurn::Appended(text) => (false, self.encode(id, text)?),
            ProbeTurn::Question(question) => {
                // The tokens after a closed turn do not depend on what it says.
                let answered = conversation.clone().with(Role::Assistant, ".");
                (
                    true,
                    self.renderer
                        .followup(&answered, question)
                        .map_err(|error| render_error(id, &error))?,
                )
            }
        };
        if lead.is_empty() {
            return Err(EngineError::new(
                id,
                EngineErrorKind::Render { reason: "a probe appends no text".to_owned() },
            ));
        }
        Ok(Tail { after_close, lead, choices: self.choices(id, &probe.choices)? })
    }

    fn generate_job(&self, request: &GenerateRequest) -> Result<Job, EngineError> {
        let id = &request.id;
        request.sampling.validate().map_err(|error| EngineError::new(id, error))?;
        let prompt = self
            .renderer
            .render(&request.conversation, Ending::GenerationPrompt)
            .map_err(|error| render_error(id, &error))?;
        let tails = request
            .probes
            .iter()
            .map(|probe| self.tail(id, &request.conversation, probe))
            .collect::<Result<_, _>>()?;
        Ok(Job {
            id: id.clone(),
            prompt: prompt.tokens,
            reward_position: None,
            n: request.n,
            sampling: request.sampling.clone(),
            seed: request.seed,
            read_reward: false,
            tails,
        })
    }

    fn choice_job(&self, request: &ChoiceRequest) -> Result<Job, EngineError> {
        let id = &request.id;
        let rendered = self.renderer.render(&request.conversation, Ending::GenerationPrompt);
        let mut prompt = rendered.map_err(|error| render_error(id, &error))?.tokens;
        // The choices' first tokens are read after the prompt's last one, which therefore leads the tail.
        let lead = prompt.split_off(prompt.len().saturating_sub(1));
        if prompt.is_empty() {
            return Err(EngineError::new(
                id,
                EngineErrorKind::Render {
                    reason: "the prompt has fewer than two tokens".to_owned(),
                },
            ));
        }
        Ok(Job {
            id: id.clone(),
            prompt,
            reward_position: None,
            n: 0,
            sampling: Sampling::greedy(1),
            seed: SeedTree::new(0),
            read_reward: false,
            tails: vec![Tail {
                after_close: false,
                lead,
                choices: self.choices(id, &request.choices)?,
            }],
        })
    }

    fn score_job(&self, request: &ScoreRequest) -> Result<Job, EngineError> {
        let id = &request.id;
        if self.head.is_none() {
            return Err(EngineError::new(id, EngineErrorKind::NoRewardHead));
        }
        let fault = |error: TextError| render_error(id, &error);
        let answered = request.prompt.clone().with(Role::Assistant, request.response.clone());
        let response = self.renderer.render(&answered, Ending::Closed).map_err(fault)?;
        let mut prompt = response.tokens;
        if request.n_critiques > 0 {
            request.sampling.validate().map_err(|error| EngineError::new(id, error))?;
            let asked = self.prompts.critique(&request.prompt, &request.response);
            prompt = self.renderer.render(&asked, Ending::GenerationPrompt).map_err(fault)?.tokens;
        }
        Ok(Job {
            id: id.clone(),
            prompt,
            reward_position: response.reward_position,
            n: request.n_critiques,
            sampling: request.sampling.clone(),
            seed: request.seed,
            read_reward: true,
            tails: Vec::new(),
        })
    }
}

impl Generator for LocalEngine {
    fn generate(&mut self, requests: &[GenerateRequest], sink: &mut Sink<'_, Vec<Completion>>) {
        self.run(requests, sink, Self::generate_job, |renderer, request, finished| {
            let completion = |leaf: crate::job::FinishedLeaf| {
                let text = renderer
                    .tokenizer()
                    .decode(&leaf.tokens)
                    .map_err(|error| render_error(&request.id, &error))?;
                Ok(Completion {
                    text,
                    finish_reason: leaf.finish_reason,
                    n_tokens: leaf.tokens.len(),
                    probes: leaf.log_probs,
                })
            };
            finished.leaves.into_iter().map(completion).collect()
        });
    }

    fn choose(&mut self, requests: &[ChoiceRequest], sink: &mut Sink<'_, Vec<f64>>) {
        self.run(requests, sink, Self::choice_job, |_, request, finished| {
            let log_probs = finished
                .leaves
                .into_iter()
                .next()
                .and_then(|leaf| leaf.log_probs.into_iter().next());
            log_probs.ok_or_else(|| {
                EngineError::new(
                    &request.id,
                    EngineErrorKind::NonFinite { what: "log-probabilities".to_owned() },
                )
            })
        });
    }
}

impl Scorer for LocalEngine {
    fn score(&mut self, requests: &[ScoreRequest], sink: &mut Sink<'_, ScoredResponse>) {
        self.run(requests, sink, Self::score_job, |renderer, request, finished| {
            let read = |value: Option<f32>| {
                let value = value.map_or(f64::NAN, f64::from);
                Reward::new(value, &request.id)
                    .map_err(|error| EngineError::new(&request.id, error))
            };
            let without_critique = read(finished.reward)?;
            let mut critiques = Vec::with_capacity(finished.leaves.len());
            for leaf in finished.leaves {
                let text = renderer
                    .tokenizer()
                    .decode(&leaf.tokens)
                    .map_err(|error| render_error(&request.id, &error))?;
                let finish_reason: FinishReason = leaf.finish_reason;
                critiques.push(CritiqueReward {
                    text,
                    reward: read(leaf.reward)?,
                    finish_reason,
                    n_tokens: leaf.tokens.len(),
                });
            }
            Ok(ScoredResponse {
                without_critique,
                n_failed: request.n_critiques - critiques.len(),
                critiques,
            })
        });
    }
}

fn render_error(id: &str, error: &TextError) -> EngineError {
    EngineError::new(id, EngineErrorKind::Render { reason: error.to_string() })
}
