//! How each kind of contestant is asked for its numbers.

use super::contestant::{Conduct, Place, Sample};
use super::items::BenchData;
use critic_engine::{
    ChoiceRequest, EngineError, EngineErrorKind, Generator, RequestControl, Scorer, log_odds,
};
use critic_eval::{SampledCritique, SampledResponse};
use critic_local::LocalEngine;
use critic_method::{
    CritiqueSettings, ScoreSettings, critique_request, critique_scores, score_request,
};
use critic_text::PairwisePrompt;
use critic_types::Conversation;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Takes the result of a place.
pub(super) type Keep<'a> = dyn FnMut(Place, Result<Sample, EngineError>) -> ControlFlow<()> + 'a;

/// Responses whose numbers need more than one call are asked for so many at a time: what is finished is
/// kept, and an interruption is heard, between the calls.
const AT_ONCE: usize = 256;

fn in_parts(
    open: &[Place],
    conduct: &Conduct<'_>,
    keep: &mut Keep<'_>,
    ask: &mut dyn FnMut(&[Place], &mut Keep<'_>),
) {
    let mut stopped = false;
    for part in open.chunks(AT_ONCE) {
        ask(part, &mut |place, result| {
            let flow = keep(place, result);
            stopped = flow.is_break();
            flow
        });
        if stopped || conduct.cancel.is_set() {
            return;
        }
    }
}

/// How an item's response is named in requests, so that its draws do not depend on what is left to do.
pub(super) fn id(data: &BenchData, (item, response): Place) -> String {
    format!("{}/{response}", data.items[item].id)
}

/// The reward of every response without critique and after each of the critiques that `settings` ask for.
pub(super) fn rewards(
    engine: &mut dyn Scorer,
    data: &BenchData,
    open: &[Place],
    settings: &ScoreSettings,
    keep: &mut Keep<'_>,
) {
    let request = |&(item, response): &Place| {
        let found = &data.items[item];
        let name = id(data, (item, response));
        score_request(&name, &found.prompt, &found.responses[response], settings)
    };
    let requests: Vec<_> = open.iter().map(request).collect();
    let m = settings.n_critiques;
    engine.score(&requests, &mut |i, result| {
        let sample = result.map(|scored| Sample {
            response: SampledResponse {
                without_critique: Some(scored.without_critique.value()),
                n_failed: m - scored.critiques.len(),
                critiques: scored
                    .critiques
                    .into_iter()
                    .map(|critique| SampledCritique {
                        text: critique.text,
                        reward: critique.reward.value(),
                        expected_score: None,
                        meta_score: None,
                    })
                    .collect(),
            },
            ..Sample::default()
        });
        keep(open[i], sample)
    });
}

/// The forced verdict without critique, then m critiques with theirs; a critique without a finite verdict
/// counts as failed.
pub(super) fn judgements(
    engine: &mut LocalEngine,
    data: &BenchData,
    open: &[Place],
    conduct: &Conduct<'_>,
    keep: &mut Keep<'_>,
) {
    in_parts(open, conduct, keep, &mut |part, keep| judge(engine, data, part, conduct, keep));
}

fn judge(
    engine: &mut LocalEngine,
    data: &BenchData,
    open: &[Place],
    conduct: &Conduct<'_>,
    keep: &mut Keep<'_>,
) {
    let texts = |&(item, response): &Place| {
        (&data.items[item].prompt, data.items[item].responses[response].as_str())
    };
    let verdicts: Vec<Conversation> = open
        .iter()
        .map(|place| {
            let (prompt, response) = texts(place);
            conduct.prompts.verdict(prompt, response)
        })
        .collect();
    let m = conduct.critiques.n_critiques;
    let mut without: Vec<Result<Option<f64>, EngineError>> = vec![Ok(None); open.len()];
    let choices = conduct.prompts.verdict_choices();
    let requests = choice_requests(data, open, verdicts, &choices);
    engine.choose(&requests, &mut |i, result| {
        let verdict = result.map(|log_probs| log_odds(&log_probs));
        if m == 0 {
            return keep(open[i], verdict.map(|verdict| sample_of(verdict, Vec::new(), 0)));
        }
        without[i] = verdict;
        go_on(conduct)
    });
    if m == 0 || conduct.cancel.is_set() {
        return;
    }
    let settings = CritiqueSettings {
        n_candidates: m,
        sampling: conduct.critiques.sampling.clone(),
        seed: conduct.critiques.seed,
        knows_label: false,
    };
    let request = |place: &Place| {
        let (prompt, response) = texts(place);
        critique_request(&id(data, *place), prompt, response, &conduct.prompts, &settings)
    };
    let requests: Vec<_> = open.iter().map(request).collect();
    engine.generate(&requests, &mut |i, result| {
        // One that failed in either way is no sample: it is asked for again.
        let both = without[i].clone().and_then(|verdict| Ok((verdict, result?)));
        let sample = both.map(|(verdict, completions)| {
            let read = completions.iter().map(|completion| {
                let scores = critique_scores(completion, conduct.prompts.scale());
                let critique = SampledCritique {
                    text: completion.text.clone(),
                    reward: scores.verdict?,
                    expected_score: scores.expected,
                    meta_score: None,
                };
                Some((critique, scores.parsed))
            });
            sample_of(verdict, read.flatten().collect(), m)
        });
        keep(open[i], sample)
    });
}

fn go_on(conduct: &Conduct<'_>) -> ControlFlow<()> {
    if conduct.cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn sample_of(
    without_critique: Option<f64>,
    critiques: Vec<(SampledCritique, Option<f64>)>,
    m: usize,
) -> Sample {
    let n_failed = m - critiques.len();
    let (critiques, stated) = critiques.into_iter().unzip();
    let response = SampledResponse { without_critique, critiques, n_failed };
    Sample { response, stated, games: None }
}

/// Both orders of every pair; the number of a response is the mean of its two log-odds.
pub(super) fn games(
    engine: &mut LocalEngine,
    data: &BenchData,
    prompt: &PairwisePrompt,
    open: &[Place],
    keep: &mut Keep<'_>,
) {
    let choices = PairwisePrompt::choices();
    // Both responses of a pair read the same two answers, so the pair is asked once.
    let mut items: Vec<usize> = open.iter().map(|place| place.0).collect();
    items.dedup();
    let asked: Vec<(Place, Conversation)> = items
        .iter()
        .flat_map(|&item| {
            let found = &data.items[item];
            let [a, b] = [0, 1].map(|response: usize| found.responses[response].as_str());
            let ask = |first, second| prompt.ask(&found.prompt, first, second);
            [((item, 0), ask(a, b)), ((item, 1), ask(b, a))]
        })
        .collect();
    let (places, conversations): (Vec<Place>, Vec<Conversation>) = asked.into_iter().unzip();
    let requests = choice_requests(data, &places, conversations, &choices);
    let mut odds: BTreeMap<Place, Result<f64, EngineError>> = BTreeMap::new();
    engine.choose(&requests, &mut |i, result| {
        let place = places[i];
        let name = &requests[i].id;
        let read = result.and_then(|log_probs| {
            log_odds(&log_probs).ok_or_else(|| {
                EngineError::new(
                    name,
                    EngineErrorKind::NonFinite { what: "log-odds of A against B".to_owned() },
                )
            })
        });
        odds.insert(place, read);
        let item = place.0;
        let both = odds.contains_key(&(item, 0)) && odds.contains_key(&(item, 1));
        let Some((chosen, rejected)) =
            both.then(|| odds.remove(&(item, 0)).zip(odds.remove(&(item, 1)))).flatten()
        else {
            return ControlFlow::Continue(());
        };
        match (chosen, rejected) {
            // In the first game the chosen response is A, in the second the rejected one.
            (Ok(first), Ok(second)) => {
                let game = |games: [f64; 2]| Sample { games: Some(games), ..Sample::default() };
                match keep((item, 0), Ok(game([first, -second]))) {
                    ControlFlow::Continue(()) => keep((item, 1), Ok(game([second, -first]))),
                    stop => stop,
                }
            }
            (Err(error), _) | (_, Err(error)) => keep((item, 0), Err(error)),
        }
    });
}

pub(super) fn implicit(
    policy: &mut LocalEngine,
    reference: &mut LocalEngine,
    data: &BenchData,
    open: &[Place],
    conduct: &Conduct<'_>,
    keep: &mut Keep<'_>,
) {
    in_parts(open, conduct, keep, &mut |part, keep| {
        log_ratios(policy, reference, data, part, conduct, keep);
    });
}

fn log_ratios(
    policy: &mut LocalEngine,
    reference: &mut LocalEngine,
    data: &BenchData,
    open: &[Place],
    conduct: &Conduct<'_>,
    keep: &mut Keep<'_>,
) {
    let requests: Vec<ChoiceRequest> = open
        .iter()
        .map(|&(item, response)| ChoiceRequest {
            id: id(data, (item, response)),
            conversation: data.items[item].prompt.clone(),
            choices: vec![data.items[item].responses[response].clone()],
            control: RequestControl::default(),
        })
        .collect();
    let mut of_policy: Vec<Option<f64>> = vec![None; open.len()];
    policy.choose(&requests, &mut |i, result| match result {
        Ok(log_probs) => {
            of_policy[i] = log_probs.first().copied();
            go_on(conduct)
        }
        Err(error) => keep(open[i], Err(error)),
    });
    if conduct.cancel.is_set() {
        return;
    }
    let left: Vec<usize> = (0..open.len()).filter(|&i| of_policy[i].is_some()).collect();
    let requests: Vec<ChoiceRequest> = left.iter().map(|&i| requests[i].clone()).collect();
    reference.choose(&requests, &mut |i, result| {
        let sample = result.map(|log_probs| {
            let number = of_policy[left[i]].zip(log_probs.first()).map(|(a, b)| a - b);
            sample_of(number.filter(|number| number.is_finite()), Vec::new(), 0)
        });
        keep(open[left[i]], sample)
    });
}

fn choice_requests(
    data: &BenchData,
    places: &[Place],
    conversations: Vec<Conversation>,
    choices: &[String],
) -> Vec<ChoiceRequest> {
    let request = |(&place, conversation): (&Place, Conversation)| ChoiceRequest {
        id: id(data, place),
        conversation,
        choices: choices.to_vec(),
        control: RequestControl::default(),
    };
    places.iter().zip(conversations).map(request).collect()
}
