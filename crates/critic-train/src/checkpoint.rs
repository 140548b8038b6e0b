use crate::optimizer::{Moments, Optimizer};
use crate::{StepRecord, TrainError, TrainableModel};
use candle_core::{Device, Tensor, Var};
use critic_model::{config::DecoderConfig, with_values};
use critic_types::{ContentId, atomic_file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The newest layout of a training checkpoint that this build reads and writes.
const FORMAT_VERSION: u32 = 1;

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
    pub(crate) model: TrainableModel,
    pub(crate) optimizer: Optimizer,
    pub(crate) records: Vec<StepRecord>,
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
        let weights: BTreeMap<&String, &Tensor> =
            progress.model.parameters.iter().map(|(n, v)| (n, v.as_tensor())).collect();
        write_tensors(&target.join("weights.safetensors"), weights)?;
        let mut moments = BTreeMap::new();
        for (name, state) in &progress.optimizer.moments {
            moments.insert(
                format!("first.{name}"),
                Tensor::from_slice(&state.first, state.first.len(), &Device::Cpu)?,
            );
            moments.insert(
                format!("second.{name}"),
                Tensor::from_slice(&state.second, state.second.len(), &Device::Cpu)?,
            );
        }
        write_tensors(&target.join("moments.safetensors"), &moments)?;
        let state = State {
            format_version: FORMAT_VERSION,
            run: run.clone(),
            n_updates: progress
                .optimizer
                .moments
                .iter()
                .map(|(name, m)| (name.clone(), m.n_updates))
                .collect(),
            records: progress.records.clone(),
        };
        let json = serde_json::to_vec(&state).map_err(|e| at(&target)(&e))?;
        atomic_file::write(&target.join("state.json"), &json)?;
        atomic_file::write(&self.latest(), name.as_bytes())?;
        self.remove_others(&name);
        Ok(())
    }

    /// The newest checkpoint of `run`; nothing when there is none, or when it belongs to another run.
    pub(crate) fn load(
        &self,
        run: &ContentId,
        config: &DecoderConfig,
    ) -> Result<Option<Progress>, TrainError> {
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
        let read = |file: &str| -> Result<BTreeMap<String, Tensor>, TrainError> {
            let tensors = candle_core::safetensors::load(folder.join(file), &Device::Cpu);
            Ok(tensors.map_err(|e| fault(file, e.to_string()))?.into_iter().collect())
        };
        let mut parameters = BTreeMap::new();
        for (name, tensor) in read("weights.safetensors")? {
            parameters.insert(name, Var::from_tensor(&tensor)?);
        }
        let model = TrainableModel::over(config, parameters)?;
        let mut moments = read("moments.safetensors")?;
        let mut optimizer = Optimizer::new(&model.parameters);
        for (name, slot) in &mut optimizer.moments {
            let mut take = |part: &str, length: usize| -> Result<Vec<f32>, TrainError> {
                let key = format!("{part}.{name}");
                let tensor = moments.remove(&key).filter(|tensor| tensor.dims() == [length]);
                let tensor = tensor.ok_or_else(|| {
                    fault(
                        "moments.safetensors",
                        format!("`{key}` is missing or not of length {length}"),
                    )
                })?;
                Ok(with_values(&tensor, |values| Ok(values.to_vec()))?)
            };
            let length = slot.first.len();
            let n_updates = *state
                .n_updates
                .get(name)
                .ok_or_else(|| fault("state.json", format!("`{name}` is missing")))?;
            *slot = Moments {
                n_updates,
                first: take("first", length)?,
                second: take("second", length)?,
            };
        }
        Ok(Some(Progress { model, optimizer, records: state.records }))
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

/// Writes tensors and waits until they are on the disk.
fn write_tensors<'a, K>(
    path: &Path,
    tensors: impl IntoIterator<Item = (K, &'a Tensor)>,
) -> Result<(), TrainError>
where
    K: AsRef<str> + Ord + std::fmt::Display,
{
    let fault = |reason: String| TrainError::Checkpoint {
        path: path.to_owned(),
        reason: format!("could not be written: {reason}"),
    };
    safetensors::serialize_to_file(tensors, None, path).map_err(|e| fault(e.to_string()))?;
    File::open(path).and_then(|file| file.sync_all()).map_err(|e| fault(e.to_string()))
}
