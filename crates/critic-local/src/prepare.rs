//! From requests to tokens.

use crate::job::{Job, Tail, Written};
use critic_engine::{
    ChoiceRequest, EngineErrorKind, GenerateRequest, Overflow, Probe, ProbeTurn, RequestControl,
    Sampling, ScoreRequest,
};
use critic_text::{Ending, Prompts, Renderer, TextError};
use critic_types::{Conversation, Role, SeedTree};

/// What requests are made tokens with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preparer<'a> {
    pub(crate) renderer: &'a Renderer,
    pub(crate) prompts: &'a Prompts,
    pub(crate) has_head: bool,
    /// The model's context, in tokens.
    pub(crate) context: usize,
    pub(crate) vocab_size: usize,
}

/// A request of any kind.
pub(crate) trait Request {
    fn id(&self) -> &str;

    fn control(&self) -> &RequestControl;

    /// What its draws come from; nothing when it draws none.
    fn draws(&self) -> Option<(&SeedTree, &Conversation, &str)>;

    /// The request as tokens.
    fn prepare(&self, preparer: &Preparer<'_>) -> Result<Job, EngineErrorKind>;
}

impl Request for GenerateRequest {
    fn id(&self) -> &str {
        &self.id
    }

    fn control(&self) -> &RequestControl {
        &self.control
    }

    fn draws(&self) -> Option<(&SeedTree, &Conversation, &str)> {
        let draws = self.n > 0 && self.sampling.temperature > 0.0;
        draws.then_some((&self.seed, &self.conversation, ""))
    }

    fn prepare(&self, preparer: &Preparer<'_>) -> Result<Job, EngineErrorKind> {
        self.sampling.validate()?;
        preparer.fit(&self.conversation, self.control.overflow, |conversation| {
            let rendered = preparer.renderer.render(conversation, Ending::GenerationPrompt);
            let tails = self.probes.iter().map(|probe| preparer.tail(conversation, probe));
            Ok(Job {
                prompt: rendered.map_err(render)?.tokens,
                reward_position: None,
                n: self.n,
                stop_tokens: preparer.stop_tokens(&self.sampling),
                sampling: self.sampling.clone(),
                seed: self.seed,
                read_reward: false,
                tails: tails.collect::<Result<_, _>>()?,
                log_probs: self.log_probs,
                n_dropped_turns: 0,
            })
        })
    }
}

impl Request for ScoreRequest {
    fn id(&self) -> &str {
        &self.id
    }

    fn control(&self) -> &RequestControl {
        &self.control
    }

    fn draws(&self) -> Option<(&SeedTree, &Conversation, &str)> {
        let draws = self.n_critiques > 0 && self.sampling.temperature > 0.0;
        draws.then_some((&self.seed, &self.prompt, &self.response))
    }

    fn prepare(&self, preparer: &Preparer<'_>) -> Result<Job, EngineErrorKind> {
        if !preparer.has_head {
            return Err(EngineErrorKind::NoRewardHead);
        }
        if self.n_critiques > 0 {
            self.sampling.validate()?;
        }
        let renderer = preparer.renderer;
        preparer.fit(&self.prompt, self.control.overflow, |prompt| {
            let answered = prompt.clone().with(Role::Assistant, self.response.clone());
            let response = renderer.render(&answered, Ending::Closed).map_err(render)?;
            let tokens = if self.n_critiques > 0 {
                let asked = preparer.prompts.critique(prompt, &self.response);
                renderer.render(&asked, Ending::GenerationPrompt).map_err(render)?.tokens
            } else {
                response.tokens
            };
            Ok(Job {
                prompt: tokens,
                reward_position: response.reward_position,
                n: self.n_critiques,
                stop_tokens: preparer.stop_tokens(&self.sampling),
                sampling: self.sampling.clone(),
                seed: self.seed,
                read_reward: true,
                tails: Vec::new(),
                log_probs: None,
                n_dropped_turns: 0,
            })
        })
    }
}

impl Request for ChoiceRequest {
    fn id(&self) -> &str {
        &self.id
    }

    fn control(&self) -> &RequestControl {
        &self.control
    }

    fn draws(&self) -> Option<(&SeedTree, &Conversation, &str)> {
        None
    }

    fn prepare(&self, preparer: &Preparer<'_>) -> Result<Job, EngineErrorKind> {
        preparer.fit(&self.conversation, self.control.overflow, |conversation| {
            let ending = match conversation.messages().last() {
                Some(turn) if turn.role == Role::Assistant => Ending::Open,
                _ => Ending::GenerationPrompt,
            };
            let mut prompt = preparer.renderer.render(conversation, ending).map_err(render)?.tokens;
            // The choices' first tokens are read after the prompt's last one, which leads the tail.
            let lead = prompt.split_off(prompt.len().saturating_sub(1));
            if prompt.is_empty() {
                let reason = "the prompt has fewer than two tokens".to_owned();
                return Err(EngineErrorKind::Render { reason });
            }
            let choices = preparer.choices(&self.choices)?;
            Ok(Job {
                prompt,
                reward_position: None,
                n: 0,
                sampling: Sampling::greedy(1),
                stop_tokens: Vec::new(),
                seed: SeedTree::new(0),
                read_reward: false,
                tails: vec![Tail { after_close: false, lead, choices, written: None }],
                log_probs: None,
                n_dropped_turns: 0,
            })
        })
    }
}

impl Preparer<'_> {
    /// The job of the conversation, or of the longest end of it that fits the context when its oldest
    /// turns may be dropped.
    fn fit(
        &self,
        conversation: &Conversation,
        overflow: Overflow,
        job: impl Fn(&Conversation) -> Result<Job, EngineErrorKind>,
    ) -> Result<Job, EngineErrorKind> {
        let whole = job(conversation)?;
        let Err(too_long) = self.check(&whole) else { return Ok(whole) };
        if overflow == Overflow::Refuse || !matches!(too_long, EngineErrorKind::TooLong { .. }) {
            return Err(too_long);
        }
        let ends = shorter(conversation);
        let mut shortest_misfit = too_long;
        // Dropping more turns never makes it longer.
        let (mut low, mut high) = (0, ends.len());
        let mut found = None;
        while low < high {
            let middle = low.midpoint(high);
            let mut shorter = job(&ends[middle])?;
            match self.check(&shorter) {
                Ok(()) => {
                    shorter.n_dropped_turns =
                        conversation.messages().len() - ends[middle].messages().len();
                    found = Some(shorter);
                    high = middle;
                }
                Err(error) => {
                    shortest_misfit = error;
                    low = middle + 1;
                }
            }
        }
        found.ok_or(shortest_misfit)
    }

