use crate::columns::{bad, finite};
use crate::open::Abort;
use crate::{Store, StoreError};
use critic_types::PreferencePair;
use rusqlite::{OptionalExtension, Row, Transaction, params};

impl Store {
    /// Adds pairs to a split (`train`, `eval`) in their order; a pair that is there already stays where
    /// it stands. Gives how many were new.
    ///
    /// # Errors
    /// [`StoreError::OtherPair`] when an id is taken by another pair of the split, and then none is added;
    /// [`StoreError::NotFinite`] for a margin; else the database's.
    pub fn put_pairs(
        &mut self,
        split: &str,
        pairs: &[PreferencePair],
    ) -> Result<usize, StoreError> {
        let path = self.path().to_owned();
        self.write(|transaction| {
            let mut n_new = 0;
            for pair in pairs {
                match stored(transaction, split, &pair.id)? {
                    Some(known) if known == *pair => {}
                    Some(_) => {
                        let (split, pair_id) = (split.to_owned(), pair.id.clone());
                        return Err(StoreError::OtherPair { path, split, pair_id }.into());
                    }
                    None => n_new += usize::from(insert(transaction, split, pair)?),
                }
            }
            Ok(n_new)
        })
    }

    /// The pairs of a split, in the order in which they were added.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn pairs(&self, split: &str) -> Result<Vec<PreferencePair>, StoreError> {
        self.list("SELECT * FROM pairs WHERE split = ?1 ORDER BY seq", [split], read)
    }
}

/// The pair of a split that has this id.
fn stored(
    transaction: &Transaction<'_>,
    split: &str,
    pair_id: &str,
) -> rusqlite::Result<Option<PreferencePair>> {
    transaction
        .prepare_cached("SELECT * FROM pairs WHERE split = ?1 AND pair_id = ?2")?
        .query_row(params![split, pair_id], read)
        .optional()
}

/// Adds a row to `pairs`; gives whether it is new.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    split: &str,
    pair: &PreferencePair,
) -> Result<bool, Abort> {
    let PreferencePair { id, prompt, chosen, rejected, margin, domain, subset } = pair;
    finite("margin", || format!("pair `{id}`"), *margin)?;
    let prompt = serde_json::to_string(prompt).expect("roles and texts always have a JSON form");
    let mut insert = transaction.prepare_cached(
        "INSERT INTO pairs (split, pair_id, prompt, chosen, rejected, margin, domain, subset)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    )?;
    let values = params![split, id, prompt, chosen, rejected, margin, domain, subset];
    Ok(insert.execute(values)? == 1)
}

/// A row of `pairs`.
pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<PreferencePair> {
    let prompt: String = row.get("prompt")?;
    Ok(PreferencePair {
        id: row.get("pair_id")?,
        prompt: serde_json::from_str(&prompt).map_err(|_| bad(row, "prompt", &prompt))?,
        chosen: row.get("chosen")?,
        rejected: row.get("rejected")?,
        margin: row.get("margin")?,
        domain: row.get("domain")?,
        subset: row.get("subset")?,
    })
}
