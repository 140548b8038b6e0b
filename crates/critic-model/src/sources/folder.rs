use super::conversation_files::{read, read_renderer};
use super::digest::model_digest;
use super::{LoadedModel, ModelIdentity, hub, safetensors_file, weights};
use crate::config::DecoderConfig;
use crate::error::ModelError;
use crate::matrix::WeightFormat;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

const INDEX: &str = "model.safetensors.index.json";

/// Where LLaMA-Factory and ms-swift write a value head.
pub(crate) const VALUE_HEAD: &str = "value_head.safetensors";

/// Loads a model folder in Hugging Face's layout: `config.json`, `model.safetensors` or its shards (f32,
/// f16 or bf16), `tokenizer.json`, and a chat template.
///
/// A reward head stands in the weights, or in `value_head.safetensors` beside them. A `config.json` that
/// names a base model in place of a shape, as CLoud's, is read where that is a folder.
///
/// A turn ends with the EOS of `tokenizer_config.json`, or with `<|im_end|>`, `<|eot_id|>`, `<end_of_turn>`
/// or `<|end|>` where the template writes that and the vocabulary has it.
///
/// # Errors
/// [`ModelError`] naming the file, and the tensor or field in it, that is missing, torn, of another shape
/// or not supported.
pub fn load_folder(folder: &Path) -> Result<LoadedModel, ModelError> {
    load_folder_as(folder, WeightFormat::Source)
}

/// As [`load_folder`], each matrix in the form in which a decoder of this format holds it.
pub(crate) fn load_folder_as(
    folder: &Path,
    format: WeightFormat,
) -> Result<LoadedModel, ModelError> {
    if !folder.is_dir() {
        return Err(ModelError::NoSuchPath { path: folder.to_owned() });
    }
    let config_path = folder.join("config.json");
    let missing =
        |file: &str| ModelError::MissingFile { folder: folder.to_owned(), file: file.to_owned() };
    let config_json = read(folder, "config.json")?.ok_or_else(|| missing("config.json"))?;
    let config_json = match base_of(&config_json) {
        None => config_json,
        Some(base) => read(Path::new(&base), "config.json")?
            .ok_or_else(|| ModelError::ConfigElsewhere { path: config_path.clone(), base })?,
    };
    let config =
        DecoderConfig::from_hf_json(&config_json).map_err(|error| error.in_file(&config_path))?;
    let renderer = read_renderer(folder)?;
    let mut tensors = BTreeMap::new();
    let mut sums = Vec::new();
    let value_head = Some(folder.join(VALUE_HEAD)).filter(|path| path.is_file());
    for path in weight_files(folder)?.into_iter().chain(value_head) {
        let sum = safetensors_file::read_arrays_as(&path, format, &mut tensors)?;
        hub::check_blob(&path, &sum)?;
        sums.push(sum);
    }
    let (weights, reward_head) = weights::check(folder, &config, tensors)?;
    let name = folder
        .file_name()
        .map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned());
    let identity = ModelIdentity {
        name,
        source: format!("folder {}", folder.display()),
        digest: model_digest(sums.iter().map(String::as_str)),
        license: None,
    };
    Ok(LoadedModel { config, weights, reward_head, renderer, identity })
}

/// The base model that a configuration names in place of a shape (`CLoudRewardModelConfig`).
fn base_of(config_json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Derived {
        base_model_name_or_path: String,
        hidden_size: Option<usize>,
    }
    let derived: Derived = serde_json::from_slice(config_json).ok()?;
    derived.hidden_size.is_none().then_some(derived.base_model_name_or_path)
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The weight files of a folder: one, or every shard that the index names.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let missing =
        |file: &str| ModelError::MissingFile { folder: folder.to_owned(), file: file.to_owned() };
    let index = read(folder, INDEX)?
        .ok_or_else(|| missing("model.safetensors or model.safetensors.index.json"))?;
    shards(&index)
        .map_err(|reason| ModelError::Json { path: folder.join(INDEX), reason })?
        .into_iter()
        .map(|shard| {
            let path = folder.join(&shard);
            if fs::exists(&path).unwrap_or(false) { Ok(path) } else { Err(missing(&shard)) }
        })
        .collect()
}

/// The files that an index of shards names.
pub(crate) fn shards(index: &[u8]) -> Result<BTreeSet<String>, String> {
    let index: Index = serde_json::from_slice(index).map_err(|error| error.to_string())?;
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    let is_plain = |file: &str| {
        let mut components = Path::new(file).components();
        matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
    };
    match files.iter().find(|file| !is_plain(file)) {
        Some(file) => Err(format!("the shard {file:?} is not a file name")),
        None if files.is_empty() => Err("it names no shard".to_owned()),
        None => Ok(files),
    }
}

#[cfg(test)]
mod tests;
