use super::super::refine::Refined;
use super::super::session::Session;
use crate::progress::say;
use anyhow::Result;
use critic_model::sources::LoadedModel;
use critic_train::{CritiqueText, TrainPair, build_pairs};
use critic_types::{ContentId, OracleCritique, PreferencePair};
use std::collections::HashMap;

/// The pairs of a training with their critiques.
#[derive(Debug, Default)]
pub(crate) struct TrainingData {
    pub(crate) pairs: Vec<(PreferencePair, Vec<CritiqueText>)>,
    /// Addresses of what they depend on besides the model.
    pub(crate) keys: Vec<ContentId>,
}

impl TrainingData {
    /// The pairs of the run, with these critiques if there are any.
    pub(crate) fn of_pairs(session: &Session, critiques: Option<&Refined>) -> Self {
        let mut by_pair: HashMap<&str, Vec<CritiqueText>> = HashMap::new();
        for critique in critiques.into_iter().flat_map(|refined| &refined.critiques) {
            let text = CritiqueText { side: critique.side, text: critique.text.clone() };
            by_pair.entry(&critique.pair_id).or_default().push(text);
        }
        let keeps_all =
            critiques.is_none() || session.resolved.settings.train.keep_unfiltered_pairs;
        let pairs = session
            .train
            .pairs
            .iter()
            .map(|pair| (pair.clone(), by_pair.remove(pair.id.as_str()).unwrap_or_default()))
            .filter(|(_, critiques)| keeps_all || !critiques.is_empty())
            .collect();
        let mut keys = vec![session.train.content.clone()];
        keys.extend(critiques.map(|refined| refined.key.clone()));
        Self { pairs, keys }
    }

    /// Pairs with the critiques that came with them, those that have none included.
    pub(in crate::stages) fn with_own_critiques(
        pairs: &[PreferencePair],
        critiques: &[OracleCritique],
    ) -> Vec<(PreferencePair, Vec<CritiqueText>)> {
        let mut by_pair: HashMap<&str, Vec<CritiqueText>> = HashMap::new();
        for critique in critiques {
            let Some(side) = critique.side else { continue };
            let text = CritiqueText { side, text: critique.text.clone() };
            by_pair.entry(&critique.pair_id).or_default().push(text);
        }
        let with = |pair: &PreferencePair| {
            (pair.clone(), by_pair.remove(pair.id.as_str()).unwrap_or_default())
        };
        pairs.iter().map(with).collect()
    }

    pub(super) fn n_critiques(&self) -> usize {
        self.pairs.iter().map(|(_, critiques)| critiques.len()).sum()
    }
}

/// Pairs as tokens; those that cannot be rendered or do not fit are told and left out.
pub(super) fn as_tokens(
    session: &mut Session,
    model: &LoadedModel,
    name: &str,
    pairs: &[(PreferencePair, Vec<CritiqueText>)],
    critiques_per_response: usize,
    max_pair_tokens: usize,
) -> Result<Vec<TrainPair>> {
    let pairs: Vec<(&PreferencePair, Vec<CritiqueText>)> =
        pairs.iter().map(|(pair, critiques)| (pair, critiques.clone())).collect();
    let context = model.config.context_length;
    let mut tokens = Vec::with_capacity(pairs.len());
    let mut left_out = Vec::new();
    let built = build_pairs(
        &pairs,
        &model.renderer,
        &session.prompts,
        context,
        critiques_per_response,
        max_pair_tokens,
    );
    for built in built {
        match built {
            Ok(pair) => tokens.push(pair),
            Err(error) if session.resolved.settings.data.strict => return Err(error.into()),
            Err(error) => left_out.push(error.to_string()),
        }
    }
    left_out.iter().take(3).for_each(|reason| say(format!("left out of {name}: {reason}")));
    if !left_out.is_empty() {
        let note = format!(
            "{} of {} pairs were left out of {name}: too long or not renderable.",
            left_out.len(),
            pairs.len()
        );
        say(&note);
        session.records.notes.push(note);
    }
    Ok(tokens)
}
