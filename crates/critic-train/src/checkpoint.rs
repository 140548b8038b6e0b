use crate::backend::{Backend, SavedParameter};
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

/// Where training stood.
pub(crate) struct Saved {
    parameters: BTreeMap<String, SavedParameter>,
    records: Vec<StepRecord>,
    folder: PathBuf,
}

impl Saved {
    /// Goes on from here with `backend`, which has not been stepped.
    pub(crate) fn resume(self, mut backend: Box<dyn Backend>) -> Result<Progress, TrainError> {
        let Self { parameters, records, folder } = self;
        backend
            .restore(parameters)
            .map_err(|error| TrainError::Checkpoint { path: folder, reason: error.to_string() })?;
        Ok(Progress { backend, records })
    }
}

/// The checkpoints of one training run: a folder for the newest, and a file that names it.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn latest(&self) -> PathBuf {
        self.folder.join("latest")
    }

    /// Writes where training stands; the checkpoint before it goes once this one is whole.
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
        let states = progress.backend.states()?;
        let names: Vec<_> = states
            .iter()
            .map(|state| [format!("first.{}", state.name), format!("second.{}", state.name)])
            .collect();
        let mut moments: BTreeMap<&str, (&[usize], &[f32])> = BTreeMap::new();
        for (state, [first, second]) in states.iter().zip(&names) {
            weights.insert(state.name, (state.shape, &state.values));
            n_updates.insert(state.name.to_owned(), state.n_updates);
            moments.insert(first, (state.shape, &state.first));
            moments.insert(second, (state.shape, &state.second));
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
        self.remove_others(&name);
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
        let mut weights = read("weights.safetensors")?;
        let mut moments = read("moments.safetensors")?;
        let mut parameters = BTreeMap::new();
        for (name, n_updates) in state.n_updates {
            let weight = weights
                .remove(&name)
                .ok_or_else(|| fault("weights.safetensors", format!("`{name}` is missing")))?;
            let mut take = |part: &str| {
                let key = format!("{part}.{name}");
                let array = moments.remove(&key).filter(|array| array.shape() == weight.shape());
                array.ok_or_else(|| {
                    let shape = weight.shape();
                    let reason = format!("`{key}` is missing or not of shape {shape:?}");
                    fault("moments.safetensors", reason)
                })
            };
            let (first, second) = (take("first")?, take("second")?);
            parameters.insert(name, SavedParameter { weight, n_updates, first, second });
        }
        if let Some(name) = weights.into_keys().next() {
            return Err(fault("state.json", format!("`{name}` is missing")));
        }
        Ok(Some(Saved { parameters, records: state.records, folder }))
    }

    /// Removes every checkpoint.
    pub(crate) fn clear(&self) {
        self.remove_others("");
        // What is left behind costs disk only; the next run writes over it.
        let _ = fs::remove_file(self.latest());
    }

    fn remove_others(&self, keep: &str) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("step-") && name.to_string_lossy() != keep {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}
