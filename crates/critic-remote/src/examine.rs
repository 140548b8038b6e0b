use crate::engine::RemoteEngine;
use crate::{Api, RemoteError, RemoteSettings};
use critic_engine::{
    ChoiceRequest, Completion, EngineError, GenerateRequest, Generator, Probe, ProbeTurn,
    RequestControl, Sampling, collect,
};
use critic_types::{Conversation, SeedTree};
use serde_json::Value;

/// What a server can do, in one point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether nothing is in the way.
    pub is_well: bool,
    /// The point.
    pub what: &'static str,
    /// What was found, and the way out where something is in the way.
    pub found: String,
}

impl Finding {
    pub(crate) fn new(what: &'static str, is_well: bool, found: impl Into<String>) -> Self {
        Self { is_well, what, found: found.into() }
    }
}

/// Asks the settings' first server for everything that an engine may ask it for: its models, two short
/// answers in one call, log-probabilities, and the continuation of an answer. Nothing is tried again.
///
/// # Errors
/// Every [`RemoteError`].
pub fn examine(settings: &RemoteSettings) -> Result<Vec<Finding>, RemoteError> {
    let alone = RemoteSettings {
        endpoints: settings.endpoints.iter().take(1).cloned().collect(),
        api: Api::Chat,
        retries: 0,
        top_log_probs: settings.top_log_probs.max(1),
        continues_answers: true,
        total_timeout: settings.total_timeout.min(60.0),
        ..settings.clone()
    };
    let mut engine = RemoteEngine::new(alone, None, None)?;
    let mut findings = vec![models(&engine, &settings.model)];
    let conversation = Conversation::from_user("Is the Earth round? Answer Yes or No.");
    let seed = SeedTree::new(0);
    let asked = GenerateRequest::new("two", conversation.clone(), Sampling::greedy(4), seed);
    let asked = GenerateRequest { n: 2, ..asked };
    let before = engine.usage();
    let answers = first(collect(1, |sink| engine.generate(std::slice::from_ref(&asked), sink)));
    let n_calls = engine.usage().n_calls - before.n_calls;
    match answers {
        Err(reason) => {
            findings.push(Finding::new("answers", false, reason));
            return Ok(findings);
        }
        Ok(answers) => {
            let tokens: usize = answers.iter().map(|answer: &Completion| answer.n_tokens).sum();
            let found = match n_calls {
                1 => format!("{} in one call, {tokens} tokens", answers.len()),
                _ => format!("one a call (n is not understood), {tokens} tokens"),
            };
            findings.push(Finding::new("answers", true, found));
        }
    }
    let choices = ["Yes", "No"].map(str::to_owned).to_vec();
    let control = RequestControl::default();
    let choice = ChoiceRequest { id: "choice".to_owned(), conversation, choices, control };
    let read = first(collect(1, |sink| engine.choose(&[choice], sink)));
    let can_read = read.is_ok();
    findings.push(match read {
        Ok(log_probs) => Finding::new(
            "likeliest",
            true,
            format!("given: ln P(Yes) {:.2}, ln P(No) {:.2}", log_probs[0], log_probs[1]),
        ),
        Err(reason) => Finding::new("likeliest", false, reason),
    });
    if can_read {
        findings.push(continues(&mut engine));
    }
    Ok(findings)
}

fn first<T>(results: Vec<Option<Result<T, EngineError>>>) -> Result<T, String> {
    match results.into_iter().next().flatten() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(error.kind.to_string()),
        None => Err("no result".to_owned()),
    }
}

fn models(engine: &RemoteEngine, model: &str) -> Finding {
    let what = "models";
    let text = match engine.client().get("models") {
        Ok(text) => text,
        Err(failure) => return Finding::new(what, false, failure.reason()),
    };
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let rows = value["data"].as_array().into_iter().flatten();
    let names: Vec<&str> = rows.filter_map(|row| row["id"].as_str()).collect();
    match names.as_slice() {
        [] => Finding::new(what, false, "the server names none"),
        names if names.contains(&model) => Finding::new(what, true, format!("{model} is served")),
        names => Finding::new(
            what,
            false,
            format!(
                "`{model}` is not among those served, {}; some servers take any name",
                names.iter().take(8).copied().collect::<Vec<_>>().join(", ")
            ),
        ),
    }
}

/// Whether the server goes on with an assistant's turn instead of beginning another.
fn continues(engine: &mut RemoteEngine) -> Finding {
    let conversation = Conversation::from_user("Write the alphabet.");
    let probe = Probe {
        turn: ProbeTurn::Appended("The alphabet is A, B, C, D, E, F, G, H,".to_owned()),
        choices: vec!["I".to_owned()],
    };
    let read = engine.read_after(&conversation, "", &probe);
    let way_out = "set critic.continues_answers to false; expected scores are absent then";
    match read {
        Ok(log_probs) if log_probs.first().is_some_and(|p| *p > 0.2f64.ln()) => {
            Finding::new("continuation", true, "an answer that was begun is continued")
        }
        Ok(_) => Finding::new(
            "continuation",
            false,
            format!("an answer that was begun does not seem to be continued: {way_out}"),
        ),
        Err(reason) => Finding::new("continuation", false, reason),
    }
}
