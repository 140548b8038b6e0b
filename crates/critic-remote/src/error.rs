use std::path::PathBuf;

/// Why a remote engine cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A setting is out of its range.
    #[error("critic.{field} is {value}; it must be {rule}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A setting of a reward server is out of its range.
    #[error("the reward server's {field} is {value}; it must be {rule}")]
    RewardServer {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The environment holds no key.
    #[error(
        "the environment variable `{variable}` holds no API key; export it, or name no variable (critic.api_key_env) for a server without keys"
    )]
    NoKey {
        /// The variable.
        variable: String,
    },
    /// The file of certificates cannot be used.
    #[error(
        "the certificates of {path} cannot be used: {reason}; name a PEM file in critic.ca_file, or in the environment variable SSL_CERT_FILE"
    )]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Plain completions need the model's chat template.
    #[error(
        "critic.api is \"completions\", which needs the model's chat template; give the engine a renderer, or use \"chat\""
    )]
    NoRenderer,
    /// The file that keeps replies cannot be used.
    #[error("replies cannot be kept in {path}: {reason}; make room, or name another folder")]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
