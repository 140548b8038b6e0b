use crate::table::Table;
use crate::tables::{Section, long_tables, sections};
use crate::{ReportError, RunRecord};

/// Every table of the report as a CSV file, with its name; among them those too long for the page:
/// every held-out pair, every optimizer step and the bars of the histograms.
///
/// Numbers stand in full precision, shares from 0 to 1; no text is taken for a formula by a spreadsheet.
///
/// # Errors
/// [`ReportError::Csv`] when a table cannot be written.
pub fn csv_files(record: &RunRecord) -> Result<Vec<(String, String)>, ReportError> {
    let mut files = of_sections(&sections(record))?;
    files.extend(long_tables(record).iter().map(file).collect::<Result<Vec<_>, _>>()?);
    Ok(files)
}

/// The files of some sections.
pub(crate) fn of_sections(sections: &[Section]) -> Result<Vec<(String, String)>, ReportError> {
    sections.iter().flat_map(|section| &section.tables).map(file).collect()
}

fn file(table: &Table) -> Result<(String, String), ReportError> {
    Ok((format!("{}.csv", table.id()), table.to_csv()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use std::collections::BTreeSet;

    #[test]
    fn every_table_has_a_file_of_its_own_with_as_many_fields_in_every_row() {
        for record in [fixtures::record(), fixtures::hostile(), fixtures::empty()] {
            let files = csv_files(&record).unwrap();
            let names: BTreeSet<&String> = files.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), files.len());
            for (name, text) in &files {
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                let n = reader.headers().unwrap().len();
                assert!(reader.records().all(|row| row.unwrap().len() == n), "{name}");
            }
        }
    }

    #[test]
    fn no_text_is_a_formula() {
        for (name, text) in csv_files(&fixtures::hostile()).unwrap() {
            for row in csv::Reader::from_reader(text.as_bytes()).records() {
                for field in &row.unwrap() {
                    let is_text = field.parse::<f64>().is_err();
                    assert!(
                        !(is_text && field.starts_with(['=', '+', '-', '@'])),
                        "{name}: {field}"
                    );
                }
            }
        }
    }
}
