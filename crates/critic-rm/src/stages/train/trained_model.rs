use super::manifest::{HeadRecord, Manifest, prompts_path};
use crate::exit::Fault;
use anyhow::{Context, Result, anyhow};
use critic_local::LocalEngine;
use critic_model::sources::LoadedModel;
use critic_model::{Decoder, WeightFormat, known_reward_heads};
use critic_text::{PromptSources, Prompts};
use critic_types::ContentId;
use std::path::{Path, PathBuf};

/// A reward model of this run.
#[derive(Debug, Clone)]
pub(crate) struct TrainedModel {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) key: ContentId,
    /// Whether rewards are read after critiques too.
    pub(crate) reads_critiques: bool,
}

impl TrainedModel {
    /// Its reward head, where that was noted.
    pub(in crate::stages) fn head(&self) -> Result<Option<HeadRecord>> {
        Ok(Manifest::read(&self.folder)?.and_then(|manifest| manifest.reward_head))
    }

    /// Whether the model in `folder` reads rewards after critiques too; of one that was trained elsewhere
    /// that is taken to be so.
    pub(crate) fn reads_critiques(folder: &Path) -> Result<bool> {
        Ok(Manifest::read(folder)?.is_none_or(|manifest| manifest.reads_critiques))
    }

    /// The prompts that the model in `folder` was trained with.
    pub(crate) fn prompts(folder: &Path) -> Result<Prompts> {
        let path = prompts_path(folder);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Prompts::builtin()) };
        let sources: PromptSources = serde_json::from_str(&text)
            .with_context(|| format!("{} is torn: restore it", path.display()))
            .map_err(Fault::store)?;
        let prompts = Prompts::new(sources)?;
        if prompts.shows_reference() {
            return Err(Fault::model(anyhow!(
                "{} was trained with a critique prompt that shows a reference answer, which only the pairs of its run have: score the run's own pairs",
                folder.display()
            )));
        }
        Ok(prompts)
    }

    /// The model in `folder` (or a `.gguf` file that holds a reward head), as it was read for `weights`, as a
    /// scorer.
    pub(crate) fn engine(
        model: LoadedModel,
        folder: &Path,
        prompts: &Prompts,
        limits: critic_local::EngineLimits,
        weights: WeightFormat,
    ) -> Result<LocalEngine> {
        let head = model.reward_head.ok_or_else(|| {
            Fault::model(anyhow!(
                "{} has no reward head (one is read of {}): name a trained reward model",
                folder.display(),
                known_reward_heads()
            ))
        })?;
        if let Some(manifest) = Manifest::read(folder)? {
            if manifest.renderer != model.renderer.digest() {
                return Err(Fault::model(anyhow!(
                    "the tokenizer or the chat template in {} is not the one the model was trained with: restore the folder's files",
                    folder.display()
                )));
            }
            if manifest.prompts != prompts.digest() {
                return Err(Fault::model(anyhow!(
                    "{} was trained with other critique prompts than this program has: train it again, or use the program that trained it",
                    folder.display()
                )));
            }
        }
        let decoder = Decoder::new(&model.config, &model.weights, weights)?;
        LocalEngine::new(decoder, Some(head), model.renderer, prompts.clone(), limits)
            .map_err(|error| Fault::config(error.into()))
    }
}
