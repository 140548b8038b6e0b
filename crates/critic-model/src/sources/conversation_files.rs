use crate::error::ModelError;
use critic_text::{ChatTemplate, Renderer, TextError, Tokenizer, TokenizerConfig};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::Path;

/// Tokens that end a turn in the templates that write them.
const TURN_MARKERS: [&str; 4] = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>"];

/// The tokenizer, chat template and end of turn of a model folder.
///
/// The template stands in `chat_template.jinja`, else in `chat_template.json`, else in
/// `tokenizer_config.json`, as in transformers. EOS is the token that `tokenizer_config.json` names, else
/// the first of `generation_config.json`, else the first of `config.json`.
///
/// # Errors
/// [`ModelError`] when a file is missing or cannot be used.
pub fn read_renderer(folder: &Path) -> Result<Renderer, ModelError> {
    let text = |file: &str, error: TextError| text_error(&folder.join(file), error);
    let tokenizer_json = read(folder, "tokenizer.json")?.ok_or_else(|| {
        ModelError::MissingFile { folder: folder.to_owned(), file: "tokenizer.json".to_owned() }
    })?;
    let tokenizer =
        Tokenizer::from_json(&tokenizer_json).map_err(|error| text("tokenizer.json", error))?;
    let mut config = match read(folder, "tokenizer_config.json")? {
        Some(bytes) => TokenizerConfig::from_json(&bytes)
            .map_err(|error| text("tokenizer_config.json", error))?,
        None => TokenizerConfig::default(),
    };
    if let Some(bytes) = read(folder, "chat_template.jinja")? {
        config.chat_template = Some(String::from_utf8_lossy(&bytes).into_owned());
    } else if let Some(template) = json(folder, "chat_template.json")?["chat_template"].as_str() {
        config.chat_template = Some(template.to_owned());
    }
    let template = config.chat_template().map_err(|error| text_error(folder, error))?;
    let mut eos = config.eos_token.as_deref().and_then(|token| tokenizer.token_id(token));
    for file in ["generation_config.json", "config.json"] {
        if eos.is_none() {
            eos = first_id(&json(folder, file)?["eos_token_id"]);
        }
    }
    let bos = config
        .bos_token
        .as_deref()
        .filter(|_| config.add_bos_token)
        .and_then(|token| tokenizer.token_id(token));
    renderer(folder, tokenizer, template, eos, bos)
}

/// A renderer whose turns end with EOS, or with the marker that the template writes at the end of a turn
/// where EOS is another token (base models made into chat models often keep the EOS of documents).
pub(crate) fn renderer(
    path: &Path,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    eos: Option<u32>,
    bos: Option<u32>,
) -> Result<Renderer, ModelError> {
    let marker = TURN_MARKERS
        .into_iter()
        .filter(|marker| template.source().contains(marker))
        .find_map(|marker| tokenizer.token_id(marker));
    let end_of_turn = marker.or(eos.filter(|&id| tokenizer.token(id).is_some()));
    let end_of_turn =
        end_of_turn.ok_or_else(|| ModelError::NoEndOfTurn { path: path.to_owned() })?;
    Ok(Renderer::new(tokenizer, template, end_of_turn).with_bos(bos))
}

pub(crate) fn text_error(path: &Path, error: TextError) -> ModelError {
    ModelError::Text { path: path.to_owned(), source: Box::new(error) }
}

/// The bytes of a file of the folder, if it is there.
pub(crate) fn read(folder: &Path, file: &str) -> Result<Option<Vec<u8>>, ModelError> {
    let path = folder.join(file);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ModelError::Read { path, source }),
    }
}

/// The JSON in a file of the folder; null if it is not there.
fn json(folder: &Path, file: &str) -> Result<Value, ModelError> {
    let Some(bytes) = read(folder, file)? else { return Ok(Value::Null) };
    serde_json::from_slice(&bytes)
        .map_err(|error| ModelError::Json { path: folder.join(file), reason: error.to_string() })
}

fn first_id(value: &Value) -> Option<u32> {
    let value = value.as_array().map_or(Some(value), |ids| ids.first())?;
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::tokenizer_with;
    use critic_text::Ending;
    use critic_types::{Conversation, Role};

    const TURNS: &str = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}\
        {% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

    /// One of the templates that transformers has rendered.
    fn published(name: &str) -> String {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden/chat_templates.json");
        let rows: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let row = rows.as_array().unwrap().iter().find(|row| row["template_name"] == name);
        row.unwrap()["template"].as_str().unwrap().to_owned()
    }

    #[test]
    fn each_familys_turn_ends_with_its_own_token() {
        let families = [
            (published("gemma"), "<bos>", "<eos>", "<end_of_turn>"),
            (published("mistral"), "<s>", "</s>", "</s>"),
            (published("llama2"), "<s>", "</s>", "</s>"),
            (published("llama3.1"), "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
            (published("qwen2.5"), "<|endoftext|>", "<|endoftext|>", "<|im_end|>"),
            (TURNS.to_owned(), "<s>", "<|endoftext|>", "<|end|>"),
        ];
        for (template, bos, eos, end) in families {
            let tokenizer = tokenizer_with(&[bos, eos, end]);
            let id = |token: &str| tokenizer.token_id(token);
            let (eos_id, bos_id, end_id) = (id(eos), id(bos), id(end).unwrap());
            let template = ChatTemplate::new(&template, Some(bos), Some(eos)).unwrap();
            let made = renderer(Path::new("model"), tokenizer.clone(), template, eos_id, bos_id);
            let made = made.unwrap();
            assert_eq!(made.end_of_turn(), end_id, "{end}");
            let answered = Conversation::from_user("a").with(Role::Assistant, "yes");
            let closed = made.render(&answered, Ending::Closed).unwrap();
            assert_eq!(closed.tokens.last(), Some(&end_id), "{end}");
            let asked = answered.with(Role::User, "b");
            let longer = made.render(&asked, Ending::GenerationPrompt).unwrap();
            assert!(longer.tokens.starts_with(&closed.tokens), "{end}");
        }
    }

    #[test]
    fn a_template_without_a_system_role_refuses_it_in_its_own_words() {
        let tokenizer = tokenizer_with(&["<bos>", "<eos>", "<end_of_turn>"]);
        let template =
            ChatTemplate::new(&published("gemma"), Some("<bos>"), Some("<eos>")).unwrap();
        let renderer = renderer(Path::new("model"), tokenizer, template, None, None).unwrap();
        let asked = Conversation::default().with(Role::System, "a").with(Role::User, "b");
        let error = renderer.render(&asked, Ending::GenerationPrompt).unwrap_err();
        assert!(error.to_string().contains("no system role"), "{error}");
    }
}
