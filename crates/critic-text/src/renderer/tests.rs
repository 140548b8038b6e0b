use super::*;
use crate::{GgufVocabulary, TokenizerConfig};
use proptest::prelude::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden");
const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] \
    + '<|im_end|>' + '\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
/// Header only in the history, BOS, trims, an end that is no end-of-turn token.
const PLAIN: &str = "{{ bos_token }}{% for m in messages %}\
    {% if m.role == 'assistant' %} BOT: {{ m.content | trim }}\n\
    {% else %} {{ m.role }}: {{ m.content | trim }}\n{% endif %}{% endfor %}";
/// As Llama 2 and Mistral: the space before the answer comes only with the answer.
const INST: &str = "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}\
    {{ ' ' + m.content.strip() + ' ' + eos_token }}{% else %}\
    {{ '[INST] ' + m.content + ' [/INST]' }}{% endif %}{% endfor %}";

fn tokenizer() -> Tokenizer {
    Tokenizer::from_json(&std::fs::read(format!("{GOLDEN}/tiny_llama/tokenizer.json")).unwrap())
        .unwrap()
}

const BOS: u32 = 0;
const END: u32 = 2;

fn renderer(template: &str) -> Renderer {
    let template = ChatTemplate::new(template, Some("<|endoftext|>"), Some("<|im_end|>")).unwrap();
    Renderer::new(tokenizer(), template, END)
}

fn answered(question: &str, answer: &str) -> Conversation {
    Conversation::from_user(question).with(Role::Assistant, answer)
}

fn spelled(renderer: &Renderer, ids: &[u32]) -> String {
    let parts = ids.iter().map(|&id| match renderer.tokenizer().is_special(id) {
        true => renderer.tokenizer().token(id).unwrap(),
        false => renderer.tokenizer().decode(&[id]).unwrap(),
    });
    parts.collect()
}

#[test]
fn trap_1_the_reward_is_read_at_the_token_that_closes_the_last_turn() {
    for template in [CHATML, PLAIN, INST] {
        // Pad, EOS and end-of-turn are one token here; no sequence holds one that is padding.
        let renderer = renderer(template);
        for answer in ["4", "4<|im_end|><|im_end|>", "", "4<|im_end|>"] {
            let sequence = renderer.render(&answered("2 + 2?", answer), Ending::Closed).unwrap();
            assert_eq!(sequence.reward_position, Some(sequence.tokens.len() - 1), "{answer}");
            assert_eq!(sequence.tokens.last(), Some(&END));
            let label = sequence.label_span.unwrap();
            assert_eq!(label.end, sequence.tokens.len());
            let text = spelled(&renderer, &sequence.tokens[label]);
            assert_eq!(
                text.trim().replace(" <|im_end|>", "<|im_end|>"),
                format!("{answer}<|im_end|>")
            );
        }
    }
}

#[test]
fn trap_2_bos_is_written_exactly_once() {
    let n_bos = |renderer: &Renderer| {
        let tokens = renderer.render(&answered("a", "b"), Ending::Closed).unwrap().tokens;
        assert_eq!(tokens.iter().position(|&id| id == BOS), Some(0));
        tokens.iter().filter(|&&id| id == BOS).count()
    };
    assert_eq!(n_bos(&renderer(CHATML).with_bos(Some(BOS))), 1);
    assert_eq!(n_bos(&renderer(PLAIN).with_bos(Some(BOS))), 1);
    assert_eq!(n_bos(&renderer(PLAIN)), 1);
    let without = renderer(CHATML).render(&answered("a", "b"), Ending::Closed).unwrap();
    assert!(!without.tokens.contains(&BOS));
    // A template that begins with the header token, when that token is the BOS (SmolLM2).
    let header = renderer(CHATML).with_bos(Some(1));
    let tokens = header.render(&answered("a", "b"), Ending::Closed).unwrap().tokens;
    assert_eq!((tokens[0], tokens[1] == 1), (1, false));
}

