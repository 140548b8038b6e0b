use crate::choices::choice_log_probs;
use crate::client::Client;
use crate::dispatch::{Item, dispatch};
use crate::failure::{Failure, WRITING};
use crate::wire::{Answer, Input, Reply, body};
use crate::{Api, RemoteError, RemoteSettings, Usage};
use critic_engine::{
    ChoiceRequest, Completion, EngineError, EngineErrorKind, GenerateRequest, Generator, Probe,
    ProbeTurn, RequestControl, Sampling, Sink,
};
use critic_types::{Conversation, Role, SeedTree};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Renders a conversation up to where the assistant's next turn begins, without the token that begins a
/// text: servers add that one.
pub type Render = Arc<dyn Fn(&Conversation) -> Result<String, String> + Send + Sync>;

/// Writes on OpenAI-compatible servers.
///
/// Answer `i` of a request is asked for with a seed drawn from `seed.index(i)`. Where the server writes
/// several answers in one call, the call's seed is that of the first of them, and the server draws the
/// others from it as it likes. Servers do not promise the same answer for the same seed.
///
/// A call that gives fewer answers than asked is topped up, and later calls ask for no more than came;
/// one that is refused for asking for several asks for half of them.
///
/// A reading after an answer (a probe) that cannot be had is an empty list, as where the request is too
/// long with the question. Where it may be had later, the request fails and stays open, and a kept file
/// of replies has its answers. Tokens are those that the server counts.
/// [`Overflow::DropOldestTurns`](critic_engine::Overflow::DropOldestTurns) is not done: only the server
/// knows its tokens, and a prompt that does not fit fails.
#[derive(Clone)]
pub struct RemoteEngine(Arc<Shared>);

struct Shared {
    settings: RemoteSettings,
    client: Client,
    render: Option<Render>,
    /// How many answers a call may ask for, as far as is known.
    at_once: AtomicUsize,
    /// Whether a reply had log-probabilities.
    has_log_probs: AtomicBool,
}

