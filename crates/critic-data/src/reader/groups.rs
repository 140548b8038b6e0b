use crate::ranked::Ranked;
use crate::{Place, RowProblem};
use critic_types::{ContentHasher, ContentId};
use std::collections::HashMap;

/// Rows of one response each, gathered by prompt.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_prompt: HashMap<ContentId, usize>,
    groups: Vec<(Place, Ranked)>,
}

impl Groups {
    /// Adds a row to the group of its prompt.
    pub(super) fn add(&mut self, place: Place, ranked: Ranked) -> Result<(), RowProblem> {
        if ranked.answers.iter().any(|answer| answer.text.trim().is_empty()) {
            return Err(RowProblem::EmptyResponse);
        }
        let mut hasher = ContentHasher::new("prompt");
        hasher.conversation(&ranked.prompt);
        let index = *self.by_prompt.entry(hasher.finish()).or_insert(self.groups.len());
        match self.groups.get_mut(index) {
            Some((_, group)) => group.answers.extend(ranked.answers),
            None => self.groups.push((place, ranked)),
        }
        Ok(())
    }

    /// The groups, each at the place of its first row.
    pub(super) fn finish(self) -> Vec<(Place, Ranked)> {
        self.groups
    }
}
