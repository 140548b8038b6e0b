use crate::{ChatTemplate, TextError};
use serde::Deserialize;

/// What we read of a model folder's `tokenizer_config.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizerConfig {
    /// The chat template; of several named ones, the one called `default`.
    pub chat_template: Option<String>,
    /// The token that begins a text, as it is written.
    pub bos_token: Option<String>,
    /// The token that ends a text, as it is written.
    pub eos_token: Option<String>,
    /// Whether the tokenizer begins every text with BOS.
    pub add_bos_token: bool,
}

#[derive(Deserialize)]
struct Fields {
    chat_template: Option<Template>,
    bos_token: Option<Token>,
    eos_token: Option<Token>,
    add_bos_token: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Template {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Added { content: String },
}

impl Token {
    fn into_text(self) -> String {
        match self {
            Token::Text(text) | Token::Added { content: text } => text,
        }
    }
}

impl TokenizerConfig {
    /// Reads the file's bytes; fields that we do not use are passed over.
    ///
    /// # Errors
    /// [`TextError::TokenizerConfig`] when it is not JSON or a field has another type.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TextError> {
        let fields: Fields = serde_json::from_slice(bytes)
            .map_err(|error| TextError::TokenizerConfig { detail: error.to_string() })?;
        let chat_template = fields.chat_template.and_then(|template| match template {
            Template::One(template) => Some(template),
            Template::Named(named) => {
                named.into_iter().find(|t| t.name == "default").map(|t| t.template)
            }
        });
        Ok(Self {
            chat_template,
            bos_token: fields.bos_token.map(Token::into_text),
            eos_token: fields.eos_token.map(Token::into_text),
            add_bos_token: fields.add_bos_token.unwrap_or(false),
        })
    }

    /// The chat template with this file's BOS and EOS.
    ///
    /// # Errors
    /// [`TextError::NoChatTemplate`] when there is none, [`TextError::TemplateSyntax`] when it does
    /// not compile.
    pub fn chat_template(&self) -> Result<ChatTemplate, TextError> {
        let source = self.chat_template.as_deref().ok_or(TextError::NoChatTemplate)?;
        ChatTemplate::new(source, self.bos_token.as_deref(), self.eos_token.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_tokens_and_templates_are_read() {
        let plain = br#"{"chat_template": "{{ 1 }}", "bos_token": "<s>", "eos_token": "</s>",
            "add_bos_token": true, "model_max_length": 1e30}"#;
        let rich = br#"{"chat_template": [{"name": "tool_use", "template": "x"},
            {"name": "default", "template": "{{ 1 }}"}], "add_bos_token": true,
            "bos_token": {"content": "<s>", "lstrip": false}, "eos_token": {"content": "</s>"}}"#;
        let config = TokenizerConfig::from_json(plain).unwrap();
        assert_eq!(config, TokenizerConfig::from_json(rich).unwrap());
        assert_eq!(config.bos_token.as_deref(), Some("<s>"));
        assert!(config.add_bos_token);
        assert_eq!(config.chat_template().unwrap().source(), "{{ 1 }}");
    }

    #[test]
    fn a_model_without_a_template_gets_advice() {
        let config = TokenizerConfig::from_json(br#"{"bos_token": null}"#).unwrap();
        let message = config.chat_template().unwrap_err().to_string();
        assert!(message.contains("chat_template.jinja"), "{message}");
    }

    #[test]
    fn a_broken_file_is_an_error() {
        let message = TokenizerConfig::from_json(b"{").unwrap_err().to_string();
        assert!(message.starts_with("tokenizer_config.json cannot be read"), "{message}");
    }
}
