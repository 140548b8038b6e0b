use super::*;

fn prompt() -> Conversation {
    Conversation::from_user("What is 2 + 2?")
}

#[test]
fn every_conversation_goes_on_from_the_response() {
    let prompts = Prompts::builtin();
    let beginning = prompt().with(Role::Assistant, "4");
    let critique = prompts.critique(&prompt(), "4");
    let critiqued = prompts.critiqued(&prompt(), "4", "Right.\nScore: 10");
    let meta = prompts.meta_judge(&prompt(), "4", "Right.\nScore: 10");
    let summary = prompts.summarize(&prompt(), "4", &["a", "b"]);
    for longer in [&critique, &critiqued, &meta, &summary] {
        assert!(longer.messages().starts_with(beginning.messages()));
    }
    assert!(critiqued.messages().starts_with(critique.messages()));
    assert!(meta.messages().starts_with(critiqued.messages()));
    assert_eq!(critique.messages().last().unwrap().role, Role::User);
    assert_eq!(critiqued.messages().last().unwrap().role, Role::Assistant);
    assert_eq!(meta.messages().last().unwrap().role, Role::User);
}

#[test]
fn all_critiques_stand_in_the_request_for_a_summary() {
    let summary = Prompts::builtin().summarize(&prompt(), "4", &["Right. ", "Too {short}."]);
    let request = summary.last_user_text();
    assert!(request.contains("\n1. Right.\n2. Too {short}.\n"), "{request}");
    assert!(!request.contains(CRITIQUES));
}

#[test]
fn requests_are_not_mistaken_for_scores() {
    let prompts = Prompts::builtin();
    for (name, text) in prompts.texts().named() {
        assert_eq!(crate::parse_score(text), None, "{name}");
    }
}

#[test]
fn a_forced_score_is_read_again() {
    let prompts = Prompts::builtin();
    assert_eq!(prompts.score_lead(), "\nScore: ");
    for (i, choice) in prompts.score_choices().iter().enumerate() {
        let text = format!("Right, but terse.{}{choice}", prompts.score_lead());
        assert_eq!(crate::parse_score(&text), Some((i + 1) as f64));
    }
}

#[test]
fn files_end_without_a_blank() {
    let prompts = Prompts::builtin();
    for (name, text) in prompts.texts().named() {
        assert!(!text.ends_with('\n'), "{name}");
    }
}

#[test]
fn unusable_texts_are_refused_by_name() {
    let good = Prompts::builtin().texts().clone();
    let blank = PromptTexts { meta_judge: " \n".into(), ..good.clone() };
    let message = Prompts::new(blank).unwrap_err().to_string();
    assert_eq!(message, "the prompt `meta_judge` cannot be used: it is blank");
    let lost = PromptTexts { summarize: "Merge them.".into(), ..good.clone() };
    let message = Prompts::new(lost).unwrap_err().to_string();
    assert!(message.contains("`summarize`") && message.contains("1 times, not 0"), "{message}");
    let stray = PromptTexts { critique_request: "See {critiques}.".into(), ..good };
    assert!(Prompts::new(stray).is_err());
}

#[test]
fn the_address_follows_the_texts() {
    let builtin = Prompts::builtin();
    let other = PromptTexts { score_lead: "\nRating: ".into(), ..builtin.texts().clone() };
    assert_eq!(builtin.digest(), Prompts::builtin().digest());
    assert_ne!(builtin.digest(), Prompts::new(other).unwrap().digest());
}
