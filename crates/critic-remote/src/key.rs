use crate::RemoteError;
use std::{env, fmt};

/// An API key that cannot be printed.
#[derive(Clone, Default)]
pub(crate) struct ApiKey(Option<String>);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ApiKey(set)" } else { "ApiKey(none)" })
    }
}

impl ApiKey {
    /// The key in `variable`; none when no variable is named.
    pub(crate) fn from_env(variable: &str) -> Result<Self, RemoteError> {
        if variable.is_empty() {
            return Ok(Self(None));
        }
        let key = env::var(variable).unwrap_or_default().trim().to_owned();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(RemoteError::NoKey { variable: variable.to_owned() });
        }
        Ok(Self(Some(key)))
    }

    pub(crate) fn header(&self) -> Option<String> {
        self.0.as_ref().map(|key| format!("Bearer {key}"))
    }

    /// `text` without the key: servers quote it in their errors.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.0.as_ref().map_or_else(|| text.to_owned(), |key| text.replace(key, "[API key]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_neither_printed_nor_quoted() {
        let key = ApiKey(Some("sk-secret".into()));
        assert!(!format!("{key:?}").contains("secret"));
        assert_eq!(key.redact("bad key sk-secret."), "bad key [API key].");
        assert_eq!(key.header().as_deref(), Some("Bearer sk-secret"));
    }

    #[test]
    fn a_variable_without_key_is_named() {
        let error = ApiKey::from_env("CRITIC_RM_NO_SUCH_KEY").unwrap_err().to_string();
        assert!(error.contains("CRITIC_RM_NO_SUCH_KEY"), "{error}");
    }
}