#[test]
fn trap_3_a_response_has_the_same_tokens_in_every_use() {
    for template in [CHATML, PLAIN, INST] {
        let renderer = renderer(template);
        let conversation = answered("2 + 2?", "It is 4.\n\nSo: 4");
        let prompt =
            renderer.render(&Conversation::from_user("2 + 2?"), Ending::GenerationPrompt).unwrap();
        let open = renderer.render(&conversation, Ending::Open).unwrap();
        let closed = renderer.render(&conversation, Ending::Closed).unwrap();
        let asked = conversation.clone().with(Role::User, "Is it?");
        let asked = renderer.render(&asked, Ending::GenerationPrompt).unwrap();
        assert!(open.tokens.starts_with(&prompt.tokens), "{template}");
        assert!(closed.tokens.starts_with(&open.tokens), "{template}");
        assert!(asked.tokens.starts_with(&closed.tokens), "{template}");
        assert_eq!(open.label_span.unwrap(), prompt.tokens.len()..open.tokens.len());
        assert_eq!(closed.label_span.unwrap(), prompt.tokens.len()..closed.tokens.len());
        assert_eq!((prompt.label_span, prompt.reward_position), (None, None));
        let followup = renderer.followup(&conversation, "Is it?").unwrap();
        assert_eq!([closed.tokens, followup].concat(), asked.tokens);
    }
}

#[test]
fn trap_3_the_digest_follows_everything_that_decides_the_tokens() {
    let digest = |renderer: Renderer| renderer.digest();
    let base = digest(renderer(CHATML));
    assert_eq!(base, digest(renderer(CHATML)));
    let chatml = || renderer(CHATML);
    let dated =
        chatml().template().clone().with_date(crate::TemplateDate::new(2025, 1, 1).unwrap());
    let others = [
        digest(renderer(PLAIN)),
        digest(chatml().with_bos(Some(BOS))),
        digest(Renderer::new(tokenizer(), chatml().template().clone(), 0)),
        digest(Renderer::new(tokenizer(), dated, END)),
    ];
    for (i, other) in others.iter().enumerate() {
        assert_ne!(&base, other, "{i}");
    }
}

#[test]
fn the_pieces_tokens_are_those_of_the_whole_text() {
    for name in ["tiny_llama", "tiny_qwen2"] {
        let read = |file: &str| std::fs::read(format!("{GOLDEN}/{name}/{file}")).unwrap();
        let tokenizer = Tokenizer::from_json(&read("tokenizer.json")).unwrap();
        let config = TokenizerConfig::from_json(&read("tokenizer_config.json")).unwrap();
        let end = tokenizer.token_id(config.eos_token.as_deref().unwrap()).unwrap();
        let renderer = Renderer::new(tokenizer, config.chat_template().unwrap(), end);
        let conversation = answered("How many? ", " Two  apples,\n\nand 3 pears. ")
            .with(Role::User, "\nSure?")
            .with(Role::Assistant, "Yes");
        let text = renderer.template().render(&conversation, false).unwrap();
        let whole = renderer.tokenizer().encode(text.trim_end()).unwrap();
        assert_eq!(renderer.render(&conversation, Ending::Closed).unwrap().tokens, whole);
        let asked = conversation.with(Role::User, "And now?");
        let text = renderer.template().render(&asked, true).unwrap();
        let whole = renderer.tokenizer().encode(&text).unwrap();
        assert_eq!(renderer.render(&asked, Ending::GenerationPrompt).unwrap().tokens, whole);
    }
}

#[test]
fn running_text_of_a_sentencepiece_model_is_that_of_the_whole() {
    let vocabulary: GgufVocabulary = crate::tokenizer::tests::sentencepiece_vocabulary(true);
    let tokenizer = Tokenizer::from_gguf(vocabulary).unwrap();
    let zephyr = "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}\
        {% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}";
    for template in [zephyr, INST] {
        let template = ChatTemplate::new(template, Some("<s>"), Some("</s>")).unwrap();
        let renderer = Renderer::new(tokenizer.clone(), template, 2).with_bos(Some(1));
        let asked = answered("hello", "world hello").with(Role::User, "world");
        let tokens = renderer.render(&asked, Ending::GenerationPrompt).unwrap().tokens;
        let text = renderer.template().render(&asked, true).unwrap();
        let bos = if text.starts_with("<s>") { "" } else { "<s>" };
        assert_eq!(tokens, tokenizer.encode(&format!("{bos}{text}")).unwrap(), "{text:?}");
    }
}

