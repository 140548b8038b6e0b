use crate::choices::choice_log_probs;
use crate::client::Client;
use crate::dispatch::{Item, dispatch};
use crate::failure::Failure;
use crate::wire::{Answer, Input, body};
use crate::{Api, RemoteError, RemoteSettings, Usage};
use critic_engine::{
    ChoiceRequest, Completion, EngineError, EngineErrorKind, GenerateRequest, Generator, Probe,
    ProbeTurn, RequestControl, Sampling, Sink,
};
use critic_types::{Conversation, Role, SeedTree};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Renders a conversation up to where the assistant's next turn begins, without the token that begins a
/// text: servers add that one.
pub type Render = Arc<dyn Fn(&Conversation) -> Result<String, String> + Send + Sync>;

/// How many of the likeliest tokens probes ask for: the most that hosted servers give.
const TOP: usize = 20;

/// Writes on OpenAI-compatible servers.
///
/// Answer `i` of a request is asked for with a seed drawn from `seed.index(i)`. Where the server writes
/// several answers in one call, the call's seed is that of the first of them, and the server draws the
/// others from it as it likes. Servers do not promise the same answer for the same seed.
///
/// A call that gives fewer answers than asked is topped up one by one, and no later call asks for
/// several.
/// [`Overflow::DropOldestTurns`](critic_engine::Overflow::DropOldestTurns) is not done: only the server
/// knows its tokens, and a prompt that does not fit fails.
#[derive(Clone)]
pub struct RemoteEngine(Arc<Shared>);

struct Shared {
    settings: RemoteSettings,
    client: Client,
    render: Option<Render>,
    one_by_one: AtomicBool,
}

impl fmt::Debug for RemoteEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEngine").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl RemoteEngine {
    /// An engine; nothing is sent. `render` is needed for [`Api::Completions`] alone.
    ///
    /// # Errors
    /// Every [`RemoteError`].
    pub fn new(settings: RemoteSettings, render: Option<Render>) -> Result<Self, RemoteError> {
        if settings.api == Api::Completions && render.is_none() {
            return Err(RemoteError::NoRenderer);
        }
        let client = Client::new(&settings)?;
        Ok(Self(Arc::new(Shared { settings, client, render, one_by_one: AtomicBool::new(false) })))
    }

    /// What was asked of the servers since the engine was made.
    pub fn usage(&self) -> Usage {
        self.0.client.counters.usage()
    }
}

impl Generator for RemoteEngine {
    fn generate(&mut self, requests: &[GenerateRequest], sink: &mut Sink<'_, Vec<Completion>>) {
        let mut ids = HashSet::new();
        let mut places = Vec::new();
        for (place, request) in requests.iter().enumerate() {
            let bad = if !ids.insert(&request.id) {
                Some(EngineErrorKind::DuplicateId)
            } else {
                request.sampling.validate().err().map(EngineErrorKind::from)
            };
            match bad {
                None => places.push(place),
                Some(kind) => {
                    if sink(place, Err(EngineError::new(&request.id, kind))).is_break() {
                        return;
                    }
                }
            }
        }
        let open: Vec<GenerateRequest> = places.iter().map(|&i| requests[i].clone()).collect();
        let items: Vec<Item> = open
            .iter()
            .map(|request| Item { id: request.id.clone(), control: request.control.clone() })
            .collect();
        let shared = self.0.clone();
        let work = move |i: usize, stopped: &dyn Fn() -> bool| shared.answer(&open[i], stopped);
        let n_threads = self.0.settings.max_concurrency;
        dispatch(&items, n_threads, work, &mut |i, result| sink(places[i], result));
    }

    fn choose(&mut self, requests: &[ChoiceRequest], sink: &mut Sink<'_, Vec<f64>>) {
        let items: Vec<Item> = requests
            .iter()
            .map(|request| Item { id: request.id.clone(), control: RequestControl::default() })
            .collect();
        let shared = self.0.clone();
        let open = requests.to_vec();
        let work = move |i: usize, stopped: &dyn Fn() -> bool| {
            let ChoiceRequest { conversation, choices, id } = &open[i];
            let calls = Calls {
                shared: &shared,
                control: &RequestControl::default(),
                seed: SeedTree::new(0).child(id),
                stopped,
            };
            calls.choose(conversation, "", choices)
        };
        dispatch(&items, self.0.settings.max_concurrency, work, sink);
    }
}

impl Shared {
    fn answer(
        &self,
        request: &GenerateRequest,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<Completion>, Failure> {
        let calls = Calls { shared: self, control: &request.control, seed: request.seed, stopped };
        let mut completions: Vec<Completion> = Vec::with_capacity(request.n);
        while completions.len() < request.n {
            let left = request.n - completions.len();
            let several = left > 1 && !self.one_by_one.load(Ordering::SeqCst);
            let n = if several { left } else { 1 };
            let first = completions.len() as u64;
            let (answers, n_tokens) = match calls.write(request, n, first) {
                // Some servers refuse `n` instead of ignoring it.
                Err(Failure::Item(_)) if several => calls.write(request, 1, first)?,
                other => other?,
            };
            if answers.len() < n {
                self.one_by_one.store(true, Ordering::SeqCst);
            }
            let n_bytes: usize = answers.iter().map(|answer| answer.text.len()).sum();
            for answer in answers.into_iter().take(n) {
                let share = answer.text.len() as f64 / n_bytes.max(1) as f64;
                let n_tokens = match n {
                    1 => n_tokens as usize,
                    _ => (n_tokens as f64 * share).round() as usize,
                };
                completions.push(calls.complete(request, answer, n_tokens)?);
            }
        }
        Ok(completions)
    }

    fn input(&self, conversation: &Conversation, begun: &str) -> Result<Input, Failure> {
        match (self.settings.api, &self.render) {
            (Api::Completions, Some(render)) => {
                let text = render(conversation).map_err(Failure::Item)?;
                Ok(Input::Text(text + begun))
            }
            _ if begun.is_empty() => Ok(Input::Messages(conversation.clone())),
            _ => Ok(Input::Messages(conversation.clone().with(Role::Assistant, begun))),
        }
    }
}

/// The calls of one request.
struct Calls<'a> {
    shared: &'a Shared,
    control: &'a RequestControl,
    seed: SeedTree,
    stopped: &'a dyn Fn() -> bool,
}

