//! Text that goes on in the middle, for tokenizers that put a space before the first word.

use super::encode;
use crate::TextError;
use serde_json::Value;

/// The tokenizer without its prefix space; `None` when it puts none.
pub(super) fn without_prefix(
    tokenizer: &tokenizers::Tokenizer,
) -> Result<Option<tokenizers::Tokenizer>, TextError> {
    let failed = |detail: String| TextError::Tokenizer { action: "drop its prefix space", detail };
    let part = |part: Result<Value, serde_json::Error>| part.map_err(|e| failed(e.to_string()));

    let mut normalizer = part(serde_json::to_value(tokenizer.get_normalizer()))?;
    let mut pre_tokenizer = part(serde_json::to_value(tokenizer.get_pre_tokenizer()))?;
    let prepends = drop_prepend(&mut normalizer);
    let spaces = never_prefix(&mut pre_tokenizer);
    if !prepends && !spaces {
        return Ok(None);
    }
    let mut unprefixed = tokenizer.clone();
    let normalizer: Option<tokenizers::NormalizerWrapper> =
        serde_json::from_value(normalizer).map_err(|e| failed(e.to_string()))?;
    let pre_tokenizer: Option<tokenizers::PreTokenizerWrapper> =
        serde_json::from_value(pre_tokenizer).map_err(|e| failed(e.to_string()))?;
    unprefixed.with_normalizer(normalizer).map_err(|e| failed(e.to_string()))?;
    unprefixed.with_pre_tokenizer(pre_tokenizer);
    Ok(Some(unprefixed))
}

/// Makes every `Prepend` normalizer prepend nothing; whether there was one.
fn drop_prepend(normalizer: &mut Value) -> bool {
    if normalizer.get("type").and_then(Value::as_str) == Some("Prepend") {
        *normalizer = serde_json::json!({ "type": "Sequence", "normalizers": [] });
        return true;
    }
    let parts = normalizer.get_mut("normalizers").and_then(Value::as_array_mut);
    parts.is_some_and(|parts| parts.iter_mut().fold(false, |found, p| drop_prepend(p) | found))
}

/// Makes every `Metaspace` and `ByteLevel` pre-tokenizer put no prefix space; whether one did.
fn never_prefix(pre_tokenizer: &mut Value) -> bool {
    let kind = pre_tokenizer.get("type").and_then(Value::as_str).map(str::to_owned);
    match kind.as_deref() {
        Some("Metaspace") if pre_tokenizer["prepend_scheme"] != "never" => {
            pre_tokenizer["prepend_scheme"] = "never".into();
            true
        }
        Some("ByteLevel") if pre_tokenizer["add_prefix_space"] == true => {
            pre_tokenizer["add_prefix_space"] = false.into();
            true
        }
        _ => {
            let parts = pre_tokenizer.get_mut("pretokenizers").and_then(Value::as_array_mut);
            parts.is_some_and(|parts| {
                parts.iter_mut().fold(false, |found, p| never_prefix(p) | found)
            })
        }
    }
}

/// The tokens of `text` after the token `previous`.
///
/// After an added token the text may lose spaces or get one, as that token's rules say; so the two
/// are encoded together. In running text there is no prefix space: `unprefixed` encodes the first
/// stretch, and what stands after the first added token is as in any text.
pub(super) fn encode_after(
    tokenizer: &tokenizers::Tokenizer,
    unprefixed: Option<&tokenizers::Tokenizer>,
    previous: u32,
    text: &str,
) -> Result<Vec<u32>, TextError> {
    let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
    if let Some(token) = added.get(&previous) {
        let ids = encode(tokenizer, &format!("{}{text}", token.content))?;
        if ids.first() == Some(&previous) {
            return Ok(ids[1..].to_vec());
        }
    }
    let whole = encode(tokenizer, text)?;
    let Some(unprefixed) = unprefixed else { return Ok(whole) };
    let running = encode(unprefixed, text)?;
    let first_added = |ids: &[u32]| ids.iter().position(|id| added.contains_key(id));
    match (first_added(&running), first_added(&whole)) {
        (Some(end), Some(start)) => Ok([&running[..end], &whole[start..]].concat()),
        _ => Ok(running),
    }
}
