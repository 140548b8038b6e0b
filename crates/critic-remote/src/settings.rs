use crate::RemoteError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which of a server's two ways to write is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// `POST /chat/completions`: the server applies the model's template.
    #[default]
    Chat,
    /// `POST /completions`: the text is rendered here.
    Completions,
}

/// Where the servers are, what they are asked for, and how hard.
///
/// Only `model` and `api` bear on what is written; everything else on how it is fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteSettings {
    /// Servers of the same model, each up to and with its version (`http://127.0.0.1:8080/v1`).
    pub base_urls: Vec<String>,
    /// The model's name as the servers know it.
    pub model: String,
    /// The environment variable that holds the key; empty for servers without keys.
    pub api_key_env: String,
    /// Chat or plain completions.
    pub api: Api,
    /// Calls under way at once, over all servers; each has a thread. 1 to 512.
    pub max_concurrency: usize,
    /// Calls begun in a minute, over all servers; 0 for no limit.
    pub requests_per_minute: f64,
    /// Tokens asked for in a minute, prompts estimated at four bytes a token; 0 for no limit.
    pub tokens_per_minute: f64,
    /// Seconds to connect.
    pub connect_timeout: f64,
    /// Seconds that a server may be silent: before its reply, and within it.
    pub read_timeout: f64,
    /// Seconds for one call in all.
    pub total_timeout: f64,
    /// How often a call is tried again.
    pub retries: u32,
    /// The longest pause between two tries, seconds; a longer `Retry-After` ends the call.
    pub max_backoff: f64,
    /// Whether probes are asked; without, expected scores and verdicts are absent.
    pub log_probs: bool,
    /// Sends `top_k`, `min_p` and penalty at their neutral values too, for servers whose own defaults
    /// are not neutral (llama.cpp).
    pub send_neutral: bool,
    /// Price of a million prompt tokens.
    pub price_per_million_prompt: f64,
    /// Price of a million completion tokens.
    pub price_per_million_completion: f64,
    /// PEM file of the certificates to trust instead of the built-in ones.
    pub ca_file: Option<PathBuf>,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self {
            base_urls: Vec::new(),
            model: String::new(),
            api_key_env: String::new(),
            api: Api::Chat,
            max_concurrency: 16,
            requests_per_minute: 0.0,
            tokens_per_minute: 0.0,
            connect_timeout: 10.0,
            read_timeout: 120.0,
            total_timeout: 600.0,
            retries: 6,
            max_backoff: 60.0,
            log_probs: true,
            send_neutral: false,
            price_per_million_prompt: 0.0,
            price_per_million_completion: 0.0,
            ca_file: None,
        }
    }
}

impl RemoteSettings {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`RemoteError::Setting`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<(), RemoteError> {
        let error = |field, value, rule| Err(RemoteError::Setting { field, value, rule });
        if self.base_urls.is_empty() {
            return error("base_urls", "empty".to_owned(), "at least one URL");
        }
        for url in &self.base_urls {
            let has_host = ["http://", "https://"]
                .iter()
                .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
            if !has_host || url.contains(['@', '?', '#', ' ']) {
                let rule = "http:// or https://, a host and a path, without a key or a query";
                return error("base_urls", "not a plain URL".to_owned(), rule);
            }
        }
        if self.model.trim().is_empty() {
            return error("model", "empty".to_owned(), "the model's name on the server");
        }
        if !(1..=512).contains(&self.max_concurrency) {
            return error("max_concurrency", self.max_concurrency.to_string(), "1 to 512");
        }
        for (field, seconds) in [
            ("connect_timeout", self.connect_timeout),
            ("read_timeout", self.read_timeout),
            ("total_timeout", self.total_timeout),
            ("max_backoff", self.max_backoff),
        ] {
            if !(seconds > 0.0 && seconds <= 86_400.0) {
                return error(field, seconds.to_string(), "above 0 and at most a day, in seconds");
            }
        }
        for (field, value) in [
            ("requests_per_minute", self.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("price_per_million_prompt", self.price_per_million_prompt),
            ("price_per_million_completion", self.price_per_million_completion),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return error(field, value.to_string(), "finite and at least 0");
            }
        }
        Ok(())
    }
}
