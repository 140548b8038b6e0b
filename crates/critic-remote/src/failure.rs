use serde_json::Value;
use std::time::Duration;

/// Why a call gave nothing, and what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// The same call may work later, in `after` at the earliest.
    Again { reason: String, after: Option<Duration> },
    /// This item cannot be had; its neighbours can.
    Item(String),
    /// No call can work until a setting is changed.
    Everything(String),
    /// The item's token was set.
    Cancelled,
    /// The item's deadline passed.
    Deadline,
}

impl Failure {
    pub(crate) fn again(reason: impl Into<String>) -> Self {
        Self::Again { reason: reason.into(), after: None }
    }

    /// What is said of it.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Again { reason, .. } | Self::Item(reason) | Self::Everything(reason) => reason,
            Self::Cancelled => "cancelled".to_owned(),
            Self::Deadline => "the deadline passed".to_owned(),
        }
    }
}

/// What a user changes where a call of some kind fails.
#[derive(Debug)]
pub(crate) struct WaysOut {
    /// The server refuses the key.
    pub(crate) key: &'static str,
    /// The server has nothing at this place.
    pub(crate) place: &'static str,
    /// The server answers with another address.
    pub(crate) address: &'static str,
    /// The server's certificate is not trusted.
    pub(crate) certificates: &'static str,
    /// The address cannot be used.
    pub(crate) url: &'static str,
    /// What bounds a pause.
    pub(crate) pause: &'static str,
}

/// For servers that write.
pub(crate) const WRITING: WaysOut = WaysOut {
    key: "check the key in the variable that critic.api_key_env names",
    place: "check critic.endpoints (with its /v1) and critic.model",
    address: "give the final address in critic.endpoints",
    certificates: "name the server's certificate authority in critic.ca_file",
    url: "check critic.endpoints and the environment's proxies",
    pause: "critic.max_backoff",
};

/// For reward servers.
pub(crate) const REWARDS: WaysOut = WaysOut {
    key: "check the key in the environment variable that is named for the reward server",
    place: "check the reward server's address, its API and the model's name",
    address: "give the reward server's final address",
    certificates: "name the server's certificate authority in the environment variable SSL_CERT_FILE",
    url: "check the reward server's address and the environment's proxies",
    pause: "the longest pause",
};

/// What a server says about an error: `{"error": {...}}`, `{"error": "..."}`, or flat.
struct Envelope {
    message: String,
    /// Code and type, for matching.
    kind: String,
}

impl Envelope {
    fn read(body: &str) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(body) else {
            let text = if body.trim_start().starts_with('<') { "an HTML page" } else { body };
            return Self { message: shortened(text), kind: String::new() };
        };
        let inner = value.get("error").filter(|error| error.is_object()).unwrap_or(&value);
        let text = |field: &str| inner.get(field).and_then(Value::as_str).unwrap_or_default();
        let message = match inner.get("error").and_then(Value::as_str) {
            Some(message) => message,
            None if inner.get("detail").is_some_and(|detail| !detail.is_null()) => {
                &inner["detail"].to_string()
            }
            None => text("message"),
        };
        Self { message: shortened(message), kind: format!("{} {}", text("code"), text("type")) }
    }
}

/// At most 300 characters of `text`, on one line.
pub(crate) fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

const LOG_PROBS: &str =
    "critic.top_log_probs (lower it; 0 reads no scores and verdicts after answers)";
const CONTINUES: &str =
    "critic.continues_answers (set it to false; expected scores are absent then)";
const LENGTH: &str = "critic.max_completion_tokens (the other one of true and false)";

/// The fields that not every server knows, with the setting that sends each.
const OPTIONAL_FIELDS: [(&str, &str); 11] = [
    ("repetition_penalty", "repetition_penalty (set it to 1)"),
    ("repeat_penalty", "repetition_penalty (set it to 1)"),
    ("min_p", "min_p (set it to 0)"),
    ("top_k", "top_k (set it to 0)"),
    ("top_logprobs", LOG_PROBS),
    ("logprobs", LOG_PROBS),
    ("continue_final_message", CONTINUES),
    ("add_generation_prompt", CONTINUES),
    ("max_completion_tokens", LENGTH),
    ("max_tokens", LENGTH),
    ("seed", "of the server: it must take seeds"),
];

/// What a reply that is no success means.
pub(crate) fn failure(
    status: u16,
    after: Option<Duration>,
    body: &str,
    ways_out: &WaysOut,
) -> Failure {
    let Envelope { message, kind } = Envelope::read(body);
    let said = format!("the server answered {status}: {message}");
    let lower = format!("{kind} {message}").to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if any(&["insufficient_quota", "billing_hard_limit"]) {
        return Failure::Everything(format!("{said}; the account's quota is used up: top it up"));
    }
    match status {
        408 | 409 | 425 | 429 | 500 | 502 | 503 | 504 => Failure::Again { reason: said, after },
        401 | 403 => Failure::Everything(format!("{said}; {}", ways_out.key)),
        404 | 405 => Failure::Everything(format!("{said}; {}", ways_out.place)),
        300..=399 => {
            Failure::Everything(format!("{said}; redirects are not followed: {}", ways_out.address))
        }
        400 | 422
            if any(&[
                "context length",
                "context_length",
                "context size",
                "maximum context",
                "exceed_context",
                "too many tokens",
            ]) =>
        {
            Failure::Item(format!("{said}; shorten the prompt or lower max_new_tokens"))
        }
        400 | 422
            if any(&[
                "unknown",
                "unrecognized",
                "unsupported",
                "not supported",
                "extra inputs",
                "extra_forbidden",
                "not permitted",
                "unexpected",
                "must be less than or equal",
                "greater than max",
            ]) =>
        {
            match OPTIONAL_FIELDS.iter().find(|(field, _)| lower.contains(field)) {
                Some((_, setting)) => {
                    Failure::Everything(format!("{said}; change the setting {setting}"))
                }
                None => Failure::Item(said),
            }
        }
        _ => Failure::Item(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_envelopes_say_the_same() {
        let nested = r#"{"error":{"message":"maximum context length is 5","type":"BadRequestError","param":null,"code":400}}"#;
        let flat = r#"{"object":"error","message":"maximum context length is 5","type":"BadRequestError","param":null,"code":400}"#;
        let expected = Failure::Item("the server answered 400: maximum context length is 5; shorten the prompt or lower max_new_tokens".into());
        assert_eq!(failure(400, None, nested, &WRITING), expected);
        assert_eq!(failure(400, None, flat, &WRITING), expected);
        let bare = failure(500, None, r#"{"error":"out of memory"}"#, &WRITING);
        assert_eq!(bare, Failure::again("the server answered 500: out of memory"));
    }

    #[test]
    fn what_cannot_work_is_not_tried_again() {
        let quota = r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#;
        assert!(matches!(failure(429, None, quota, &WRITING), Failure::Everything(_)));
        for status in [401, 403, 404, 307] {
            assert!(
                matches!(failure(status, None, "{}", &WRITING), Failure::Everything(_)),
                "{status}"
            );
        }
        for status in [408, 409, 425, 429, 500, 502, 503, 504] {
            assert!(
                matches!(failure(status, None, "<html>", &WRITING), Failure::Again { .. }),
                "{status}"
            );
        }
        let unknown = r#"{"error":{"message":"Unrecognized request argument supplied: min_p"}}"#;
        let Failure::Everything(message) = failure(400, None, unknown, &WRITING) else { panic!() };
        assert!(message.contains("change the setting min_p"), "{message}");
    }
}