impl fmt::Debug for RemoteEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEngine").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl RemoteEngine {
    /// An engine; nothing is sent. `render` is needed for [`Api::Completions`] alone.
    ///
    /// Every reply is kept in the file `replies` where one is named, and no call is sent whose reply
    /// stands there. The file belongs to one engine at a time.
    ///
    /// # Errors
    /// Every [`RemoteError`].
    pub fn new(
        settings: RemoteSettings,
        render: Option<Render>,
        replies: Option<&Path>,
    ) -> Result<Self, RemoteError> {
        if settings.api == Api::Completions && render.is_none() {
            return Err(RemoteError::NoRenderer);
        }
        let client = Client::new(&settings, replies, &WRITING)?;
        let at_once = AtomicUsize::new(usize::MAX);
        let has_log_probs = AtomicBool::new(false);
        Ok(Self(Arc::new(Shared { settings, client, render, at_once, has_log_probs })))
    }

    /// What was asked of the servers.
    pub fn usage(&self) -> Usage {
        self.0.client.counters.usage()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// One reading after an answer.
    pub(crate) fn read_after(
        &self,
        conversation: &Conversation,
        answer: &str,
        probe: &Probe,
    ) -> Result<Vec<f64>, String> {
        let control = RequestControl::default();
        let seed = SeedTree::new(0);
        let calls = Calls { shared: &self.0, control: &control, seed, stopped: &|| false };
        calls.probe(conversation, answer, probe).map_err(Failure::reason)
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
            .map(|request| Item { id: request.id.clone(), control: request.control.clone() })
            .collect();
        let shared = self.0.clone();
        let open = requests.to_vec();
        let work = move |i: usize, stopped: &dyn Fn() -> bool| {
            let ChoiceRequest { conversation, choices, id, control } = &open[i];
            let seed = SeedTree::new(0).child(id);
            let calls = Calls { shared: &shared, control, seed, stopped };
            let (asked, begun) = unfinished(conversation);
            match calls.choose(&asked, &begun, choices)? {
                Some(log_probs) => Ok(log_probs),
                None => Err(Failure::Item(
                    "the server tells no probability of the choices: its answer ends before a token, or they lead on to tokens after others, which a server that does not continue answers cannot be asked about"
                        .to_owned(),
                )),
            }
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
        let mut n_had = 0;
        while n_had < request.n {
            let mut n = (request.n - n_had).min(self.at_once.load(Ordering::SeqCst));
            let mut halved = false;
            let reply = loop {
                match calls.write(request, n, n_had as u64) {
                    // Some servers refuse `n`, or one beyond their bound.
                    Err(Failure::Item(_)) if n > 1 => {
                        n /= 2;
                        halved = true;
                    }
                    other => break other?,
                }
            };
            let n_came = reply.answers.len().min(n);
            if halved || n_came < n {
                self.at_once.fetch_min(n_came, Ordering::SeqCst);
            }
            n_had += n_came;
            let n_bytes: usize = reply.answers.iter().map(|answer| answer.text.len()).sum();
            let told = reply.completion_tokens.map(|n| n as usize);
            for answer in reply.answers.into_iter().take(n) {
                let share = answer.text.len() as f64 / n_bytes.max(1) as f64;
                let shared = told.map(|told| (told as f64 * share).round() as usize);
                let counted = if n == 1 { told.or(answer.n_tokens) } else { answer.n_tokens };
                let n_tokens = counted.or(shared).unwrap_or(0);
                completions.extend(calls.complete(request, answer, n_tokens)?);
            }
        }
        if completions.is_empty() {
            let reason = "the server's content filter withheld every answer; leave the item out, or use another server";
            return Err(Failure::Item(reason.to_owned()));
        }
        for completion in &mut completions {
            completion.probes = calls.probes(request, &completion.text)?;
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

/// How often the token of a place is drawn: llama.cpp's server tells no probabilities with some tokens, such as
/// the end of the turn and a line's end after a turn that it goes on with; another draw may be another token.
const DRAWS: u32 = 4;

/// The calls of one request.
struct Calls<'a> {
    shared: &'a Shared,
    control: &'a RequestControl,
    seed: SeedTree,
    stopped: &'a dyn Fn() -> bool,
}

impl Calls<'_> {
    /// `n` answers; the first of them is answer `first` of the request.
    fn write(&self, request: &GenerateRequest, n: usize, first: u64) -> Result<Reply, Failure> {
        let input = self.shared.input(&request.conversation, "")?;
        let seed = self.seed.index(first);
        // Every server takes a seed of 31 bits.
        let number = (seed.uniform() * f64::from(1u32 << 31)) as u32;
        let settings = &self.shared.settings;
        // Of several answers the log-probabilities tell how long each is.
        let counting = (n > 1 && settings.top_log_probs > 0).then_some(1);
        let log_probs = request.log_probs.map(|top| top.max(1)).or(counting);
        let body = body(settings, &input, &request.sampling, n, number, log_probs);
        let (keeps, jitter) = (request.log_probs.is_some(), seed.child("retry"));
        self.shared.client.call(&body, keeps, self.control, &jitter, self.stopped)
    }

    /// An answer without its readings; nothing where the server withheld it.
    fn complete(
        &self,
        request: &GenerateRequest,
        answer: Answer,
        n_tokens: usize,
    ) -> Result<Option<Completion>, Failure> {
        let Some(finish_reason) = answer.finish_reason else { return Ok(None) };
        let log_probs = match (request.log_probs, answer.log_probs) {
            (None, _) => Vec::new(),
            (Some(_), Some(log_probs)) => log_probs,
            (Some(_), None) => return Err(no_log_probs()),
        };
        Ok(Some(Completion {
            text: answer.text,
            finish_reason,
            n_tokens,
            probes: Vec::new(),
            log_probs,
            n_dropped_turns: 0,
        }))
    }

    fn probes(&self, request: &GenerateRequest, answer: &str) -> Result<Vec<Vec<f64>>, Failure> {
        if self.shared.settings.top_log_probs == 0 {
            return Ok(vec![Vec::new(); request.probes.len()]);
        }
        let read = |probe| match self.probe(&request.conversation, answer, probe) {
            Err(Failure::Item(_)) => Ok(Vec::new()),
            other => other,
        };
        request.probes.iter().map(read).collect()
    }

    fn probe(
        &self,
        conversation: &Conversation,
        answer: &str,
        probe: &Probe,
    ) -> Result<Vec<f64>, Failure> {
        let choices = &probe.choices;
        let appended = |lead: &str| format!("{answer}{lead}");
        let log_probs = match &probe.turn {
            ProbeTurn::Question(question) => {
                let asked = conversation
                    .clone()
                    .with(Role::Assistant, answer)
                    .with(Role::User, question.as_str());
                self.choose(&asked, "", choices)?
            }
            // A blank at the end of a prompt belongs to the token after it.
            ProbeTurn::Appended(lead) => {
                self.choose(conversation, appended(lead).trim_end(), choices)?
            }
            ProbeTurn::Written(lead) => {
                let bare = lead.trim();
                let states = |end: usize| {
                    let rest = answer[end..].trim_start();
                    choices.iter().any(|choice| rest.starts_with(choice.trim()))
                };
                let mut ends = answer.rmatch_indices(bare).map(|(at, _)| at + bare.len());
                match ends.find(|&end| states(end)) {
                    Some(end) => self.choose(conversation, &answer[..end], choices)?,
                    None => self.choose(conversation, appended(lead).trim_end(), choices)?,
                }
            }
        };
        Ok(log_probs.unwrap_or_default())
    }

    /// ln P of the choices in the assistant's next turn, which begins with `begun`.
    fn choose(
        &self,
        conversation: &Conversation,
        begun: &str,
        choices: &[String],
    ) -> Result<Option<Vec<f64>>, Failure> {
        let settings = &self.shared.settings;
        choice_log_probs(choices, &mut |after| {
            let text = format!("{begun}{after}");
            let begins_turn = settings.api == Api::Chat && !text.is_empty();
            if begins_turn && !settings.continues_answers {
                return Ok(None);
            }
            let input = self.shared.input(conversation, &text)?;
            let sampling = Sampling { temperature: 1.0, ..Sampling::greedy(1) };
            let top = settings.top_log_probs.max(1);
            let jitter = self.seed.child("choice");
            for draw in 0..DRAWS {
                let mut body = body(settings, &input, &sampling, 1, draw, Some(top));
                if begins_turn {
                    body.insert("continue_final_message".to_owned(), Value::Bool(true));
                    body.insert("add_generation_prompt".to_owned(), Value::Bool(false));
                }
                let reply =
                    self.shared.client.call(&body, true, self.control, &jitter, self.stopped)?;
                let answer = reply.answers.into_iter().next();
                let first = answer.and_then(|answer| answer.log_probs?.into_iter().next());
                let top = first.map(|token| token.top).filter(|top| !top.is_empty());
                if top.is_some() {
                    self.shared.has_log_probs.store(true, Ordering::SeqCst);
                    return Ok(top);
                }
            }
            match self.shared.has_log_probs.load(Ordering::SeqCst) {
                true => Ok(None),
                false => Err(no_log_probs()),
            }
        })
    }
}

/// A conversation up to the assistant's turn that it ends with, and what that turn says so far. A blank at
/// its end belongs to the token after it.
fn unfinished(conversation: &Conversation) -> (Conversation, String) {
    match conversation.messages() {
        [before @ .., last] if last.role == Role::Assistant => {
            (Conversation(before.to_vec()), last.content.trim_end().to_owned())
        }
        _ => (conversation.clone(), String::new()),
    }
}

fn no_log_probs() -> Failure {
    Failure::Everything(
        "the server gives no log-probabilities, so no score or verdict can be read after an answer; set critic.top_log_probs to 0 and filter by written scores (filter.score=parsed), or use a server that gives them"
            .to_owned(),
    )
}