#[test]
fn a_template_without_a_generation_prompt_is_cut_after_its_header() {
    let renderer = renderer(PLAIN);
    let prompt = renderer.render(&Conversation::from_user("a "), Ending::GenerationPrompt).unwrap();
    assert_eq!(spelled(&renderer, &prompt.tokens), "<|endoftext|> user: a\n BOT:");
    let closed = renderer.render(&answered("a ", " b\n"), Ending::Closed).unwrap();
    let label = spelled(&renderer, &closed.tokens[closed.label_span.unwrap()]);
    assert_eq!(label, " b<|im_end|>");
    let followup = renderer.followup(&answered("a", "b"), "c").unwrap();
    assert_eq!(spelled(&renderer, &followup), "\n user: c\n BOT:");
}

#[test]
fn templates_in_use_can_be_cut() {
    #[derive(serde::Deserialize)]
    struct Row {
        template_name: String,
        template: String,
    }
    let rows = std::fs::read(format!("{GOLDEN}/chat_templates.json")).unwrap();
    let rows: Vec<Row> = serde_json::from_slice(&rows).unwrap();
    let templates: std::collections::BTreeMap<_, _> =
        rows.into_iter().map(|row| (row.template_name, row.template)).collect();
    let conversation = answered("a", " b\n").with(Role::User, "c").with(Role::Assistant, "d");
    for name in ["smollm2", "llama3.1", "qwen2.5", "llama2", "mistral", "gemma", "zephyr"] {
        let renderer = renderer(&templates[name]).with_bos(Some(BOS));
        let prompt = Conversation(conversation.messages()[..3].to_vec());
        let prompt = renderer.render(&prompt, Ending::GenerationPrompt).unwrap();
        let closed = renderer.render(&conversation, Ending::Closed).unwrap();
        assert!(closed.tokens.starts_with(&prompt.tokens), "{name}");
        let label = spelled(&renderer, &closed.tokens[closed.label_span.unwrap()]);
        assert!(
            ["d<|im_end|>", " d<|im_end|>", " d <|im_end|>"].contains(&&*label),
            "{name} {label}"
        );
    }
}

#[test]
fn empty_reasoning_that_a_template_drops_from_earlier_turns_stays_in_them() {
    // As Qwen3's: reasoning stands in what follows the last question alone.
    let reasons = "{% set ns = namespace(asked=0) %}{% for m in messages %}\
        {% if m.role == 'user' %}{% set ns.asked = loop.index0 %}{% endif %}{% endfor %}\
        {% for m in messages %}<|im_start|>{{ m.role }}\n\
        {% if m.role == 'assistant' and loop.index0 > ns.asked %}<r>\n\n</r>\n\n{% endif %}\
        {{ m.content }}<|im_end|>\n{% endfor %}\
        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let renderer = renderer(reasons);
    let text = |conversation: &Conversation, ending| {
        spelled(&renderer, &renderer.render(conversation, ending).unwrap().tokens)
    };
    let prompt = text(&Conversation::from_user("a"), Ending::GenerationPrompt);
    let opened = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<r>\n\n</r>\n\n";
    assert_eq!(prompt, opened);
    let answered = answered("a", "b");
    let closed = text(&answered, Ending::Closed);
    assert_eq!(closed, format!("{opened}b<|im_end|>"));
    let asked = answered.clone().with(Role::User, "c");
    let again = text(&asked, Ending::GenerationPrompt);
    let question = "\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n<r>\n\n</r>\n\n";
    assert_eq!(again, format!("{closed}{question}"));
    let whole = asked.with(Role::Assistant, "d");
    let sequence = renderer.render(&whole, Ending::Closed).unwrap();
    assert_eq!(spelled(&renderer, &sequence.tokens), format!("{again}d<|im_end|>"));
    let label = spelled(&renderer, &sequence.tokens[sequence.label_span.unwrap()]);
    assert_eq!(label, "d<|im_end|>");
    let followup = renderer.followup(&answered, "c").unwrap();
    assert_eq!(spelled(&renderer, &followup), question);
}

