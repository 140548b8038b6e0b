//! Quality-aware refinement: the model ranks or summarizes the critiques that survived the filter.

mod consistency;
mod pairwise;
mod pointwise;
mod rank;
mod summarize;

pub use consistency::{Comparison, PositionConsistency};
pub use rank::{MetaScore, rank_order};

use crate::MethodError;
use crate::no_fields::no_fields;
use crate::response::{ByResponse, ResponseSink};
use critic_engine::{EngineError, Generator, Sampling};
use critic_text::Prompts;
use critic_types::{Candidate, DropReport, PreferencePair, SeedTree, Side};
use serde::{Deserialize, Serialize};

/// What happens to the critiques that survived the filter.
///
/// Source: the digest names both ways, summarization (Critic-RM-Summ) and ranking (Critic-RM-Rank);
/// prompts, scale, `keep` and `drafts` are our reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Refinement {
    /// They stay as they are.
    #[serde(deserialize_with = "no_fields")]
    None,
    /// The model judges them as a meta-judge, and the best of every response stay.
    Rank {
        /// How many stay; at least 1.
        keep: usize,
        /// What the meta-judge is asked.
        #[serde(default, skip_serializing_if = "MetaJudge::is_pointwise")]
        judge: MetaJudge,
    },
    /// The model writes new critiques that merge those of a response.
    Summarize {
        /// How many are written for each response; at least 1.
        drafts: usize,
    },
}

/// What a meta-judge is asked about critiques.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaJudge {
    /// How good each is, by itself.
    #[default]
    Pointwise,
    /// Which of two is better: every two of a response, in both orders.
    Pairwise,
}

impl MetaJudge {
    // The default leaves no trace in the address of a refinement.
    fn is_pointwise(&self) -> bool {
        *self == Self::Pointwise
    }
}

/// How critiques are refined.
#[derive(Debug, Clone, PartialEq)]
pub struct RefineSettings {
    /// Which way.
    pub refinement: Refinement,
    /// How the tokens of summaries are drawn; ranking draws none.
    pub sampling: Sampling,
    /// Whether a summary that the token limit cut may be used.
    pub keep_truncated: bool,
    /// The round's randomness; draft i of a response draws from `"summarize"` → pair id → side → i.
    pub seed: SeedTree,
}

impl RefineSettings {
    /// Checks every setting against its range.
    ///
    /// # Errors
    /// [`MethodError::Setting`] when nothing would be kept or written, [`MethodError::Sampling`] when
    /// summaries are asked for and a sampling setting is out of its range.
    pub fn validate(&self) -> Result<(), MethodError> {
        let zero = |field| Err(MethodError::Setting { field, value: 0.0, rule: "at least 1" });
        match self.refinement {
            Refinement::Rank { keep: 0, .. } => zero("refine.keep"),
            Refinement::Summarize { drafts: 0 } => zero("refine.drafts"),
            Refinement::Summarize { .. } => Ok(self.sampling.validate()?),
            Refinement::Rank { .. } | Refinement::None => Ok(()),
        }
    }
}

/// The refined critiques of one response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Refined {
    /// Those to train on: ranked ones best first, others by index. Empty when every summary was left
    /// out.
    pub critiques: Vec<Candidate>,
    /// The meta-judge's scores, best first; empty unless ranked.
    pub ranking: Vec<MetaScore>,
    /// Survivors (ranked) or drafts (summarized) that stay and those left out, by reason.
    pub report: DropReport,
    /// What a pairwise meta-judge was asked, by the critique shown first, then by the second; empty with
    /// others.
    pub comparisons: Vec<Comparison>,
    /// Meta-judge requests that failed; what they would have said is not imputed.
    pub failures: Vec<EngineError>,
}

/// The survivors of one response, ordered by index.
struct Survivors<'a> {
    /// The place of the pair.
    place: usize,
    pair: &'a PreferencePair,
    side: Side,
    critiques: Vec<&'a Candidate>,
}

