use super::*;

fn set(assignments: &[&str]) -> Result<Resolved> {
    resolve(
        None,
        &Overrides { flags: vec![], set: assignments.iter().map(|s| (*s).to_owned()).collect() },
    )
}

#[test]
fn the_defaults_resolve() {
    let resolved = set(&[]).unwrap();
    assert_eq!(resolved.settings.critique.n_candidates, 3);
    assert!(resolved.values.iter().all(|(_, _, origin)| origin == "default"));
}

#[test]
fn a_flag_overrides_one_key_and_says_so() {
    let resolved = set(&["critique.n_candidates=2"]).unwrap();
    assert_eq!(resolved.settings.critique.n_candidates, 2);
    let origin = |key: &str| resolved.values.iter().find(|v| v.0 == key).unwrap().2.clone();
    assert_eq!(origin("critique.n_candidates"), "--set");
    assert_eq!(origin("critique.temperature"), "default");
}

#[test]
fn another_kind_brings_its_own_fields() {
    let resolved = set(&["refine={kind=\"summarize\", drafts=3}"]).unwrap();
    assert_eq!(resolved.settings.refine, Refinement::Summarize { drafts: 3 });
    let weight = set(&["train.critique_weight={kind=\"constant\", weight=0.5}"]).unwrap();
    assert_eq!(weight.settings.train.critique_weight, CritiqueWeight::Constant { weight: 0.5 });
}

#[test]
fn a_device_is_checked_before_anything_runs() {
    assert_eq!(set(&[]).unwrap().settings.train.device, TrainDevice::Cpu);
    let error = format!("{:#}", set(&["train.device=gpu"]).unwrap_err());
    assert!(error.contains("`gpu` is no device"), "{error}");
    for assignment in [
        "train.precision=bf16",
        "train.activations=recompute",
        "train.lora={rank=8, alpha=16, target_modules=[\"q_proj\"]}",
    ] {
        let error = format!("{:#}", set(&["train.device=cuda", assignment]).unwrap_err());
        assert!(error.contains("only training on the cpu does"), "{error}");
    }
    let mut train = set(&["train.precision=auto"]).unwrap().settings.train;
    train.device = TrainDevice::Cuda { ordinal: 0 };
    assert_eq!(train.config().precision, Precision::F32);
}

#[test]
fn left_alone_the_processor_decides_on_the_precision_unless_the_decoder_is_frozen() {
    let precision = |given: &[&str]| set(given).unwrap().settings.train.config().precision;
    let lora = "train.lora={rank=8, alpha=16, target_modules=[\"q_proj\"]}";
    assert_eq!(precision(&[]), Precision::auto());
    assert_eq!(precision(&[lora]), Precision::F32);
    assert_eq!(precision(&[lora, "train.precision=bf16"]), Precision::Bf16);
}

#[cfg(not(feature = "metal"))]
#[test]
fn a_device_that_the_build_lacks_is_refused_with_its_feature() {
    let error = format!("{:#}", set(&["train.device=metal"]).unwrap_err());
    assert!(error.contains("train.device") && error.contains("--features metal"), "{error}");
}

