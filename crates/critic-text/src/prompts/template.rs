use super::kind::PromptKind;
use crate::TextError;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Around the name of a variable whose value comes with each item; of Unicode's private use.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// A prompt's Jinja text, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptSource {
    /// The file, as messages name it.
    pub file: String,
    /// What stands in it. One final line break is dropped, as files end with one.
    pub text: String,
}

/// A prompt that is rendered as far as it can be before an item is known: variables of items are places in
/// it, filled as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PromptTemplate {
    /// Texts and places in turn, a text first and last.
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(&'static str),
}

impl PromptTemplate {
    /// Compiles and checks a prompt; `constants` are the variables that are the same for every item.
    ///
    /// # Errors
    /// [`TextError::BadPrompt`] with the file: Jinja that cannot be read or run, a variable that the kind
    /// of prompt does not have or whose value is not given, one that it must have and has not, one of an
    /// item that does not stand as it is, or a prompt that is blank.
    pub(super) fn new(
        kind: &'static PromptKind,
        source: &PromptSource,
        constants: &BTreeMap<&'static str, String>,
    ) -> Result<Self, TextError> {
        let bad = |detail: String| TextError::BadPrompt {
            prompt: kind.name,
            file: source.file.clone(),
            detail,
        };
        let syntax = |error: minijinja::Error| {
            let line = error.line().map_or(String::new(), |line| format!(", line {line}"));
            bad(format!("it is no valid Jinja{line}: {}", error.detail().unwrap_or("syntax")))
        };
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_template("prompt", &source.text).map_err(syntax)?;
        let template = environment.get_template("prompt").map_err(syntax)?;
        let mut used: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        used.sort();
        for variable in &used {
            let name = variable.as_str();
            if kind.items().all(|item| item != name) && !kind.constants.contains(&name) {
                return Err(bad(format!(
                    "the variable `{name}` is none of this prompt's; {}",
                    kind.allowed()
                )));
            }
            if kind.constants.contains(&name) && !constants.contains_key(name) {
                return Err(bad(format!(
                    "it has the variable `{name}`, and no {name} is given; name one in prompts.{name}"
                )));
            }
        }
        if let Some(missing) = kind.required.iter().find(|item| !used.iter().any(|u| u == **item)) {
            return Err(bad(format!(
                "the variable `{missing}` must stand in it, as {{{{ {missing} }}}}; {}",
                kind.allowed()
            )));
        }
        let places = kind.items().map(|item| (item, format!("{OPEN}{item}{CLOSE}")));
        let given = constants.iter().map(|(name, text)| (*name, text.clone()));
        let context: BTreeMap<&str, Value> =
            places.chain(given).map(|(name, text)| (name, Value::from(text))).collect();
        let text = template.render(context).map_err(|error| {
            bad(format!("it cannot be rendered: {}", error.detail().unwrap_or("unknown")))
        })?;
        if text.trim().is_empty() {
            return Err(bad("it is blank".to_owned()));
        }
        let template = Self::cut(kind, &text).ok_or_else(|| {
            bad("a variable of an item is changed or cut; let it stand as it is, such as {{ critiques }}"
                .to_owned())
        })?;
        let stands = |item: &str| template.places().any(|place| place == item);
        match used.iter().find(|name| kind.items().any(|item| item == *name) && !stands(name)) {
            None => Ok(template),
            Some(name) => Err(bad(format!(
                "the variable `{name}` does not stand in what it renders to; write it as {{{{ {name} }}}}"
            ))),
        }
    }

    /// Cuts a rendered text at its places; nothing where a mark is broken.
    fn cut(kind: &'static PromptKind, text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let (name, after) = after.split_once(CLOSE)?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Place(kind.items().find(|item| *item == name)?));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let is_whole = |part: &Part| match part {
            Part::Text(text) => !text.contains(CLOSE),
            Part::Place(_) => true,
        };
        parts.iter().all(is_whole).then_some(Self { parts })
    }

    fn places(&self) -> impl Iterator<Item = &'static str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Place(name) => Some(*name),
        })
    }

    /// Whether the variable of an item stands in it.
    pub(super) fn has(&self, item: &str) -> bool {
        self.places().any(|place| place == item)
    }

    /// The prompt for an item: one pass, so what a value says is never taken for a place.
    pub(super) fn fill(&self, values: &[(&str, &str)]) -> String {
        let mut text = String::new();
        for part in &self.parts {
            text += match part {
                Part::Text(text) => text,
                Part::Place(place) => {
                    values.iter().find(|(name, _)| name == place).map_or("", |(_, value)| value)
                }
            };
        }
        text
    }

    /// What the address of a prompt is made of: its text with `{variable}` at the places, or with other
    /// marks where such words are part of the text.
    pub(super) fn identity(&self) -> String {
        let words: Vec<String> = self.places().map(|place| format!("{{{place}}}")).collect();
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text),
            Part::Place(_) => None,
        });
        let are_taken = texts.into_iter().any(|text| words.iter().any(|word| text.contains(word)));
        let mark = |place: &str| match are_taken {
            true => format!("{OPEN}{place}{CLOSE}"),
            false => format!("{{{place}}}"),
        };
        let marks: Vec<(&str, String)> = self.places().map(|place| (place, mark(place))).collect();
        let marks: Vec<(&str, &str)> =
            marks.iter().map(|(place, mark)| (*place, mark.as_str())).collect();
        self.fill(&marks)
    }
}
