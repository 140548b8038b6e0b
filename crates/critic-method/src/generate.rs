use crate::response::{ResponseSink, open_responses, places, response_id, response_seed};
use crate::{MethodError, expected_score};
use critic_engine::{Completion, GenerateRequest, Generator, Probe, ProbeTurn, Sampling, log_odds};
use critic_text::{Prompts, ScoreScale};
use critic_types::{
    Candidate, Conversation, CritiqueScores, PreferencePair, Provenance, SeedTree, Side,
};

/// Names how the readings of a critique are taken: part of the address of whatever stores them.
pub const READINGS: &str = "the score where it is written, else after its lead; the verdict";

/// How critiques are sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct CritiqueSettings {
    /// N, critiques of each response; at least 1. The project's default is 10 (our reading).
    pub n_candidates: usize,
    /// How tokens are drawn. The project's defaults are temperature 0.9 and top-p 0.95 (our choice).
    pub sampling: Sampling,
    /// The round's randomness; critique i of a response draws from `"critique"` → pair id → side → i.
    pub seed: SeedTree,
    /// Whether the critic of [`plan`] and [`generate`] is told which response is preferred. Its critiques
    /// carry [`Provenance::Conditioned`].
    pub knows_label: bool,
}

impl CritiqueSettings {
    /// Checks every setting against its range.
    ///
    /// # Errors
    /// [`MethodError::Setting`] when no critique is asked for, [`MethodError::Sampling`] when a
    /// sampling setting is out of its range.
    pub fn validate(&self) -> Result<(), MethodError> {
        if self.n_candidates == 0 {
            return Err(MethodError::Setting {
                field: "n_candidates",
                value: 0.0,
                rule: "at least 1",
            });
        }
        Ok(self.sampling.validate()?)
    }
}

/// The requests that sample the critiques of every response: for each pair the chosen one, then the
/// rejected one.
///
/// Each asks for N answers to the critique prompt for (x, y) and, of every answer, for two readings:
/// the probabilities of the scale's scores where the critique states its score, or after the score's lead
/// where it states none, and those of yes and no after the verdict question.
/// Source: the digest has the sampling of candidates with discrete scores by the model itself; prompt,
/// N and both readings are our reading.
pub fn plan(
    pairs: &[PreferencePair],
    prompts: &Prompts,
    settings: &CritiqueSettings,
) -> Vec<GenerateRequest> {
    pairs
        .iter()
        .flat_map(|pair| Side::BOTH.map(|side| request(pair, side, prompts, settings)))
        .collect()
}

fn request(
    pair: &PreferencePair,
    side: Side,
    prompts: &Prompts,
    settings: &CritiqueSettings,
) -> GenerateRequest {
    let seed = response_seed(&settings.seed, "critique", &pair.id, side);
    let response = pair.response(side);
    let id = response_id(&pair.id, side);
    let request = critique_request(&id, &pair.prompt, response, prompts, settings);
    let conversation = match settings.knows_label {
        true => prompts.conditioned(&pair.prompt, response, pair.response(side.other()), side),
        false => request.conversation,
    };
    GenerateRequest { seed, conversation, ..request }
}

/// The request for N critiques of one response with their readings, as [`plan`] has it for pairs; `id`
/// names the response and its draws.
pub fn critique_request(
    id: &str,
    prompt: &Conversation,
    response: &str,
    prompts: &Prompts,
    settings: &CritiqueSettings,
) -> GenerateRequest {
    GenerateRequest {
        n: settings.n_candidates,
        probes: probes(prompts),
        ..GenerateRequest::new(
            id,
            prompts.critique(prompt, response),
            settings.sampling.clone(),
            settings.seed.child("critique").child(id),
        )
    }
}

/// The scores of one critique, as in the table of [`critiques_from`]; `scale` is the prompts'.
pub fn critique_scores(completion: &Completion, scale: &ScoreScale) -> CritiqueScores {
    let reading = |place: usize| completion.probes.get(place).map(Vec::as_slice);
    CritiqueScores {
        parsed: scale.parse(&completion.text),
        expected: reading(0).and_then(|log_probs| expected_score(log_probs, scale)),
        verdict: reading(1).and_then(log_odds),
    }
}

/// The readings after a finished critique, in the order in which [`candidates`] takes them.
pub(crate) fn probes(prompts: &Prompts) -> Vec<Probe> {
    vec![
        Probe {
            turn: ProbeTurn::Written(prompts.score_lead().to_owned()),
            choices: prompts.score_choices(),
        },
        Probe {
            turn: ProbeTurn::Question(prompts.verdict_question().to_owned()),
            choices: prompts.verdict_choices(),
        },
    ]
}

/// The critiques of the response on `side` from the completions of its request, in their order;
/// `knows_label` is [`CritiqueSettings::knows_label`] of the request and `scale` its prompts' scale.
///
/// | score      | from                                                                        |
/// |------------|-----------------------------------------------------------------------------|
/// | `parsed`   | the score the text itself states; absent when none can be read               |
/// | `expected` | the first reading: Σ sᵢ·pᵢ over the scale, see [`expected_score`]            |
/// | `verdict`  | the second reading: ln P(yes) − ln P(no)                                     |
///
/// A reading that is missing or not finite leaves its score absent; nothing is imputed.
pub fn critiques_from(
    pair: &PreferencePair,
    side: Side,
    knows_label: bool,
    scale: &ScoreScale,
    completions: Vec<Completion>,
) -> Vec<Candidate> {
    let provenance = if knows_label { Provenance::Conditioned } else { Provenance::Sampled };
    candidates(&pair.id, side, provenance, scale, completions)
}

/// The completions of one response's request as critiques; draft i gets index i.
pub(crate) fn candidates(
    pair_id: &str,
    side: Side,
    provenance: Provenance,
    scale: &ScoreScale,
    completions: Vec<Completion>,
) -> Vec<Candidate> {
    completions
        .into_iter()
        .enumerate()
        .map(|(index, completion)| Candidate {
            pair_id: pair_id.to_owned(),
            side,
            index,
            scores: critique_scores(&completion, scale),
            finish_reason: completion.finish_reason,
            n_tokens: completion.n_tokens,
            provenance,
            text: completion.text,
        })
        .collect()
}

/// Samples the critiques of every response that is not `done`, and hands each response's N critiques
/// to `sink` as soon as they are there.
///
/// A response that fails is handed over as its error and fails nothing else; it stays open, so a later
/// call with the same `done` tries it again.
/// The critiques of a response depend on the settings and on its own names and texts alone: order,
/// batches, and what was done before change nothing.
///
/// # Errors
/// Those of [`CritiqueSettings::validate`], and [`MethodError::DuplicatePair`] when two pairs share
/// an id; nothing is sampled then.
pub fn generate(
    pairs: &[PreferencePair],
    generator: &mut dyn Generator,
    prompts: &Prompts,
    settings: &CritiqueSettings,
    done: &dyn Fn(&str, Side) -> bool,
    sink: &mut ResponseSink<'_, Vec<Candidate>>,
) -> Result<(), MethodError> {
    settings.validate()?;
    places(pairs)?;
    let open = open_responses(pairs, done);
    let requests: Vec<GenerateRequest> =
        open.iter().map(|&(place, side)| request(&pairs[place], side, prompts, settings)).collect();
    generator.generate(&requests, &mut |index, result| {
        let (place, side) = open[index];
        let read = |texts| {
            critiques_from(&pairs[place], side, settings.knows_label, prompts.scale(), texts)
        };
        sink(place, side, result.map(read))
    });
    Ok(())
}

#[cfg(test)]
mod tests;
