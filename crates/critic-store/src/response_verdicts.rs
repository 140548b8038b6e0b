use crate::columns::finite;
use crate::open::Abort;
use crate::predictions::ResponseKey;
use crate::{Store, StoreError};
use critic_types::{ContentId, PreferencePair, Side};
use rusqlite::{Row, Transaction, params};
use std::collections::BTreeMap;

impl Store {
    /// Adds the verdict on one response without critique, ln P(yes) − ln P(no), under the digest of the
    /// critic and its prompts; none where the critic gave no probabilities. The same response keeps its
    /// first one. Gives whether it is new.
    ///
    /// # Errors
    /// [`StoreError::NotFinite`] for the verdict; else the database's. Then nothing is added.
    pub fn put_response_verdict(
        &mut self,
        critic: &ContentId,
        pair: &PreferencePair,
        side: Side,
        verdict: Option<f64>,
    ) -> Result<bool, StoreError> {
        let response = ResponseKey::of(pair, side);
        self.write(|transaction| insert(transaction, critic.as_str(), &response, verdict))
    }

    /// The verdicts without critique on the responses of `pairs`, by pair and side.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn response_verdicts(
        &self,
        critic: &ContentId,
        pairs: &[PreferencePair],
    ) -> Result<BTreeMap<(String, Side), Option<f64>>, StoreError> {
        let sql = "SELECT * FROM response_verdicts WHERE key = ?1";
        let stored: BTreeMap<ResponseKey, Option<f64>> =
            self.list(sql, [critic.as_str()], read)?.into_iter().collect();
        let responses = pairs.iter().flat_map(|pair| Side::BOTH.map(|side| (pair, side)));
        let found = responses.filter_map(|(pair, side)| {
            Some(((pair.id.clone(), side), *stored.get(&ResponseKey::of(pair, side))?))
        });
        Ok(found.collect())
    }
}

/// Adds a row to `response_verdicts`; gives whether it is new.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    key: &str,
    response: &ResponseKey,
    verdict: Option<f64>,
) -> Result<bool, Abort> {
    let ResponseKey { pair_id, pair_content, side } = response;
    finite("verdict", || format!("the response `{pair_id}`, {}", side.as_str()), verdict)?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO response_verdicts (key, pair_id, pair_content, side, verdict)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?;
    Ok(insert.execute(params![key, pair_id, pair_content, side.as_str(), verdict])? == 1)
}

/// A row of `response_verdicts`.
pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<(ResponseKey, Option<f64>)> {
    Ok((ResponseKey::read(row)?, row.get("verdict")?))
}
