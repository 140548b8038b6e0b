use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a stage kept and what it left out, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropReport {
    /// How many items went on.
    pub n_kept: usize,
    /// How many were left out, by reason.
    pub dropped: BTreeMap<String, usize>,
    /// For each reason the first few items it struck.
    pub examples: BTreeMap<String, Vec<String>>,
}

impl DropReport {
    /// How many items are named for each reason.
    pub const EXAMPLES_PER_REASON: usize = 3;

    /// Counts an item that goes on.
    pub fn keep(&mut self) {
        self.n_kept += 1;
    }

    /// Counts an item that is left out for `reason`; `item` says which.
    pub fn drop(&mut self, reason: impl Into<String>, item: impl Into<String>) {
        let reason = reason.into();
        let examples = self.examples.entry(reason.clone()).or_default();
        if examples.len() < Self::EXAMPLES_PER_REASON {
            examples.push(item.into());
        }
        *self.dropped.entry(reason).or_default() += 1;
    }

    /// How many were left out in all.
    pub fn n_dropped(&self) -> usize {
        self.dropped.values().sum()
    }

    /// How many came in.
    pub fn n_seen(&self) -> usize {
        self.n_kept + self.n_dropped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_counted_once() {
        let mut report = DropReport::default();
        report.keep();
        for i in 0..5 {
            report.drop("empty response", format!("row {i}"));
        }
        assert_eq!((report.n_seen(), report.n_dropped()), (6, 5));
        assert_eq!(report.examples["empty response"], ["row 0", "row 1", "row 2"]);
    }
}
