use super::round_trips::any_candidate;
use super::*;
use crate::{FilterVerdict, Imported, MetaComparison, MetaScore, Table, TableRow};
use proptest::prelude::*;
use serde_json::{Value, json};

fn rows(store: &Store, table: Table) -> Vec<TableRow> {
    let mut rows = Vec::new();
    let n = store
        .export(table, &mut |row| {
            rows.push(row);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(n, rows.len());
    rows
}

fn import(store: &mut Store, table: Table, rows: &[TableRow]) -> Result<Imported, StoreError> {
    store.import(table, &mut rows.iter().cloned().map(Ok))
}

/// A store with rows in every table.
fn full() -> (TempDir, Store) {
    let (folder, mut store) = new_store();
    store.put_pairs("train", &["b", "a"].map(pair)).unwrap();
    store.put_pairs("eval", &[pair("a")]).unwrap();
    let all =
        ["b", "a"].map(|id| Side::BOTH.map(|side| [0, 10, 2].map(|i| candidate(id, side, i))));
    let all = all.as_flattened().as_flattened();
    put(&mut store, &key("g"), all).unwrap();
    store.put_critiques(&key("r"), &pair("a"), &[candidate("a", Side::Chosen, 0)]).unwrap();
    store.put_response_verdict(&key("v"), &pair("a"), Side::Chosen, Some(-0.5)).unwrap();
    store.put_response_verdict(&key("v"), &pair("b"), Side::Rejected, None).unwrap();
    let verdict = |index, kept: bool| FilterVerdict {
        pair_id: "a".to_owned(),
        side: Side::Chosen,
        index,
        kept,
        reason: (!kept).then(|| "no score".to_owned()),
    };
    store.put_verdicts(&key("f"), &[verdict(0, true), verdict(1, false)]).unwrap();
    let score = MetaScore { pair_id: "a".into(), side: Side::Rejected, index: 1, score: -0.0 };
    store.put_meta_scores(&key("r"), &[score]).unwrap();
    let compared = |first, second, log_odds| MetaComparison {
        pair_id: "a".into(),
        side: Side::Rejected,
        first,
        second,
        log_odds,
    };
    let compared = [compared(1, 2, Some(-0.0)), compared(2, 1, None)];
    store.put_meta_comparisons(&key("r"), &compared).unwrap();
    for (id, n) in [("b", 0), ("a", 12)] {
        store.put_prediction(&key("c"), &pair(id), Side::Chosen, &prediction(0.1, n)).unwrap();
    }
    store.finish_stage("filter", &key("f"), &json!({"n": 0.1 + 0.2})).unwrap();
    (folder, store)
}

#[test]
fn every_table_comes_back_in_another_store() {
    let (_folder, store) = full();
    let (_other, mut copy) = new_store();
    for table in Table::ALL {
        let wanted = rows(&store, table);
        assert!(!wanted.is_empty(), "{table}");
        // As text and back: what a file of JSON lines does.
        let read: Vec<TableRow> = wanted
            .iter()
            .map(|row| serde_json::from_str(&serde_json::to_string(row).unwrap()).unwrap())
            .collect();
        let imported = import(&mut copy, table, &read).unwrap();
        assert_eq!((imported.n_new, imported.n_known), (wanted.len(), 0), "{table}");
        assert_eq!(rows(&copy, table), wanted, "{table}");
        let again = import(&mut copy, table, &read).unwrap();
        assert_eq!((again.n_new, again.n_known, again.n_other), (0, wanted.len(), 0), "{table}");
    }
    let pairs = ["b", "a"].map(pair);
    assert_eq!(copy.pairs("train").unwrap(), pairs);
    assert_eq!(
        copy.candidates(&key("g"), &pairs).unwrap(),
        store.candidates(&key("g"), &pairs).unwrap()
    );
    assert_eq!(
        copy.predictions(&key("c"), &pairs).unwrap(),
        store.predictions(&key("c"), &pairs).unwrap()
    );
    let bits = copy.meta_scores(&key("r")).unwrap()[0].score.to_bits();
    assert_eq!(bits, (-0.0f64).to_bits());
}

#[test]
fn a_row_has_the_columns_that_are_documented_in_their_order() {
    let (_folder, store) = full();
    for table in Table::ALL {
        let names: Vec<&str> = table.columns().iter().map(|column| column.name).collect();
        let row = rows(&store, table).remove(0);
        assert_eq!(row.keys().map(String::as_str).collect::<Vec<_>>(), names, "{table}");
        assert_eq!(table.meanings().len(), names.len());
        assert_eq!(table.as_str().parse(), Ok(table));
    }
    assert!("candidate".parse::<Table>().unwrap_err().to_string().contains("candidates"));
}

#[test]
fn a_key_that_is_taken_keeps_its_row_and_is_told() {
    let (_folder, mut store) = full();
    let mut changed = rows(&store, Table::Candidates);
    changed[3]["text"] = json!("another text");
    changed[5]["key"] = json!("another key");
    let before = rows(&store, Table::Candidates);
    let imported = import(&mut store, Table::Candidates, &changed).unwrap();
    assert_eq!((imported.n_new, imported.n_known, imported.n_other), (1, before.len() - 2, 1));
    assert!(imported.other[0].contains(" rejected 0"), "{imported:?}");
    assert_eq!(rows(&store, Table::Candidates).len(), before.len() + 1);
    let kept: Vec<Value> = before.iter().map(|row| row["text"].clone()).collect();
    assert!(!kept.contains(&json!("another text")));
}

#[test]
fn a_bad_row_is_named_and_nothing_is_imported() {
    let (_folder, store) = full();
    let (_other, mut copy) = new_store();
    let good = rows(&store, Table::Candidates);
    for (column, value, words) in [
        ("side", json!("third"), "`third`"),
        ("provenance", json!("dreamt"), "`dreamt`"),
        ("index", json!(-1), "-1"),
        ("n_tokens", json!(u64::MAX), "above 2^63"),
        ("text", Value::Null, "null"),
        ("parsed_score", json!("7"), "f64"),
        ("typo", json!(1), "unknown field `typo`"),
    ] {
        let mut bad = good.clone();
        bad[2].insert(column.to_owned(), value);
        let error = import(&mut copy, Table::Candidates, &bad).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("row 3 is no row of the table `candidates`"), "{text}");
        assert!(text.contains(words) && text.contains("pair_content, side"), "{text}");
        assert!(rows(&copy, Table::Candidates).is_empty());
    }
    let cut = good.iter().cloned().map(Ok).chain([Err(StoreError::DiskFull { path: "x".into() })]);
    assert!(copy.import(Table::Candidates, &mut { cut }).is_err());
    assert!(rows(&copy, Table::Candidates).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_candidates_say_they_come_back_bit_for_bit(
        all in proptest::collection::vec(any_candidate(), 0..12),
    ) {
        let (_folder, mut store) = new_store();
        put(&mut store, &key("g"), &all).unwrap();
        let (_other, mut copy) = new_store();
        let text: String =
            rows(&store, Table::Candidates).iter().map(|row| json!(row).to_string() + "\n").collect();
        let read: Vec<TableRow> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        import(&mut copy, Table::Candidates, &read).unwrap();
        let pairs = [pair("a"), pair("b")];
        let bits = |store: &Store| -> Vec<(Candidate, Vec<Option<u64>>)> {
            let of = |c: Candidate| {
                let scores = [c.scores.parsed, c.scores.expected, c.scores.verdict];
                let bits = scores.iter().map(|s| s.map(f64::to_bits)).collect();
                (c, bits)
            };
            store.candidates(&key("g"), &pairs).unwrap().into_iter().map(of).collect()
        };
        prop_assert_eq!(bits(&copy), bits(&store));
    }
}
