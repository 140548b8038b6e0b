use super::*;
use crate::MetaScore;

#[test]
fn an_uncommitted_transaction_leaves_nothing() {
    let (folder, mut store) = new_store();
    put(&mut store, &key("g"), &[candidate("a", Side::Chosen, 0)]).unwrap();
    // So small a cache makes SQLite write pages of the open transaction to the log.
    store.connection.pragma_update(None, "cache_size", 1).unwrap();
    let dead = tempfile::tempdir().unwrap();
    let log = folder.path().join("store.sqlite-wal");
    let length_before = log.metadata().unwrap().len();
    let copied = store.write(|transaction| {
        for index in 0..500 {
            transaction.execute(
                "INSERT INTO meta_scores VALUES ('k', ?1, 'chosen', 0, 1.0)",
                [format!("{index:0100}")],
            )?;
        }
        // What a killed process leaves behind is exactly these files.
        for name in ["store.sqlite", "store.sqlite-wal"] {
            std::fs::copy(folder.path().join(name), dead.path().join(name)).unwrap();
        }
        Ok(log.metadata().unwrap().len())
    });
    assert!(copied.unwrap() > length_before, "nothing of the transaction was in the log");
    let revived = Store::open(&dead.path().join("store.sqlite")).unwrap();
    assert_eq!(revived.candidates(&key("g"), &[pair("a")]).unwrap().len(), 1);
    let count = |store: &Store| -> i64 {
        let sql = "SELECT count(*) FROM meta_scores";
        store.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count(&revived), count(&store)), (0, 500));
}

#[test]
fn a_number_that_is_not_finite_is_refused_with_its_whole_batch() {
    let (_folder, mut store) = new_store();
    let mut bad = candidate("a", Side::Rejected, 1);
    bad.scores.verdict = Some(f64::NAN);
    let error = put(&mut store, &key("g"), &[candidate("a", Side::Chosen, 0), bad]);
    let text = error.unwrap_err().to_string();
    assert!(text.starts_with("verdict of candidate 1 of `a`, rejected is NaN"), "{text}");
    assert!(store.candidates(&key("g"), &[pair("a")]).unwrap().is_empty());
    let score =
        MetaScore { pair_id: "a".into(), side: Side::Chosen, index: 0, score: f64::INFINITY };
    let error = store.put_meta_scores(&key("r"), &[score]).unwrap_err();
    assert!(matches!(error, StoreError::NotFinite { .. }), "{error:?}");
    let prediction = RewardPrediction { std: Some(f64::NAN), ..prediction(0.0, 2) };
    let error = store.put_prediction(&key("c"), &pair("a"), Side::Chosen, &prediction).unwrap_err();
    assert!(matches!(error, StoreError::NotFinite { .. }), "{error:?}");
    assert!(store.predictions(&key("c"), &[pair("a")]).unwrap().is_empty());
}

#[test]
fn an_id_that_another_pair_has_is_refused_with_its_whole_batch() {
    let (_folder, mut store) = new_store();
    store.put_pairs("train", &[pair("a")]).unwrap();
    let changed = PreferencePair { chosen: "better".to_owned(), ..pair("a") };
    let error = store.put_pairs("train", &[pair("b"), changed.clone()]).unwrap_err();
    assert!(error.to_string().contains("pair `a` of split `train`"), "{error}");
    assert_eq!(store.pairs("train").unwrap(), [pair("a")]);
    assert_eq!(store.put_pairs("eval", &[changed]).unwrap(), 1);
}

#[test]
fn a_full_disk_is_named_and_keeps_what_was_stored() {
    let (_folder, mut store) = new_store();
    store.put_pairs("train", &[pair("a")]).unwrap();
    let n_pages: i64 = store
        .connection
        .query_row("SELECT page_count FROM pragma_page_count", [], |row| row.get(0))
        .unwrap();
    store.connection.pragma_update(None, "max_page_count", n_pages + 2).unwrap();
    let many: Vec<Candidate> = (0..500).map(|i| candidate("a", Side::Chosen, i)).collect();
    let error = put(&mut store, &key("g"), &many).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert_eq!(store.pairs("train").unwrap(), [pair("a")]);
    assert!(store.candidates(&key("g"), &[pair("a")]).unwrap().is_empty());
}
