mod date;
mod json;
mod source;
#[cfg(test)]
mod tests;

pub use date::TemplateDate;

use crate::TextError;
use critic_types::Conversation;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use std::fmt;

const NAME: &str = "chat_template";

/// A model's chat template: the Jinja text that writes a conversation as the model knows it.
///
/// Follows `transformers.utils.chat_template_utils`: blocks are trimmed as there, Python's string and
/// dictionary methods work, and templates find `raise_exception`, `strftime_now`, `tojson`, loop
/// controls and `{% generation %}`. `tools` and `documents` are none.
///
/// A template that asks for the date always gets the same one, 2024-07-26 unless
/// [`with_date`](Self::with_date) says otherwise: a reward must not depend on the day it is read.
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    bos_token: Option<String>,
    eos_token: Option<String>,
    date: TemplateDate,
}

impl ChatTemplate {
    /// Compiles a template; it sees the two tokens as `bos_token` and `eos_token`.
    ///
    /// # Errors
    /// [`TextError::NoChatTemplate`] when the source is blank, [`TextError::TemplateSyntax`] when it
    /// is not valid Jinja.
    pub fn new(
        source: &str,
        bos_token: Option<&str>,
        eos_token: Option<&str>,
    ) -> Result<Self, TextError> {
        if source.trim().is_empty() {
            return Err(TextError::NoChatTemplate);
        }
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", json::tojson);
        environment.add_function("raise_exception", raise_exception);
        environment.add_template_owned(NAME, source::without_generation_tags(source)).map_err(
            |error| TextError::TemplateSyntax {
                line: error.line().unwrap_or(0),
                detail: describe(&error),
            },
        )?;
        let template = Self {
            environment,
            source: source.to_owned(),
            bos_token: bos_token.map(str::to_owned),
            eos_token: eos_token.map(str::to_owned),
            date: TemplateDate::default(),
        };
        Ok(template.with_date(TemplateDate::default()))
    }

    /// The same template with another date for `strftime_now`.
    #[must_use]
    pub fn with_date(mut self, date: TemplateDate) -> Self {
        self.date = date;
        self.environment.add_function("strftime_now", move |format: &str| date.strftime(format));
        self
    }

    /// The text of a conversation; with `add_generation_prompt` it ends where the assistant's next
    /// turn begins, if the template knows how.
    ///
    /// # Errors
    /// [`TextError::TemplateRaised`] when the template refuses the conversation,
    /// [`TextError::TemplateFailed`] when it cannot be run on it.
    pub fn render(
        &self,
        conversation: &Conversation,
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        let token = |token: &Option<String>| token.as_deref().map_or(Value::UNDEFINED, Value::from);
        let context = context! {
            messages => Value::from_serialize(conversation),
            tools => Value::from(()),
            documents => Value::from(()),
            bos_token => token(&self.bos_token),
            eos_token => token(&self.eos_token),
            add_generation_prompt => add_generation_prompt,
        };
        let template = self.environment.get_template(NAME).map_err(failure)?;
        template.render(context).map_err(failure)
    }

    /// The template as it was given.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text of the token that begins a text, as the template sees it.
    pub fn bos_token(&self) -> Option<&str> {
        self.bos_token.as_deref()
    }

    /// The text of the token that ends a text, as the template sees it.
    pub fn eos_token(&self) -> Option<&str> {
        self.eos_token.as_deref()
    }

    /// The date that the template is told.
    pub fn date(&self) -> TemplateDate {
        self.date
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("source", &self.source)
            .field("bos_token", &self.bos_token)
            .field("eos_token", &self.eos_token)
            .field("date", &self.date)
            .finish_non_exhaustive()
    }
}

/// The message of a template that called `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn raise_exception(message: String, kwargs: Kwargs) -> Result<Value, Error> {
    kwargs.assert_all_used()?;
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

fn failure(error: Error) -> TextError {
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return TextError::TemplateRaised { message: message.clone() };
        }
        source = inner.source();
    }
    TextError::TemplateFailed { line: error.line().unwrap_or(0), detail: describe(&error) }
}

fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
