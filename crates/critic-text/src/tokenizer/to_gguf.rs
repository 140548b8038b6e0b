use super::gguf::{CONTROL, GgufVocabulary, UNKNOWN, USER_DEFINED, Words};
use super::{Tokenizer, sentencepiece};
use crate::TextError;
use serde_json::Value;
use std::collections::BTreeMap;

const NORMAL: i32 = 1;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// Texts that the written vocabulary must cut as the tokenizer does.
const PROBES: [&str; 6] = [
    "The answer is 12,345.67, so Score: 8/10.\n\n\tdef f(x):\n        return x**2  # it's, I'll, WE'VE",
    " leading,  two spaces   three\r\n\r\n and trailing ",
    "naïve café, straße, Ångström, e\u{301}tude, ½ ² ٣ 五",
    "Привет, мир! 你好,世界。こんにちは 안녕하세요 مرحبا 🙂👩‍👩‍👧",
    "a_b-c/d\\e@f.g{h}[i]<j>|k|~l^m$n%o&p",
    "1 22 333 4444 55555 3.14159e-10 0x1F",
];

impl Tokenizer {
    /// The vocabulary as a GGUF file holds it, as llama.cpp's `convert_hf_to_gguf.py` writes it: the inverse
    /// of [`from_gguf`](Self::from_gguf).
    ///
    /// Byte-level BPE becomes `gpt2` with its merges; BPE that falls back to bytes becomes `llama` with
    /// scores that order its merges. Ids up to `n_rows`, the rows of the model's embedding, that no token
    /// has are marked as unused. BOS and EOS are not known to a tokenizer and stay empty.
    ///
    /// # Errors
    /// [`TextError::NotForGguf`] when llama.cpp has no such tokenizer, or the vocabulary that was written
    /// would cut text otherwise.
    pub fn to_gguf(&self, n_rows: usize) -> Result<GgufVocabulary, TextError> {
        let refuse = |reason: String| TextError::NotForGguf { reason };
        let json: Value =
            serde_json::from_str(&self.to_json()?).map_err(|error| refuse(error.to_string()))?;
        let model = &json["model"];
        if model["type"] != "BPE" {
            return Err(refuse(format!("its model is {}, and only BPE is written", model["type"])));
        }
        let (tokens, token_types) = tokens(&json, n_rows).map_err(refuse)?;
        let merges = merges(model).ok_or_else(|| refuse("its merges are not pairs".to_owned()))?;
        let falls_back_to_bytes = model["byte_fallback"] == true;
        let empty = GgufVocabulary { tokens, token_types, ..GgufVocabulary::default() };
        let vocabulary = if falls_back_to_bytes {
            let unknown = model["unk_token"].as_str();
            let place = |token: &str| empty.tokens.iter().position(|other| other == token);
            GgufVocabulary {
                model: "llama".to_owned(),
                scores: scores(&empty.tokens, &merges),
                unknown_token_id: unknown.and_then(place).and_then(|id| u32::try_from(id).ok()),
                add_space_prefix: sentencepiece::adds_space_prefix(&json),
                ..empty
            }
        } else {
            let pre = Words::of(&json).and_then(Words::name).ok_or_else(|| {
                let found = &json["pre_tokenizer"];
                refuse(format!(
                    "llama.cpp has no name that is known here for its pre-tokenizer {found}"
                ))
            })?;
            let merges = merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
            GgufVocabulary { model: "gpt2".to_owned(), pre: Some(pre.to_owned()), merges, ..empty }
        };
        let again = Self::from_gguf(vocabulary.clone())?;
        for probe in PROBES {
            if again.encode(probe)? != self.encode(probe)? {
                return Err(refuse(format!("{probe:?} would be cut into other tokens")));
            }
        }
        Ok(vocabulary)
    }
}

/// Every token by id with its type.
fn tokens(json: &Value, n_rows: usize) -> Result<(Vec<String>, Vec<i32>), String> {
    let mut by_id: BTreeMap<u64, (String, i32)> = BTreeMap::new();
    let unknown = json["model"]["unk_token"].as_str();
    let vocab = json["model"]["vocab"].as_object().into_iter().flatten();
    for (token, id) in vocab {
        let id = id.as_u64().ok_or_else(|| format!("token {token:?} has no id"))?;
        let kind = match token.as_str() {
            token if Some(token) == unknown => UNKNOWN,
            token if is_byte(token) => BYTE,
            _ => NORMAL,
        };
        by_id.insert(id, (token.clone(), kind));
    }
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        let (Some(id), Some(token)) = (added["id"].as_u64(), added["content"].as_str()) else {
            return Err(format!("the added token {added} has no id or no content"));
        };
        let kind = match (Some(token) == unknown, added["special"] == true) {
            (true, _) => UNKNOWN,
            (false, true) => CONTROL,
            (false, false) => USER_DEFINED,
        };
        by_id.insert(id, (token.to_owned(), kind));
    }
    let n_tokens = by_id.keys().next_back().map_or(0, |&last| last + 1);
    if n_tokens > n_rows as u64 {
        return Err(format!("it has ids up to {n_tokens}, the embedding {n_rows} rows"));
    }
    let unused = |id: u64| (format!("[PAD{id}]"), UNUSED);
    Ok((0..n_rows as u64).map(|id| by_id.remove(&id).unwrap_or_else(|| unused(id))).unzip())
}

