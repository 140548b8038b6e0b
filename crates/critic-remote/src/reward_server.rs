use crate::client::{Call, Client};
use crate::dispatch::{Item, dispatch};
use crate::engine::Render;
use crate::failure::{Failure, REWARDS, shortened};
use crate::reward_api::{Asked, RewardApi, Text};
use crate::{Finding, RemoteError, RemoteSettings, Usage};
use critic_engine::{RequestControl, ScoreRequest, ScoredResponse, Scorer, Sink};
use critic_types::{Conversation, Reward, Role, SeedTree};
use serde_json::json;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A conversation as the text that a server's model is trained on.
#[derive(Clone)]
pub struct RewardTemplate {
    /// With the token that begins a text; closed where the last turn is the assistant's, and otherwise up
    /// to where that turn begins.
    pub render: Render,
    /// The token that begins a text, which SGLang adds itself. It is left out there where a text has it
    /// once: a token that begins every turn (ChatML's) is none that a tokenizer adds.
    pub bos: Option<String>,
}

impl fmt::Debug for RewardTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RewardTemplate").field("bos", &self.bos).finish_non_exhaustive()
    }
}

/// Where a reward server is, and how it is asked.
#[derive(Debug, Clone)]
pub struct RewardSettings {
    /// Its address; the path of an API at its end says which one.
    pub url: String,
    /// Which API; found out by asking where it is not named.
    pub api: Option<RewardApi>,
    /// The model's name, for servers that want one; may be empty.
    pub model: String,
    /// The environment variable that holds the key; empty for servers without keys.
    pub api_key_env: String,
    /// Calls under way at once, 1 to 512.
    pub max_concurrency: usize,
    /// How often a call is tried again.
    pub retries: u32,
    /// The longest pause between two tries, seconds.
    pub max_backoff: f64,
    /// Seconds for one call in all.
    pub timeout: f64,
}

impl Default for RewardSettings {
    fn default() -> Self {
        let RemoteSettings { retries, max_backoff, .. } = RemoteSettings::default();
        Self {
            url: String::new(),
            api: None,
            model: String::new(),
            api_key_env: String::new(),
            max_concurrency: 8,
            retries,
            max_backoff,
            timeout: 180.0,
        }
    }
}

/// The server's address without an API's path, and the APIs that it may speak.
fn place(settings: &RewardSettings) -> (String, Vec<RewardApi>) {
    let url = settings.url.trim_end_matches('/');
    let ends = |api: &RewardApi| {
        let bare = api.path().trim_start_matches("v1/");
        url.ends_with(&format!("/{bare}"))
    };
    let named: Vec<RewardApi> = RewardApi::ALL.into_iter().filter(ends).collect();
    let base = match named.first() {
        Some(_) => url.rsplit_once('/').map_or(url, |(base, _)| base),
        None => url,
    };
    let base = base.strip_suffix("/v1").unwrap_or(base).to_owned();
    let apis = match settings.api {
        Some(api) => vec![api],
        None if named.is_empty() => {
            RewardApi::ALL.into_iter().filter(|api| api.can_be_found()).collect()
        }
        None => named,
    };
    (base, apis)
}

/// A reward model on a server, as a [`Scorer`] that writes no critiques.
///
/// Every response is a call of its own, up to `max_concurrency` under way at once, with the pauses, tries
/// again and limits of [`RemoteEngine`](crate::RemoteEngine). A reward that is missing or not finite is an
/// error of its request and never a number. Nothing is sent before the first request.
#[derive(Debug, Clone)]
pub struct RewardServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    model: String,
    apis: Vec<RewardApi>,
    max_concurrency: usize,
    client: Client,
    template: Option<RewardTemplate>,
    /// The API, once it is known.
    api: OnceLock<RewardApi>,
}

