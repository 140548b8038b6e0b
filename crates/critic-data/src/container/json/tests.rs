use super::*;

type Row = (Place, Result<Map<String, Value>, RowProblem>);

fn read(bytes: &[u8]) -> Result<Vec<Row>, RowsError> {
    let mut rows = JsonRows::new(bytes)?;
    let mut all = Vec::new();
    while let Some((place, row)) = rows.next_row()? {
        all.push((place, row.parse()));
    }
    Ok(all)
}

fn summary(bytes: &[u8]) -> Vec<String> {
    let rows = read(bytes).unwrap();
    rows.iter()
        .map(|(place, row)| match row {
            Ok(object) => format!("{place} {}", Value::Object(object.clone())),
            Err(problem) => format!("{place} {problem}"),
        })
        .collect()
}

#[test]
fn byte_order_mark_carriage_returns_and_blank_lines_are_fine() {
    let text = b"\xef\xbb\xbf\r\n\r\n{\"a\":1}\r\n  \r\n{\"a\":2}";
    assert_eq!(summary(text), [r#"line 3 {"a":1}"#, r#"line 5 {"a":2}"#]);
}

#[test]
fn a_bad_line_is_one_bad_row() {
    let text = b"{\"a\":1}\n{\"a\":\n\xff\xfe\n7\n{\"a\":2}\n";
    assert_eq!(
        summary(text),
        [
            r#"line 1 {"a":1}"#,
            "line 2 not JSON",
            "line 3 not UTF-8",
            "line 4 not an object",
            r#"line 5 {"a":2}"#
        ]
    );
}

#[test]
fn items_of_an_array_are_rows_whatever_stands_in_their_strings() {
    let text = br#" [ {"a":"],\"}"}, {"b":[1,{"c":"["}]},
        {"bad":}, 3 ] "#;
    assert_eq!(
        summary(text),
        [
            r#"item 1 {"a":"],\"}"}"#,
            r#"item 2 {"b":[1,{"c":"["}]}"#,
            "item 3 not JSON",
            "item 4 not an object"
        ]
    );
    assert!(summary(b"[ ]").is_empty());
    assert_eq!(summary(br#"[{"a":1},]"#), [r#"item 1 {"a":1}"#, "item 2 not JSON"]);
}

#[test]
fn an_array_that_is_cut_or_goes_on_is_an_error() {
    for text in [r#"[{"a":1}"#, r#"[{"a":1},"#, r#"[{"a":"x]"#, "["] {
        let error = read(text.as_bytes()).unwrap_err();
        assert!(matches!(&error, RowsError::Array(what) if what.contains("not closed")), "{text}");
    }
    for text in ["[{\"a\":1}]\n{\"a\":2}", "[] x"] {
        let error = read(text.as_bytes()).unwrap_err();
        assert!(matches!(&error, RowsError::Array(what) if what.contains("goes on")), "{text}");
    }
}

#[test]
fn an_empty_text_has_no_rows() {
    assert!(summary(b"").is_empty());
    assert!(summary(b" \n\n").is_empty());
    assert!(summary(b"\xef\xbb\xbf").is_empty());
}
