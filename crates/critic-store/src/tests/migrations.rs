use super::*;
use crate::FORMAT_VERSION;
use crate::migrate::migrate_to;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// A store as version 1 wrote it, with the rows that `sql` adds.
fn version_1(folder: &Path, sql: &str) -> PathBuf {
    let path = folder.join("store.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    migrate_to(&connection, 1).unwrap();
    connection.execute_batch(sql).unwrap();
    path
}

fn insert_pair(split: &str, pair: &PreferencePair) -> String {
    let prompt = serde_json::to_string(&pair.prompt).unwrap().replace('\'', "''");
    format!(
        "INSERT INTO pairs (split, pair_id, prompt, chosen, rejected, margin, domain, subset)
         VALUES ('{split}', '{}', '{prompt}', '{}', '{}', 0.1 + 0.2, 'math', NULL);",
        pair.id, pair.chosen, pair.rejected
    )
}

fn old_rows() -> String {
    let (g, c) = (key("g"), key("c"));
    let other = PreferencePair { chosen: "another answer".to_owned(), ..pair("twice") };
    let mut sql = insert_pair("train", &pair("a"));
    sql += &insert_pair("eval", &pair("a"));
    sql += &insert_pair("train", &pair("twice"));
    sql += &insert_pair("eval", &other);
    for id in ["a", "twice", "gone"] {
        for table in ["candidates", "critiques"] {
            sql += &format!(
                "INSERT INTO {table} VALUES ('{g}', '{id}', 'chosen', 0, 'critique 0 of {id}', 7.0, 6.1, NULL,
                                            'stop', 12, 'sampled');"
            );
        }
        sql += &format!(
            "INSERT INTO predictions VALUES ('{c}', '{id}', 'chosen', 0.1, NULL, NULL, 1);
             INSERT INTO prediction_critiques VALUES ('{c}', '{id}', 'chosen', 0, 'z0', 0.1, 'length', 0);"
        );
    }
    sql += &format!("INSERT INTO meta_scores VALUES ('{g}', 'a', 'chosen', 0, -0.0);");
    sql + &format!("INSERT INTO stages VALUES ('critique', '{g}', '3')")
}

#[test]
fn a_store_of_version_1_is_brought_up_with_all_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = version_1(folder.path(), &old_rows());
    let store = Store::open(&path).unwrap();
    let g = key("g");
    assert_eq!(store.pairs("train").unwrap(), ["a", "twice"].map(pair));
    assert_eq!(store.candidates(&g, &[pair("a")]).unwrap(), [candidate("a", Side::Chosen, 0)]);
    assert_eq!(store.critiques(&g, &[pair("a")]).unwrap(), [candidate("a", Side::Chosen, 0)]);
    let found = store.predictions(&key("c"), &[pair("a")]).unwrap();
    assert_eq!(found[&("a".to_owned(), Side::Chosen)], prediction(0.1, 1));
    assert_eq!(store.meta_scores(&g).unwrap()[0].score.to_bits(), (-0.0f64).to_bits());
    assert!(store.stage("critique", &g).unwrap().is_some());

    // An id that names two pairs, or none, cannot say which pair a row is about: it is kept and not found.
    let others = ["twice", "gone"].map(pair);
    assert!(store.candidates(&g, &others).unwrap().is_empty());
    assert!(store.predictions(&key("c"), &others).unwrap().is_empty());
    let count =
        |sql: &str| store.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    for table in ["candidates", "critiques", "predictions", "prediction_critiques"] {
        assert_eq!(count(&format!("SELECT count(*) FROM {table}")), 3, "{table}");
    }
    assert_eq!(count("PRAGMA user_version"), FORMAT_VERSION);
    assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_eq!(count("PRAGMA foreign_keys"), 1);
}

#[test]
fn a_store_that_was_brought_up_has_the_tables_of_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let old = Store::open(&version_1(folder.path(), "")).unwrap();
    let (_other, new) = new_store();
    let layout = |store: &Store| -> Vec<(String, String)> {
        let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name";
        store.list(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(layout(&old), layout(&new));
    assert!(layout(&new).iter().all(|(name, _)| !name.starts_with("old_")));
}

#[test]
fn an_old_store_that_is_only_read_is_refused_with_advice_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = version_1(folder.path(), &old_rows());
    let before = std::fs::read(&path).unwrap();
    let error = Store::open_read_only(&path).unwrap_err();
    assert!(matches!(error, StoreError::OlderVersion { found: 1, .. }), "{error:?}");
    let text = error.to_string();
    let older = format!("version 1 is older than {FORMAT_VERSION}");
    assert!(text.contains(&older) && text.contains("critic-rm run"), "{text}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    Store::open(&path).unwrap();
    Store::open_read_only(&path).unwrap();
}

#[test]
fn a_step_that_fails_leaves_the_old_version_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = version_1(
        folder.path(),
        &(old_rows() + "; UPDATE pairs SET prompt = 'no list' WHERE pair_id = 'twice'"),
    );
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    let connection = Connection::open(&path).unwrap();
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let n: i64 =
        connection.query_row("SELECT count(*) FROM candidates", [], |row| row.get(0)).unwrap();
    assert_eq!((version, n), (1, 3));
}