impl RewardServer {
    /// A server; `template` is needed where its API takes plain text.
    ///
    /// # Errors
    /// [`RemoteError::RewardServer`] for a setting out of its range, [`RemoteError::NoKey`],
    /// [`RemoteError::CaFile`].
    pub fn new(
        settings: &RewardSettings,
        template: Option<RewardTemplate>,
    ) -> Result<Self, RemoteError> {
        let (base, apis) = place(settings);
        let remote = RemoteSettings {
            endpoints: vec![base],
            model: "reward".to_owned(),
            api_key_env: settings.api_key_env.clone(),
            max_concurrency: settings.max_concurrency,
            retries: settings.retries,
            max_backoff: settings.max_backoff,
            read_timeout: settings.timeout,
            total_timeout: settings.timeout,
            ..RemoteSettings::default()
        };
        let client = Client::new(&remote, None, &REWARDS).map_err(|error| match error {
            RemoteError::Setting { field, value, rule } => RemoteError::RewardServer {
                field: if field == "endpoints" { "address" } else { field },
                value,
                rule,
            },
            other => other,
        })?;
        let api = OnceLock::new();
        if let [only] = apis[..] {
            api.get_or_init(|| only);
        }
        let (model, max_concurrency) = (settings.model.clone(), settings.max_concurrency);
        Ok(Self(Arc::new(Shared { model, apis, max_concurrency, client, template, api })))
    }

    /// What was asked of the server.
    pub fn usage(&self) -> Usage {
        self.0.client.counters.usage()
    }

    /// Says which API the server speaks, what it takes, and whether it gives the same reward twice.
    pub fn examine(&self) -> Vec<Finding> {
        let shared = &self.0;
        let api = match shared.api() {
            Ok(api) => api,
            Err(failure) => return vec![Finding::new("reward API", false, failure.reason())],
        };
        let takes = match (api.needs_text() || api == RewardApi::VllmScore, &shared.template) {
            (_, Some(_)) if api != RewardApi::Rewards => "texts of the template",
            (true, _) => "texts",
            (false, _) => "messages",
        };
        let mut findings =
            vec![Finding::new("reward API", true, format!("{}, asked with {takes}", api.name()))];
        let reward = |response: &str| {
            let control = RequestControl::default();
            shared.reward(&probe(), response, &control, &SeedTree::new(0), &|| false)
        };
        let both = reward("Paris.").and_then(|first| Ok((first, reward("Paris.")?)));
        findings.push(match both {
            Ok((first, second)) if first == second => {
                Finding::new("reward", true, format!("{first:.4}, the same twice"))
            }
            Ok((first, second)) => Finding::new(
                "reward",
                false,
                format!("{first} and then {second} for the same response: the server's numbers depend on more than the text"),
            ),
            Err(failure) => Finding::new("reward", false, failure.reason()),
        });
        findings
    }
}

fn probe() -> Conversation {
    Conversation::from_user("What is the capital of France?")
}

impl Scorer for RewardServer {
    /// Asks for one reward a request; critiques that a request asks for count as failed.
    fn score(&mut self, requests: &[ScoreRequest], sink: &mut Sink<'_, ScoredResponse>) {
        let items: Vec<Item> = requests
            .iter()
            .map(|request| Item { id: request.id.clone(), control: request.control.clone() })
            .collect();
        let (shared, open) = (self.0.clone(), requests.to_vec());
        // What is wrong for one is wrong for all.
        let api = shared.api();
        let work = move |i: usize, stopped: &dyn Fn() -> bool| {
            api.clone()?;
            let ScoreRequest { id, prompt, response, n_critiques, seed, control, .. } = &open[i];
            let number = shared.reward(prompt, response, control, &seed.child("retry"), stopped)?;
            let reward =
                Reward::new(number, id).map_err(|error| Failure::Item(error.to_string()))?;
            Ok(ScoredResponse {
                without_critique: reward,
                critiques: Vec::new(),
                n_failed: *n_critiques,
                n_dropped_turns: 0,
            })
        };
        dispatch(&items, self.0.max_concurrency, work, sink);
    }
}

