use super::*;
use crate::testing::{Backwards, pair, sampling};
use critic_engine::scripted::Scripted;
use critic_types::FinishReason;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

fn settings(n_candidates: usize) -> CritiqueSettings {
    CritiqueSettings {
        n_candidates,
        sampling: sampling(),
        seed: SeedTree::new(7),
        knows_label: false,
    }
}

type Results = BTreeMap<(String, &'static str), Result<Vec<Candidate>, critic_engine::EngineError>>;

fn run(
    pairs: &[PreferencePair],
    engine: &mut Backwards,
    done: &dyn Fn(&str, Side) -> bool,
) -> Results {
    let mut results = Results::new();
    generate(pairs, engine, &Prompts::builtin(), &settings(3), done, &mut |place, side, result| {
        let before = results.insert((pairs[place].id.clone(), side.as_str()), result);
        assert!(before.is_none(), "a response was handed over twice");
        ControlFlow::Continue(())
    })
    .unwrap();
    results
}

#[test]
fn every_response_gets_one_request() {
    let prompts = Prompts::builtin();
    let requests = plan(&[pair("a"), pair("b")], &prompts, &settings(5));
    let ids: Vec<&str> = requests.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["a/chosen", "a/rejected", "b/chosen", "b/rejected"]);
    let expected = prompts.critique(&pair("b").prompt, "rejected of b");
    assert_eq!(requests[3].conversation, expected);
    assert!(requests.iter().all(|r| r.n == 5 && r.probes.len() == 2));
    assert_eq!(requests[0].probes[0].turn, ProbeTurn::Written(prompts.score_lead().to_owned()));
    assert_eq!(requests[0].probes[0].choices.len(), 10);
    assert_eq!(requests[0].probes[1].choices, ["Yes", "No"]);
}

#[test]
fn seeds_belong_to_the_response_not_to_the_order() {
    let prompts = Prompts::builtin();
    let forwards = plan(&[pair("a"), pair("b")], &prompts, &settings(2));
    let alone = plan(&[pair("b")], &prompts, &settings(9));
    assert_eq!(forwards[2].seed, alone[0].seed);
    assert_eq!(forwards[3].seed, alone[1].seed);
    for (i, request) in forwards.iter().enumerate() {
        assert!(forwards[..i].iter().all(|earlier| earlier.seed != request.seed));
    }
}

