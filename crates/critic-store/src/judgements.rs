use crate::columns::{IN_ORDER, count, finite, integer, side};
use crate::{Store, StoreError};
use critic_types::{ContentId, Side};
use rusqlite::params;
use serde::{Deserialize, Serialize};

/// What the filter decided about a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterVerdict {
    /// The pair's id.
    pub pair_id: String,
    /// The response it is about.
    pub side: Side,
    /// Which of the N candidates, from 0.
    pub index: usize,
    /// Whether it goes on.
    pub kept: bool,
    /// Why it does not.
    pub reason: Option<String>,
}

/// What the meta-judge gave a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetaScore {
    /// The pair's id.
    pub pair_id: String,
    /// The response the candidate is about.
    pub side: Side,
    /// Which of the N candidates, from 0.
    pub index: usize,
    /// Larger for a better critique; the unit is the judge's.
    pub score: f64,
}

impl Store {
    /// Adds the filter's verdicts under the digest of its rule and of the candidates it saw; the same
    /// candidate keeps its first verdict. Gives how many were new.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be written; then none is added.
    pub fn put_verdicts(
        &mut self,
        filter: &ContentId,
        verdicts: &[FilterVerdict],
    ) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO filter_verdicts (key, pair_id, side, idx, kept, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?;
            let mut n_new = 0;
            for FilterVerdict { pair_id, side, index, kept, reason } in verdicts {
                n_new += insert.execute(params![
                    filter.as_str(),
                    pair_id,
                    side.as_str(),
                    integer(*index),
                    kept,
                    reason
                ])?;
            }
            Ok(n_new)
        })
    }

    /// The filter's verdicts: by pair as the pairs came in, chosen first, then by index.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn verdicts(&self, filter: &ContentId) -> Result<Vec<FilterVerdict>, StoreError> {
        let sql = format!("SELECT * FROM filter_verdicts {IN_ORDER}");
        self.list(&sql, [filter.as_str()], |row| {
            Ok(FilterVerdict {
                pair_id: row.get("pair_id")?,
                side: side(row)?,
                index: count(row, "idx")?,
                kept: row.get("kept")?,
                reason: row.get("reason")?,
            })
        })
    }

    /// Adds the meta-judge's scores under the digest of the refinement and all before it; the same
    /// candidate keeps its first score. Gives how many were new.
    ///
    /// # Errors
    /// [`StoreError::NotFinite`] for a score, and then none is added; else the database's.
    pub fn put_meta_scores(
        &mut self,
        refine: &ContentId,
        scores: &[MetaScore],
    ) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO meta_scores (key, pair_id, side, idx, score)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            )?;
            let mut n_new = 0;
            for MetaScore { pair_id, side, index, score } in scores {
                let item = || format!("candidate {index} of `{pair_id}`, {}", side.as_str());
                finite("meta-judge score", item, Some(*score))?;
                n_new += insert.execute(params![
                    refine.as_str(),
                    pair_id,
                    side.as_str(),
                    integer(*index),
                    score
                ])?;
            }
            Ok(n_new)
        })
    }

    /// The meta-judge's scores: by pair as the pairs came in, chosen first, then by index.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn meta_scores(&self, refine: &ContentId) -> Result<Vec<MetaScore>, StoreError> {
        let sql = format!("SELECT * FROM meta_scores {IN_ORDER}");
        self.list(&sql, [refine.as_str()], |row| {
            Ok(MetaScore {
                pair_id: row.get("pair_id")?,
                side: side(row)?,
                index: count(row, "idx")?,
                score: row.get("score")?,
            })
        })
    }
}
