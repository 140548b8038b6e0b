use super::*;
use crate::FORMAT_VERSION;
use critic_types::atomic_file;
use std::path::Path;
use std::time::Duration;

fn change(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_newer_version_is_refused() {
    let (folder, store) = new_store();
    drop(store);
    let path = folder.path().join("store.sqlite");
    change(&path, "PRAGMA user_version = 7");
    for error in [Store::open(&path).unwrap_err(), Store::open_read_only(&path).unwrap_err()] {
        let text = error.to_string();
        let expected = format!(
            "format version 7 is newer than {FORMAT_VERSION}, the newest this build reads: upgrade critic-rm"
        );
        assert!(text.ends_with(&expected), "{text}");
    }
    change(&path, &format!("PRAGMA user_version = {FORMAT_VERSION}"));
    Store::open(&path).unwrap();
}

#[test]
fn a_file_that_is_no_database_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let bytes = b"these are notes ".repeat(99);
    atomic_file::write(&path, &bytes).unwrap();
    for result in [Store::open(&path), Store::open_read_only(&path)] {
        assert!(matches!(result, Err(StoreError::NotADatabase { .. })), "{result:?}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_database_of_something_else_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("music.sqlite");
    change(&path, "CREATE TABLE songs (title TEXT)");
    let bytes = std::fs::read(&path).unwrap();
    for result in [Store::open(&path), Store::open_read_only(&path)] {
        assert!(matches!(result, Err(StoreError::NotAStore { .. })), "{result:?}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_damaged_file_is_named() {
    let (folder, mut store) = new_store();
    let many: Vec<Candidate> =
        (0..200).map(|i| candidate(&format!("pair {i}"), Side::Chosen, 0)).collect();
    put(&mut store, &key("g"), &many).unwrap();
    drop(store);
    let path = folder.path().join("store.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[4096..length].fill(0x5a);
    atomic_file::write(&path, &bytes).unwrap();
    let error =
        Store::open(&path).and_then(|store| store.candidates(&key("g"), &[pair("a")])).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_value_that_no_build_writes_is_damage() {
    let (folder, mut store) = new_store();
    put(&mut store, &key("g"), &[candidate("a", Side::Chosen, 0)]).unwrap();
    store.put_prediction(&key("c"), &pair("a"), Side::Chosen, &prediction(1.0, 1)).unwrap();
    store.put_pairs("train", &[pair("a")]).unwrap();
    let path = folder.path().join("store.sqlite");
    change(
        &path,
        "UPDATE candidates SET provenance = 'dreamt'; UPDATE predictions SET mean = 9e999;
         UPDATE pairs SET prompt = 'plain'",
    );
    for error in [
        store.candidates(&key("g"), &[pair("a")]).unwrap_err(),
        store.predictions(&key("c"), &[pair("a")]).unwrap_err(),
        store.pairs("train").unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    }
    assert!(
        store.candidates(&key("g"), &[pair("a")]).unwrap_err().to_string().contains("`dreamt`")
    );
}

#[test]
fn a_missing_folder_or_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for result in [
        Store::open(&folder.path().join("nowhere/store.sqlite")),
        Store::open_read_only(&folder.path().join("store.sqlite")),
    ] {
        assert!(matches!(&result, Err(StoreError::NotWritable { .. })), "{result:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let path = folder.path().join("empty");
    atomic_file::write(&path, b"").unwrap();
    assert!(matches!(Store::open_read_only(&path), Err(StoreError::NotAStore { .. })));
    Store::open(&path).unwrap();
}

#[test]
fn a_reader_sees_what_is_committed_while_a_writer_writes() {
    let (folder, mut store) = new_store();
    put(&mut store, &key("g"), &[candidate("a", Side::Chosen, 0)]).unwrap();
    let reader = Store::open_read_only(&folder.path().join("store.sqlite")).unwrap();
    let n = |reader: &Store| reader.candidates(&key("g"), &[pair("a"), pair("b")]).unwrap().len();
    store
        .write(|transaction| {
            transaction.execute("DELETE FROM candidates", [])?;
            assert_eq!(n(&reader), 1);
            Ok(())
        })
        .unwrap();
    assert_eq!(n(&reader), 0);
    put(&mut store, &key("g"), &[candidate("b", Side::Chosen, 0)]).unwrap();
    assert_eq!(n(&reader), 1);
}

#[test]
fn a_reader_beside_a_writer_sees_whole_responses_alone() {
    let (folder, mut store) = new_store();
    let path = folder.path().join("store.sqlite");
    let ids: Vec<String> = (0..40).map(|i| format!("pair {i}")).collect();
    let pairs: Vec<PreferencePair> = ids.iter().map(|id| pair(id)).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    let n_seen = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let kept = Store::open_read_only(&path).unwrap();
            let mut n_seen = std::collections::BTreeSet::new();
            loop {
                let is_last = done.load(std::sync::atomic::Ordering::SeqCst);
                for reader in [&kept, &Store::open_read_only(&path).unwrap()] {
                    let stored = reader.candidates(&key("g"), &pairs).unwrap();
                    assert_eq!(stored.len() % 5, 0, "a response is there in part");
                    n_seen.insert(stored.len());
                }
                if is_last {
                    return n_seen;
                }
            }
        });
        for id in &ids {
            let all: Vec<_> = (0..5).map(|i| candidate(id, Side::Chosen, i)).collect();
            put(&mut store, &key("g"), &all).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        reading.join().unwrap()
    });
    assert_eq!(n_seen.last(), Some(&200));
}

#[test]
fn a_read_only_store_cannot_be_written() {
    let (folder, _store) = new_store();
    let mut reader = Store::open_read_only(&folder.path().join("store.sqlite")).unwrap();
    let error = reader.put_pairs("train", &[pair("a")]).unwrap_err();
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error:?}");
}

#[test]
fn a_writer_that_never_gets_its_turn_is_told_who_is_in_the_way() {
    let (folder, mut store) = new_store();
    let mut other = Store::open(&folder.path().join("store.sqlite")).unwrap();
    other.connection.busy_timeout(Duration::from_millis(1)).unwrap();
    store
        .write(|transaction| {
            transaction.execute("DELETE FROM stages", [])?;
            let error = other.put_pairs("train", &[pair("a")]).unwrap_err();
            assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
            Ok(())
        })
        .unwrap();
    other.put_pairs("train", &[pair("a")]).unwrap();
}

#[test]
fn the_log_is_written_ahead_and_synced() {
    let (_folder, store) = new_store();
    let pragma = |name: &str| {
        let sql = format!("SELECT cast({name} AS TEXT) FROM pragma_{name}");
        store.connection.query_row(&sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_eq!([pragma("journal_mode"), pragma("synchronous")], ["wal", "2"]);
}
