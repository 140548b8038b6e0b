use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden");

pub(super) fn golden_bytes(path: &str) -> Vec<u8> {
    std::fs::read(format!("{GOLDEN}/{path}")).unwrap()
}

#[derive(Deserialize)]
struct Encoded {
    text: String,
    ids: Vec<u32>,
    ids_without_specials: Vec<u32>,
    decoded: String,
}

fn encoded(path: &str) -> Vec<Encoded> {
    serde_json::from_slice(&golden_bytes(path)).unwrap()
}

/// The vocabulary that llama.cpp's converter writes for this tokenizer.
pub(super) fn as_gguf(path: &str, pre: &str) -> GgufVocabulary {
    let json: Value = serde_json::from_slice(&golden_bytes(path)).unwrap();
    let model = &json["model"];
    let mut by_id: Vec<(u64, String, i32)> = model["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (id.as_u64().unwrap(), token.clone(), 1))
        .collect();
    for added in json["added_tokens"].as_array().unwrap() {
        let id = added["id"].as_u64().unwrap();
        by_id.retain(|token| token.0 != id);
        by_id.push((id, added["content"].as_str().unwrap().to_owned(), 3));
    }
    by_id.sort_unstable();
    let pair = |merge: &Value| {
        let side = |i: usize| merge[i].as_str().unwrap();
        format!("{} {}", side(0), side(1))
    };
    GgufVocabulary {
        model: "gpt2".into(),
        pre: Some(pre.into()),
        tokens: by_id.iter().map(|token| token.1.clone()).collect(),
        token_types: by_id.iter().map(|token| token.2).collect(),
        merges: model["merges"].as_array().unwrap().iter().map(pair).collect(),
        ..GgufVocabulary::default()
    }
}

#[test]
fn tokens_equal_the_reference() {
    for (name, pre) in [("tiny_llama", "smollm"), ("tiny_qwen2", "qwen2")] {
        let path = format!("{name}/tokenizer.json");
        let from_json = Tokenizer::from_json(&golden_bytes(&path)).unwrap();
        let from_gguf = Tokenizer::from_gguf(as_gguf(&path, pre)).unwrap();
        let rows = encoded(&format!("tokens_own_{name}.json"));
        assert!(rows.len() > 50);
        for (tokenizer, source) in [(&from_json, "json"), (&from_gguf, "gguf")] {
            for row in &rows {
                let ids = tokenizer.encode(&row.text).unwrap();
                assert_eq!(ids, row.ids, "{name} from {source}: {:?}", row.text);
                let text = tokenizer.decode(&row.ids_without_specials).unwrap();
                assert_eq!(text, row.decoded, "{name} from {source}");
            }
        }
    }
}

#[test]
fn a_tokenizer_is_the_same_after_a_round_through_json() {
    for pre in ["smollm", "gpt-2", "llama-bpe", "qwen2"] {
        let tokenizer = Tokenizer::from_gguf(as_gguf("tiny_llama/tokenizer.json", pre)).unwrap();
        let json = tokenizer.to_json().unwrap();
        let again = Tokenizer::from_json(json.as_bytes()).unwrap();
        assert_eq!(again.to_json().unwrap(), json);
        assert_eq!(again.digest(), tokenizer.digest());
        for row in encoded("tokens_own_tiny_llama.json") {
            assert_eq!(again.encode(&row.text).unwrap(), tokenizer.encode(&row.text).unwrap());
        }
    }
}

#[test]
fn pre_tokenizers_cut_digits_and_breaks_each_in_their_way() {
    let n_pieces = |pre: &str, text: &str| {
        let tokenizer = Tokenizer::from_gguf(as_gguf("tiny_llama/tokenizer.json", pre)).unwrap();
        let mut pieces = tokenizers::PreTokenizedString::from(text);
        let words = tokenizer.inner.get_pre_tokenizer().unwrap();
        tokenizers::PreTokenizer::pre_tokenize(words, &mut pieces).unwrap();
        let offsets = tokenizers::OffsetReferential::Original;
        pieces.get_splits(offsets, tokenizers::OffsetType::Byte).len()
    };
    for (pre, digits, breaks) in
        [("gpt-2", 1, 5), ("smollm", 5, 5), ("llama-bpe", 2, 3), ("qwen2", 5, 3)]
    {
        assert_eq!(n_pieces(pre, "12345"), digits, "{pre}");
        assert_eq!(n_pieces(pre, "a.\n\nb"), breaks, "{pre}");
    }
}

#[test]
fn tokens_and_ids_name_each_other() {
    let tokenizer = Tokenizer::from_json(&golden_bytes("tiny_llama/tokenizer.json")).unwrap();
    assert_eq!(tokenizer.token_id("<|im_end|>"), Some(2));
    assert_eq!(tokenizer.token(2).as_deref(), Some("<|im_end|>"));
    assert!(tokenizer.is_special(2) && !tokenizer.is_special(67));
    assert_eq!(tokenizer.n_tokens(), 512);
    assert_eq!(tokenizer.token(512), None);
    assert_eq!(tokenizer.token_id("no such token"), None);
}

#[test]
fn special_tokens_and_padded_rows_are_left_out_of_text() {
    let tokenizer = Tokenizer::from_json(&golden_bytes("tiny_llama/tokenizer.json")).unwrap();
    let mut ids = tokenizer.encode("<|im_start|>user\nHi<|im_end|>").unwrap();
    ids.push(9999);
    assert_eq!(tokenizer.decode(&ids).unwrap(), "user\nHi");
}

#[test]
fn truncation_and_padding_settings_are_ignored() {
    let mut json: Value =
        serde_json::from_slice(&golden_bytes("tiny_llama/tokenizer.json")).unwrap();
    json["truncation"] = serde_json::json!({
        "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0
    });
    json["padding"] = serde_json::json!({
        "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"
    });
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
    let plain = Tokenizer::from_json(&golden_bytes("tiny_llama/tokenizer.json")).unwrap();
    let text = "one two three";
    assert_eq!(tokenizer.encode(text).unwrap(), plain.encode(text).unwrap());
    assert_eq!(tokenizer.digest(), plain.digest());
}

#[test]
fn broken_vocabularies_are_refused_with_their_reason() {
    let message = Tokenizer::from_json(b"not json").unwrap_err().to_string();
    assert!(message.starts_with("tokenizer.json cannot be read"), "{message}");

    let good = as_gguf("tiny_llama/tokenizer.json", "smollm");
    let refuse = |change: &dyn Fn(&mut GgufVocabulary)| {
        let mut vocabulary = good.clone();
        change(&mut vocabulary);
        Tokenizer::from_gguf(vocabulary).unwrap_err().to_string()
    };
    let message = refuse(&|v| v.pre = Some("klingon".into()));
    assert!(message.contains("`klingon`") && message.contains("smollm, starcoder"), "{message}");
    assert!(refuse(&|v| v.model = "bert".into()).contains("only `gpt2` and `llama`"));
    assert!(refuse(&|v| v.tokens.clear()).contains("no tokens"));
    assert!(refuse(&|v| v.token_types.truncate(3)).contains("512 tokens but 3 token types"));
    assert!(refuse(&|v| v.merges[1] = "alone".into()).contains("merge 1, `alone`"));
    assert!(refuse(&|v| v.merges[1] = "no such".into()).contains("gpt2"));
}

/// `▁` for spaces, every byte, and the words `▁hello`, `▁world` with the pieces of their merges.
pub(crate) fn sentencepiece_vocabulary(add_space_prefix: bool) -> GgufVocabulary {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    let mut token_types = vec![2, 3, 3];
    for byte in 0..=255u8 {
        tokens.push(format!("<0x{byte:02X}>"));
        token_types.push(6);
    }
    let pieces = [
        "lo", "el", "▁h", "hel", "▁hel", "hello", "▁hello", "or", "▁w", "ld", "▁wor", "▁world",
        "▁", "h", "e", "l", "o", "w", "r", "d",
    ];
    tokens.extend(pieces.map(str::to_owned));
    token_types.extend([1; 20]);
    let scores = (0u8..).take(3).map(|_| 0.0).chain([0.0; 256]);
    let scores = scores.chain((0u8..20).map(|rank| -f32::from(rank))).collect();
    GgufVocabulary {
        model: "llama".into(),
        tokens,
        token_types,
        scores,
        bos_token_id: Some(1),
        eos_token_id: Some(2),
        unknown_token_id: Some(0),
        add_bos: true,
        add_space_prefix,
        ..GgufVocabulary::default()
    }
}

fn spelled(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect()
}

#[test]
fn sentencepiece_merges_follow_the_scores() {
    let tokenizer = Tokenizer::from_gguf(sentencepiece_vocabulary(true)).unwrap();
    let spell = |text: &str| spelled(&tokenizer, &tokenizer.encode(text).unwrap());
    assert_eq!(spell("hello world"), ["▁hello", "▁world"]);
    assert_eq!(spell("held"), ["▁hel", "d"]);
    assert_eq!(spell("é"), ["▁", "<0xC3>", "<0xA9>"]);
    assert_eq!(spell("hello</s>"), ["▁hello", "</s>"]);
    for text in ["hello world", " two  spaces", "é\n", ""] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
    }
    let plain = Tokenizer::from_gguf(sentencepiece_vocabulary(false)).unwrap();
    assert_eq!(spelled(&plain, &plain.encode("hello world").unwrap()), ["hello", "▁world"]);
    assert_eq!(plain.decode(&plain.encode("hello world").unwrap()).unwrap(), "hello world");
}

