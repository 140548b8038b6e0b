use super::sentencepiece;
use crate::TextError;
use serde_json::Value;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

/// The vocabulary as a GGUF file's metadata has it (`tokenizer.ggml.*`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GgufVocabulary {
    /// `model`: `gpt2` (byte-level BPE) or `llama` (SentencePiece BPE).
    pub model: String,
    /// `pre`: name of the pre-tokenizer, for `gpt2`.
    pub pre: Option<String>,
    /// `tokens`: every token, by id.
    pub tokens: Vec<String>,
    /// `token_type`, by id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    /// Empty means all normal.
    pub token_types: Vec<i32>,
    /// `merges`: two tokens and a space between them, best first, for `gpt2`.
    pub merges: Vec<String>,
    /// `scores`, by id, larger merges first, for `llama`.
    pub scores: Vec<f32>,
    /// `bos_token_id`.
    pub bos_token_id: Option<u32>,
    /// `eos_token_id`.
    pub eos_token_id: Option<u32>,
    /// `unknown_token_id`.
    pub unknown_token_id: Option<u32>,
    /// `add_bos_token`: whether a sequence begins with BOS. Not done by the tokenizer; see
    /// [`Renderer::with_bos`](crate::Renderer::with_bos).
    pub add_bos: bool,
    /// `add_space_prefix`, for `llama`: whether the first word gets a space before it.
    pub add_space_prefix: bool,
}

pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;

/// How text is cut into words before merging.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Words {
    /// The pattern of GPT-2, which the byte-level step brings with it.
    Gpt2,
    /// The same after every digit was set apart.
    DigitsThenGpt2,
    /// A pattern of its own.
    Pattern { pattern: &'static str, nfc: bool, ignore_merges: bool },
}

const LLAMA_3: Words = Words::Pattern {
    pattern: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    nfc: false,
    ignore_merges: true,
};

const QWEN_2: Words = Words::Pattern {
    pattern: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    nfc: true,
    ignore_merges: false,
};

/// Names as llama.cpp writes them into `tokenizer.ggml.pre`; of several for one way the first is written.
const KNOWN: [(&str, Words); 10] = [
    ("gpt-2", Words::Gpt2),
    ("default", Words::Gpt2),
    ("olmo", Words::Gpt2),
    ("phi-2", Words::Gpt2),
    ("smollm", Words::DigitsThenGpt2),
    ("starcoder", Words::DigitsThenGpt2),
    ("llama-bpe", LLAMA_3),
    ("llama3", LLAMA_3),
    ("llama-v3", LLAMA_3),
    ("qwen2", QWEN_2),
];

impl Words {
    /// How a `tokenizer.json` cuts text, where llama.cpp has a way like it.
    pub(super) fn of(json: &Value) -> Option<Self> {
        let steps = |step: &'static str, many: &str| match &json[step] {
            Value::Null => Vec::new(),
            one if one["type"] == "Sequence" => one[many].as_array().cloned().unwrap_or_default(),
            one => vec![one.clone()],
        };
        let nfc = match steps("normalizer", "normalizers").as_slice() {
            [] => false,
            [one] if one["type"] == "NFC" => true,
            _ => return None,
        };
        let ignore_merges = json["model"]["ignore_merges"] == true;
        let steps = steps("pre_tokenizer", "pretokenizers");
        let (bytes, before) = steps.split_last()?;
        if bytes["type"] != "ByteLevel" || bytes["add_prefix_space"] != false {
            return None;
        }
        let with_gpt2 = bytes["use_regex"] != false;
        match before {
            [] if with_gpt2 && !nfc && !ignore_merges => Some(Self::Gpt2),
            [digits] if digits["type"] == "Digits" && digits["individual_digits"] == true => {
                (with_gpt2 && !nfc && !ignore_merges).then_some(Self::DigitsThenGpt2)
            }
            [split]
                if split["type"] == "Split"
                    && split["behavior"] == "Isolated"
                    && split["invert"] == false
                    && !with_gpt2 =>
            {
                let found = split["pattern"]["Regex"].as_str()?;
                let mut known = KNOWN.into_iter().map(|(_, words)| words);
                known.find(|words| match *words {
                    Self::Pattern { pattern, nfc: n, ignore_merges: i } => {
                        (pattern, n, i) == (found, nfc, ignore_merges)
                    }
                    _ => false,
                })
            }
            _ => None,
        }
    }

    /// llama.cpp's name for it.
    pub(super) fn name(self) -> Option<&'static str> {
        KNOWN.iter().find(|(_, words)| *words == self).map(|(name, _)| *name)
    }
}

