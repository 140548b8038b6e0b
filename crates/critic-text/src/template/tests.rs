use super::*;
use critic_types::Role;

fn conversation() -> Conversation {
    Conversation::from_user("Hi").with(Role::Assistant, "Hello").with(Role::User, "Bye")
}

fn render(source: &str) -> Result<String, TextError> {
    ChatTemplate::new(source, Some("<s>"), Some("</s>"))?.render(&conversation(), true)
}

#[test]
fn blocks_are_trimmed_as_transformers_does() {
    let source =
        "{{ bos_token }}\n    {% for m in messages %}\n{{ m.role }}\n    {% endfor %}\n!\n";
    assert_eq!(render(source).unwrap(), "<s>\nuser\nassistant\nuser\n!");
}

#[test]
fn pythons_methods_and_loop_controls_work() {
    let source = "{%- for m in messages -%}\
        {%- if m['role'].startswith('assist') -%}{%- continue -%}{%- endif -%}\
        [{{ m.content.strip().upper() }}{{ messages[-1]['content'].split('y')[0] }}]\
        {%- if loop.index0 == 5 -%}{%- break -%}{%- endif -%}\
        {%- endfor -%}{{ messages[1:]|length }}{{ messages[0].get('name', '-') }}\
        {%- set ns = namespace(n=0) -%}{% for k, v in messages[0].items() %}{% set ns.n = ns.n + 1 %}\
        {% endfor %}{{ ns.n }}";
    assert_eq!(render(source).unwrap(), "[HIB][BYEB]2-2");
}

#[test]
fn tools_and_documents_are_none_and_unknown_names_undefined() {
    let source = "{% if tools is not none %}t{% endif %}{% if not documents %}d{% endif %}\
        {{ no_such }}{% if no_such is defined %}x{% endif %}{{ eos_token }}";
    assert_eq!(render(source).unwrap(), "d</s>");
    let bare = ChatTemplate::new("[{{ bos_token }}]", None, None).unwrap();
    assert_eq!(bare.render(&conversation(), false).unwrap(), "[]");
}

#[test]
fn json_is_written_as_python_writes_it() {
    let source = "{{ messages[0] | tojson }}{{ ['<é>', 1.0, none, true, {}] | tojson }}";
    let expected = r#"{"role": "user", "content": "Hi"}["<é>", 1.0, null, true, {}]"#;
    assert_eq!(render(source).unwrap(), expected);
    let source = "{{ messages[0] | tojson(indent=2) }}";
    assert_eq!(render(source).unwrap(), "{\n  \"role\": \"user\",\n  \"content\": \"Hi\"\n}");
}

#[test]
fn generation_tags_write_nothing() {
    let source =
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}";
    assert_eq!(render(source).unwrap(), "HiHelloBye");
}

#[test]
fn trap_4_a_template_with_a_date_always_writes_the_same_date() {
    let source = "Today: {{ strftime_now('%d %b %Y') }}";
    assert_eq!(render(source).unwrap(), "Today: 26 Jul 2024");
    let later = ChatTemplate::new(source, None, None)
        .unwrap()
        .with_date(TemplateDate::new(2025, 1, 2).unwrap());
    assert_eq!(later.render(&conversation(), true).unwrap(), "Today: 02 Jan 2025");
}

#[test]
fn a_refusal_is_given_in_the_templates_words() {
    let source =
        "{% if messages[0].role != 'system' %}\n{{ raise_exception('System first!') }}{% endif %}";
    let error = render(source).unwrap_err();
    assert!(matches!(&error, TextError::TemplateRaised { message } if message == "System first!"));
    assert_eq!(error.to_string(), "the chat template refuses this conversation: System first!");
}

#[test]
fn errors_name_their_line() {
    let error = render("a\n{% for %}").unwrap_err();
    assert!(matches!(error, TextError::TemplateSyntax { line: 2, .. }), "{error}");
    let error = render("a\n\n{{ messages[0].content.no_such_method() }}").unwrap_err();
    assert!(matches!(error, TextError::TemplateFailed { line: 3, .. }), "{error}");
    assert!(matches!(render(" \n"), Err(TextError::NoChatTemplate)));
}

#[derive(serde::Deserialize)]
struct Golden {
    template_name: String,
    template: String,
    bos_token: String,
    eos_token: String,
    messages: serde_json::Value,
    add_generation_prompt: bool,
    rendered: Option<String>,
    error: Option<String>,
}

#[test]
fn templates_render_as_transformers_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/golden/chat_templates.json");
    let rows: Vec<Golden> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut n_rendered, mut n_refused) = (0, 0);
    for row in rows {
        // Roles that no conversation of ours has.
        let Ok(conversation) = serde_json::from_value::<Conversation>(row.messages) else {
            continue;
        };
        let template =
            ChatTemplate::new(&row.template, Some(&row.bos_token), Some(&row.eos_token)).unwrap();
        let rendered = template.render(&conversation, row.add_generation_prompt);
        let name = row.template_name;
        match (rendered, row.rendered, row.error) {
            (Ok(text), Some(expected), None) => {
                assert_eq!(text, expected, "{name}: {conversation:?}");
                n_rendered += 1;
            }
            (Err(TextError::TemplateRaised { message }), None, Some(expected)) => {
                assert_eq!(message, expected, "{name}: {conversation:?}");
                n_refused += 1;
            }
            (ours, theirs, refusal) => {
                panic!("{name}: {conversation:?}: {ours:?} but {theirs:?} {refusal:?}");
            }
        }
    }
    assert!(n_rendered > 100 && n_refused > 10, "{n_rendered} {n_refused}");
}