    fn check(&self, job: &Job) -> Result<(), EngineErrorKind> {
        let (n_tokens, n_new, context) = (job.prompt.len(), job.n_new(), self.context);
        if n_tokens.saturating_add(n_new) > context {
            return Err(EngineErrorKind::TooLong { n_tokens, n_new, context });
        }
        let of_tails =
            job.tails.iter().flat_map(|tail| tail.choices.iter().flatten().chain(&tail.lead));
        match job.prompt.iter().chain(of_tails).find(|&&token| token as usize >= self.vocab_size) {
            Some(token) => Err(EngineErrorKind::Render {
                reason: format!(
                    "the tokenizer gives token {token}, and the model has {}; take the tokenizer that came with the model",
                    self.vocab_size
                ),
            }),
            None => Ok(()),
        }
    }

    /// The tokens that end an answer.
    fn stop_tokens(&self, sampling: &Sampling) -> Vec<u32> {
        let tokenizer = self.renderer.tokenizer();
        let special =
            |text: &String| tokenizer.token_id(text).filter(|&token| tokenizer.is_special(token));
        let mut tokens: Vec<u32> = sampling.stop.iter().filter_map(special).collect();
        tokens.push(self.renderer.end_of_turn());
        tokens
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, EngineErrorKind> {
        self.renderer.tokenizer().encode(text).map_err(render)
    }

    fn choices(&self, choices: &[String]) -> Result<Vec<Vec<u32>>, EngineErrorKind> {
        let encoded: Vec<Vec<u32>> =
            choices.iter().map(|choice| self.encode(choice)).collect::<Result<_, _>>()?;
        match encoded.iter().position(Vec::is_empty) {
            Some(empty) => Err(EngineErrorKind::Render {
                reason: format!("choice {empty} has no tokens; give it a text"),
            }),
            None => Ok(encoded),
        }
    }

    fn tail(&self, conversation: &Conversation, probe: &Probe) -> Result<Tail, EngineErrorKind> {
        let mut written = None;
        let (after_close, lead) = match &probe.turn {
            ProbeTurn::Appended(text) => (false, self.encode(text)?),
            ProbeTurn::Written(text) => {
                let marker = text.trim().to_owned();
                if marker.is_empty() {
                    let reason = "a probe looks for a blank text; name the words before the choice";
                    return Err(EngineErrorKind::Render { reason: reason.to_owned() });
                }
                written = Some(Written { marker, choices: probe.choices.clone() });
                (false, self.encode(text)?)
            }
            ProbeTurn::Question(question) => {
                // The tokens after a closed turn do not depend on what it says.
                let answered = conversation.clone().with(Role::Assistant, ".");
                (true, self.renderer.followup(&answered, question).map_err(render)?)
            }
        };
        if lead.is_empty() {
            let reason = "a probe appends no text; give it one".to_owned();
            return Err(EngineErrorKind::Render { reason });
        }
        Ok(Tail { after_close, lead, choices: self.choices(&probe.choices)?, written })
    }
}

/// The conversation without its oldest turns, dropping more and more: system turns at its head stay,
/// and what follows them begins with a turn of the user.
fn shorter(conversation: &Conversation) -> Vec<Conversation> {
    let messages = conversation.messages();
    let n_system = messages.iter().take_while(|message| message.role == Role::System).count();
    let (system, rest) = messages.split_at(n_system);
    let starts = (1..rest.len()).filter(|&at| rest[at].role == Role::User);
    starts.map(|at| Conversation([system, &rest[at..]].concat())).collect()
}

fn render(error: TextError) -> EngineErrorKind {
    EngineErrorKind::Render { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_turns_go_in_rounds_and_the_last_question_stays() {
        let long = Conversation::default()
            .with(Role::System, "s")
            .with(Role::User, "1")
            .with(Role::Assistant, "a")
            .with(Role::User, "2")
            .with(Role::Assistant, "b")
            .with(Role::User, "3");
        let left: Vec<Vec<String>> = shorter(&long)
            .iter()
            .map(|short| short.messages().iter().map(|m| m.content.clone()).collect())
            .collect();
        assert_eq!(left, [vec!["s", "2", "b", "3"], vec!["s", "3"]]);
        assert!(shorter(&Conversation::from_user("only")).is_empty());
    }
}
