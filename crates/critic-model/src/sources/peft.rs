use super::safetensors_file::write_weights;
use crate::backprop::Parameters;
use crate::error::ModelError;
use crate::weight::Weight;
use critic_types::atomic_file;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes adapters as a folder that PEFT reads over `base`; nothing without adapters.
///
/// With the reward head they adapt a sequence classifier with one label, else a causal language model.
///
/// `adapter_config.json`, and `adapter_model.safetensors` in f32 with PEFT's names.
///
/// # Errors
/// [`ModelError`] when the folder cannot be written.
pub fn write_peft_folder(
    folder: &Path,
    parameters: &Parameters,
    base: &str,
    with_reward_head: bool,
) -> Result<(), ModelError> {
    let Some(lora) = parameters.lora() else { return Ok(()) };
    let head = parameters.head()?;
    let tensors = if with_reward_head { head.tensors() } else { BTreeMap::new() };
    let of_head = tensors.iter().map(|(name, tensor)| (*name, tensor));
    let adapters = parameters.adapter_ids().into_iter();
    let of_adapters = adapters.map(|id| (parameters.name(id), parameters.weight(id)));
    let named: Vec<(String, &Weight)> = of_adapters
        .chain(of_head)
        .map(|(name, weight)| (format!("base_model.model.{name}"), weight))
        .collect();
    let arrays: BTreeMap<&str, &Weight> =
        named.iter().map(|(name, weight)| (name.as_str(), *weight)).collect();
    let config = json!({
        "peft_type": "LORA",
        "task_type": if with_reward_head { "SEQ_CLS" } else { "CAUSAL_LM" },
        "base_model_name_or_path": base,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "use_rslora": lora.rslora,
        "target_modules": lora.target_modules,
        "modules_to_save": with_reward_head.then(|| [head.layout().module()]),
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
    });
    let path = folder.join("adapter_config.json");
    std::fs::create_dir_all(folder).map_err(|error| ModelError::Safetensors {
        path: folder.to_owned(),
        reason: format!("the folder could not be made: {error}"),
    })?;
    atomic_file::write(&path, format!("{config:#}").as_bytes())?;
    write_weights(&folder.join("adapter_model.safetensors"), &arrays)
}
