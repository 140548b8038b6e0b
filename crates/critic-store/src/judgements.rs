use crate::columns::{IN_ORDER, count, finite, integer, side};
use crate::open::Abort;
use crate::{Store, StoreError};
use critic_types::{ContentId, Side};
use rusqlite::{Row, Transaction, params};
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

/// What the meta-judge answered about two candidates of a response, in one of their orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetaComparison {
    /// The pair's id.
    pub pair_id: String,
    /// The response the candidates are about.
    pub side: Side,
    /// The candidate that was shown first.
    pub first: usize,
    /// The candidate that was shown second.
    pub second: usize,
    /// ln P(the first is better) − ln P(the second is); absent where there was no answer.
    pub log_odds: Option<f64>,
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
            let mut n_new = 0;
            for verdict in verdicts {
                n_new += usize::from(insert_verdict(transaction, filter.as_str(), verdict)?);
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
        self.list(&sql, [filter.as_str()], read_verdict)
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
            let mut n_new = 0;
            for score in scores {
                n_new += usize::from(insert_meta_score(transaction, refine.as_str(), score)?);
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
        self.list(&sql, [refine.as_str()], read_meta_score)
    }

    /// Adds what a pairwise meta-judge answered, under the digest of the refinement and all before it; the
    /// same candidates in the same order keep their first answer. Gives how many were new.
    ///
    /// # Errors
    /// [`StoreError::NotFinite`] for log-odds, and then none is added; else the database's.
    pub fn put_meta_comparisons(
        &mut self,
        refine: &ContentId,
        comparisons: &[MetaComparison],
    ) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let mut n_new = 0;
            for comparison in comparisons {
                let is_new = insert_meta_comparison(transaction, refine.as_str(), comparison)?;
                n_new += usize::from(is_new);
            }
            Ok(n_new)
        })
    }

    /// A pairwise meta-judge's answers: by pair as the pairs came in, chosen first, then by the first and
    /// by the second candidate.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn meta_comparisons(&self, refine: &ContentId) -> Result<Vec<MetaComparison>, StoreError> {
        let sql = format!("SELECT * FROM meta_comparisons {IN_ORDER}, second_idx");
        self.list(&sql, [refine.as_str()], read_meta_comparison)
    }
}

/// Adds a row to `filter_verdicts`; gives whether it is new.
pub(crate) fn insert_verdict(
    transaction: &Transaction<'_>,
    key: &str,
    verdict: &FilterVerdict,
) -> Result<bool, Abort> {
    let FilterVerdict { pair_id, side, index, kept, reason } = verdict;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO filter_verdicts (key, pair_id, side, idx, kept, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
    )?;
    let values = params![key, pair_id, side.as_str(), integer(*index), kept, reason];
    Ok(insert.execute(values)? == 1)
}

/// A row of `filter_verdicts`.
pub(crate) fn read_verdict(row: &Row<'_>) -> rusqlite::Result<FilterVerdict> {
    Ok(FilterVerdict {
        pair_id: row.get("pair_id")?,
        side: side(row)?,
        index: count(row, "idx")?,
        kept: row.get("kept")?,
        reason: row.get("reason")?,
    })
}

/// Adds a row to `meta_scores`; gives whether it is new.
pub(crate) fn insert_meta_score(
    transaction: &Transaction<'_>,
    key: &str,
    score: &MetaScore,
) -> Result<bool, Abort> {
    let MetaScore { pair_id, side, index, score } = score;
    let item = || format!("candidate {index} of `{pair_id}`, {}", side.as_str());
    finite("meta-judge score", item, Some(*score))?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO meta_scores (key, pair_id, side, idx, score)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?;
    Ok(insert.execute(params![key, pair_id, side.as_str(), integer(*index), score])? == 1)
}

/// A row of `meta_scores`.
pub(crate) fn read_meta_score(row: &Row<'_>) -> rusqlite::Result<MetaScore> {
    Ok(MetaScore {
        pair_id: row.get("pair_id")?,
        side: side(row)?,
        index: count(row, "idx")?,
        score: row.get("score")?,
    })
}

/// Adds a row to `meta_comparisons`; gives whether it is new.
pub(crate) fn insert_meta_comparison(
    transaction: &Transaction<'_>,
    key: &str,
    comparison: &MetaComparison,
) -> Result<bool, Abort> {
    let MetaComparison { pair_id, side, first, second, log_odds } = comparison;
    let item = || format!("candidates {first} and {second} of `{pair_id}`, {}", side.as_str());
    finite("meta-judge log-odds", item, *log_odds)?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO meta_comparisons (key, pair_id, side, idx, second_idx, log_odds)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
    )?;
    let (first, second) = (integer(*first), integer(*second));
    Ok(insert.execute(params![key, pair_id, side.as_str(), first, second, log_odds])? == 1)
}

/// A row of `meta_comparisons`.
pub(crate) fn read_meta_comparison(row: &Row<'_>) -> rusqlite::Result<MetaComparison> {
    Ok(MetaComparison {
        pair_id: row.get("pair_id")?,
        side: side(row)?,
        first: count(row, "idx")?,
        second: count(row, "second_idx")?,
        log_odds: row.get("log_odds")?,
    })
}
