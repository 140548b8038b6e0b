use crate::MethodError;
use critic_engine::EngineError;
use critic_types::{Candidate, PreferencePair, SeedTree, Side};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Receives the result of one response: the place of its pair, its side, and what was made or why not.
///
/// [`ControlFlow::Break`] stops the procedure; nothing is handed over after it.
pub type ResponseSink<'a, T> =
    dyn FnMut(usize, Side, Result<T, EngineError>) -> ControlFlow<()> + 'a;

/// The name of a response in requests and reports: `pair-3/chosen`.
pub fn response_id(pair_id: &str, side: Side) -> String {
    format!("{pair_id}/{}", side.as_str())
}

/// The name of a critique in requests and reports: `pair-3/chosen/0`.
pub(crate) fn critique_id(critique: &Candidate) -> String {
    format!("{}/{}", response_id(&critique.pair_id, critique.side), critique.index)
}

/// The randomness of one response for one purpose; it depends on names alone, never on order.
pub(crate) fn response_seed(tree: &SeedTree, purpose: &str, pair_id: &str, side: Side) -> SeedTree {
    tree.child(purpose).child(pair_id).child(side.as_str())
}

/// The place of each pair by its id.
pub(crate) fn places(pairs: &[PreferencePair]) -> Result<HashMap<&str, usize>, MethodError> {
    let mut places = HashMap::with_capacity(pairs.len());
    for (place, pair) in pairs.iter().enumerate() {
        if places.insert(pair.id.as_str(), place).is_some() {
            return Err(MethodError::DuplicatePair { id: pair.id.clone() });
        }
    }
    Ok(places)
}

/// The responses that are not `done`, by the place of their pair: for each pair the chosen one, then the
/// rejected one.
pub(crate) fn open_responses(
    pairs: &[PreferencePair],
    done: &dyn Fn(&str, Side) -> bool,
) -> Vec<(usize, Side)> {
    let open_of = |(place, pair): (usize, &PreferencePair)| {
        Side::BOTH.into_iter().filter(|&s| !done(&pair.id, s)).map(|side| (place, side)).collect()
    };
    pairs.iter().enumerate().flat_map::<Vec<_>, _>(open_of).collect()
}

/// The critiques of every response.
pub(crate) struct ByResponse {
    /// For each pair the places of the critiques of its chosen and of its rejected response, ordered
    /// by index.
    pub(crate) pairs: Vec<[Vec<usize>; 2]>,
    /// Places of the critiques that belong to none of the pairs.
    pub(crate) unknown: Vec<usize>,
}

impl ByResponse {
    pub(crate) fn new(
        pairs: &[PreferencePair],
        critiques: &[Candidate],
    ) -> Result<Self, MethodError> {
        let places = places(pairs)?;
        let mut grouped =
            Self { pairs: vec![[Vec::new(), Vec::new()]; pairs.len()], unknown: Vec::new() };
        for (place, critique) in critiques.iter().enumerate() {
            match places.get(critique.pair_id.as_str()) {
                Some(&pair) => grouped.pairs[pair][side_place(critique.side)].push(place),
                None => grouped.unknown.push(place),
            }
        }
        for response in grouped.pairs.iter_mut().flatten() {
            response.sort_by_key(|&place| critiques[place].index);
        }
        Ok(grouped)
    }
}

/// Where `side` stands in [`Side::BOTH`].
pub(crate) fn side_place(side: Side) -> usize {
    match side {
        Side::Chosen => 0,
        Side::Rejected => 1,
    }
}
