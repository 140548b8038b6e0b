use super::*;
use critic_model::sources::load_folder;
use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;

fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden/tiny_llama");
        load_folder(Path::new(folder)).unwrap().renderer.tokenizer().clone()
    })
}

/// Feeds tokens one by one; gives the shown pieces, the text and the cut.
fn feed(tokens: &[u32], stop: &[String]) -> (Vec<String>, String, Option<Cut>) {
    let mut answer = AnswerText::default();
    let mut pieces = Vec::new();
    let mut cut = None;
    for n in 1..=tokens.len() {
        cut = answer.push(&tokens[..n], stop, tokenizer()).unwrap();
        if cut.is_some() {
            break;
        }
        pieces.push(answer.take_piece(stop, false).to_owned());
    }
    if cut.is_none() {
        cut = answer.finish(tokens, stop, tokenizer()).unwrap();
    }
    pieces.push(answer.take_piece(stop, true).to_owned());
    (pieces, answer.text().to_owned(), cut)
}

#[test]
fn characters_of_several_bytes_come_whole() {
    let text = "naïve 日本語 🙂🙃 end";
    let tokens = tokenizer().encode(text).unwrap();
    assert!(tokens.len() > text.chars().count(), "the vocabulary has no such characters");
    let (pieces, whole, cut) = feed(&tokens, &[]);
    assert_eq!((pieces.concat().as_str(), whole.as_str(), cut), (text, text, None));
    assert!(pieces.iter().all(|piece| !piece.contains(INCOMPLETE)));
    assert!(pieces.iter().any(|piece| piece == "🙂"));
}

#[test]
fn an_answer_cut_inside_a_character_keeps_what_the_tokenizer_says() {
    let tokens = tokenizer().encode("ab🙂").unwrap();
    let tokens = &tokens[..tokens.len() - 1];
    let (pieces, whole, _) = feed(tokens, &[]);
    assert_eq!(whole, tokenizer().decode(tokens).unwrap());
    assert_eq!(pieces.concat(), whole);
}

#[test]
fn a_stop_string_over_token_borders_is_never_shown() {
    let text = "The answer is 4. STOP here";
    let tokens = tokenizer().encode(text).unwrap();
    let (pieces, whole, cut) = feed(&tokens, &["P he".to_owned(), "zz".to_owned()]);
    assert_eq!(whole, "The answer is 4. STO");
    assert_eq!(pieces.concat(), whole);
    let cut = cut.unwrap();
    let kept = tokenizer().decode(&tokens[..cut.n_tokens]).unwrap();
    assert_eq!(kept + &cut.rest, whole);
}

#[test]
fn a_text_that_only_begins_like_a_stop_string_is_shown_in_the_end() {
    let tokens = tokenizer().encode("one two STO").unwrap();
    let (pieces, whole, cut) = feed(&tokens, &["STOP".to_owned()]);
    assert_eq!((whole.as_str(), cut), ("one two STO", None));
    assert_eq!(pieces.concat(), whole);
    assert!(pieces.last().unwrap().ends_with("STO"));
    assert_eq!(begun_stop("a日", &["日本".to_owned()]), "日".len());
}

#[test]
fn the_stop_string_that_is_complete_first_ends_an_answer_wherever_tokens_end() {
    let stop = [" 日é".to_owned(), "日".to_owned()];
    for text in [" 日é", "a 日é b"] {
        let tokens = tokenizer().encode(text).unwrap();
        let (pieces, whole, cut) = feed(&tokens, &stop);
        assert_eq!(whole, text[..text.find('日').unwrap()]);
        assert_eq!(pieces.concat(), whole);
        assert!(cut.is_some());
    }
    let mut at_once = AnswerText { text: "a 日é b".to_owned(), ..AnswerText::default() };
    assert_eq!(at_once.cut(&stop, 0), Some(Cut { n_tokens: 0, rest: "a ".to_owned() }));
    let mut together = AnswerText { text: "one two".to_owned(), ..AnswerText::default() };
    let stop = ["two".to_owned(), " two".to_owned()];
    assert_eq!(together.cut(&stop, 0), Some(Cut { n_tokens: 0, rest: "one".to_owned() }));
}

proptest! {
    #[test]
    fn pieces_join_to_the_text_before_the_first_complete_stop_string(
        text in "[abc é日🙂.]{0,40}",
        stop in prop::collection::vec("[abc é日.]{1,3}", 0..3),
    ) {
        let tokens = tokenizer().encode(&text).unwrap();
        let (pieces, whole, cut) = feed(&tokens, &stop);
        let found = stop.iter().filter_map(|stop| {
            let at = text.find(stop.as_str())?;
            Some((at + stop.len(), at))
        });
        let first = found.min().map(|(_, at)| at);
        prop_assert_eq!(&whole, &text[..first.unwrap_or(text.len())]);
        prop_assert_eq!(pieces.concat(), whole.clone());
        prop_assert_eq!(cut.is_some(), first.is_some());
        if let Some(cut) = cut {
            let kept = tokenizer().decode(&tokens[..cut.n_tokens]).unwrap();
            prop_assert_eq!(kept + &cut.rest, whole);
        }
    }

    #[test]
    fn any_tokens_give_the_tokenizers_own_text(tokens in prop::collection::vec(3u32..500, 0..40)) {
        let (pieces, whole, _) = feed(&tokens, &[]);
        prop_assert_eq!(&whole, &tokenizer().decode(&tokens).unwrap());
        prop_assert_eq!(pieces.concat(), whole);
    }
}
