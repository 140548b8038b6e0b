use crate::columns::bad;
use crate::open::Abort;
use crate::{Store, StoreError};
use critic_types::ContentId;
use rusqlite::{Transaction, params};
use serde_json::Value;

impl Store {
    /// Marks a stage as done for the digest of its inputs and settings. Gives whether the mark is new; an
    /// earlier mark keeps its summary.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be written.
    pub fn finish_stage(
        &mut self,
        stage: &str,
        inputs: &ContentId,
        summary: &Value,
    ) -> Result<bool, StoreError> {
        self.write(|transaction| insert(transaction, stage, inputs.as_str(), &summary.to_string()))
    }

    /// The summary of a stage that is done for these inputs; `None` when it is not.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn stage(&self, stage: &str, inputs: &ContentId) -> Result<Option<Value>, StoreError> {
        let sql = "SELECT summary FROM stages WHERE stage = ?1 AND inputs = ?2";
        let mut summaries = self.list(sql, params![stage, inputs.as_str()], |row| {
            let summary: String = row.get("summary")?;
            serde_json::from_str(&summary).map_err(|_| bad(row, "summary", &summary))
        })?;
        Ok(summaries.pop())
    }
}

/// Adds a row to `stages`; gives whether it is new.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    stage: &str,
    inputs: &str,
    summary: &str,
) -> Result<bool, Abort> {
    let sql = "INSERT INTO stages (stage, inputs, summary) VALUES (?1, ?2, ?3)
               ON CONFLICT DO NOTHING";
    Ok(transaction.execute(sql, params![stage, inputs, summary])? == 1)
}
