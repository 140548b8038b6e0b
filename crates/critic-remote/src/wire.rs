use crate::failure::Failure;
use crate::{Api, RemoteSettings};
use critic_engine::{Sampling, TokenLogProb};
use critic_types::{Conversation, FinishReason};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What a call is about: the conversation as messages, or rendered.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Messages(Conversation),
    Text(String),
}

/// The body of a call for `n` answers.
pub(crate) fn body(
    settings: &RemoteSettings,
    input: &Input,
    sampling: &Sampling,
    n: usize,
    seed: u32,
    log_probs: Option<usize>,
) -> Map<String, Value> {
    let mut body = Map::new();
    let mut put = |field: &str, value: Value| body.insert(field.to_owned(), value);
    put("model", json!(settings.model));
    match input {
        Input::Messages(conversation) => put("messages", json!(conversation)),
        Input::Text(text) => put("prompt", json!(text)),
    };
    put("max_tokens", json!(sampling.max_new_tokens));
    put("temperature", json!(sampling.temperature));
    put("top_p", json!(sampling.top_p));
    put("seed", json!(seed));
    if n > 1 {
        put("n", json!(n));
    }
    if !sampling.stop.is_empty() {
        put("stop", json!(sampling.stop));
    }
    if sampling.top_k > 0 || settings.send_neutral {
        put("top_k", json!(sampling.top_k));
    }
    if sampling.min_p > 0.0 || settings.send_neutral {
        put("min_p", json!(sampling.min_p));
    }
    // vLLM, SGLang and TGI read the first name, llama.cpp the second.
    if sampling.repetition_penalty != 1.0 || settings.send_neutral {
        put("repetition_penalty", json!(sampling.repetition_penalty));
        put("repeat_penalty", json!(sampling.repetition_penalty));
    }
    match (log_probs, settings.api) {
        (None, _) => {}
        (Some(top), Api::Completions) => {
            put("logprobs", json!(top));
        }
        (Some(top), Api::Chat) => {
            put("logprobs", json!(true));
            put("top_logprobs", json!(top));
        }
    }
    body
}

/// One answer of a reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    /// Absent where a filter of the server withheld the text.
    pub(crate) finish_reason: Option<FinishReason>,
    pub(crate) log_probs: Option<Vec<TokenLogProb>>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) answers: Vec<Answer>,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<UsageBody>,
}

#[derive(Deserialize, Default)]
struct UsageBody {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    message: Option<MessageBody>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<Value>,
}

#[derive(Deserialize)]
struct MessageBody {
    #[serde(default)]
    content: Option<String>,
}

/// Reads a reply with status 200.
pub(crate) fn read(text: &str) -> Result<Reply, Failure> {
    let bad = |reason: String| Failure::again(reason);
    let body: Body = serde_json::from_str(text).map_err(|error| {
        let start: String = text.chars().take(60).collect();
        bad(format!(
            "the reply is no JSON of a completion ({error}): `{}`; check that engine.remote.base_urls names an OpenAI-compatible server",
            start.escape_debug()
        ))
    })?;
    let usage = body.usage.unwrap_or_default();
    let choices = body.choices.unwrap_or_default();
    if choices.is_empty() {
        return Err(bad("the reply has no choices".to_owned()));
    }
    let answers = choices
        .into_iter()
        .map(|choice| {
            let finish_reason = match choice.finish_reason.as_deref() {
                Some("content_filter") => None,
                Some("length" | "max_tokens") => Some(FinishReason::Length),
                Some(_) => Some(FinishReason::Stop),
                None => return Err(bad("an answer has no finish reason: it was cut".to_owned())),
            };
            let text = match (choice.message, choice.text) {
                (Some(message), _) => message.content.unwrap_or_default(),
                (None, Some(text)) => text,
                (None, None) => return Err(bad("an answer has no text".to_owned())),
            };
            let log_probs = choice.logprobs.as_ref().and_then(log_probs);
            Ok(Answer { text, finish_reason, log_probs })
        })
        .collect::<Result<_, _>>()?;
    Ok(Reply {
        answers,
        prompt_tokens: usage.prompt_tokens.unwrap_or(0),
        completion_tokens: usage.completion_tokens.unwrap_or(0),
    })
}

/// The log-probabilities of a choice, as chat has them (`content`) or as plain completions do
/// (`tokens`, `token_logprobs`, `top_logprobs`).
fn log_probs(value: &Value) -> Option<Vec<TokenLogProb>> {
    let entry =
        |value: &Value| Some((value["token"].as_str()?.to_owned(), value["logprob"].as_f64()?));
    if let Some(content) = value["content"].as_array() {
        return content
            .iter()
            .map(|token| {
                let (name, log_prob) = entry(token)?;
                let top = token["top_logprobs"].as_array().into_iter().flatten();
                let top = top.map(entry).collect::<Option<Vec<_>>>()?;
                Some(TokenLogProb { token: name, log_prob, top: sorted(top) })
            })
            .collect();
    }
    let tokens = value["tokens"].as_array()?;
    tokens
        .iter()
        .enumerate()
        .map(|(i, token)| {
            let top = value["top_logprobs"][i].as_object().into_iter().flatten();
            let top = top.map(|(name, p)| Some((name.clone(), p.as_f64()?)));
            Some(TokenLogProb {
                token: token.as_str()?.to_owned(),
                log_prob: value["token_logprobs"][i].as_f64()?,
                top: sorted(top.collect::<Option<Vec<_>>>()?),
            })
        })
        .collect()
}

fn sorted(mut top: Vec<(String, f64)>) -> Vec<(String, f64)> {
    top.sort_by(|a, b| b.1.total_cmp(&a.1));
    top
}
