//! What a trained model's folder says of itself: `training.json`, and `prompts.json` where its prompts are its own.

use super::super::session::Session;
use super::trained_model::TrainedModel;
use crate::exit::Fault;
use anyhow::{Context, Result, anyhow};
use critic_kernels::Precision;
use critic_model::{HeadLayout, RewardHead};
use critic_text::PromptSources;
use critic_train::StepRecord;
use critic_types::{ContentId, atomic_file};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The newest layout of `training.json` that this build reads and writes.
const FORMAT_VERSION: u32 = 1;

/// A finished training, written last into its folder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format_version: u32,
    /// Address of model, data and settings.
    pub(super) key: ContentId,
    /// Tokenizer, template and end of turn that the model was trained with.
    pub(super) renderer: ContentId,
    /// Prompts that the model was trained with.
    pub(super) prompts: ContentId,
    /// The model it started from.
    base: String,
    /// Its reward head; absent for a critic without one, and where it was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reward_head: Option<HeadRecord>,
    /// What the operands of its training's products were rounded to; absent where it was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    precision: Option<Precision>,
    /// Whether rewards are read after critiques too; noted only where they are not.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub(super) reads_critiques: bool,
    pub(super) records: Vec<StepRecord>,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_true(flag: &bool) -> bool {
    *flag
}

impl Manifest {
    /// What is noted of `trained`, which came of these steps in this session.
    pub(super) fn of(
        trained: &TrainedModel,
        session: &Session,
        base: &str,
        precision: Precision,
        head: Option<&RewardHead>,
        records: Vec<StepRecord>,
    ) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            key: trained.key.clone(),
            renderer: session.renderer.clone(),
            prompts: session.prompts.digest(),
            base: base.to_owned(),
            reward_head: head.map(HeadRecord::of),
            precision: Some(precision),
            reads_critiques: trained.reads_critiques,
            records,
        }
    }

    /// Of the model in `folder`, if this program trained it.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = manifest_path(folder);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        let manifest: Self = serde_json::from_str(&text)
            .with_context(|| {
                format!("{} is torn: delete its folder to train again", path.display())
            })
            .map_err(Fault::store)?;
        if manifest.format_version > FORMAT_VERSION {
            return Err(Fault::store(anyhow!(
                "{} has format version {}, newer than {FORMAT_VERSION}, the newest this build reads: use a newer critic-rm",
                path.display(),
                manifest.format_version
            )));
        }
        Ok(Some(manifest))
    }

    /// Writes it, which ends the training into `folder`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        Ok(atomic_file::write(&manifest_path(folder), &serde_json::to_vec_pretty(self)?)?)
    }
}

/// The reward head of a training, as it is noted.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::stages) struct HeadRecord {
    pub(in crate::stages) kind: String,
    d_model: usize,
    /// Numbers of its hidden layer.
    width: usize,
}

impl HeadRecord {
    fn of(head: &RewardHead) -> Self {
        let (kind, d_model, width) = (head.layout().kind.to_owned(), head.d_model(), head.width());
        Self { kind, d_model, width }
    }

    /// Lines of Python that put it on a sequence classifier of transformers.
    pub(in crate::stages) fn in_pytorch(&self) -> String {
        let layout = HeadLayout::of_kind(&self.kind);
        layout.map_or_else(String::new, |layout| layout.in_pytorch(self.d_model, self.width))
    }
}

impl std::fmt::Display for HeadRecord {
    /// Its kind and the names of its tensors.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names =
            HeadLayout::of_kind(&self.kind).map(|layout| layout.names().collect::<Vec<_>>());
        write!(f, "{}: {}", self.kind, names.unwrap_or_default().join(", "))
    }
}

fn manifest_path(folder: &Path) -> PathBuf {
    folder.join("training.json")
}

/// Where a model says which prompts it was trained with, where they are not the built-in ones.
pub(crate) fn prompts_path(folder: &Path) -> PathBuf {
    folder.join("prompts.json")
}

/// Lets a model with prompts of its own say which.
pub(super) fn keep_prompts(folder: &Path, sources: &PromptSources) -> Result<()> {
    let path = prompts_path(folder);
    if *sources != PromptSources::builtin() {
        atomic_file::write(&path, &serde_json::to_vec_pretty(sources)?)?;
    } else if path.exists() {
        // Of an earlier training into the same folder.
        std::fs::remove_file(&path).map_err(|error| Fault::store(error.into()))?;
    }
    Ok(())
}

/// Lets the copy of a model's weights in `to` say what the model in `from` says.
pub(crate) fn copy_notes(from: &Path, to: &Path) -> Result<()> {
    for path in [prompts_path, manifest_path] {
        let notes = path(from);
        if notes.is_file() {
            let bytes = std::fs::read(&notes)
                .with_context(|| format!("{} cannot be read", notes.display()))
                .map_err(Fault::store)?;
            atomic_file::write(&path(to), &bytes)?;
        }
    }
    Ok(())
}
