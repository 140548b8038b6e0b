use crate::failure::Failure;
use crate::usage::Counters;
use crate::{Api, RemoteSettings};
use critic_engine::{Sampling, TokenLogProb};
use critic_types::{Conversation, FinishReason};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering::Relaxed;

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
    let limit = if settings.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    put(limit, json!(sampling.max_new_tokens));
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) text: String,
    /// Absent where a filter of the server withheld the text.
    pub(crate) finish_reason: Option<FinishReason>,
    /// Its length in tokens where the reply tells it from those of its neighbours.
    pub(crate) n_tokens: Option<usize>,
    pub(crate) log_probs: Option<Vec<TokenLogProb>>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) answers: Vec<Answer>,
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
}

impl Reply {
    /// Adds what the reply took.
    pub(crate) fn count(&self, counters: &Counters) {
        let told: Option<usize> = self.answers.iter().map(|answer| answer.n_tokens).sum();
        // llama.cpp counts the tokens of one answer where there are several.
        let completion = self.completion_tokens.max(told.map(|n| n as u64));
        counters.prompt.fetch_add(self.prompt_tokens.unwrap_or(0), Relaxed);
        counters.completion.fetch_add(completion.unwrap_or(0), Relaxed);
        if self.prompt_tokens.is_none() || completion.is_none() {
            counters.uncounted.fetch_add(1, Relaxed);
        }
        let withheld = self.answers.iter().filter(|answer| answer.finish_reason.is_none());
        counters.withheld.fetch_add(withheld.count() as u64, Relaxed);
    }
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

/// Reads a reply with status 200; log-probabilities serve to count tokens, and stay where they are to be
/// kept.
pub(crate) fn read(text: &str, keeps_log_probs: bool) -> Result<Reply, Failure> {
    let bad = |reason: String| Failure::again(reason);
    let body: Body = serde_json::from_str(text).map_err(|error| {
        let start: String = text.chars().take(60).collect();
        bad(format!(
            "the reply is no JSON of a completion ({error}): `{}`; check that critic.endpoints names an OpenAI-compatible server",
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
            let n_tokens = log_probs.as_ref().map(Vec::len);
            let log_probs = log_probs.filter(|_| keeps_log_probs);
            Ok(Answer { text, finish_reason, n_tokens, log_probs })
        })
        .collect::<Result<_, _>>()?;
    Ok(Reply {
        answers,
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_probabilities_of_both_ways_to_write_are_read() {
        let chat = json!({"choices": [{"message": {"content": "ab"}, "finish_reason": "stop",
            "logprobs": {"content": [
                {"token": "a", "logprob": -0.5, "top_logprobs": [
                    {"token": "b", "logprob": -2.0}, {"token": "a", "logprob": -0.5}]},
                {"token": "b", "logprob": -1.0, "top_logprobs": []}]}}]});
        let plain = json!({"choices": [{"text": "ab", "finish_reason": "stop", "logprobs": {
            "tokens": ["a", "b"], "token_logprobs": [-0.5, -1.0],
            "top_logprobs": [{"b": -2.0, "a": -0.5}, {}]}}]});
        let token = |token: &str, log_prob, top: &[(&str, f64)]| TokenLogProb {
            token: token.to_owned(),
            log_prob,
            top: top.iter().map(|(token, p)| ((*token).to_owned(), *p)).collect(),
        };
        let expected = vec![token("a", -0.5, &[("a", -0.5), ("b", -2.0)]), token("b", -1.0, &[])];
        for body in [chat, plain] {
            let reply = read(&body.to_string(), true).unwrap();
            assert_eq!(reply.answers[0].log_probs.as_ref(), Some(&expected));
            assert_eq!(reply.answers[0].n_tokens, Some(2));
            assert_eq!(read(&body.to_string(), false).unwrap().answers[0].log_probs, None);
        }
    }

    #[test]
    fn tokens_are_counted_where_the_server_counts_one_answer_of_several() {
        let answer = |n_tokens| Answer {
            text: "a".to_owned(),
            finish_reason: Some(FinishReason::Stop),
            n_tokens,
            log_probs: None,
        };
        let answers = vec![answer(Some(4)), answer(Some(3))];
        let counters = Counters::default();
        Reply { answers, prompt_tokens: Some(9), completion_tokens: Some(4) }.count(&counters);
        assert_eq!((counters.usage().completion_tokens, counters.usage().n_uncounted), (7, 0));
        let silent = vec![answer(None)];
        Reply { answers: silent, prompt_tokens: None, completion_tokens: None }.count(&counters);
        assert_eq!((counters.usage().completion_tokens, counters.usage().n_uncounted), (7, 1));
    }
}
