use crate::columns::{count, finish_reason, finite, integer, reward, side};
use crate::open::Abort;
use crate::{Store, StoreError};
use critic_types::{ContentId, CritiqueReward, PreferencePair, RewardPrediction, Side};
use rusqlite::{Connection, Row, Transaction, params};
use std::collections::{BTreeMap, HashMap};

/// The response a prediction or a verdict is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ResponseKey {
    pub(crate) pair_id: String,
    /// Address of what the pair says.
    pub(crate) pair_content: String,
    pub(crate) side: Side,
}

impl Store {
    /// Adds a contestant's prediction of one response; the same response keeps its first one. Gives
    /// whether it is new.
    ///
    /// # Errors
    /// [`StoreError::NotFinite`] for the standard deviation; else the database's. Then nothing is added.
    pub fn put_prediction(
        &mut self,
        contestant: &ContentId,
        pair: &PreferencePair,
        side: Side,
        prediction: &RewardPrediction,
    ) -> Result<bool, StoreError> {
        let response = ResponseKey::of(pair, side);
        self.write(|transaction| insert(transaction, contestant.as_str(), &response, prediction))
    }

    /// A contestant's predictions of the responses of `pairs`, by pair and side.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn predictions(
        &self,
        contestant: &ContentId,
        pairs: &[PreferencePair],
    ) -> Result<BTreeMap<(String, Side), RewardPrediction>, StoreError> {
        let mut stored = self.named(read_all(&self.connection, contestant.as_str()))?;
        let responses = pairs.iter().flat_map(|pair| Side::BOTH.map(|side| (pair, side)));
        let found = responses.filter_map(|(pair, side)| {
            Some(((pair.id.clone(), side), stored.remove(&ResponseKey::of(pair, side))?))
        });
        Ok(found.collect())
    }
}

impl ResponseKey {
    pub(crate) fn of(pair: &PreferencePair, side: Side) -> Self {
        let pair_content = pair.content_id().as_str().to_owned();
        Self { pair_id: pair.id.clone(), pair_content, side }
    }

    /// From the columns of its table.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (pair_id, pair_content) = (row.get("pair_id")?, row.get("pair_content")?);
        Ok(Self { pair_id, pair_content, side: side(row)? })
    }
}

/// Adds a prediction with its critiques; gives whether it is new.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    key: &str,
    response: &ResponseKey,
    prediction: &RewardPrediction,
) -> Result<bool, Abort> {
    let ResponseKey { pair_id, pair_content, side } = response;
    let item = || format!("the prediction of `{pair_id}`, {}", side.as_str());
    finite("standard deviation", item, prediction.std)?;
    let n_new = transaction
        .prepare_cached(
            "INSERT INTO predictions (key, pair_id, pair_content, side, mean, std, without_critique,
                                      n_failed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            key,
            pair_id,
            pair_content,
            side.as_str(),
            prediction.mean.value(),
            prediction.std,
            prediction.without_critique.map(critic_types::Reward::value),
            integer(prediction.n_failed),
        ])?;
    if n_new == 0 {
        return Ok(false);
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO prediction_critiques (key, pair_id, pair_content, side, idx, text, reward,
                                           finish_reason, n_tokens)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for (index, critique) in prediction.critiques.iter().enumerate() {
        insert.execute(params![
            key,
            pair_id,
            pair_content,
            side.as_str(),
            integer(index),
            critique.text,
            critique.reward.value(),
            critique.finish_reason.as_str(),
            integer(critique.n_tokens),
        ])?;
    }
    Ok(true)
}

/// Reads both tables in one transaction, so that a writer's next prediction is seen whole or not at all.
fn read_all(
    connection: &Connection,
    key: &str,
) -> rusqlite::Result<HashMap<ResponseKey, RewardPrediction>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut predictions: HashMap<ResponseKey, RewardPrediction> = snapshot
        .prepare_cached("SELECT * FROM predictions WHERE key = ?1")?
        .query_map([key], |row| Ok((ResponseKey::read(row)?, without_critiques(row)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut select = snapshot
        .prepare_cached("SELECT * FROM prediction_critiques WHERE key = ?1 ORDER BY idx")?;
    for critique in select.query_map([key], |row| Ok((ResponseKey::read(row)?, critique(row)?)))? {
        let (response, critique) = critique?;
        if let Some(prediction) = predictions.get_mut(&response) {
            prediction.critiques.push(critique);
        }
    }
    Ok(predictions)
}

/// A prediction with its critiques, from its row in `predictions`.
pub(crate) fn read(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<RewardPrediction> {
    let ResponseKey { pair_id, pair_content, side } = ResponseKey::read(row)?;
    let key: String = row.get("key")?;
    let critiques = connection
        .prepare_cached(
            "SELECT * FROM prediction_critiques
             WHERE key = ?1 AND pair_id = ?2 AND pair_content = ?3 AND side = ?4 ORDER BY idx",
        )?
        .query_map(params![key, pair_id, pair_content, side.as_str()], critique)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(RewardPrediction { critiques, ..without_critiques(row)? })
}

fn without_critiques(row: &Row<'_>) -> rusqlite::Result<RewardPrediction> {
    let has_fast_path = row.get::<_, Option<f64>>("without_critique")?.is_some();
    Ok(RewardPrediction {
        mean: reward(row, "mean")?,
        std: row.get("std")?,
        without_critique: has_fast_path.then(|| reward(row, "without_critique")).transpose()?,
        critiques: Vec::new(),
        n_failed: count(row, "n_failed")?,
    })
}

fn critique(row: &Row<'_>) -> rusqlite::Result<CritiqueReward> {
    Ok(CritiqueReward {
        text: row.get("text")?,
        reward: reward(row, "reward")?,
        finish_reason: finish_reason(row)?,
        n_tokens: count(row, "n_tokens")?,
    })
}