impl Calls<'_> {
    /// `n` answers, and how many tokens they have together.
    fn write(
        &self,
        request: &GenerateRequest,
        n: usize,
        first: u64,
    ) -> Result<(Vec<Answer>, u64), Failure> {
        let input = self.shared.input(&request.conversation, "")?;
        let seed = self.seed.index(first);
        // Every server takes a seed of 31 bits.
        let number = (seed.uniform() * f64::from(1u32 << 31)) as u32;
        let settings = &self.shared.settings;
        let body = body(settings, &input, &request.sampling, n, number, request.log_probs);
        let jitter = seed.child("retry");
        let reply = self.shared.client.call(&body, self.control, &jitter, self.stopped)?;
        Ok((reply.answers, reply.completion_tokens))
    }

    fn complete(
        &self,
        request: &GenerateRequest,
        answer: Answer,
        n_tokens: usize,
    ) -> Result<Completion, Failure> {
        let Some(finish_reason) = answer.finish_reason else {
            let reason = "the server's content filter withheld an answer; leave the item out, or use another server";
            return Err(Failure::Item(reason.to_owned()));
        };
        let log_probs = match (request.log_probs, answer.log_probs) {
            (None, _) => Vec::new(),
            (Some(_), Some(log_probs)) => log_probs,
            (Some(_), None) => return Err(no_log_probs()),
        };
        let probes = if self.shared.settings.log_probs {
            let read = |probe| self.probe(&request.conversation, &answer.text, probe);
            request.probes.iter().map(read).collect::<Result<_, _>>()?
        } else {
            Vec::new()
        };
        Ok(Completion {
            text: answer.text,
            finish_reason,
            n_tokens,
            probes,
            log_probs,
            n_dropped_turns: 0,
        })
    }

    fn probe(
        &self,
        conversation: &Conversation,
        answer: &str,
        probe: &Probe,
    ) -> Result<Vec<f64>, Failure> {
        let choices = &probe.choices;
        match &probe.turn {
            ProbeTurn::Question(question) => {
                let asked = conversation
                    .clone()
                    .with(Role::Assistant, answer)
                    .with(Role::User, question.as_str());
                self.choose(&asked, "", choices)
            }
            // A blank at the end of a prompt belongs to the token after it.
            ProbeTurn::Appended(lead) => {
                self.choose(conversation, format!("{answer}{lead}").trim_end(), choices)
            }
            ProbeTurn::Written(lead) => {
                let bare = lead.trim();
                let states = |end: usize| {
                    let rest = answer[end..].trim_start();
                    choices.iter().any(|choice| rest.starts_with(choice.trim()))
                };
                let ends = answer.rmatch_indices(bare).map(|(at, _)| at + bare.len());
                match ends.into_iter().find(|&end| states(end)) {
                    Some(end) => self.choose(conversation, &answer[..end], choices),
                    None => {
                        self.choose(conversation, format!("{answer}{lead}").trim_end(), choices)
                    }
                }
            }
        }
    }

    /// ln P of the choices in the assistant's next turn, which begins with `begun`.
    fn choose(
        &self,
        conversation: &Conversation,
        begun: &str,
        choices: &[String],
    ) -> Result<Vec<f64>, Failure> {
        let settings = &self.shared.settings;
        choice_log_probs(choices, &mut |after| {
            let text = format!("{begun}{after}");
            let input = self.shared.input(conversation, &text)?;
            let sampling = Sampling { temperature: 1.0, ..Sampling::greedy(1) };
            let mut body = body(settings, &input, &sampling, 1, 0, Some(TOP));
            if settings.api == Api::Chat && !text.is_empty() {
                body.insert("continue_final_message".to_owned(), Value::Bool(true));
                body.insert("add_generation_prompt".to_owned(), json!(false));
            }
            let jitter = self.seed.child("choice");
            let reply = self.shared.client.call(&body, self.control, &jitter, self.stopped)?;
            let token = reply.answers.into_iter().next().and_then(|answer| answer.log_probs);
            let token = token.and_then(|tokens| tokens.into_iter().next());
            token.map(|token| token.top).filter(|top| !top.is_empty()).ok_or_else(no_log_probs)
        })
    }
}

fn no_log_probs() -> Failure {
    Failure::Everything(
        "the server gives no log-probabilities, so no score or verdict can be read after an answer; set engine.remote.log_probs to false and filter by written scores, or use a server that gives them"
            .to_owned(),
    )
}
