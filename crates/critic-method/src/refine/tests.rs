mod pairwise;

use super::*;
use crate::testing::{Backwards, candidate, certain, pair, sampling};
use critic_engine::Completion;
use critic_engine::scripted::Scripted;
use critic_text::ScoreScale;
use critic_types::{Conversation, CritiqueScores, FinishReason, Provenance, Role};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

type Results = BTreeMap<(usize, &'static str), Result<Refined, EngineError>>;

fn settings(refinement: Refinement) -> RefineSettings {
    RefineSettings {
        refinement,
        sampling: sampling(),
        keep_truncated: false,
        seed: SeedTree::new(1),
    }
}

fn run(
    survivors: &[Candidate],
    generator: &mut dyn Generator,
    refinement: Refinement,
    done: &dyn Fn(&str, Side) -> bool,
) -> Results {
    let mut results = Results::new();
    let pairs = [pair("a"), pair("b")];
    let prompts = Prompts::builtin();
    refine(
        &pairs,
        survivors,
        generator,
        &prompts,
        &settings(refinement),
        done,
        &mut |p, s, result| {
            assert!(results.insert((p, s.as_str()), result).is_none());
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    results
}

fn rank(keep: usize) -> Refinement {
    Refinement::Rank { keep, judge: MetaJudge::Pointwise }
}

fn survivors(pair_id: &str, side: Side, n: usize) -> Vec<Candidate> {
    (0..n).map(|i| candidate(pair_id, side, i, Some(5.0))).collect()
}

/// The critique that a meta-judge is asked about: the assistant's last turn.
fn judged(conversation: &Conversation) -> &str {
    let mut turns = conversation.messages().iter().rev();
    turns.find(|turn| turn.role == Role::Assistant).map_or("", |turn| turn.content.as_str())
}

/// A meta-judge that gives these scores to critiques 0, 1, ….
fn judge(scores: &'static [usize]) -> Scripted {
    Scripted::answering(|_, _| String::new()).choosing(move |conversation, _| {
        let index = (0..scores.len())
            .find(|i| judged(conversation).contains(&format!("critique {i} of")))
            .expect("the critique stands in the prompt");
        certain(scores[index])
    })
}

fn indices(refined: &Refined) -> Vec<usize> {
    refined.critiques.iter().map(|c| c.index).collect()
}

#[test]
fn rank_keeps_the_best_first() {
    let mut engine = judge(&[3, 10, 1, 7]);
    let results = run(&survivors("a", Side::Chosen, 4), &mut engine, rank(2), &|_, _| false);
    let refined = results[&(0, "chosen")].as_ref().unwrap();
    assert_eq!(indices(refined), [1, 3]);
    let ranking: Vec<(usize, f64)> =
        refined.ranking.iter().map(|m| (m.index, m.score.round())).collect();
    assert_eq!(ranking, [(1, 10.0), (3, 7.0), (0, 3.0), (2, 1.0)]);
    assert_eq!((refined.report.n_kept, refined.report.dropped["not among the best"]), (2, 2));
    assert_eq!(results.len(), 1);
}

#[test]
fn equal_meta_scores_go_to_the_lower_index() {
    let mut shuffled = survivors("a", Side::Rejected, 4);
    shuffled.reverse();
    let mut engine = judge(&[5, 8, 5, 8]);
    let results = run(&shuffled, &mut engine, rank(3), &|_, _| false);
    assert_eq!(indices(results[&(0, "rejected")].as_ref().unwrap()), [1, 3, 0]);
}

#[test]
fn keeping_more_than_there_are_keeps_all() {
    let mut engine = judge(&[2, 4]);
    let results = run(&survivors("b", Side::Chosen, 2), &mut engine, rank(9), &|_, _| false);
    assert_eq!(indices(results[&(1, "chosen")].as_ref().unwrap()), [1, 0]);
}

#[test]
fn a_failed_meta_judgement_costs_its_critique_only() {
    let mut engine = Backwards { failing: vec!["a/chosen/1".into()], ..Backwards::default() };
    let results = run(&survivors("a", Side::Chosen, 3), &mut engine, rank(2), &|_, _| false);
    let refined = results[&(0, "chosen")].as_ref().unwrap();
    assert_eq!(indices(refined), [0, 2]);
    assert_eq!(refined.failures[0].id, "a/chosen/1");
    assert_eq!(refined.report.n_seen(), 3);

    let failing = (0..3).map(|i| format!("a/chosen/{i}")).collect();
    let mut engine = Backwards { failing, ..Backwards::default() };
    let results = run(&survivors("a", Side::Chosen, 3), &mut engine, rank(2), &|_, _| false);
    assert_eq!(results[&(0, "chosen")].as_ref().unwrap_err().id, "a/chosen/0");
}

#[test]
fn a_meta_judgement_that_may_come_later_leaves_its_response_open() {
    let unavailable = vec!["a/chosen/1".into()];
    let mut engine = Backwards { unavailable, ..Backwards::default() };
    let survivors = survivors("a", Side::Chosen, 3);
    let results = run(&survivors, &mut engine, rank(2), &|_, _| false);
    let error = results[&(0, "chosen")].as_ref().unwrap_err();
    assert!(error.kind.stays_open(), "{error}");
}

#[test]
fn a_critique_without_meta_score_is_counted() {
    let mut engine = Scripted::answering(|_, _| String::new()).choosing(|conversation, _| {
        let good = judged(conversation).contains("critique 1 of");
        if good { certain(4) } else { vec![f64::NEG_INFINITY; 10] }
    });
    let results = run(&survivors("a", Side::Chosen, 2), &mut engine, rank(2), &|_, _| false);
    let refined = results[&(0, "chosen")].as_ref().unwrap();
    assert_eq!(indices(refined), [1]);
    assert_eq!(refined.report.dropped["no meta-score"], 1);
}

#[test]
fn a_summary_is_asked_of_all_survivors() {
    let mut engine = Scripted::answering(|conversation, i| {
        let asked = conversation.last_user_text();
        for survivor in 0..3 {
            assert!(asked.contains(&format!("critique {survivor} of a/chosen")));
        }
        format!("Merged {i}.\nScore: 6")
    });
    let results = run(
        &survivors("a", Side::Chosen, 3),
        &mut engine,
        Refinement::Summarize { drafts: 2 },
        &|_, _| false,
    );
    let refined = results[&(0, "chosen")].as_ref().unwrap();
    assert_eq!(indices(refined), [0, 1]);
    assert!(refined.critiques.iter().all(|c| c.provenance == Provenance::Summarized));
    assert!(refined.critiques.iter().all(|c| c.scores.parsed == Some(6.0)));
    assert_eq!(refined.report.n_kept, 2);
}

#[test]
fn empty_summaries_are_left_out_and_counted() {
    let mut engine =
        Scripted::answering(|_, i| if i == 1 { "Merged.".into() } else { " \n".into() });
    let results = run(
        &survivors("a", Side::Chosen, 2),
        &mut engine,
        Refinement::Summarize { drafts: 3 },
        &|_, _| false,
    );
    let refined = results[&(0, "chosen")].as_ref().unwrap();
    assert_eq!(indices(refined), [1]);
    assert_eq!(refined.report.dropped["empty summary"], 2);
    assert_eq!(refined.report.n_seen(), 3);
}

#[test]
fn a_summary_that_contradicts_the_verdict_of_its_sources_is_left_out() {
    let judging = |index: usize, verdict: Option<f64>| Candidate {
        scores: CritiqueScores { verdict, ..CritiqueScores::default() },
        ..candidate("a", Side::Chosen, index, None)
    };
    let pair = pair("a");
    let kept_of = |sources: [Option<f64>; 2]| {
        let sources = [judging(0, sources[0]), judging(1, sources[1])];
        let response = Survivors {
            place: 0,
            pair: &pair,
            side: Side::Chosen,
            critiques: sources.iter().collect(),
        };
        let draft = |odds: [f64; 2]| Completion {
            text: "Right.".to_owned(),
            finish_reason: FinishReason::Stop,
            n_tokens: 2,
            probes: vec![Vec::new(), odds.to_vec()],
            log_probs: vec![],
            n_dropped_turns: 0,
        };
        let drafts = vec![draft([-0.1, -2.0]), draft([-2.0, -0.1]), draft([f64::NAN, 0.0])];
        let refined = summarize::summarized(&response, &ScoreScale::default(), drafts, true);
        let dropped = refined.report.dropped.get("contradicts its sources").copied();
        (indices(&refined), dropped.unwrap_or(0))
    };
    assert_eq!(kept_of([Some(2.0), Some(-1.0)]), (vec![0, 2], 1));
    assert_eq!(kept_of([Some(-2.0), None]), (vec![1, 2], 1));
    assert_eq!(kept_of([None, None]), (vec![0, 1, 2], 0));
}

#[test]
fn cut_summaries_are_left_out_unless_kept() {
    let scale = ScoreScale::default();
    let completion = Completion {
        text: "Half a".into(),
        finish_reason: FinishReason::Length,
        n_tokens: 2,
        probes: vec![],
        log_probs: vec![],
        n_dropped_turns: 0,
    };
    let pair = pair("a");
    let response = Survivors { place: 0, pair: &pair, side: Side::Chosen, critiques: vec![] };
    let refined = summarize::summarized(&response, &scale, vec![completion.clone()], false);
    assert_eq!(refined.report.dropped["cut by the token limit"], 1);
    assert!(refined.critiques.is_empty());
    assert_eq!(summarize::summarized(&response, &scale, vec![completion], true).critiques.len(), 1);
}

#[test]
fn a_single_survivor_stays_as_it_is() {
    let mut engine = Backwards::default();
    let one = survivors("b", Side::Rejected, 1);
    let results = run(&one, &mut engine, Refinement::Summarize { drafts: 2 }, &|_, _| false);
    assert_eq!(results[&(1, "rejected")].as_ref().unwrap().critiques, one);
    assert!(engine.asked.is_empty());
}

#[test]
fn without_refinement_survivors_pass_through() {
    let mut all = survivors("a", Side::Chosen, 2);
    all.extend(survivors("b", Side::Rejected, 1));
    let mut engine = Backwards::default();
    let results = run(&all, &mut engine, Refinement::None, &|_, _| false);
    assert_eq!(results[&(0, "chosen")].as_ref().unwrap().critiques, all[..2]);
    assert_eq!(results[&(1, "rejected")].as_ref().unwrap().critiques, all[2..]);
    assert_eq!(results.len(), 2);
}

#[test]
fn resuming_and_order_change_nothing() {
    let mut all = survivors("a", Side::Chosen, 3);
    all.extend(survivors("b", Side::Rejected, 2));
    let pairwise = Refinement::Rank { keep: 1, judge: MetaJudge::Pairwise };
    for refinement in [Refinement::Summarize { drafts: 2 }, rank(1), pairwise] {
        let straight = run(&all, &mut Backwards::default(), refinement, &|_, _| false);
        let mut engine = Backwards::default();
        let rest = run(&all, &mut engine, refinement, &|id, _| id == "a");
        assert!(engine.asked.iter().all(|id| id.starts_with("b/rejected")));
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[&(1, "rejected")], straight[&(1, "rejected")]);
        let reversed: Vec<Candidate> = all.iter().rev().cloned().collect();
        assert_eq!(run(&reversed, &mut Backwards::default(), refinement, &|_, _| false), straight);
    }
}

#[test]
fn a_break_stops_every_way() {
    let mut all = survivors("a", Side::Chosen, 1);
    all.extend(survivors("b", Side::Chosen, 2));
    all.extend(survivors("b", Side::Rejected, 2));
    let ways = [Refinement::None, rank(1), Refinement::Summarize { drafts: 1 }];
    for refinement in ways {
        let mut n = 0;
        let pairs = [pair("a"), pair("b")];
        let (prompts, settings) = (Prompts::builtin(), settings(refinement));
        let mut engine = Backwards::default();
        refine(&pairs, &all, &mut engine, &prompts, &settings, &|_, _| false, &mut |_, _, _| {
            n += 1;
            ControlFlow::Break(())
        })
        .unwrap();
        assert_eq!(n, 1, "{refinement:?}");
    }
}

#[test]
fn bad_settings_and_stray_survivors_are_refused() {
    let check = |survivors: &[Candidate], refinement, part: &str| {
        let (pairs, prompts) = ([pair("a")], Prompts::builtin());
        let mut engine = Backwards::default();
        let error = refine(
            &pairs,
            survivors,
            &mut engine,
            &prompts,
            &settings(refinement),
            &|_, _| false,
            &mut |_, _, _| ControlFlow::Continue(()),
        )
        .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    check(&[], rank(0), "refine.keep is 0");
    check(&[], Refinement::Summarize { drafts: 0 }, "refine.drafts is 0");
    check(&survivors("z", Side::Chosen, 1), Refinement::None, "pair `z`");
}

#[test]
fn a_run_file_names_the_way() {
    let read = |text: &str| toml::from_str::<Refinement>(text);
    assert_eq!(read("kind = 'rank'\nkeep = 2").unwrap(), rank(2));
    let pairwise = "kind = 'rank'\nkeep = 2\njudge = 'pairwise'";
    assert_eq!(read(pairwise).unwrap(), Refinement::Rank { keep: 2, judge: MetaJudge::Pairwise });
    assert!(read(&pairwise.replace("pairwise", "both")).is_err());
    assert_eq!(
        read("kind = 'summarize'\ndrafts = 3").unwrap(),
        Refinement::Summarize { drafts: 3 }
    );
    assert_eq!(read("kind = 'none'").unwrap(), Refinement::None);
    assert!(read("kind = 'none'\nkeep = 2").is_err());
    assert!(read("kind = 'rank'").is_err());
}

#[test]
fn the_default_judge_leaves_no_trace_in_what_addresses_are_made_of() {
    let written = |refinement: &Refinement| serde_json::to_string(refinement).unwrap();
    assert_eq!(written(&rank(2)), r#"{"kind":"rank","keep":2}"#);
    let pairwise = Refinement::Rank { keep: 2, judge: MetaJudge::Pairwise };
    assert_eq!(written(&pairwise), r#"{"kind":"rank","keep":2,"judge":"pairwise"}"#);
}
