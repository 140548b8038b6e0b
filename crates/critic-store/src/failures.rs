use crate::{Store, StoreError};
use critic_types::ContentId;
use rusqlite::params;

impl Store {
    /// Notes that an item of a stage failed and is to be tried again; the latest reason stands.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be written.
    pub fn put_failure(
        &mut self,
        stage: &str,
        key: &ContentId,
        item: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO failures (stage, key, item, reason) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET reason = excluded.reason",
                params![stage, key.as_str(), item, reason],
            )?;
            Ok(())
        })
    }

    /// Every failed item of a stage with its reason, by item.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn failures(
        &self,
        stage: &str,
        key: &ContentId,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT item, reason FROM failures WHERE stage = ?1 AND key = ?2 ORDER BY item";
        self.list(sql, params![stage, key.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Forgets the failures of a stage, before it tries them again. Gives how many there were.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be written.
    pub fn clear_failures(&mut self, stage: &str, key: &ContentId) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let sql = "DELETE FROM failures WHERE stage = ?1 AND key = ?2";
            Ok(transaction.execute(sql, params![stage, key.as_str()])?)
        })
    }
}
