use super::*;

fn prompt() -> Conversation {
    Conversation::from_user("What is 2 + 2?")
}

fn own(text: &str) -> PromptSource {
    PromptSource { file: "mine.jinja".to_owned(), text: text.to_owned() }
}

fn scale() -> ScoreScale {
    ScoreScale::default()
}

fn texts(prompts: &Prompts) -> Vec<String> {
    let asked = prompts.critique(&prompt(), "4").last_user_text().to_owned();
    let told = prompts.conditioned(&prompt(), "4", "5", Side::Chosen).last_user_text().to_owned();
    let merged = prompts.summarize(&prompt(), "4", &["a"]).last_user_text().to_owned();
    let [lead, question] = [prompts.score_lead(), prompts.verdict_question()].map(str::to_owned);
    let judged = prompts.meta_judge(&prompt(), "4", "z").last_user_text().to_owned();
    let compared = prompts.meta_judge_pairwise(&prompt(), "4", "z", "w");
    let compared = compared.last_user_text().to_owned();
    vec![asked, told, merged, lead, question, judged, compared]
}

#[test]
fn every_conversation_goes_on_from_the_response() {
    let prompts = Prompts::builtin();
    let beginning = prompt().with(Role::Assistant, "4");
    let critique = prompts.critique(&prompt(), "4");
    let critiqued = prompts.critiqued(&prompt(), "4", "Right.\nScore: 10");
    let meta = prompts.meta_judge(&prompt(), "4", "Right.\nScore: 10");
    let summary = prompts.summarize(&prompt(), "4", &["a", "b"]);
    let told = prompts.conditioned(&prompt(), "4", "5", Side::Rejected);
    let compared = prompts.meta_judge_pairwise(&prompt(), "4", "a", "b");
    for longer in [&critique, &critiqued, &meta, &summary, &told, &compared] {
        assert!(longer.messages().starts_with(beginning.messages()));
    }
    assert!(critiqued.messages().starts_with(critique.messages()));
    assert!(meta.messages().starts_with(critiqued.messages()));
    assert_eq!(critique.messages().last().unwrap().role, Role::User);
    assert_eq!(critiqued.messages().last().unwrap().role, Role::Assistant);
    assert_eq!(meta.messages().last().unwrap().role, Role::User);
}

#[test]
fn the_built_in_prompts_say_what_stored_runs_were_asked() {
    let critique = "Critique the answer above in at most three sentences: say what is right and what is wrong or missing. End with \"Score: N\", N from 1 (bad) to 10 (perfect).";
    let question = "Is the answer correct, helpful and safe? Reply Yes or No.";
    let meta = "How good is this critique: is it true, specific and complete? Rate it from 1 (bad) to 10 (perfect). Reply with the number only.";
    let summarize = "Here are critiques of the answer above:\n\n{critiques}\n\nWrite one critique of at most three sentences. Keep what they agree on and drop what they contradict. End with \"Score: N\", N from 1 (bad) to 10 (perfect).";
    let prompts = Prompts::builtin();
    let request = |asked: Conversation| asked.last_user_text().to_owned();
    assert_eq!(request(prompts.critique(&prompt(), "4")), critique);
    assert_eq!(prompts.score_lead(), "\nScore: ");
    assert_eq!(prompts.verdict_question(), question);
    assert_eq!(request(prompts.meta_judge(&prompt(), "4", "z")), meta);
    let merged = summarize.replace("{critiques}", "1. a\n2. b");
    assert_eq!(request(prompts.summarize(&prompt(), "4", &["a", " b "])), merged);

    // Their address is that of the texts, as stored runs have it.
    let mut hasher = ContentHasher::new("prompts");
    for (name, text) in [
        ("critique_request", critique),
        ("score_lead", "\nScore: "),
        ("verdict_question", question),
        ("meta_judge", meta),
        ("summarize", summarize),
    ] {
        hasher.text(name).text(text);
    }
    assert_eq!(prompts.digest(), hasher.finish());
}

