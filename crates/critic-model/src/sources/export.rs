use super::conversation_files::text_error;
use super::{fused, safetensors_file, weights};
use crate::config::DecoderConfig;
use crate::error::ModelError;
use crate::reward_head::RewardHead;
use crate::weight::Weight;
use critic_text::Renderer;
use critic_types::atomic_file;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes a model as a folder that [`load_folder`](super::load_folder) and transformers read.
///
/// `config.json`, `tokenizer.json`, `tokenizer_config.json` with the chat template, and
/// `model.safetensors` in f32, one weight made after the other, last: a folder with weights is whole. The reward head stands in it under the
/// names of its [layout](RewardHead::layout), the decoder under its own in every case. Reading the folder
/// gives the same bits.
///
/// transformers reads a linear head (`score.weight`) as `AutoModelForSequenceClassification` with one
/// label; others are put on in a few lines ([`HeadLayout::in_pytorch`](crate::HeadLayout::in_pytorch)).
/// `AutoModelForCausalLM` reads the decoder of all.
///
/// # Shapes
/// `weights`: those of [`weight_shapes`](crate::weight_shapes)
///
/// # Errors
/// [`ModelError`] when the weights are not those of the architecture or the folder cannot be written.
pub fn write_hf_folder(
    folder: &Path,
    config: &DecoderConfig,
    weights: &BTreeMap<String, Weight>,
    reward_head: Option<&RewardHead>,
    renderer: &Renderer,
) -> Result<(), ModelError> {
    let weights = fused::fuse(config, weights)?;
    let mut arrays: BTreeMap<&str, &Weight> =
        weights.iter().map(|(name, weight)| (name.as_str(), weight)).collect();
    weights::check_shapes(folder, config, arrays.iter().map(|(&name, w)| (name, w.shape())))?;
    if let Some(head) = reward_head {
        head.frame_over(config.d_model)?;
    }
    let head = reward_head.map(RewardHead::tensors).unwrap_or_default();
    arrays.extend(head.iter().map(|(name, tensor)| (*name, tensor)));
    let (tokenizer, template) = (renderer.tokenizer(), renderer.template());
    let tokenizer_json = tokenizer.to_json().map_err(|error| text_error(folder, error))?;
    let bos_id =
        renderer.bos().or_else(|| template.bos_token().and_then(|token| tokenizer.token_id(token)));
    let tokenizer_config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": template.bos_token(),
        "eos_token": template.eos_token(),
        "add_bos_token": renderer.bos().is_some(),
        "model_max_length": config.context_length,
        "clean_up_tokenization_spaces": false,
        "chat_template": template.source(),
    });
    let write = |file: &str, text: &str| atomic_file::write(&folder.join(file), text.as_bytes());
    write("config.json", &config.to_hf_json(renderer.end_of_turn(), bos_id))?;
    write("tokenizer.json", &tokenizer_json)?;
    write("tokenizer_config.json", &format!("{tokenizer_config:#}\n"))?;
    safetensors_file::write_weights(&folder.join("model.safetensors"), &arrays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Architecture;
    use crate::config::tests::{of_family, tiny};
    use crate::sources::load_folder;
    use crate::sources::testing::{bits, random_weight, random_weights, renderer};

    #[test]
    fn what_is_written_is_read_back_bit_for_bit() {
        for architecture in Architecture::ALL {
            let folder = tempfile::tempdir().unwrap();
            let config = of_family(architecture);
            let weights = random_weights(&config);
            let head = RewardHead::linear(random_weight("head", &[1, 12]), 12).unwrap();
            let renderer = renderer().with_bos(Some(0));
            write_hf_folder(folder.path(), &config, &weights, Some(&head), &renderer).unwrap();
            let model = load_folder(folder.path()).unwrap();
            assert_eq!(model.config, config);
            assert!(model.weights.keys().eq(weights.keys()));
            assert!(
                weights.iter().all(|(name, weight)| bits(weight) == bits(&model.weights[name]))
            );
            assert_eq!(model.reward_head.as_ref(), Some(&head));
            assert_eq!(model.renderer.digest(), renderer.digest());
            let again = tempfile::tempdir().unwrap();
            write_hf_folder(
                again.path(),
                &config,
                &model.weights,
                model.reward_head.as_ref(),
                &model.renderer,
            )
            .unwrap();
            assert_eq!(load_folder(again.path()).unwrap().identity.digest, model.identity.digest);
        }
    }

    #[test]
    fn weights_that_could_not_be_read_back_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let config = tiny(Architecture::Llama);
        let mut weights = random_weights(&config);
        let head = RewardHead::linear(random_weight("head", &[1, 11]), 11).unwrap();
        let message = write_hf_folder(folder.path(), &config, &weights, Some(&head), &renderer())
            .unwrap_err()
            .to_string();
        assert!(message.contains("[1, 11]") && message.contains("[1, 12]"), "{message}");
        weights.remove("model.norm.weight");
        let message = write_hf_folder(folder.path(), &config, &weights, None, &renderer())
            .unwrap_err()
            .to_string();
        assert!(message.contains("model.norm.weight"), "{message}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
