use crate::config::{Architecture, DecoderConfig};
use crate::error::ModelError;
use crate::sources::LoadedModel;
use crate::sources::conversation_files::text_error;
use crate::sources::gguf::read_renderer;
use crate::sources::gguf_config::FromTensors;
use crate::sources::gguf_metadata::Metadata;
use candle_core::quantized::gguf_file::Value;
use critic_text::{Ending, Renderer};
use critic_types::{Conversation, Role};
use std::collections::HashMap;
use std::path::Path;

/// That what the keys say, read as every reader does, is the model that they were written of.
pub(super) fn same_model(
    path: &Path,
    model: &LoadedModel,
    metadata: &HashMap<String, Value>,
    tensors: &FromTensors,
) -> Result<(), ModelError> {
    let metadata = Metadata(metadata);
    let found = metadata.config(tensors)?;
    if let Some(reason) = difference(&model.config, &found) {
        return Err(ModelError::NotForGguf { reason });
    }
    let found = read_renderer(path, &metadata, &found)?;
    same_tokens(path, &model.renderer, &found)
}

/// What of a configuration is another after a round through the keys, rotary embeddings to within their
/// rounding to f32.
fn difference(config: &DecoderConfig, found: &DecoderConfig) -> Option<String> {
    let near = |x: f32, y: f32| (x - y).abs() <= 1e-5 * x.abs();
    let dim = config.rotary_dim();
    let ropes = [Some(&config.rope), config.variant.rope_local.as_ref()];
    let found_ropes = [Some(&found.rope), found.variant.rope_local.as_ref()];
    let same_ropes = ropes.into_iter().zip(found_ropes).all(|pair| match pair {
        (Some(x), Some(y)) => {
            near(x.attention_factor(), y.attention_factor())
                && (x.inverse_frequencies(dim).into_iter())
                    .zip(y.inverse_frequencies(dim))
                    .all(|(x, y)| near(x, y))
        }
        (x, y) => x.is_none() && y.is_none(),
    });
    if !same_ropes {
        return Some(format!("its rotary embedding would be {found_ropes:?} instead of {ropes:?}"));
    }
    let mut found = found.clone();
    found.rope = config.rope.clone();
    found.variant.rope_local.clone_from(&config.variant.rope_local);
    // llama.cpp's Mistral is a Llama.
    if config.architecture == Architecture::Mistral && found.architecture == Architecture::Llama {
        found.architecture = Architecture::Mistral;
    }
    (found != *config).then(|| format!("it would be read as {found:?} instead of {config:?}"))
}

/// That a conversation has the same tokens.
fn same_tokens(path: &Path, renderer: &Renderer, found: &Renderer) -> Result<(), ModelError> {
    let refuse = |reason: String| Err(ModelError::NotForGguf { reason });
    if (found.end_of_turn(), found.bos()) != (renderer.end_of_turn(), renderer.bos()) {
        let token = |id: u32| renderer.tokenizer().token(id).unwrap_or_default();
        return refuse(format!(
            "a turn would end with {:?} instead of {:?}, and a sequence would begin with {:?} instead of {:?}",
            token(found.end_of_turn()),
            token(renderer.end_of_turn()),
            found.bos().map(token),
            renderer.bos().map(token),
        ));
    }
    let asked = Conversation::from_user("Name three primes, please: 2, 3 and?");
    let answered = asked.clone().with(Role::Assistant, "It is 5.\n\nScore: 8/10");
    for (conversation, ending) in [(&asked, Ending::GenerationPrompt), (&answered, Ending::Closed)]
    {
        let tokens = |renderer: &Renderer| {
            renderer.render(conversation, ending).map_err(|error| text_error(path, error))
        };
        if tokens(renderer)? != tokens(found)? {
            return refuse("its template would write other tokens".to_owned());
        }
    }
    Ok(())
}