#[test]
fn all_critiques_stand_in_the_request_for_a_summary_and_move_nothing() {
    let prompts = Prompts::builtin();
    let summary = prompts.summarize(&prompt(), "4", &["Right. ", "Too {{ critiques }}."]);
    let request = summary.last_user_text();
    assert!(request.contains("\n1. Right.\n2. Too {{ critiques }}.\n"), "{request}");
}

#[test]
fn requests_are_not_mistaken_for_scores_and_end_without_a_line_break() {
    let rubric = Some("- It is right.".to_owned());
    for (_, critique) in PromptSources::critiques() {
        let sources =
            PromptSources { critique, rubric: rubric.clone(), ..PromptSources::builtin() };
        for text in texts(&Prompts::new(sources).unwrap()) {
            assert_eq!(scale().parse(&text), None, "{text}");
            assert!(!text.ends_with('\n'), "{text}");
        }
    }
}

#[test]
fn a_forced_score_is_read_again() {
    let prompts = Prompts::builtin();
    for (i, choice) in prompts.score_choices().iter().enumerate() {
        let text = format!("Right, but terse.{}{choice}", prompts.score_lead());
        assert_eq!(scale().parse(&text), Some((i + 1) as f64));
    }
}

#[test]
fn a_rubric_is_any_value_of_jinja() {
    let critique = own("{% if rubric %}By\n{{ rubric | upper }}{% endif %}: what is wrong?\n");
    let rubric = Some("- is short".to_owned());
    let sources = PromptSources { critique: critique.clone(), rubric, ..PromptSources::builtin() };
    let prompts = Prompts::new(sources.clone()).unwrap();
    assert_eq!(texts(&prompts)[0], "By\n- IS SHORT: what is wrong?");
    let other = PromptSources { rubric: Some("- is long".to_owned()), ..sources.clone() };
    assert_ne!(Prompts::new(other).unwrap().digest(), prompts.digest());
    let none = Prompts::new(PromptSources { rubric: None, ..sources }).unwrap_err().to_string();
    assert!(none.contains("`rubric`") && none.contains("prompts.rubric"), "{none}");
}

#[test]
fn a_reference_answer_goes_to_its_own_question() {
    let [_, (_, critique), ..] = PromptSources::critiques();
    let prompts = Prompts::new(PromptSources { critique, ..PromptSources::builtin() }).unwrap();
    assert!(prompts.shows_reference() && prompts.lacks_reference(&prompt()));
    let with =
        |text: &str| prompts.clone().with_references(HashMap::from([(prompt(), text.to_owned())]));
    let given = with("It is {{ 4 }}.");
    assert!(!given.lacks_reference(&prompt()));
    assert!(given.lacks_reference(&Conversation::from_user("What is 2 + 3?")));
    assert!(texts(&given)[0].contains(":\n\nIt is {{ 4 }}.\n\nCritique"));
    assert_ne!(given.digest(), with("It is 4.").digest());
    let builtin = Prompts::builtin();
    assert!(!builtin.lacks_reference(&prompt()));
    let references = HashMap::from([(prompt(), "4".to_owned())]);
    assert_eq!(builtin.clone().with_references(references).digest(), builtin.digest());
}

#[test]
fn a_critic_that_is_told_the_label_is_asked_for_the_reasons() {
    let prompts = Prompts::builtin();
    let told = |side| prompts.conditioned(&prompt(), "4", "5", side).last_user_text().to_owned();
    assert!(told(Side::Chosen).contains("why it is the better one"));
    assert!(told(Side::Rejected).contains("why it is the worse one"));
    let conditioned = own("Not {{ other }}: {{ label }}. Why?");
    let sources = PromptSources { conditioned, ..PromptSources::builtin() };
    let other = Prompts::new(sources).unwrap();
    let asked = other.conditioned(&prompt(), "4", "{{ label }}", Side::Rejected);
    assert_eq!(asked.last_user_text(), "Not {{ label }}: worse. Why?");
    assert_ne!(other.conditioned_digest(), prompts.conditioned_digest());
    assert_eq!(other.digest(), prompts.digest());
}