impl Shared {
    /// The body of a call; [`Failure::Everything`] where a template is missing.
    fn body(
        &self,
        api: RewardApi,
        prompt: &Conversation,
        response: &str,
    ) -> Result<String, Failure> {
        let whole = prompt.clone().with(Role::Assistant, response);
        let (mut text, mut alone) = (None, None);
        if let Some(RewardTemplate { render, bos }) = &self.template {
            let whole = render(&whole).map_err(Failure::Item)?;
            let once = bos.as_deref().filter(|bos| whole.matches(bos).count() == 1);
            let bare = once.and_then(|bos| whole.strip_prefix(bos)).unwrap_or(&whole);
            text = Some(Text { bare: bare.to_owned(), whole });
            alone = Some(render(prompt).map_err(Failure::Item)?);
        }
        // A cross-encoder was trained on the question's own words.
        if let ([only], RewardApi::VllmScore) = (prompt.messages(), api) {
            alone = Some(only.content.clone());
        }
        let model = &self.model;
        let asked = Asked { model, messages: json!(whole), text, prompt: alone, response };
        let body = api.body(&asked).ok_or_else(|| match api {
            RewardApi::VllmScore => Failure::Item(
                "vllm-score compares two texts, and the prompt has several turns: name the template that makes them one"
                    .to_owned(),
            ),
            _ => Failure::Everything(format!(
                "the reward server takes plain text ({}): name the model or the file whose chat template it expects",
                api.name()
            )),
        })?;
        Ok(body.to_string())
    }

    fn reward(
        &self,
        prompt: &Conversation,
        response: &str,
        control: &RequestControl,
        jitter: &SeedTree,
        stopped: &dyn Fn() -> bool,
    ) -> Result<f64, Failure> {
        let api = self.api()?;
        let text = self.body(api, prompt, response)?;
        let call = Call { path: api.path(), units: text.len() as f64 / 4.0, text };
        self.client.exchange(&call, &|body| api.read(body), control, jitter, stopped)
    }

    /// The API that the server speaks: the only one it may, or the first that gives a reward.
    fn api(&self) -> Result<RewardApi, Failure> {
        if let Some(api) = self.api.get() {
            return Ok(*api);
        }
        let mut said = Vec::new();
        for &api in &self.apis {
            let told = match self.body(api, &probe(), "Paris.") {
                Ok(body) => {
                    let (status, reply) = self.client.look(api.path(), &body)?;
                    match (status, api.read(&reply)) {
                        (200, Ok(_)) => return Ok(*self.api.get_or_init(|| api)),
                        (401 | 403, _) => {
                            return Err(Failure::Everything(format!(
                                "the reward server answered {status}; {}",
                                REWARDS.key
                            )));
                        }
                        (200, Err(failure)) => failure.reason(),
                        (404 | 405, _) => format!("{status}"),
                        (status, _) => format!("{status} {}", shortened(&reply)),
                    }
                }
                Err(failure) if api.needs_text() => {
                    // Asked without a text, a server that speaks it says something else than 404.
                    let (status, _) = self.client.look(api.path(), "{}")?;
                    match status {
                        404 | 405 => format!("{status}"),
                        _ if api == RewardApi::Openrlhf => return Err(failure),
                        _ => format!("{status}, and needs a chat template"),
                    }
                }
                Err(failure) => failure.reason(),
            };
            said.push(format!("/{} as {}: {told}", api.path(), api.name()));
        }
        Err(Failure::Everything(format!(
            "no known reward API is spoken there ({}); name the API where the server is only busy, or the address that it is served at",
            said.join("; ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> (String, Vec<RewardApi>) {
        place(&RewardSettings { url: url.to_owned(), ..RewardSettings::default() })
    }

    #[test]
    fn an_address_may_name_its_api() {
        let base = "http://h:1".to_owned();
        assert_eq!(at("http://h:1/get_reward"), (base.clone(), vec![RewardApi::Openrlhf]));
        let both = vec![RewardApi::VllmClassify, RewardApi::SglangClassify];
        assert_eq!(at("http://h:1/v1/classify/"), (base.clone(), both));
        assert_eq!(at("http://h:1/v1/embeddings").1, [RewardApi::SglangEmbeddings]);
        assert_eq!(at("http://h:1/score"), (base.clone(), vec![RewardApi::VllmScore]));
        let (found, apis) = at("http://h:1/v1");
        assert_eq!((found, apis.len()), (base, 6));
        assert!(!apis.contains(&RewardApi::VllmScore));
    }
}