#[test]
fn sentencepiece_without_usable_scores_is_refused() {
    let refuse = |change: &dyn Fn(&mut GgufVocabulary)| {
        let mut vocabulary = sentencepiece_vocabulary(true);
        change(&mut vocabulary);
        Tokenizer::from_gguf(vocabulary).unwrap_err().to_string()
    };
    assert!(refuse(&|v| v.scores.clear()).contains("279 tokens but 0 scores"));
    assert!(refuse(&|v| v.scores.fill(0.0)).contains("order nothing"));
    assert!(refuse(&|v| v.scores[270] = f32::NAN).contains("order nothing"));
    assert!(refuse(&|v| v.tokens[3] = "?".into()).contains("no byte tokens"));
}

#[test]
fn a_piece_in_running_text_gets_no_prefix_space() {
    let tokenizer = Tokenizer::from_gguf(sentencepiece_vocabulary(true)).unwrap();
    let after = |previous: Option<u32>, text: &str| {
        spelled(&tokenizer, &tokenizer.encode_after(previous, text).unwrap())
    };
    let line_break = tokenizer.token_id("<0x0A>");
    assert_eq!(after(None, "hello"), ["▁hello"]);
    assert_eq!(after(line_break, "hello</s>hello"), ["hello", "</s>", "▁hello"]);
    assert_eq!(after(line_break, "hello"), ["hello"]);
    assert_eq!(after(Some(2), "hello"), ["▁hello"]);
    let whole = tokenizer.encode("world\nhello</s>hello").unwrap();
    let first = tokenizer.encode("world\n").unwrap();
    let rest = tokenizer.encode_after(first.last().copied(), "hello</s>hello").unwrap();
    assert_eq!([first, rest].concat(), whole);
}

proptest! {
    #[test]
    fn byte_level_text_comes_back(text in "\\PC{0,40}") {
        let tokenizer = Tokenizer::from_gguf(as_gguf("tiny_llama/tokenizer.json", "smollm")).unwrap();
        let ids = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }
}
