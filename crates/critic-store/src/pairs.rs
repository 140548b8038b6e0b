use crate::columns::{bad, finite};
use crate::{Store, StoreError};
use critic_types::PreferencePair;
use rusqlite::{OptionalExtension, Row, params};

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
            let mut insert = transaction.prepare_cached(
                "INSERT INTO pairs (split, pair_id, prompt, chosen, rejected, margin, domain, subset)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            let mut stored = transaction
                .prepare_cached("SELECT * FROM pairs WHERE split = ?1 AND pair_id = ?2")?;
            let mut n_new = 0;
            for pair in pairs {
                finite("margin", || format!("pair `{}`", pair.id), pair.margin)?;
                match stored.query_row(params![split, pair.id], read).optional()? {
                    Some(known) if known == *pair => {}
                    Some(_) => {
                        let (split, pair_id) = (split.to_owned(), pair.id.clone());
                        return Err(StoreError::OtherPair { path, split, pair_id }.into());
                    }
                    None => {
                        let prompt = serde_json::to_string(&pair.prompt)
                            .expect("roles and texts always have a JSON form");
                        n_new += insert.execute(params![
                            split,
                            pair.id,
                            prompt,
                            pair.chosen,
                            pair.rejected,
                            pair.margin,
                            pair.domain,
                            pair.subset
                        ])?;
                    }
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

fn read(row: &Row<'_>) -> rusqlite::Result<PreferencePair> {
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