pub(super) fn build(vocabulary: GgufVocabulary) -> Result<tokenizers::Tokenizer, TextError> {
    let unsupported = |reason: String| TextError::UnsupportedTokenizer {
        model: vocabulary.model.clone(),
        reason,
    };
    let n_tokens = vocabulary.tokens.len();
    if n_tokens == 0 {
        return Err(unsupported("it has no tokens (tokenizer.ggml.tokens)".into()));
    }
    if !vocabulary.token_types.is_empty() && vocabulary.token_types.len() != n_tokens {
        let n_types = vocabulary.token_types.len();
        return Err(unsupported(format!("it has {n_tokens} tokens but {n_types} token types")));
    }
    let mut tokenizer = match vocabulary.model.as_str() {
        "gpt2" => byte_level(&vocabulary)?,
        "llama" => sentencepiece::build(&vocabulary)?,
        _ => return Err(unsupported("only `gpt2` and `llama` are known".into())),
    };
    tokenizer.add_tokens(added_tokens(&vocabulary)).map_err(|e| unsupported(e.to_string()))?;
    Ok(tokenizer)
}

/// Control and unknown tokens as special ones, user-defined ones as ordinary added tokens.
fn added_tokens(vocabulary: &GgufVocabulary) -> Vec<AddedToken> {
    let typed = vocabulary.tokens.iter().zip(&vocabulary.token_types);
    typed
        .filter(|(token, _)| !token.is_empty())
        .filter_map(|(token, &kind)| match kind {
            CONTROL | UNKNOWN => Some(AddedToken::from(token.clone(), true).normalized(false)),
            USER_DEFINED => Some(AddedToken::from(token.clone(), false).normalized(false)),
            _ => None,
        })
        .collect()
}

/// Every token's id; a text that two ids share belongs to the first.
pub(super) fn ids_by_token(tokens: &[String]) -> Vocab {
    let mut ids = Vocab::with_capacity(tokens.len());
    for (id, token) in (0u32..).zip(tokens) {
        ids.entry(token.clone()).or_insert(id);
    }
    ids
}

fn byte_level(vocabulary: &GgufVocabulary) -> Result<tokenizers::Tokenizer, TextError> {
    let unsupported =
        |reason: String| TextError::UnsupportedTokenizer { model: "gpt2".into(), reason };
    let pre = vocabulary.pre.as_deref().unwrap_or("default");
    let Some((_, words)) = KNOWN.iter().find(|(name, _)| *name == pre) else {
        let known = KNOWN.map(|(name, _)| name).join(", ");
        return Err(TextError::UnknownPreTokenizer { pre: pre.to_owned(), known });
    };
    let mut merges = Vec::with_capacity(vocabulary.merges.len());
    for (rank, merge) in vocabulary.merges.iter().enumerate() {
        let Some((left, right)) = merge.split_once(' ') else {
            return Err(unsupported(format!("merge {rank}, `{merge}`, is not two tokens")));
        };
        merges.push((left.to_owned(), right.to_owned()));
    }
    let ignore_merges = matches!(words, Words::Pattern { ignore_merges: true, .. });
    let model = BPE::builder()
        .vocab_and_merges(ids_by_token(&vocabulary.tokens), merges)
        .ignore_merges(ignore_merges)
        .build()
        .map_err(|error| unsupported(error.to_string()))?;

    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let bytes = ByteLevel::new(false, true, matches!(words, Words::Gpt2 | Words::DigitsThenGpt2));
    let pre_tokenizer: PreTokenizerWrapper = match words {
        Words::Gpt2 => bytes.into(),
        Words::DigitsThenGpt2 => Sequence::new(vec![Digits::new(true).into(), bytes.into()]).into(),
        Words::Pattern { pattern, .. } => {
            let pattern = SplitPattern::Regex((*pattern).to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .map_err(|error| unsupported(error.to_string()))?;
            Sequence::new(vec![split.into(), bytes.into()]).into()
        }
    };
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    if matches!(words, Words::Pattern { nfc: true, .. }) {
        tokenizer
            .with_normalizer(Some(NormalizerWrapper::from(NFC)))
            .map_err(|error| unsupported(error.to_string()))?;
    }
    tokenizer.with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}
