//! A tiny model and its files.

use crate::config::DecoderConfig;
use crate::layout::weight_shapes;
use crate::weight::Weight;
use critic_text::{ChatTemplate, Renderer, Tokenizer};
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) const TEMPLATE: &str =
    "{% for m in messages %}<|im_start|>{{ m['role'] }} {{ m['content'] }}<|im_end|>{% endfor %}";

/// Weights that depend on their names alone.
pub(crate) fn random_weights(config: &DecoderConfig) -> BTreeMap<String, Weight> {
    weight_shapes(config)
        .into_iter()
        .map(|(name, shape)| (name.clone(), random_weight(&name, &shape)))
        .collect()
}

/// A weight that depends on its name and shape alone.
pub(crate) fn random_weight(name: &str, shape: &[usize]) -> Weight {
    let node = critic_types::SeedTree::new(7).child(name);
    let n: usize = shape.iter().product();
    let values = (0..n as u64).map(|i| node.index(i).uniform() as f32 - 0.5).collect();
    Weight::new(shape, values).unwrap()
}

/// Nine tokens: `<|endoftext|>`, `<|im_start|>`, `<|im_end|>` and six words.
pub(crate) fn tokenizer_json() -> String {
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [special(0, "<|endoftext|>"), special(1, "<|im_start|>"), special(2, "<|im_end|>")],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "unk_token": "<|endoftext|>", "vocab": {"<|endoftext|>": 0, "<|im_start|>": 1,
            "<|im_end|>": 2, "user": 3, "assistant": 4, "a": 5, "b": 6, "yes": 7, "no": 8}},
    })
    .to_string()
}

/// The same with these special tokens too.
pub(crate) fn tokenizer_with(special: &[&str]) -> Tokenizer {
    let mut value: serde_json::Value = serde_json::from_str(&tokenizer_json()).unwrap();
    for token in special {
        if value["model"]["vocab"].get(*token).is_some() {
            continue;
        }
        let id = value["model"]["vocab"].as_object().unwrap().len();
        value["model"]["vocab"][*token] = json!(id);
        let mut added = value["added_tokens"][0].clone();
        (added["id"], added["content"]) = (json!(id), json!(token));
        value["added_tokens"].as_array_mut().unwrap().push(added);
    }
    Tokenizer::from_json(value.to_string().as_bytes()).unwrap()
}

/// Its renderer; EOS is `<|endoftext|>`, turns end with `<|im_end|>`.
pub(crate) fn renderer() -> Renderer {
    let tokenizer = Tokenizer::from_json(tokenizer_json().as_bytes()).unwrap();
    let template =
        ChatTemplate::new(TEMPLATE, Some("<|endoftext|>"), Some("<|endoftext|>")).unwrap();
    Renderer::new(tokenizer, template, 2)
}

/// The bits of a weight, in order.
pub(crate) fn bits(weight: &Weight) -> Vec<u32> {
    weight.values().iter().map(|x| x.to_bits()).collect()
}