#[test]
fn two_critiques_stand_in_the_order_asked_for_and_move_nothing() {
    let prompts = Prompts::builtin();
    let asked = prompts.meta_judge_pairwise(&prompt(), "4", " {{ second }} ", "{first} B\n");
    let text = asked.last_user_text();
    assert!(text.contains("\n[Critique A]\n{{ second }}\n\n[Critique B]\n{first} B\n\n"), "{text}");
    assert_eq!(prompts.meta_judge_pairwise_choices(), ["A", "B"]);
}

#[test]
fn a_prompt_for_two_critiques_has_an_address_of_its_own() {
    let with = |text: &str| {
        let meta_judge_pairwise = own(text);
        Prompts::new(PromptSources { meta_judge_pairwise, ..PromptSources::builtin() })
    };
    let error = with("{{ first }} or {{ first }}?").unwrap_err().to_string();
    assert!(error.contains("`second` must stand"), "{error}");
    let (builtin, other) = (Prompts::builtin(), with("{{ first }} or {{ second }}?").unwrap());
    assert_eq!(other.digest(), builtin.digest());
    assert_ne!(other.meta_judge_pairwise_digest(), builtin.meta_judge_pairwise_digest());
}

#[test]
fn texts_that_were_kept_before_there_was_a_prompt_for_two_critiques_have_the_built_in_one() {
    let mut kept = serde_json::to_value(PromptSources::builtin()).unwrap();
    kept.as_object_mut().unwrap().remove("meta_judge_pairwise").unwrap();
    let read: PromptSources = serde_json::from_value(kept).unwrap();
    assert_eq!(read, PromptSources::builtin());
}

#[test]
fn unusable_texts_are_refused_by_variable_and_file() {
    let builtin = PromptSources::builtin;
    for (sources, words) in [
        (PromptSources { meta_judge: own(" \n"), ..builtin() }, "`meta_judge` (mine.jinja)"),
        (PromptSources { meta_judge: own(" \n"), ..builtin() }, "it is blank"),
        (PromptSources { summarize: own("Merge them."), ..builtin() }, "`critiques` must stand"),
        (
            PromptSources { critique: own("See {{ critiques }}."), ..builtin() },
            "`critiques` is none of this prompt's; it has `reference`, `rubric`",
        ),
        (PromptSources { score_lead: own("{{ x }}"), ..builtin() }, "it has no variables"),
        (PromptSources { summarize: own("a\n{% if %}"), ..builtin() }, "no valid Jinja, line 2"),
        (PromptSources { critique: own("{{ 1 | nothing }}"), ..builtin() }, "nothing"),
        (
            PromptSources { summarize: own("{{ critiques | length }}"), ..builtin() },
            "`critiques` does not stand",
        ),
        (
            PromptSources {
                summarize: own("{% for c in critiques %}{{ c }} {% endfor %}"),
                ..builtin()
            },
            "let it stand as it is",
        ),
    ] {
        let message = Prompts::new(sources).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains("mine.jinja"), "{message}");
    }
}

#[test]
fn the_address_follows_what_is_rendered() {
    let with = |summarize: &str| {
        let sources = PromptSources { summarize: own(summarize), ..PromptSources::builtin() };
        Prompts::new(sources).unwrap().digest()
    };
    assert_ne!(with("{{ critiques }}"), Prompts::builtin().digest());
    assert_eq!(with("{{ critiques }}!\n"), with("{# mine #}{{critiques}}!"));
    assert_ne!(with("{{ critiques }} {critiques}"), with("{critiques} {{ critiques }}"));
    let copy = PromptSources::builtin().summarize.text;
    assert_eq!(with(&copy), Prompts::builtin().digest());
}
