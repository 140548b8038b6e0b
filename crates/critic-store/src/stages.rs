use crate::columns::bad;
use crate::{Store, StoreError};
use critic_types::ContentId;
use rusqlite::params;
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
        self.write(|transaction| {
            let sql = "INSERT INTO stages (stage, inputs, summary) VALUES (?1, ?2, ?3)
                       ON CONFLICT DO NOTHING";
            let n =
                transaction.execute(sql, params![stage, inputs.as_str(), summary.to_string()])?;
            Ok(n == 1)
        })
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
