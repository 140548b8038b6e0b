//! The folder of a run.

use crate::cli::RunArgs;
use crate::exit::Fault;
use crate::settings::{self, Resolved};
use anyhow::{Context, Result, anyhow};
use critic_types::{ContentId, atomic_file};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where everything of a run stands.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Where results stand that other runs share; the run's own folder if absent.
    shared: Option<PathBuf>,
    /// Held while the program works on the folder, so that two cannot write at once.
    _lock: File,
}

impl RunFolder {
    /// The resolved settings and the folder that the arguments name.
    pub(crate) fn resolve(args: &RunArgs) -> Result<(Resolved, PathBuf)> {
        let overrides = args.overrides();
        let (run_file, folder) = match &args.run {
            Some(path) if path.is_dir() => {
                let file = path.join("run.toml");
                if !file.is_file() {
                    return Err(Fault::config(anyhow!(
                        "{} holds no run.toml: name a run file, or the folder of a run",
                        path.display()
                    )));
                }
                (Some(file), args.out.clone().unwrap_or_else(|| path.clone()))
            }
            Some(path) => {
                let name = path.file_stem().unwrap_or(path.as_os_str());
                (
                    Some(path.clone()),
                    args.out.clone().unwrap_or_else(|| Path::new("runs").join(name)),
                )
            }
            None => (None, args.out.clone().unwrap_or_else(|| PathBuf::from("runs/default"))),
        };
        Ok((settings::resolve(run_file.as_deref(), &overrides)?, folder))
    }

    /// Makes the folder and takes it, and writes down the settings.
    pub(crate) fn open(path: &Path, resolved: &Resolved) -> Result<Self> {
        let folder = Self::take(path)?;
        let denied = |error| denied(path, error);
        fs::create_dir_all(path.join("checkpoints")).map_err(denied)?;
        let text = toml::to_string(&resolved.settings)
            .context("the settings cannot be written as TOML")?;
        atomic_file::write(&path.join("run.toml"), text.as_bytes())?;
        Ok(folder)
    }

    /// Makes the folder and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let denied = |error| denied(path, error);
        fs::create_dir_all(path).map_err(denied)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(".lock"))
            .map_err(denied)?;
        if lock.try_lock().is_err() {
            return Err(Fault::store(anyhow!(
                "another critic-rm works on {}: wait for it, or name another folder with --out",
                path.display()
            )));
        }
        Ok(Self { path: path.to_owned(), shared: None, _lock: lock })
    }

    /// The same folder with store and trained models in another, under their addresses, so that runs of one
    /// study share what they have in common.
    #[must_use]
    pub(crate) fn sharing(mut self, folder: &Path) -> Self {
        self.shared = Some(folder.to_owned());
        self
    }

    /// Whether the run is one of a study.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn store(&self) -> PathBuf {
        Self::store_of(self.shared.as_ref().unwrap_or(&self.path))
    }

    /// The store of the run in a folder.
    pub(crate) fn store_of(path: &Path) -> PathBuf {
        path.join("store.sqlite")
    }

    /// The folder of the model that a training of this address gives.
    pub(crate) fn checkpoint(&self, name: &str, key: &ContentId) -> PathBuf {
        match &self.shared {
            None => self.path.join("checkpoints").join(name),
            Some(shared) => {
                let short: String = key.as_str().chars().take(16).collect();
                shared.join("trained").join(format!("{name}-{short}"))
            }
        }
    }

    /// Whether a model of this name may be there already: a study's models are known by address alone.
    pub(crate) fn may_have_trained(&self, name: &str) -> bool {
        self.is_shared() || self.has_trained(name)
    }

    /// Whether a model of this name was trained in this folder.
    pub(crate) fn has_trained(&self, name: &str) -> bool {
        self.path.join("checkpoints").join(name).join("training.json").is_file()
    }
}

fn denied(path: &Path, error: std::io::Error) -> anyhow::Error {
    Fault::store(anyhow!(
        "the run folder {} cannot be used: {error}; name another with --out",
        path.display()
    ))
}