#[test]
fn scores_come_from_the_text_and_from_the_readings() {
    let mut engine =
        Scripted::answering(|_, i| if i == 0 { "Fine.\nScore: 7".into() } else { "Hm.".into() })
            .choosing(|_, choices| match choices.len() {
                // 1 and 10 hold a quarter each (P("1") includes "10"), 8 holds a half.
                10 => [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.25].map(f64::ln).to_vec(),
                _ => vec![0.6_f64.ln(), 0.2_f64.ln()],
            });
    let mut critiques = vec![];
    let pairs = [pair("a")];
    generate(
        &pairs,
        &mut engine,
        &Prompts::builtin(),
        &settings(2),
        &|_, _| false,
        &mut |_, side, result| {
            critiques.push((side, result.unwrap()));
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(critiques.len(), 2);
    let (side, chosen) = &critiques[0];
    assert_eq!(*side, Side::Chosen);
    assert_eq!(chosen.iter().map(|c| c.index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(chosen[0].scores.parsed, Some(7.0));
    assert_eq!(chosen[1].scores.parsed, None);
    assert!(chosen.iter().all(|c| c.provenance == Provenance::Sampled && c.pair_id == "a"));
    for critique in chosen {
        // 0.25 · 1 + 0.5 · 8 + 0.25 · 10
        assert!((critique.scores.expected.unwrap() - 6.75).abs() < 1e-12);
        assert!((critique.scores.verdict.unwrap() - 3f64.ln()).abs() < 1e-12);
    }
}

#[test]
fn a_missing_reading_leaves_its_score_absent() {
    let completion = |probes| Completion {
        text: "No number here.".into(),
        finish_reason: FinishReason::Length,
        n_tokens: 3,
        probes,
        log_probs: vec![],
        n_dropped_turns: 0,
    };
    let nothing = vec![f64::NEG_INFINITY; 10];
    let completions = vec![completion(vec![]), completion(vec![nothing, vec![f64::NAN, 0.0]])];
    let critiques =
        critiques_from(&pair("a"), Side::Rejected, false, &ScoreScale::default(), completions);
    assert!(critiques.iter().all(|c| c.scores == CritiqueScores::default()));
    assert!(critiques.iter().all(|c| c.finish_reason == FinishReason::Length));
}

#[test]
fn a_critic_that_is_told_the_label_leaves_critiques_that_say_so() {
    let told = CritiqueSettings { knows_label: true, ..settings(2) };
    let prompts = Prompts::builtin();
    let pairs = [pair("a")];
    let (blind, told_plan) = (plan(&pairs, &prompts, &settings(2)), plan(&pairs, &prompts, &told));
    for (side, (blind, told)) in Side::BOTH.iter().zip(blind.iter().zip(&told_plan)) {
        let (x, y) = (&pairs[0].prompt, pairs[0].response(*side));
        assert_eq!(blind.conversation, prompts.critique(x, y));
        let other = pairs[0].response(side.other());
        assert_eq!(told.conversation, prompts.conditioned(x, y, other, *side));
        assert_ne!(told.conversation, blind.conversation);
        assert_eq!((&told.id, &told.seed, told.n), (&blind.id, &blind.seed, blind.n));
    }
    let mut provenances = Vec::new();
    for settings in [&settings(2), &told] {
        let mut engine = Backwards::default();
        generate(&pairs, &mut engine, &prompts, settings, &|_, _| false, &mut |_, _, result| {
            provenances.extend(result.unwrap().iter().map(|c| c.provenance));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    }
    use critic_types::Provenance::{Conditioned, Sampled};
    assert_eq!(provenances, [[Sampled; 4], [Conditioned; 4]].concat());
}

#[test]
fn resuming_gives_what_a_straight_run_gives() {
    let pairs = [pair("a"), pair("b"), pair("c")];
    let straight = run(&pairs, &mut Backwards::default(), &|_, _| false);
    assert_eq!(straight.len(), 6);
    let done = |id: &str, side: Side| id == "a" || (id == "c" && side == Side::Rejected);
    let mut engine = Backwards::default();
    let rest = run(&pairs, &mut engine, &done);
    assert_eq!(engine.asked, ["c/chosen", "b/rejected", "b/chosen"]);
    assert_eq!(rest.len(), 3);
    for (response, result) in rest {
        assert_eq!(straight[&response], result);
    }
    let reversed: Vec<_> = pairs.iter().rev().cloned().collect();
    assert_eq!(run(&reversed, &mut Backwards::default(), &|_, _| false), straight);
}

#[test]
fn a_failing_response_fails_nothing_else() {
    let pairs = [pair("a"), pair("b")];
    let mut engine = Backwards { failing: vec!["a/rejected".into()], ..Backwards::default() };
    let results = run(&pairs, &mut engine, &|_, _| false);
    let failed: Vec<_> = results.iter().filter(|(_, r)| r.is_err()).map(|(key, _)| key).collect();
    assert_eq!(failed, [&("a".to_owned(), "rejected")]);
    assert_eq!(results.len(), 4);
}

#[test]
fn a_break_stops_the_sampling() {
    let mut engine = Backwards::default();
    let mut n = 0;
    let pairs = [pair("a"), pair("b")];
    generate(
        &pairs,
        &mut engine,
        &Prompts::builtin(),
        &settings(1),
        &|_, _| false,
        &mut |_, _, _| {
            n += 1;
            ControlFlow::Break(())
        },
    )
    .unwrap();
    assert_eq!((n, engine.asked.len()), (1, 1));
}

#[test]
fn bad_settings_and_double_ids_are_refused() {
    let check = |pairs: &[PreferencePair], settings: &CritiqueSettings, part: &str| {
        let mut engine = Backwards::default();
        let error = generate(
            pairs,
            &mut engine,
            &Prompts::builtin(),
            settings,
            &|_, _| false,
            &mut |_, _, _| ControlFlow::Continue(()),
        )
        .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(engine.asked.is_empty());
    };
    check(&[pair("a")], &settings(0), "n_candidates is 0");
    let hot = Sampling { temperature: -1.0, ..sampling() };
    check(&[pair("a")], &CritiqueSettings { sampling: hot, ..settings(1) }, "temperature");
    check(&[pair("a"), pair("a")], &settings(1), "pair id `a` stands twice");
}