#[test]
fn rewritten_turns_are_an_error_that_names_the_turn() {
    let forgets = "{% for m in messages %}<|im_start|>{{ m.role }}\n\
        {% if m.role == 'assistant' and not loop.last %}…{% else %}{{ m.content }}{% endif %}\
        <|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let asked = answered("a", "b").with(Role::User, "c");
    let error = renderer(forgets).render(&asked, Ending::GenerationPrompt).unwrap_err();
    assert!(matches!(error, TextError::TemplateRewrites { turn: 1, .. }), "{error}");
    assert!(renderer(forgets).followup(&answered("a", "b"), "c").is_err());
    assert!(renderer(forgets).render(&answered("a", "b"), Ending::Closed).is_ok());

    let thinks = CHATML.replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n");
    let error = renderer(&thinks).render(&answered("a", "b"), Ending::Closed).unwrap_err();
    assert!(matches!(error, TextError::TemplateRewrites { turn: 1, .. }), "{error}");

    let shouts = CHATML.replace("m['content']", "m['content'].upper()");
    let error = renderer(&shouts).render(&answered("a", "b"), Ending::Closed).unwrap_err();
    assert!(matches!(error, TextError::TemplateHidesContent { turn: 1 }), "{error}");
}

#[test]
fn endings_that_do_not_fit_are_refused() {
    let renderer = renderer(CHATML);
    let refused = |conversation: &Conversation, ending| {
        renderer.render(conversation, ending).unwrap_err().to_string()
    };
    let question = Conversation::from_user("a");
    assert!(refused(&question, Ending::Closed).contains("last turn is of `user`"));
    assert!(refused(&question, Ending::Open).contains("last turn is of `user`"));
    let message = refused(&answered("a", "b"), Ending::GenerationPrompt);
    assert!(message.contains("last turn is of `assistant`"), "{message}");
    assert!(refused(&Conversation::default(), Ending::Closed).contains("no turns"));
    let unknown = Renderer::new(tokenizer(), renderer.template().clone(), 9999);
    let message = unknown.render(&answered("a", "b"), Ending::Closed).unwrap_err().to_string();
    assert!(message.contains("9999") && message.contains("512"), "{message}");
}

fn conversations() -> impl Strategy<Value = Conversation> {
    let content = prop_oneof![
        "[a-zA-Z0-9 .,!?\n]{0,30}",
        "\\PC{0,12}",
        Just("<|im_end|>".to_owned()),
        Just(" PROBE ".to_owned()),
        Just("BOT: x".to_owned()),
    ];
    prop::collection::vec((content.clone(), content), 1..4).prop_map(|turns| {
        turns.into_iter().fold(Conversation::default(), |conversation, (question, answer)| {
            conversation.with(Role::User, question).with(Role::Assistant, answer)
        })
    })
}

proptest! {
    #[test]
    fn every_beginning_has_the_tokens_of_the_whole(conversation in conversations()) {
        for template in [CHATML, PLAIN, INST] {
            let renderer = renderer(template).with_bos(Some(BOS));
            let mut before: Vec<u32> = Vec::new();
            for n in 1..=conversation.messages().len() {
                let part = Conversation(conversation.messages()[..n].to_vec());
                let endings: &[Ending] = match n % 2 {
                    1 => &[Ending::GenerationPrompt],
                    _ => &[Ending::Open, Ending::Closed],
                };
                for &ending in endings {
                    let tokens = renderer.render(&part, ending).unwrap().tokens;
                    prop_assert!(tokens.starts_with(&before), "{:?} {:?}", template, part);
                    prop_assert_eq!(tokens.iter().filter(|&&id| id == BOS).count(), 1);
                    before = tokens;
                }
            }
        }
    }
}
