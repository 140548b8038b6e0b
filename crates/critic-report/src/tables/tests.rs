use crate::fixtures;
use crate::{html, markdown};

/// The cells of every table row that starts with `name`, without markup.
fn html_rows(page: &str, name: &str) -> Vec<Vec<String>> {
    let rows = page.split("<tr>").skip(1).filter_map(|row| row.split("</tr>").next());
    rows.map(|row| {
        row.split("<bdi>")
            .skip(1)
            .filter_map(|cell| cell.split("</bdi>").next())
            .map(plain)
            .collect()
    })
    .filter(|cells: &Vec<String>| cells.first().is_some_and(|first| first == name))
    .collect()
}

fn markdown_rows(text: &str, name: &str) -> Vec<Vec<String>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").map(plain).collect())
        .filter(|cells: &Vec<String>| cells.first().is_some_and(|first| first == name))
        .collect()
}

/// Without escapes and with ordinary spaces.
fn plain(cell: &str) -> String {
    cell.replace('\u{a0}', " ")
        .replace('\\', "")
        .replace("&#58;", ":")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

#[track_caller]
fn check(name: &str, expected: &[&str]) {
    let record = fixtures::record();
    for rows in [html_rows(&html(&record).unwrap(), name), markdown_rows(&markdown(&record), name)]
    {
        assert_eq!(rows[0], expected);
    }
}

#[test]
fn the_numbers_are_those_of_the_record() {
    check(
        "critic-rm m=4",
        &[
            "critic-rm m=4",
            "320",
            "318",
            "2",
            "222",
            "0",
            "69.8 %",
            "64.6 – 74.6 %",
            "+0.812",
            "0.604",
        ],
    );
    check(
        "length",
        &["length", "320", "318", "2", "176", "0", "55.3 %", "49.9 – 60.7 %", "+0.812", "–"],
    );
    check("filter pair_mean", &["filter pair_mean", "742", "14,210"]);
    check("kept", &["kept", "742", "14,210"]);
    check("the scores do not agree", &["the scores do not agree", "445", "7,734"]);
    check("parsed", &["parsed", "1,204", "0", "–", "–", "–"]);
    check("verdict", &["verdict", "1,204", "1,204", "0", "61.6 %", "58.8 – 64.3 %"]);
    check("critiques compared", &["critiques compared", "1,482", "4", "65.0 %", "6", "58.5 %"]);
    check("train", &["train", "45 min 13 s", "1,660,356", "612", "steps: 240", "no"]);
    check("train.learning_rate", &["train.learning_rate", "2e-5", "file"]);
    check(
        "training rows left out: equal responses",
        &["training rows left out: equal responses", "11"],
    );
}

#[test]
fn several_rounds_stand_beside_each_other_and_name_their_rows() {
    let mut record = fixtures::record();
    assert!(!markdown(&record).contains("Round by round"));
    record.rounds.push(fixtures::round(2, "critic-rm-round-1", "critic-rm"));
    let text = markdown(&record);
    let expected = [
        "2",
        "critic-rm-round-1",
        "24,080",
        "5,936",
        "742",
        "61.6 %",
        "critic-rm",
        "65.7 %",
        "69.8 %",
    ];
    assert_eq!(markdown_rows(&text, "2")[0][..9], expected);
    for name in ["round 1 · candidates", "round 2 · candidates"] {
        let found = markdown_rows(&text, name);
        assert_eq!(found[0], [name, "1,204", "24,080"]);
        // What they are like.
        assert_eq!(found[1][..4], [name, "24,080", "2.5 %", "0.21"]);
    }
}

#[test]
fn what_critiques_are_worth_is_told_for_all_pairs_and_each_domain() {
    let text = markdown(&fixtures::record());
    let rows = markdown_rows(&text, "critic-rm");
    for domain in ["all", "chat", "math", "science"] {
        // Agreement, worth, and the curve at m = 0, 1, 2 and 4.
        assert_eq!(rows.iter().filter(|row| row[1] == domain).count(), 6, "{domain}");
    }
    let agreement = &rows[0];
    assert_eq!(agreement[..5], ["critic-rm", "all", "120", "0", "240"]);
    let independent: f64 = agreement[7].parse().unwrap();
    assert!((1.0..=4.0).contains(&independent), "{agreement:?}");
}

#[test]
fn a_comparison_tells_points_interval_and_p() {
    let record = fixtures::record();
    let expected = [
        "critic-rm m=4",
        "scalar",
        "318",
        "+4.7",
        "0.0 to +9.6",
        "34",
        "19",
        "0.053",
        "0.053",
        "0.107",
    ];
    let page = html(&record).unwrap();
    assert_eq!(html_rows(&page, "critic-rm m=4")[1], expected);
    assert_eq!(markdown_rows(&markdown(&record), "critic-rm m=4")[1], expected);
}

#[test]
fn both_forms_have_the_same_tables() {
    for record in [fixtures::empty(), fixtures::record(), fixtures::hostile()] {
        let page = html(&record).unwrap();
        let text = markdown(&record);
        let n_rows = text.lines().filter(|line| line.starts_with("| ")).count();
        let n_tables = page.matches("<table>").count();
        // Markdown has one line of dashes a table.
        assert_eq!(page.matches("<tr>").count(), n_rows - n_tables);
        assert_eq!(text.matches("| ---").count().min(1), n_tables.min(1));
    }
}

#[test]
fn the_caption_says_what_a_tie_counts() {
    let mut record = fixtures::record();
    assert!(markdown(&record).contains("95\u{a0}% Wilson intervals; a tie counts as wrong"));
    for result in &mut record.contestants {
        if let Some(accuracy) = &mut result.accuracy {
            accuracy.agreement.tie_rule = critic_stats::TieRule::Half;
        }
    }
    assert!(markdown(&record).contains("a tie counts half"));
}
