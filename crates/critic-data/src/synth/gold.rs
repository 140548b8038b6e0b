use crate::fields::{id, optional_text};
use crate::ids::Ids;
use crate::reader::read_rows;
use crate::{DataError, RowProblem, container, source};
use critic_types::{ContentHasher, DropReport};
use std::path::Path;

/// A question with a solution that is known to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldSolution {
    /// Unique within its source; taken from the data or made from the content.
    pub id: String,
    /// What is asked.
    pub question: String,
    /// The solution, or the bare answer.
    pub answer: String,
}

/// The gold solutions of a source and what was left out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldSet {
    /// In the order of the source.
    pub solutions: Vec<GoldSolution>,
    /// How many rows were used, and how many not, by reason.
    pub report: DropReport,
}

/// Reads rows of a question (`question`, `prompt`, `problem` or `instruction`) and its gold answer
/// (`answer`, `solution`, `gold` or `target`); sources and containers as in [`crate::read_pairs`].
///
/// # Errors
/// [`DataError`] when the source cannot be read or no row can be used.
pub fn read_gold(path: &Path) -> Result<GoldSet, DataError> {
    let (mut solutions, mut ids, mut report) = (Vec::new(), Ids::default(), DropReport::default());
    for file in source::files(path)? {
        read_rows(container::open(&file)?, &file, &mut report, &mut |row| {
            let first = |fields: &[&'static str]| {
                fields.iter().find_map(|field| optional_text(row, field).transpose()).transpose()
            };
            let question = first(&["question", "prompt", "problem", "instruction"])?
                .ok_or(RowProblem::MissingField { field: "question` or `prompt" })?;
            let answer = first(&["answer", "solution", "gold", "target"])?
                .ok_or(RowProblem::MissingField { field: "answer` or `solution" })?;
            if question.trim().is_empty() {
                return Err(RowProblem::EmptyPrompt);
            }
            if answer.trim().is_empty() {
                return Err(RowProblem::EmptyResponse);
            }
            let own = match id(row)? {
                Some(id) => id,
                None => {
                    let mut hasher = ContentHasher::new("gold");
                    hasher.text(&question).text(&answer);
                    hasher.finish().to_string()
                }
            };
            solutions.push(GoldSolution { id: ids.give(own), question, answer });
            Ok(())
        })?;
    }
    if solutions.is_empty() {
        return Err(DataError::NoRows { path: path.to_owned(), report });
    }
    Ok(GoldSet { solutions, report })
}
