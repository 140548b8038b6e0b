use super::{RefineSettings, Refined, Survivors};
use crate::DropReason;
use crate::generate::{candidates, probes};
use crate::response::{ResponseSink, critique_id, response_id, response_seed};
use critic_engine::{Completion, GenerateRequest, Generator};
use critic_text::{Prompts, ScoreScale};
use critic_types::{FinishReason, Provenance};

/// Merges every response's survivors into `drafts` critiques.
pub(super) fn summarize(
    responses: &[Survivors<'_>],
    drafts: usize,
    generator: &mut dyn Generator,
    prompts: &Prompts,
    settings: &RefineSettings,
    sink: &mut ResponseSink<'_, Refined>,
) {
    let (single, several): (Vec<&Survivors<'_>>, Vec<_>) =
        responses.iter().partition(|response| response.critiques.len() == 1);
    for response in single {
        if sink(response.place, response.side, Ok(response.as_they_are())).is_break() {
            return;
        }
    }
    let requests: Vec<GenerateRequest> =
        several.iter().map(|response| request(response, drafts, prompts, settings)).collect();
    generator.generate(&requests, &mut |index, result| {
        let response = several[index];
        let refined = result
            .map(|texts| summarized(response, prompts.scale(), texts, settings.keep_truncated));
        sink(response.place, response.side, refined)
    });
}

fn request(
    response: &Survivors<'_>,
    drafts: usize,
    prompts: &Prompts,
    settings: &RefineSettings,
) -> GenerateRequest {
    let Survivors { pair, side, .. } = *response;
    let texts: Vec<&str> = response.critiques.iter().map(|c| c.text.as_str()).collect();
    GenerateRequest {
        n: drafts,
        probes: probes(prompts),
        ..GenerateRequest::new(
            response_id(&pair.id, side),
            prompts.summarize(&pair.prompt, pair.response(side), &texts),
            settings.sampling.clone(),
            response_seed(&settings.seed, "summarize", &pair.id, side),
        )
    }
}

/// The drafts of one response that can be used.
pub(super) fn summarized(
    response: &Survivors<'_>,
    scale: &ScoreScale,
    completions: Vec<Completion>,
    keep_truncated: bool,
) -> Refined {
    let mut refined = Refined::default();
    let (id, side) = (&response.pair.id, response.side);
    let drafts = candidates(id, side, Provenance::Summarized, scale, completions);
    let sources: Vec<f64> =
        response.critiques.iter().filter_map(|critique| critique.scores.verdict).collect();
    // The sign of the sum is that of the mean.
    let found_by_sources: f64 = sources.iter().sum();
    for draft in drafts {
        let contradicts =
            draft.scores.verdict.is_some_and(|verdict| verdict * found_by_sources < 0.0);
        if draft.text.trim().is_empty() {
            refined.report.drop("empty summary", critique_id(&draft));
        } else if draft.finish_reason != FinishReason::Stop && !keep_truncated {
            refined.report.drop(DropReason::Truncated.as_str(), critique_id(&draft));
        } else if contradicts {
            refined.report.drop("contradicts its sources", critique_id(&draft));
        } else {
            refined.report.keep();
            refined.critiques.push(draft);
        }
    }
    refined
}
