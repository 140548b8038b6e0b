use crate::backend::{Backend, SavedMoments};
use crate::{StepRecord, TrainError};
use critic_model::Weight;
use critic_model::sources::{read_arrays, write_arrays};
use critic_types::{ContentId, atomic_file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The newest layout of a training checkpoint that this build reads and writes.
const FORMAT_VERSION: u32 = 2;

/// What a checkpoint holds besides tensors.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    format_version: u32,
    /// Address of model, data and settings: a checkpoint of another run is not taken up.
    run: ContentId,
    n_updates: BTreeMap<String, u64>,
    records: Vec<StepRecord>,
}

/// Where training stands.
pub(crate) struct Progress {
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) records: Vec<StepRecord>,
}

/// What tells the best weights of one step of one run from others.
fn best_mark(run: &ContentId, step: usize) -> String {
    format!("after step {step} of {run}")
}

/// Where training stood.
pub(crate) struct Saved {
    weights: BTreeMap<String, Weight>,
    moments: BTreeMap<String, SavedMoments>,
    records: Vec<StepRecord>,
    folder: PathBuf,
}

impl Saved {
    /// Goes on from here with `backend`, which has not been stepped.
    pub(crate) fn resume(self, mut backend: Box<dyn Backend>) -> Result<Progress, TrainError> {
        let Self { weights, moments, records, folder } = self;
        backend
            .restore(weights)
            .and_then(|()| backend.restore_moments(moments))
            .map_err(|error| TrainError::Checkpoint { path: folder, reason: error.to_string() })?;
        Ok(Progress { backend, records })
    }
}

/// The checkpoints of one training run: a folder for each of the newest, a file that names the last, and
/// the weights that were best on held-out pairs.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    /// How many of the newest stay.
    n_kept: usize,
}

impl Checkpoints {
    pub(crate) fn new(folder: &Path, n_kept: usize) -> Self {
        Self { folder: folder.to_owned(), n_kept }
    }

    fn latest(&self) -> PathBuf {
        self.folder.join("latest")
    }