/// The merges, best first; files hold them as pairs or with a space between.
fn merges(model: &Value) -> Option<Vec<(&str, &str)>> {
    model["merges"]
        .as_array()?
        .iter()
        .map(|merge| match merge.as_array().map(Vec::as_slice) {
            Some([left, right]) => Some((left.as_str()?, right.as_str()?)),
            Some(_) => None,
            None => merge.as_str()?.split_once(' '),
        })
        .collect()
}

/// Scores that order tokens by the first merge that makes them; those that no merge makes come last.
fn scores(tokens: &[String], merges: &[(&str, &str)]) -> Vec<f32> {
    let mut ranks: BTreeMap<String, usize> = BTreeMap::new();
    for (rank, (left, right)) in merges.iter().enumerate() {
        ranks.entry(format!("{left}{right}")).or_insert(rank);
    }
    let rank = |token: &String| ranks.get(token).copied().unwrap_or(merges.len());
    tokens.iter().map(|token| -(rank(token) as f32)).collect()
}

/// `<0x00>` to `<0xFF>`.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{as_gguf, golden_bytes, sentencepiece_vocabulary};
    use super::*;

    #[test]
    fn a_byte_level_tokenizer_is_written_as_llama_cpps_converter_does() {
        for (name, pre) in [("tiny_llama", "smollm"), ("tiny_qwen2", "qwen2")] {
            let path = format!("{name}/tokenizer.json");
            let tokenizer = Tokenizer::from_json(&golden_bytes(&path)).unwrap();
            assert_eq!(tokenizer.to_gguf(tokenizer.n_tokens()).unwrap(), as_gguf(&path, pre));
        }
        for pre in ["gpt-2", "smollm", "llama-bpe", "qwen2"] {
            let vocabulary = as_gguf("tiny_llama/tokenizer.json", pre);
            let tokenizer = Tokenizer::from_gguf(vocabulary.clone()).unwrap();
            assert_eq!(tokenizer.to_gguf(tokenizer.n_tokens()).unwrap(), vocabulary);
        }
    }

    #[test]
    fn scores_order_the_merges_of_sentencepiece_as_they_were() {
        for add_space_prefix in [true, false] {
            let vocabulary = sentencepiece_vocabulary(add_space_prefix);
            let tokenizer = Tokenizer::from_gguf(vocabulary.clone()).unwrap();
            let written = tokenizer.to_gguf(tokenizer.n_tokens()).unwrap();
            assert_eq!(
                (&written.tokens, &written.token_types),
                (&vocabulary.tokens, &vocabulary.token_types)
            );
            assert_eq!(written.unknown_token_id, vocabulary.unknown_token_id);
            assert_eq!(written.add_space_prefix, add_space_prefix);
            let again = Tokenizer::from_gguf(written).unwrap();
            assert_eq!(again.digest(), tokenizer.digest());
        }
    }

    #[test]
    fn rows_without_a_token_are_marked_as_unused() {
        let tokenizer = Tokenizer::from_json(&golden_bytes("tiny_llama/tokenizer.json")).unwrap();
        let written = tokenizer.to_gguf(514).unwrap();
        assert_eq!(written.tokens[512..], ["[PAD512]", "[PAD513]"]);
        assert_eq!(written.token_types[512..], [UNUSED, UNUSED]);
        let message = tokenizer.to_gguf(511).unwrap_err().to_string();
        assert!(message.contains("512") && message.contains("511 rows"), "{message}");
    }

    #[test]
    fn what_llama_cpp_has_no_name_for_is_refused() {
        let mut json: Value =
            serde_json::from_slice(&golden_bytes("tiny_llama/tokenizer.json")).unwrap();
        let refusal = |json: &Value| {
            let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
            tokenizer.to_gguf(512).unwrap_err().to_string()
        };
        json["pre_tokenizer"] = serde_json::json!({"type": "Whitespace"});
        assert!(refusal(&json).contains("Whitespace"));
        json["model"] =
            serde_json::json!({"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0}});
        json["added_tokens"] = serde_json::json!([]);
        assert!(refusal(&json).contains("WordLevel"));
    }
}