impl Survivors<'_> {
    fn as_they_are(&self) -> Refined {
        let mut report = DropReport::default();
        self.critiques.iter().for_each(|_| report.keep());
        let critiques = self.critiques.iter().map(|&c| c.clone()).collect();
        Refined { critiques, report, ..Refined::default() }
    }
}

/// Refines the surviving critiques of every response that is not `done`, and hands each response over
/// as soon as it is there; a response without survivors is passed over.
///
/// - `none`: the survivors as they are.
/// - `rank {keep}`: the `keep` critiques of the highest meta-score stay, ties go to the lower index.
///   `pointwise`: the score is the expected one on 1–10 (the same expectation as
///   [`expected_score`](crate::expected_score)).
///   `pairwise`: with ℓ(i, j) the log-odds that critique i, shown first, is better than j, the score is the
///   mean of ½·(ℓ(i, j) − ℓ(j, i)) over the j that were asked about in both orders; what the judge gives to
///   a place cancels. That costs K(K − 1) short questions for K survivors; a single one is not asked about
///   and stays.
///   A critique without a score is left out and counted; the response is an error when all its
///   requests failed, or one that may work another time.
/// - `summarize {drafts}`: the model reads all survivors and writes `drafts` critiques, which carry
///   [`Provenance::Summarized`](critic_types::Provenance::Summarized) and scores of their own. Empty
///   ones, cut ones unless kept, and ones whose verdict says yes where the mean verdict of the survivors
///   says no, or the other way round, are left out and counted. A response with a single survivor
///   keeps it as it is: there is nothing to merge (our choice).
///
/// A response that fails is handed over as its error and stays open for a later call.
/// What a response gets depends on the settings and on its own survivors alone, in whatever order
/// they are given.
///
/// # Errors
/// Those of [`RefineSettings::validate`]; [`MethodError::DuplicatePair`] when two pairs share an id;
/// [`MethodError::UnknownPair`] when a survivor's pair is missing. Nothing is refined then.
pub fn refine(
    pairs: &[PreferencePair],
    survivors: &[Candidate],
    generator: &mut dyn Generator,
    prompts: &Prompts,
    settings: &RefineSettings,
    done: &dyn Fn(&str, Side) -> bool,
    sink: &mut ResponseSink<'_, Refined>,
) -> Result<(), MethodError> {
    settings.validate()?;
    let responses = open_responses(pairs, survivors, done)?;
    match settings.refinement {
        Refinement::None => {
            for response in &responses {
                if sink(response.place, response.side, Ok(response.as_they_are())).is_break() {
                    break;
                }
            }
        }
        Refinement::Rank { keep, judge } => {
            rank::rank(&responses, keep, judge, generator, prompts, sink);
        }
        Refinement::Summarize { drafts } => {
            summarize::summarize(&responses, drafts, generator, prompts, settings, sink);
        }
    }
    Ok(())
}

fn open_responses<'a>(
    pairs: &'a [PreferencePair],
    survivors: &'a [Candidate],
    done: &dyn Fn(&str, Side) -> bool,
) -> Result<Vec<Survivors<'a>>, MethodError> {
    let grouped = ByResponse::new(pairs, survivors)?;
    if let Some(&stray) = grouped.unknown.first() {
        return Err(MethodError::UnknownPair { id: survivors[stray].pair_id.clone() });
    }
    let mut responses = Vec::new();
    for (place, (pair, critiques)) in pairs.iter().zip(&grouped.pairs).enumerate() {
        for (side, critiques) in Side::BOTH.into_iter().zip(critiques) {
            if !critiques.is_empty() && !done(&pair.id, side) {
                let critiques = critiques.iter().map(|&c| &survivors[c]).collect();
                responses.push(Survivors { place, pair, side, critiques });
            }
        }
    }
    Ok(responses)
}

#[cfg(test)]
mod tests;