    /// Writes where training stands; those beyond the number that is kept go once this one is whole.
    pub(crate) fn save(&self, run: &ContentId, progress: &Progress) -> Result<(), TrainError> {
        let name = format!("step-{:06}", progress.records.len());
        let target = self.folder.join(&name);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error: &dyn std::fmt::Display| TrainError::Checkpoint {
                path,
                reason: format!("could not be written: {error}"),
            }
        };
        fs::create_dir_all(&target).map_err(|e| at(&target)(&e))?;
        let mut weights: BTreeMap<&str, (&[usize], &[f32])> = BTreeMap::new();
        let mut n_updates = BTreeMap::new();
        let (parameters, states) = (progress.backend.weights()?, progress.backend.moments()?);
        let names: Vec<_> = parameters
            .iter()
            .map(|weight| [format!("first.{}", weight.name), format!("second.{}", weight.name)])
            .collect();
        let mut moments: BTreeMap<&str, (&[usize], &[f32])> = BTreeMap::new();
        for ((weight, state), [first, second]) in parameters.iter().zip(&states).zip(&names) {
            weights.insert(weight.name, (weight.shape, &weight.values));
            n_updates.insert(weight.name.to_owned(), state.n_updates);
            moments.insert(first, (weight.shape, &state.first));
            moments.insert(second, (weight.shape, &state.second));
        }
        write_arrays(&target.join("weights.safetensors"), &weights)?;
        write_arrays(&target.join("moments.safetensors"), &moments)?;
        let state = State {
            format_version: FORMAT_VERSION,
            run: run.clone(),
            n_updates,
            records: progress.records.clone(),
        };
        let json = serde_json::to_vec(&state).map_err(|e| at(&target)(&e))?;
        atomic_file::write(&target.join("state.json"), &json)?;
        atomic_file::write(&self.latest(), name.as_bytes())?;
        self.keep_newest(self.n_kept, &name);
        Ok(())
    }

    /// The newest checkpoint of `run`; nothing when there is none, or when it belongs to another run.
    pub(crate) fn load(&self, run: &ContentId) -> Result<Option<Saved>, TrainError> {
        let Ok(name) = fs::read_to_string(self.latest()) else { return Ok(None) };
        let folder = self.folder.join(name.trim());
        let fault =
            |file: &str, reason: String| TrainError::Checkpoint { path: folder.join(file), reason };
        let text = fs::read_to_string(folder.join("state.json"))
            .map_err(|e| fault("state.json", e.to_string()))?;
        let state: State =
            serde_json::from_str(&text).map_err(|e| fault("state.json", e.to_string()))?;
        if state.format_version > FORMAT_VERSION {
            let reason = format!(
                "format version {} is newer than {FORMAT_VERSION}, the newest this build reads",
                state.format_version
            );
            return Err(fault("state.json", reason));
        }
        if state.run != *run {
            return Ok(None);
        }
        let read = |file: &str| -> Result<BTreeMap<String, Weight>, TrainError> {
            let mut arrays = BTreeMap::new();
            match read_arrays(&folder.join(file), &mut arrays) {
                Ok(_) => Ok(arrays),
                Err(error) => Err(fault(file, error.to_string())),
            }
        };
        let weights = read("weights.safetensors")?;
        let mut arrays = read("moments.safetensors")?;
        let mut moments = BTreeMap::new();
        for (name, n_updates) in state.n_updates {
            let mut take = |part: &str| {
                let key = format!("{part}.{name}");
                let missing = || fault("moments.safetensors", format!("`{key}` is missing"));
                arrays.remove(&key).ok_or_else(missing)
            };
            let (first, second) = (take("first")?, take("second")?);
            moments.insert(name, SavedMoments { n_updates, first, second });
        }
        Ok(Some(Saved { weights, moments, records: state.records, folder }))
    }

    fn best(&self) -> PathBuf {
        self.folder.join("best.safetensors")
    }

    /// Writes the weights after `step`, the best so far.
    pub(crate) fn save_best(
        &self,
        run: &ContentId,
        step: usize,
        backend: &dyn Backend,
    ) -> Result<(), TrainError> {
        let path = self.best();
        fs::create_dir_all(&self.folder).map_err(|error| TrainError::Checkpoint {
            path: path.clone(),
            reason: format!("could not be written: {error}"),
        })?;
        let mark = best_mark(run, step);
        let weights = backend.weights()?;
        let mut arrays: BTreeMap<&str, (&[usize], &[f32])> = weights
            .iter()
            .map(|weight| (weight.name, (weight.shape, weight.values.as_ref())))
            .collect();
        arrays.insert(&mark, (&[0], &[]));
        Ok(write_arrays(&path, &arrays)?)
    }

    /// Puts the weights back that [`save_best`](Self::save_best) wrote after `step`.
    pub(crate) fn load_best(
        &self,
        run: &ContentId,
        step: usize,
        backend: &mut dyn Backend,
    ) -> Result<(), TrainError> {
        let path = self.best();
        let fault = |reason: String| TrainError::Checkpoint { path: path.clone(), reason };
        let mut arrays = BTreeMap::new();
        read_arrays(&path, &mut arrays).map_err(|error| fault(error.to_string()))?;
        if arrays.remove(&best_mark(run, step)).is_none() {
            return Err(fault(format!("it does not hold the weights after step {}", step + 1)));
        }
        backend.restore(arrays).map_err(|error| fault(error.to_string()))
    }

    /// Removes every checkpoint.
    pub(crate) fn clear(&self) {
        self.keep_newest(0, "");
        let _ = fs::remove_file(self.best());
        // What is left behind costs disk only; the next run writes over it.
        let _ = fs::remove_file(self.latest());
    }

    /// Removes all but the `n` newest up to `last`; later ones are torn, or of a sitting that was cut off.
    fn keep_newest(&self, n: usize, last: &str) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let (mut kept, gone): (Vec<String>, Vec<String>) =
            names.filter(|name| name.starts_with("step-")).partition(|name| name.as_str() <= last);
        kept.sort_unstable();
        for name in kept.iter().rev().skip(n).chain(&gone) {
            let _ = fs::remove_dir_all(self.folder.join(name));
        }
    }
}
