use super::kind::{self, PromptKind};
use super::template::{PromptSource, PromptTemplate};
use crate::TextError;
use std::collections::BTreeMap;

/// What a model is asked for when pairs are made with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynthTask {
    /// A solution of a question; `question` must stand in its text.
    Solve,
    /// An instruction that is like another one and asks for something else; `instruction` must stand in its
    /// text.
    Modify,
}

impl SynthTask {
    fn kind(self) -> &'static PromptKind {
        match self {
            Self::Solve => &kind::SOLVE,
            Self::Modify => &kind::MODIFY,
        }
    }
}

/// The text that asks a model for a part of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthPrompt {
    task: SynthTask,
    template: PromptTemplate,
}

impl SynthPrompt {
    /// The text that comes with the program.
    pub fn builtin(task: SynthTask) -> Self {
        let source = match task {
            SynthTask::Solve => built_in!("solve.jinja"),
            SynthTask::Modify => built_in!("modify.jinja"),
        };
        Self::new(task, &source).expect("a test holds the built-in texts to the rules")
    }

    /// A text of your own.
    ///
    /// # Errors
    /// [`TextError::BadPrompt`] when the task's variable does not stand in it, or the text is not valid.
    pub fn new(task: SynthTask, source: &PromptSource) -> Result<Self, TextError> {
        let template = PromptTemplate::new(task.kind(), source, &BTreeMap::new())?;
        Ok(Self { task, template })
    }

    /// What the user says about this question or instruction.
    pub fn ask(&self, about: &str) -> String {
        let variable = self.task.kind().required[0];
        self.template.fill(&[(variable, about)])
    }

    /// The text in use, with `{variable}` at the place of its variable.
    pub fn text(&self) -> String {
        self.template.identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_places_what_it_is_about_as_it_is() {
        for (task, variable) in
            [(SynthTask::Solve, "{question}"), (SynthTask::Modify, "{instruction}")]
        {
            let prompt = SynthPrompt::builtin(task);
            assert!(prompt.text().contains(variable), "{}", prompt.text());
            assert!(prompt.ask("Say {{ x }}").contains("Say {{ x }}"));
            assert!(!prompt.ask("a").ends_with('\n'));
            let source = PromptSource { file: "mine.jinja".to_owned(), text: "Solve.".to_owned() };
            let message = SynthPrompt::new(task, &source).unwrap_err().to_string();
            assert!(message.contains("mine.jinja") && message.contains("must stand"), "{message}");
        }
    }
}
