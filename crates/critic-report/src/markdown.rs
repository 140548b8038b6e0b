use crate::RunRecord;
use crate::table::{Table, escape_markdown};
use crate::tables::{self, Section};

/// The report as Markdown: the remarks and every table of the page, with the same numbers.
///
/// Texts from the record are escaped, so that none marks up, links or ends a table.
///
/// # Examples
/// ```
/// # use critic_report::{DataRecord, ModelRecord, RunRecord, SplitRecord, markdown};
/// # let record = RunRecord {
/// #     format_version: RunRecord::FORMAT_VERSION,
/// #     title: "A first run".to_owned(),
/// #     command: "critic-rm run".to_owned(),
/// #     model: ModelRecord {
/// #         name: "smollm2-135m".to_owned(), source: "hub".to_owned(), digest: None, n_parameters: 134_515_585,
/// #     },
/// #     data: DataRecord {
/// #         train: SplitRecord { file: "train.jsonl".to_owned(), n_pairs: 96, dropped: Default::default() },
/// #         eval: None,
/// #     },
/// #     settings: vec![], stages: vec![], rounds: vec![], contestants: vec![], comparisons: vec![],
/// #     diagnostics: vec![], critique_studies: vec![], training: vec![], main: None, items: vec![],
/// #     notes: vec!["No pair was held out.".to_owned()],
/// # };
/// let text = markdown(&record);
/// assert!(text.starts_with("# A first run\n"));
/// assert!(text.contains("- No pair was held out."));
/// ```
pub fn markdown(record: &RunRecord) -> String {
    written(&record.title, &record.notes, &tables::sections(record), &record.command)
}

/// A title, remarks and tables.
pub(crate) fn written(
    title: &str,
    notes: &[String],
    sections: &[Section],
    command: &str,
) -> String {
    let mut text = format!("# {}\n\n", escape_markdown(title));
    for note in notes {
        text.push_str(&format!("- {}\n", escape_markdown(note)));
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    for section in sections.iter().filter(|section| !section.tables.is_empty()) {
        text.push_str(&format!("## {}\n\n", section.heading));
        let written: Vec<String> = section.tables.iter().map(Table::to_markdown).collect();
        text.push_str(&written.join("\n"));
        text.push('\n');
    }
    text.push_str(&format!("Made by:\n\n{}\n", indented(command)));
    text
}

/// A code block by indentation, which no text can end.
fn indented(text: &str) -> String {
    let line = |line: &str| format!("    {}", line.replace(char::is_control, " "));
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn hostile_text_stays_text() {
        let text = markdown(&fixtures::hostile());
        for line in text.lines().filter(|line| !line.starts_with("    ")) {
            let unescaped = line.replace("\\[", "").replace("\\]", "").replace("\\`", "");
            assert!(!unescaped.contains(['<', '>', '[', ']', '`']), "{line}");
            assert!(!unescaped.contains("://"), "{line}");
        }
        for line in text.lines().filter(|line| line.starts_with('|')) {
            assert!(line.ends_with('|'), "{line}");
        }
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        for record in [fixtures::record(), fixtures::hostile()] {
            let mut n_columns = None;
            for line in markdown(&record).lines() {
                if line.starts_with('|') {
                    let n = line.replace("\\|", "").matches('|').count();
                    assert_eq!(*n_columns.get_or_insert(n), n, "{line}");
                } else {
                    n_columns = None;
                }
            }
        }
    }

    #[test]
    fn an_empty_record_has_no_empty_tables() {
        let text = markdown(&fixtures::empty());
        assert!(!text.contains("Contestants"), "{text}");
        assert!(text.contains("## The run"), "{text}");
    }
}
