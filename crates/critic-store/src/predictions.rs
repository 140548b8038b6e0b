use crate::columns::{count, finish_reason, finite, integer, reward, side};
use crate::{Store, StoreError};
use critic_types::{ContentId, CritiqueReward, RewardPrediction, Side};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// The response a prediction is of.
type Response = (String, Side);

impl Store {
    /// Adds a contestant's prediction of one response; the same response keeps its first one. Gives
    /// whether it is new.
    ///
    /// # Errors
    /// [`StoreError::NotFinite`] for the standard deviation; else the database's. Then nothing is added.
    pub fn put_prediction(
        &mut self,
        contestant: &ContentId,
        pair_id: &str,
        side: Side,
        prediction: &RewardPrediction,
    ) -> Result<bool, StoreError> {
        let key = contestant.as_str();
        self.write(|transaction| {
            let item = || format!("the prediction of `{pair_id}`, {}", side.as_str());
            finite("standard deviation", item, prediction.std)?;
            let n_new = transaction
                .prepare_cached(
                    "INSERT INTO predictions (key, pair_id, side, mean, std, without_critique, n_failed)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    key,
                    pair_id,
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
                "INSERT INTO prediction_critiques (key, pair_id, side, idx, text, reward, finish_reason,
                                                   n_tokens)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for (index, critique) in prediction.critiques.iter().enumerate() {
                insert.execute(params![
                    key,
                    pair_id,
                    side.as_str(),
                    integer(index),
                    critique.text,
                    critique.reward.value(),
                    critique.finish_reason.as_str(),
                    integer(critique.n_tokens),
                ])?;
            }
            Ok(true)
        })
    }

    /// A contestant's predictions, by pair and side.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn predictions(
        &self,
        contestant: &ContentId,
    ) -> Result<BTreeMap<(String, Side), RewardPrediction>, StoreError> {
        self.named(read_all(&self.connection, contestant.as_str()))
    }
}

/// Reads both tables in one transaction, so that a writer's next prediction is seen whole or not at all.
fn read_all(
    connection: &Connection,
    key: &str,
) -> rusqlite::Result<BTreeMap<Response, RewardPrediction>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut predictions: BTreeMap<Response, RewardPrediction> = snapshot
        .prepare_cached("SELECT * FROM predictions WHERE key = ?1")?
        .query_map([key], |row| Ok((response(row)?, prediction(row)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut select = snapshot
        .prepare_cached("SELECT * FROM prediction_critiques WHERE key = ?1 ORDER BY idx")?;
    for critique in select.query_map([key], |row| Ok((response(row)?, critique(row)?)))? {
        let (response, critique) = critique?;
        if let Some(prediction) = predictions.get_mut(&response) {
            prediction.critiques.push(critique);
        }
    }
    Ok(predictions)
}

fn response(row: &Row<'_>) -> rusqlite::Result<Response> {
    Ok((row.get("pair_id")?, side(row)?))
}

fn prediction(row: &Row<'_>) -> rusqlite::Result<RewardPrediction> {
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
