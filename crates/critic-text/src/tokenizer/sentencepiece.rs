//! SentencePiece BPE from a GGUF file's scores.

use super::gguf::{GgufVocabulary, ids_by_token};
use crate::TextError;
use serde_json::Value;
use std::cmp::Reverse;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{Prepend, Replace, Sequence as Normalizers};
use tokenizers::{DecoderWrapper, NormalizerWrapper};

/// `▁`, which stands for a space.
const SPACE: &str = "\u{2581}";

/// The tokenizer without its added tokens: merges rebuilt from the scores as
/// `transformers.convert_slow_tokenizer.generate_merges` orders them, bytes for what is not in the
/// vocabulary.
pub(super) fn build(vocabulary: &GgufVocabulary) -> Result<tokenizers::Tokenizer, TextError> {
    let unsupported =
        |reason: String| TextError::UnsupportedTokenizer { model: "llama".into(), reason };
    let (n_tokens, n_scores) = (vocabulary.tokens.len(), vocabulary.scores.len());
    if n_scores != n_tokens {
        return Err(unsupported(format!(
            "it has {n_tokens} tokens but {n_scores} scores, and the merges are read from the scores"
        )));
    }
    let first = vocabulary.scores[0];
    if vocabulary.scores.iter().any(|score| score.is_nan())
        || vocabulary.scores.iter().all(|&score| score == first)
    {
        return Err(unsupported("its scores order nothing, so it has no merges".into()));
    }
    let ids = ids_by_token(&vocabulary.tokens);
    if !ids.contains_key("<0x00>") {
        return Err(unsupported("it has no byte tokens (`<0x00>` to `<0xFF>`)".into()));
    }
    let merges = merges(vocabulary, &ids);
    let unknown = vocabulary.unknown_token_id.and_then(|id| vocabulary.tokens.get(id as usize));
    let mut model = BPE::builder().vocab_and_merges(ids, merges).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown {
        model = model.unk_token(unknown.clone());
    }
    let model = model.build().map_err(|error| unsupported(error.to_string()))?;

    let failed = |error: tokenizers::Error| unsupported(error.to_string());
    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    let mut decoders: Vec<DecoderWrapper> = vec![
        Replace::new(SPACE, " ").map_err(failed)?.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ];
    if vocabulary.add_space_prefix {
        normalizers.push(Prepend::new(SPACE.to_owned()).into());
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    normalizers.push(Replace::new(" ", SPACE).map_err(failed)?.into());

    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(Normalizers::new(normalizers))).map_err(failed)?;
    tokenizer.with_decoder(Some(Decoders::new(decoders)));
    Ok(tokenizer)
}

/// Whether a `tokenizer.json` puts a space before the first word.
pub(super) fn adds_space_prefix(json: &Value) -> bool {
    let normalizer = &json["normalizer"];
    let normalizers = normalizer["normalizers"].as_array().map(Vec::as_slice);
    let prepends = |step: &Value| step["type"] == "Prepend";
    let metaspace = &json["pre_tokenizer"];
    normalizers.unwrap_or(std::slice::from_ref(normalizer)).iter().any(prepends)
        || (metaspace["type"] == "Metaspace" && metaspace["prepend_scheme"] != "never")
}

/// Every way to put a token together from two others, the token with the highest score first.
fn merges(vocabulary: &GgufVocabulary, ids: &Vocab) -> Vec<(String, String)> {
    let mut merges = Vec::new();
    for (token, &score) in vocabulary.tokens.iter().zip(&vocabulary.scores) {
        let mut ways: Vec<(u32, u32, &str, &str)> = token
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| {
                let (left, right) = token.split_at(at);
                Some((*ids.get(left)?, *ids.get(right)?, left, right))
            })
            .collect();
        ways.sort_unstable();
        merges.extend(ways.into_iter().map(|(_, _, left, right)| (score, left, right)));
    }
    merges.sort_by(|a, b| {
        let lengths = |m: &(f32, &str, &str)| Reverse((m.1.chars().count(), m.2.chars().count()));
        b.0.total_cmp(&a.0).then_with(|| lengths(a).cmp(&lengths(b)))
    });
    merges.into_iter().map(|(_, left, right)| (left.to_owned(), right.to_owned())).collect()
}
