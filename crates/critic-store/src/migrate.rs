//! The versions of the tables, each made out of the one before.

use crate::pairs;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// `CRM` and a byte for the kind of file; tells a store from other SQLite databases.
pub(crate) const APPLICATION_ID: i64 = 0x4352_4d01;

/// From one version to the next: what is worked out before, and the SQL.
struct Step {
    before: fn(&Transaction<'_>) -> rusqlite::Result<()>,
    sql: &'static str,
}

/// The step at place v leads from version v to v + 1; an empty file has version 0. Steps that have been
/// released never change: another layout of the tables is another step at the end.
static STEPS: [Step; 4] = [
    Step { before: |_| Ok(()), sql: include_str!("migrations/1_tables.sql") },
    Step { before: gather_pair_contents, sql: include_str!("migrations/2_pair_content.sql") },
    Step { before: |_| Ok(()), sql: include_str!("migrations/3_response_verdicts.sql") },
    Step { before: |_| Ok(()), sql: include_str!("migrations/4_meta_comparisons.sql") },
];

/// The version of the tables that this build writes, and the newest it reads.
pub const FORMAT_VERSION: i64 = STEPS.len() as i64;

/// Brings the tables to [`FORMAT_VERSION`] in one transaction: all steps that are missing, or none.
///
/// Foreign keys must not be enforced yet, as tables are made anew under their names.
pub(crate) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    migrate_to(connection, FORMAT_VERSION)
}

/// As [`migrate`], but no further than `target`.
pub(crate) fn migrate_to(connection: &Connection, target: i64) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Read under the lock: another process may have brought the file up meanwhile.
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (_, step) in (0..target).zip(&STEPS).skip_while(|(from, _)| *from < version) {
        (step.before)(&transaction)?;
        transaction.execute_batch(step.sql)?;
    }
    if version < target {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", target)?;
    }
    transaction.commit()
}

/// Lays down the content of every pair whose id names no other pair in another split.
fn gather_pair_contents(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut contents: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut select = transaction.prepare("SELECT * FROM pairs")?;
    for pair in select.query_map([], pairs::read)? {
        let pair = pair?;
        let content = pair.content_id().as_str().to_owned();
        match contents.entry(pair.id) {
            Entry::Vacant(place) => {
                place.insert(Some(content));
            }
            Entry::Occupied(mut known) if known.get().as_ref() != Some(&content) => {
                known.insert(None);
            }
            Entry::Occupied(_) => {}
        }
    }
    transaction.execute_batch(
        "DROP TABLE IF EXISTS temp.pair_contents;
         CREATE TEMP TABLE pair_contents (pair_id TEXT PRIMARY KEY, pair_content TEXT)",
    )?;
    let mut insert = transaction.prepare("INSERT INTO temp.pair_contents VALUES (?1, ?2)")?;
    for (pair_id, content) in contents {
        insert.execute(params![pair_id, content])?;
    }
    Ok(())
}
