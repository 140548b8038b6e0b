use std::path::PathBuf;

/// Why a remote engine cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A setting is out of its range.
    #[error("engine.remote.{field} is {value}; it must be {rule}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The environment holds no key.
    #[error(
        "the environment variable `{variable}` holds no API key; export it, or leave engine.remote.api_key_env empty for a server without keys"
    )]
    NoKey {
        /// The variable.
        variable: String,
    },
    /// The file of certificates cannot be used.
    #[error(
        "the certificates of engine.remote.ca_file {path} cannot be used: {reason}; name a PEM file"
    )]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Plain completions need the model's chat template.
    #[error(
        "engine.remote.api is \"completions\", which needs the model's chat template; give the engine a renderer, or use \"chat\""
    )]
    NoRenderer,
}
