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
/// What [`RemoteSettings::identity`] holds bears on what is written; everything else on how it is
/// fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteSettings {
    /// Servers of the same model, each up to and with its version (`http://127.0.0.1:8080/v1`).
    pub endpoints: Vec<String>,
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
    /// Seconds that a server may be silent. It is while it writes: replies come whole.
    pub read_timeout: f64,
    /// Seconds for one call in all.
    pub total_timeout: f64,
    /// How often a call is tried again.
    pub retries: u32,
    /// The longest pause between two tries, seconds; a longer `Retry-After` ends the call.
    pub max_backoff: f64,
    /// How many of the likeliest tokens are asked for to read a score or a verdict after an answer: 1 to
    /// 20, where most servers end; 0 reads none, so expected scores and verdicts are absent.
    pub top_log_probs: usize,
    /// Whether chat servers go on with an assistant's last turn when told to
    /// (`continue_final_message`); where not, the score's place cannot be read and expected scores are
    /// absent.
    pub continues_answers: bool,
    /// Names the limit of an answer `max_completion_tokens` instead of `max_tokens`.
    pub max_completion_tokens: bool,
    /// Sends `top_k`, `min_p` and penalty at their neutral values too, for servers whose own defaults
    /// are not neutral (llama.cpp).
    pub send_neutral: bool,
    /// Price of a million prompt tokens.
    pub price_per_million_prompt: f64,
    /// Price of a million completion tokens.
    pub price_per_million_completion: f64,
    /// PEM file of the certificates to trust; empty for those of the environment's `SSL_CERT_FILE`, else
    /// the built-in ones.
    pub ca_file: PathBuf,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            model: String::new(),
            api_key_env: String::new(),
            api: Api::Chat,
            max_concurrency: 16,
            requests_per_minute: 0.0,
            tokens_per_minute: 0.0,
            connect_timeout: 10.0,
            read_timeout: 600.0,
            total_timeout: 600.0,
            retries: 8,
            max_backoff: 60.0,
            top_log_probs: 20,
            continues_answers: true,
            max_completion_tokens: false,
            send_neutral: false,
            price_per_million_prompt: 0.0,
            price_per_million_completion: 0.0,
            ca_file: PathBuf::new(),
        }
    }
}

impl RemoteSettings {
    /// What bears on the texts and on what is read of them: the model's name, the way it is asked, and
    /// what it is told. Not where it is asked.
    pub fn identity(&self) -> String {
        format!(
            "{:?} {:?} top_log_probs {} continues_answers {} send_neutral {}",
            self.model, self.api, self.top_log_probs, self.continues_answers, self.send_neutral
        )
    }

    /// What tokens cost at the configured prices.
    pub fn cost(&self, prompt_tokens: f64, completion_tokens: f64) -> f64 {
        (prompt_tokens * self.price_per_million_prompt
            + completion_tokens * self.price_per_million_completion)
            / 1e6
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`RemoteError::Setting`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<(), RemoteError> {
        let error = |field, value, rule| Err(RemoteError::Setting { field, value, rule });
        if self.endpoints.is_empty() {
            return error("endpoints", "empty".to_owned(), "at least one URL");
        }
        for url in &self.endpoints {
            let has_host = ["http://", "https://"]
                .iter()
                .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
            if !has_host || url.contains(['@', '?', '#', ' ']) {
                let rule = "http:// or https://, a host and a path, without a key or a query";
                return error("endpoints", "not a plain URL".to_owned(), rule);
            }
        }
        if self.model.trim().is_empty() {
            return error("model", "empty".to_owned(), "the model's name on the server");
        }
        if !(1..=512).contains(&self.max_concurrency) {
            return error("max_concurrency", self.max_concurrency.to_string(), "1 to 512");
        }
        if self.top_log_probs > 20 {
            return error("top_log_probs", self.top_log_probs.to_string(), "0 to 20");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named_and_urls_with_keys_are_not_quoted() {
        let good = RemoteSettings {
            endpoints: vec!["http://a/v1".to_owned()],
            model: "m".to_owned(),
            ..RemoteSettings::default()
        };
        good.validate().unwrap();
        let message = |settings: RemoteSettings| settings.validate().unwrap_err().to_string();
        assert!(message(RemoteSettings::default()).contains("critic.endpoints is empty"));
        let secret = vec!["https://me:sk-1@a/v1".to_owned()];
        let said = message(RemoteSettings { endpoints: secret, ..good.clone() });
        assert!(said.contains("critic.endpoints") && !said.contains("sk-1"), "{said}");
        let said = message(RemoteSettings { top_log_probs: 21, ..good.clone() });
        assert!(said.contains("critic.top_log_probs is 21"), "{said}");
        let said = message(RemoteSettings { total_timeout: f64::NAN, ..good });
        assert!(said.contains("total_timeout is NaN"), "{said}");
    }

    #[test]
    fn where_a_model_is_asked_is_no_part_of_what_it_is() {
        let settings = RemoteSettings { model: "m".to_owned(), ..RemoteSettings::default() };
        let elsewhere = RemoteSettings {
            endpoints: vec!["http://b/v1".to_owned()],
            retries: 1,
            ..settings.clone()
        };
        assert_eq!(settings.identity(), elsewhere.identity());
        let other = RemoteSettings { model: "n".to_owned(), ..settings.clone() };
        assert_ne!(settings.identity(), other.identity());
    }
}