#[test]
fn a_wrong_value_is_named_with_its_key_and_with_who_gave_it() {
    for (given, parts) in [
        ("train.epochs=abc", ["train.epochs (--set): ", "invalid type: string"]),
        ("train.max_pair_tokens=0", ["train.max_pair_tokens (--set): ", "nonzero"]),
        ("train.lora={rank=8}", ["train.lora: ", "`alpha`"]),
        ("trian.epochs=1", ["trian", "unknown field"]),
    ] {
        let message = format!("{:#}", set(&[given]).unwrap_err());
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn low_rank_adapters_are_a_table_of_their_own() {
    let lora = "train.lora={rank=8, alpha=16, target_modules=[\"q_proj\", \"v_proj\"]}";
    let found = set(&[lora]).unwrap().settings.train.config().lora.unwrap();
    assert_eq!((found.rank, found.target_modules.len(), found.dropout), (8, 2, 0.0));
    assert!(set(&[]).unwrap().settings.train.config().lora.is_none());
    let plain = set(&["train.lora={rank=8, alpha=16}"]).unwrap().settings.train.config();
    assert_eq!(plain.lora.unwrap().target_modules.len(), 7);
    let none = set(&["train.lora={rank=0, alpha=16, target_modules=[\"q_proj\"]}"]);
    assert!(format!("{:#}", none.unwrap_err()).contains("lora.rank"));
}

#[test]
fn a_remote_critic_has_every_key_with_its_origin() {
    let asked = set(&[
        "critic.kind=openai",
        "critic.endpoints=[\"http://127.0.0.1:8080/v1\"]",
        "critic.model=m",
        "critic.requests_per_minute=60",
    ])
    .unwrap();
    let remote = asked.settings.critic.remote().unwrap();
    assert_eq!((remote.model.as_str(), remote.requests_per_minute), ("m", 60.0));
    let origin = |key: &str| asked.values.iter().find(|v| v.0 == key).unwrap().2.clone();
    assert_eq!(origin("critic.model"), "--set");
    assert_eq!(origin("critic.retries"), "default of a remote critic");
    let named = |extra: &str, words: &str| {
        let error = format!("{:#}", set(&["critic.kind=openai", extra]).unwrap_err());
        assert!(error.contains(words), "{error}");
    };
    named("critic.model=m", "critic.endpoints is empty");
    named("critic.base_url=m", "base_url");
    assert!(set(&["critic.model=m"]).is_err());
    let text = toml::to_string(&asked.settings).unwrap();
    let again: Settings = toml::from_str(&text).unwrap();
    assert_eq!(again, asked.settings);
}

#[test]
fn prompts_are_checked_when_they_are_loaded() {
    let load = |assignments: &[&str]| set(assignments).unwrap().settings.prompts.load();
    assert_eq!(load(&[]).unwrap(), critic_text::Prompts::builtin());
    assert_ne!(
        load(&["prompts.critique=principles"]).unwrap().digest(),
        load(&[]).unwrap().digest()
    );
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        critic_types::atomic_file::write(&path, text.as_bytes()).unwrap();
        path.display().to_string()
    };
    let judge =
        format!("prompts.meta_judge={:?}", file("judge.jinja", "By {{ rubric }}: 1 to 10?"));
    let error = format!("{:#}", load(&[&judge]).unwrap_err());
    assert!(error.contains("judge.jinja") && error.contains("prompts.rubric"), "{error}");
    let rubric = format!("prompts.rubric={:?}", file("rubric.md", "truth\n"));
    assert_eq!(
        load(&[&judge, &rubric]).unwrap().meta_judge(&Default::default(), "", "").last_user_text(),
        "By truth: 1 to 10?"
    );
    let typo = format!("prompts.critique={:?}", file("typo.jinja", "{{ rubrik }}"));
    let error = format!("{:#}", load(&[&typo]).unwrap_err());
    assert!(error.contains("`rubrik`") && error.contains("typo.jinja"), "{error}");
    let error = format!("{:#}", load(&["prompts.critique=referense"]).unwrap_err());
    assert!(error.contains("referense") && error.contains("principles"), "{error}");
    let error = format!("{:#}", load(&["prompts.critique=reference"]).unwrap_err());
    assert!(error.contains("prompts.references"), "{error}");
    let rows = file("refs.jsonl", "{\"prompt\": \"2 + 2?\", \"reference\": \"4\"}\n");
    let references = format!("prompts.references={rows:?}");
    let prompts = load(&["prompts.critique=reference", &references]).unwrap();
    assert!(!prompts.lacks_reference(&critic_types::Conversation::from_user("2 + 2?")));
    assert!(
        set(&["critique.label_conditioned=true", "refine={kind=\"summarize\", drafts=1}"]).is_err()
    );
}

#[test]
fn a_typo_and_a_value_out_of_range_are_named() {
    assert!(format!("{:#}", set(&["critique.n_candidate=2"]).unwrap_err()).contains("n_candidate"));
    assert!(format!("{:#}", set(&["critique.top_p=1.5"]).unwrap_err()).contains("1.5"));
    assert!(format!("{:#}", set(&["seed"]).unwrap_err()).contains("key=value"));
}
