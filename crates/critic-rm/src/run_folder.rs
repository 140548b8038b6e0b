//! The folder of a run.

use crate::cli::RunArgs;
use crate::exit::Fault;
use crate::settings::{self, Resolved};
use anyhow::{Context, Result, anyhow};
use critic_types::atomic_file;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where everything of a run stands.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
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
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn store(&self) -> PathBuf {
        Self::store_of(&self.path)
    }

    /// The store of the run in a folder.
    pub(crate) fn store_of(path: &Path) -> PathBuf {
        path.join("store.sqlite")
    }

    /// The folder of a trained model.
    pub(crate) fn checkpoint(&self, name: &str) -> PathBuf {
        self.path.join("checkpoints").join(name)
    }
}

fn denied(path: &Path, error: std::io::Error) -> anyhow::Error {
    Fault::store(anyhow!(
        "the run folder {} cannot be used: {error}; name another with --out",
        path.display()
    ))
}
