use crate::exit::Fault;
use anyhow::Result;
use critic_remote::RemoteSettings;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Who writes, ranks and summarizes critiques, and says their verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum CriticSettings {
    /// The run's own model, here.
    Local {},
    /// A model on OpenAI-compatible servers, in the first round.
    OpenAi(Box<RemoteSettings>),
}

impl CriticSettings {
    /// The remote critic, if there is one.
    pub(crate) fn remote(&self) -> Option<&RemoteSettings> {
        match self {
            Self::Local {} => None,
            Self::OpenAi(settings) => Some(settings),
        }
    }

    /// Ranges that serde does not know.
    pub(super) fn check(&self) -> Result<()> {
        let checked = self.remote().map_or(Ok(()), RemoteSettings::validate);
        checked.map_err(|error| Fault::config(error.into()))
    }
}

/// The keys of a remote critic with their defaults, to lay below what was said of one.
pub(super) fn defaults(critic: Option<&Value>) -> Table {
    let kind = critic.and_then(|critic| critic.get("kind")).and_then(Value::as_str);
    match kind {
        Some("openai") => Table::try_from(RemoteSettings::default()).unwrap_or_default(),
        _ => Table::new(),
    }
}
