use crate::columns::{bad, finite};
use crate::{Store, StoreError};
use critic_types::{Conversation, PreferencePair};
use rusqlite::{OptionalExtension, Row, params};

impl Store {
    /// Adds pairs to a split (`train`, `eval`) in their order; a pair that is there already stays where
    /// it stands. Gives how many were new.
    ///
    /// # Errors
    /// [`StoreError::OtherPair`] when an id is taken by another pair of the split, and then none is added;
    /// [`StoreError::NotFinite`] for a margin; else the database's.
    pub fn put_pairs(&mut self, split: &str, pairs: &[PreferencePair]) -> Result<usize, StoreError> {
        for pair in pairs {
            finite("margin", || format!("pair `{}`", pair.id), pair.margin)?;
        }
        let (n_new, other) = self.write(|transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO pairs (split, pair_id, prompt, chosen, rejected, margin, domain, subset)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            let mut stored = transaction
                .prepare_cached("SELECT * FROM pairs WHERE split = ?1 AND pair_id = ?2")?;
            let mut new = Vec::new();
            for pair in pairs {
                match stored.query_row(params![split, pair.id], read).optional()? {
                    Some(known) if known == *pair => {}
                    Some(_) => return undo(transaction, &new).map(|()| (0, Some(pair.id.clone()))),
                    None => {
                        let prompt = serde_json::to_string(&pair.prompt)
                            .expect("roles and texts always have a JSON form");
                        insert.execute(params![
                            split, pair.id, prompt, pair.chosen, pair.rejected, pair.margin,
                            pair.domain, pair.subset
                        ])?;
                        new.push(transaction.last_insert_rowid());
                    }
                }
            }
            Ok((new.len(), None))
        })?;
        match other {
            Some(pair_id) => Err(StoreError::OtherPair {
                path: self.path().to_owned(),
                split: split.to_owned(),
                pair_id,
            }),
            None => Ok(n_new),
        }
    }

    /// The pairs of a split, in the order in which they were added.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn pairs(&self, split: &str) -> Result<Vec<PreferencePair>, StoreError> {
        let read_all = || {
            let sql = "SELECT * FROM pairs WHERE split = ?1 ORDER BY seq";
            self.connection.prepare_cached(sql)?.query_map([split], read)?.collect()
        };
        self.named(read_all())
    }
}
