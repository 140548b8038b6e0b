use crate::exit::Fault;
use anyhow::{Context, Result, anyhow};
use critic_data::TableReader;
use critic_text::{PromptSource, PromptSources, Prompts, ScoreScale};
use critic_types::Conversation;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What a critic is asked with: `default`, another built-in prompt by name, or a Jinja file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptSettings {
    critique: String,
    score_lead: String,
    verdict_question: String,
    meta_judge: String,
    meta_judge_pairwise: String,
    summarize: String,
    conditioned: String,
    /// What critiques are scored on.
    #[serde(default, skip_serializing_if = "is_usual")]
    scale: ScoreScale,
    /// A file whose text `rubric` stands for; empty for none.
    rubric: PathBuf,
    /// A file of `prompt` and `reference`, JSONL or Parquet; empty for none.
    references: PathBuf,
}

fn is_usual(scale: &ScoreScale) -> bool {
    *scale == ScoreScale::default()
}

/// What names the prompt that comes with the program.
const DEFAULT: &str = "default";

/// A row of the file of reference answers.
#[derive(Debug, Deserialize)]
struct Reference {
    prompt: Asked,
    reference: String,
}

/// A prompt as a text of the user, or as turns.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Text(String),
    Turns(Conversation),
}

impl PromptSettings {
    /// Reads and checks every prompt.
    pub(crate) fn load(&self) -> Result<Prompts> {
        let builtin = PromptSources::builtin();
        let named = PromptSources::critiques().into_iter().find(|(name, _)| *name == self.critique);
        let critique = match named {
            Some((_, source)) => source,
            None => read(&self.critique).with_context(|| {
                let names = PromptSources::critiques().map(|(name, _)| name);
                format!("prompts.critique: built in are {}", names.join(", "))
            })?,
        };
        let prompt = |key: &str, chosen: &str, builtin: PromptSource| match chosen {
            DEFAULT => Ok(builtin),
            file => read(file).with_context(|| format!("prompts.{key}: built in is {DEFAULT}")),
        };
        let rubric = match self.rubric.as_os_str().is_empty() {
            true => None,
            false => Some(text(&self.rubric).context("prompts.rubric")?.trim_end().to_owned()),
        };
        let sources = PromptSources {
            critique,
            score_lead: prompt("score_lead", &self.score_lead, builtin.score_lead)?,
            verdict_question: prompt(
                "verdict_question",
                &self.verdict_question,
                builtin.verdict_question,
            )?,
            meta_judge: prompt("meta_judge", &self.meta_judge, builtin.meta_judge)?,
            meta_judge_pairwise: prompt(
                "meta_judge_pairwise",
                &self.meta_judge_pairwise,
                builtin.meta_judge_pairwise,
            )?,
            summarize: prompt("summarize", &self.summarize, builtin.summarize)?,
            conditioned: prompt("conditioned", &self.conditioned, builtin.conditioned)?,
            rubric,
            scale: self.scale.clone(),
        };
        let prompts = Prompts::new(sources).map_err(|error| Fault::config(error.into()))?;
        if !prompts.shows_reference() {
            return Ok(prompts);
        }
        if self.references.as_os_str().is_empty() {
            return Err(Fault::config(anyhow!(
                "the critique prompt shows a reference answer and prompts.references is empty; name a file of rows with prompt and reference"
            )));
        }
        Ok(prompts.with_references(references(&self.references)?))
    }

    /// The file of reference answers.
    pub(crate) fn references(&self) -> &Path {
        &self.references
    }
}

fn references(path: &Path) -> Result<HashMap<Conversation, String>> {
    let mut references = HashMap::new();
    for (place, row) in (1..).zip(TableReader::open(path)?) {
        let Reference { prompt, reference } = serde_json::from_value(serde_json::Value::Object(
            row?,
        ))
        .with_context(|| {
            format!(
                "{}, row {place}: a row has a prompt (text or messages) and its reference (text)",
                path.display()
            )
        })
        .map_err(Fault::data)?;
        let prompt = match prompt {
            Asked::Text(text) => Conversation::from_user(text),
            Asked::Turns(turns) => turns,
        };
        references.insert(prompt, reference);
    }
    Ok(references)
}

fn read(file: &str) -> Result<PromptSource> {
    Ok(PromptSource { file: file.to_owned(), text: text(Path::new(file))? })
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))
        .map_err(Fault::config)
}
