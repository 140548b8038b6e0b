use crate::columns::{count, finish_reason, finite, integer, provenance, side};
use crate::open::Abort;
use crate::{Store, StoreError};
use critic_types::{Candidate, ContentId, CritiqueScores, PreferencePair, Side};
use rusqlite::{Row, Transaction, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};

impl Store {
    /// Adds candidates of one pair under the digest of what made them: model, prompts, sampling, seed and
    /// N. The same (pair, side, index) keeps its first row; a pair is the same when its id and its content
    /// are. Gives how many were new.
    ///
    /// # Errors
    /// [`StoreError::NotFinite`] for a score, and then none is added; else the database's.
    pub fn put_candidates(
        &mut self,
        generation: &ContentId,
        pair: &PreferencePair,
        candidates: &[Candidate],
    ) -> Result<usize, StoreError> {
        self.put_texts("candidates", generation, pair, candidates)
    }

    /// The candidates of a generation that are about `pairs`: in the order of `pairs`, chosen first, then
    /// by index.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn candidates(
        &self,
        generation: &ContentId,
        pairs: &[PreferencePair],
    ) -> Result<Vec<Candidate>, StoreError> {
        self.texts("candidates", generation, pairs)
    }

    /// The responses of `pairs` whose first `n` candidates are all stored.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn has_candidates(
        &self,
        generation: &ContentId,
        pairs: &[PreferencePair],
        n: usize,
    ) -> Result<BTreeSet<(String, Side)>, StoreError> {
        let mut found: BTreeMap<(String, Side), usize> = BTreeMap::new();
        for candidate in self.candidates(generation, pairs)? {
            if candidate.index < n {
                *found.entry((candidate.pair_id, candidate.side)).or_default() += 1;
            }
        }
        Ok(found.into_iter().filter(|(_, count)| *count == n).map(|(name, _)| name).collect())
    }

    /// Adds the critiques of one pair that training sees, under the digest of the refinement and all
    /// before it; rules as for [`Store::put_candidates`].
    ///
    /// # Errors
    /// As [`Store::put_candidates`].
    pub fn put_critiques(
        &mut self,
        refine: &ContentId,
        pair: &PreferencePair,
        critiques: &[Candidate],
    ) -> Result<usize, StoreError> {
        self.put_texts("critiques", refine, pair, critiques)
    }

    /// The critiques that training sees: in the order of `pairs`, chosen first, then by index.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn critiques(
        &self,
        refine: &ContentId,
        pairs: &[PreferencePair],
    ) -> Result<Vec<Candidate>, StoreError> {
        self.texts("critiques", refine, pairs)
    }

    fn put_texts(
        &mut self,
        table: &'static str,
        key: &ContentId,
        pair: &PreferencePair,
        candidates: &[Candidate],
    ) -> Result<usize, StoreError> {
        let content = pair.content_id();
        self.write(|transaction| {
            let mut n_new = 0;
            for candidate in candidates {
                n_new += usize::from(insert(
                    transaction,
                    table,
                    key.as_str(),
                    content.as_str(),
                    candidate,
                )?);
            }
            Ok(n_new)
        })
    }

    fn texts(
        &self,
        table: &'static str,
        key: &ContentId,
        pairs: &[PreferencePair],
    ) -> Result<Vec<Candidate>, StoreError> {
        let sql = format!("SELECT * FROM {table} WHERE key = ?1 ORDER BY side, idx");
        let stored = self.list(&sql, [key.as_str()], |row| {
            Ok((row.get::<_, String>("pair_content")?, read(row)?))
        })?;
        let mut by_pair: HashMap<(String, String), Vec<Candidate>> = HashMap::new();
        for (content, candidate) in stored {
            by_pair.entry((candidate.pair_id.clone(), content)).or_default().push(candidate);
        }
        let of_pair = |pair: &PreferencePair| {
            by_pair.remove(&(pair.id.clone(), pair.content_id().as_str().to_owned()))
        };
        Ok(pairs.iter().filter_map(of_pair).flatten().collect())
    }
}

/// Adds a row to `candidates` or `critiques`; gives whether it is new.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    table: &'static str,
    key: &str,
    pair_content: &str,
    candidate: &Candidate,
) -> Result<bool, Abort> {
    let Candidate { pair_id, side, index, text, scores, .. } = candidate;
    let item = || format!("candidate {index} of `{pair_id}`, {}", side.as_str());
    finite("parsed score", item, scores.parsed)?;
    finite("expected score", item, scores.expected)?;
    finite("verdict", item, scores.verdict)?;
    let sql = format!(
        "INSERT INTO {table} (key, pair_id, pair_content, side, idx, text, parsed_score,
                              expected_score, verdict, finish_reason, n_tokens, provenance)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING"
    );
    let n_new = transaction.prepare_cached(&sql)?.execute(params![
        key,
        pair_id,
        pair_content,
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
    Ok(n_new == 1)
}

/// A row of `candidates` or `critiques`.
pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Candidate> {
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
