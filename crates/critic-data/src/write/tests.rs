use super::*;
use crate::{ReadOptions, read_pairs};
use critic_types::{Conversation, OracleCritique, Provenance, Role, Side};

fn annotated(id: &str, prompt: Conversation) -> AnnotatedPair {
    let critique = |side, text: &str, provenance| OracleCritique {
        pair_id: id.to_owned(),
        side,
        text: text.to_owned(),
        provenance,
    };
    AnnotatedPair {
        pair: PreferencePair {
            id: id.to_owned(),
            prompt,
            chosen: format!("good, \"{id}\"\nindeed"),
            rejected: "bad\t".to_owned(),
            margin: (id == "a").then_some(1.5),
            domain: Some("math".to_owned()),
            subset: None,
        },
        critiques: if id == "a" {
            vec![
                critique(Some(Side::Chosen), "right", Provenance::Human),
                critique(Some(Side::Rejected), "wrong", Provenance::External),
                critique(None, "the first is right", Provenance::Human),
            ]
        } else {
            Vec::new()
        },
    }
}

fn some() -> [AnnotatedPair; 3] {
    let turns = Conversation::from_user("q").with(Role::Assistant, "r").with(Role::User, "s");
    let mut system = Conversation::default().with(Role::System, "be kind");
    system.0.extend(Conversation::from_user("t").0);
    [
        annotated("a", Conversation::from_user("one, two")),
        annotated("b", turns),
        annotated("c", system),
    ]
}

fn written(name: &str, format: PairFormat, pairs: &[AnnotatedPair]) -> crate::PairSet {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut out = PairWriter::create(&path, format).unwrap();
    pairs.iter().for_each(|pair| out.write(pair.clone()).unwrap());
    assert!(!path.exists());
    assert_eq!(out.finish().unwrap(), pairs.len());
    let strict = ReadOptions { strict: true, ..ReadOptions::default() };
    read_pairs(&path, &strict).unwrap()
}

#[test]
fn the_own_format_comes_back_whole_from_every_container() {
    let pairs = some();
    for name in [
        "x.jsonl",
        "x.json",
        "x.csv",
        "x.tsv",
        "x.parquet",
        "x.jsonl.gz",
        "x.json.zst",
        "x.csv.gz",
        "x.tsv.zst",
        "x.parquet.gz",
        "x.parquet.zst",
        "x",
    ] {
        let set = written(name, PairFormat::Own, &pairs);
        let expected: Vec<_> = pairs.iter().map(|pair| pair.pair.clone()).collect();
        assert_eq!((set.pairs, set.format), (expected, PairFormat::Own), "{name}");
        assert_eq!(set.critiques, pairs[0].critiques, "{name}");
    }
}

#[test]
fn every_format_that_is_written_is_read_as_itself_with_the_same_texts() {
    let pairs = some();
    for shape in shapes::SHAPES {
        for name in ["x.jsonl", "x.csv", "x.parquet"] {
            // What has no system turn in its form is asked for the others.
            let has_system =
                !matches!(shape.format, PairFormat::AnthropicHh | PairFormat::TrlStandard);
            let some = if has_system { &pairs[..] } else { &pairs[..2] };
            let set = written(name, shape.format, some);
            assert_eq!(set.format, shape.format, "{name}");
            for (read, pair) in set.pairs.iter().zip(some) {
                assert_eq!(read.prompt, pair.pair.prompt, "{name} {}", shape.format);
                assert_eq!(read.chosen, pair.pair.chosen.trim(), "{name} {}", shape.format);
                let margin = pair.pair.margin.filter(|_| shape.format != PairFormat::AnthropicHh);
                assert_eq!(read.margin, margin, "{name} {}", shape.format);
            }
        }
    }
}

#[test]
fn a_format_that_cannot_be_written_says_which_can() {
    let folder = tempfile::tempdir().unwrap();
    let error = PairWriter::create(&folder.path().join("x"), PairFormat::Shp).unwrap_err();
    assert!(error.to_string().contains("shp can be read but not written; write one of own, trl-"));
}

#[test]
fn many_rows_fill_several_row_groups() {
    let pairs: Vec<AnnotatedPair> = (0..10_001)
        .map(|i| annotated(&format!("n{i}"), Conversation::from_user(format!("p{i}"))))
        .collect();
    assert_eq!(written("x.parquet", PairFormat::Own, &pairs).pairs.len(), 10_001);
}
