use crate::columns::{IN_ORDER, count, finish_reason, finite, integer, provenance, side};
use crate::{Store, StoreError};
use critic_types::{Candidate, ContentId, CritiqueScores, Side};
use rusqlite::{Row, params};
use std::collections::BTreeSet;

impl Store {
    /// Adds candidates under the digest of what made them: model, prompts, sampling, seed and N. The same
    /// (pair, side, index) keeps its first row. Gives how many were new.
    ///
    /// Hand over all candidates of a response in one call: then a response has all of them or none, which
    /// [`Store::has_candidates`] relies on.
    ///
    /// # Errors
    /// [`StoreError::NotFinite`] for a score, and then none is added; else the database's.
    pub fn put_candidates(
        &mut self,
        generation: &ContentId,
        candidates: &[Candidate],
    ) -> Result<usize, StoreError> {
        self.put_texts("candidates", generation, candidates)
    }

    /// The candidates of a generation: by pair as the pairs came in, chosen first, then by index.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn candidates(&self, generation: &ContentId) -> Result<Vec<Candidate>, StoreError> {
        self.texts("candidates", generation)
    }

    /// The responses whose candidates are stored.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn has_candidates(
        &self,
        generation: &ContentId,
    ) -> Result<BTreeSet<(String, Side)>, StoreError> {
        let sql = "SELECT DISTINCT pair_id, side FROM candidates WHERE key = ?1";
        let responses =
            self.list(sql, [generation.as_str()], |row| Ok((row.get("pair_id")?, side(row)?)))?;
        Ok(responses.into_iter().collect())
    }

    /// Adds the critiques that training sees, under the digest of the refinement and all before it; rules
    /// as for [`Store::put_candidates`].
    ///
    /// # Errors
    /// As [`Store::put_candidates`].
    pub fn put_critiques(
        &mut self,
        refine: &ContentId,
        critiques: &[Candidate],
    ) -> Result<usize, StoreError> {
        self.put_texts("critiques", refine, critiques)
    }

    /// The critiques that training sees: by pair as the pairs came in, chosen first, then by index.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn critiques(&self, refine: &ContentId) -> Result<Vec<Candidate>, StoreError> {
        self.texts("critiques", refine)
    }

    fn put_texts(
        &mut self,
        table: &'static str,
        key: &ContentId,
        candidates: &[Candidate],
    ) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let mut insert = transaction.prepare_cached(&format!(
                "INSERT INTO {table} (key, pair_id, side, idx, text, parsed_score, expected_score,
                                      verdict, finish_reason, n_tokens, provenance)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING"
            ))?;
            let mut n_new = 0;
            for candidate in candidates {
                let Candidate { pair_id, side, index, text, scores, .. } = candidate;
                let item = || format!("candidate {index} of `{pair_id}`, {}", side.as_str());
                finite("parsed score", item, scores.parsed)?;
                finite("expected score", item, scores.expected)?;
                finite("verdict", item, scores.verdict)?;
                n_new += insert.execute(params![
                    key.as_str(),
                    pair_id,
                    side.as_str(),
                    integer(*index),
                    text,
                    scores.parsed,
                    scores.expected,
                    scores.verdict,
                    candidate.finish_reason.as_str(),
                    integer(candidate.n_tokens),
                    candidate.provenance.as_str(),
                ])?;
            }
            Ok(n_new)
        })
    }

    fn texts(&self, table: &'static str, key: &ContentId) -> Result<Vec<Candidate>, StoreError> {
        self.list(&format!("SELECT * FROM {table} {IN_ORDER}"), [key.as_str()], read)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        pair_id: row.get("pair_id")?,
        side: side(row)?,
        index: count(row, "idx")?,
        text: row.get("text")?,
        scores: CritiqueScores {
            parsed: row.get("parsed_score")?,
            expected: row.get("expected_score")?,
            verdict: row.get("verdict")?,
        },
        finish_reason: finish_reason(row)?,
        n_tokens: count(row, "n_tokens")?,
        provenance: provenance(row)?,
    })
}
