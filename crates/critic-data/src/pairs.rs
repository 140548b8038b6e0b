use crate::fields::{Object, id, optional_number, optional_text};
use crate::ids::Ids;
use crate::rows::{Rows, RowsError};
use crate::shape::{shape, usable_prompt};
use crate::source::{Source, open};
use crate::{DataError, PairFormat, Place, RowProblem};
use critic_types::{ContentId, DropReport, PreferencePair};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// How pairs are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Refuse the file at the first row that cannot be used.
    pub strict: bool,
    /// Stop after this many usable rows; at least 1.
    pub limit: Option<usize>,
    /// The format; told from the first usable row when absent.
    pub format: Option<PairFormat>,
}

/// The pairs of a file and what was left out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PairSet {
    /// The usable pairs, in the order of the file; their ids are unique.
    pub pairs: Vec<PreferencePair>,
    /// How many rows were used, and how many not, by reason.
    pub report: DropReport,
    /// The format they were read in.
    pub format: PairFormat,
    /// Address of the file's bytes, the whole file's also under a limit.
    pub content: ContentId,
}

/// Reads preference pairs from a file, or from standard input for `-`.
///
/// JSONL or a JSON array (by the first character), plain or gzip (by the first bytes); one row is held
/// at a time. Rows that cannot be used are left out and counted by reason. A row that says what an
/// earlier one said is a duplicate whatever its id; an id that comes again with other content gets a
/// suffix, `#2`; a row without id gets its [`PreferencePair::content_id`].
///
/// # Errors
/// [`DataError`] when the file cannot be read, no row can be used, or `strict` is set and one row cannot.
pub fn read_pairs(path: &Path, options: &ReadOptions) -> Result<PairSet, DataError> {
    read_pairs_from(open(path)?, path, options)
}

/// Reads preference pairs from `reader` as [`read_pairs`] does; `path` is its name in messages.
///
/// # Errors
/// As [`read_pairs`].
pub fn read_pairs_from(
    reader: impl Read,
    path: &Path,
    options: &ReadOptions,
) -> Result<PairSet, DataError> {
    let mut pairs = Vec::new();
    let mut found = options.format;
    let mut ids = Ids::default();
    let mut seen: HashMap<ContentId, Place> = HashMap::new();
    let mut take = |place: Place, row: &Object| {
        let format = found.map_or_else(|| PairFormat::detect(row), Ok)?;
        let mut pair = pair(row, format)?;
        let content = pair.content_id();
        if let Some(of) = seen.get(&content) {
            return Err(RowProblem::Duplicate { of: *of });
        }
        let own = std::mem::take(&mut pair.id);
        pair.id = ids.give(if own.is_empty() { content.to_string() } else { own });
        seen.insert(content, place);
        found = Some(format);
        pairs.push(pair);
        Ok(())
    };
    let (report, content) = read_rows(reader, path, options.strict, options.limit, &mut take)?;
    match found {
        Some(format) if !pairs.is_empty() => Ok(PairSet { pairs, report, format, content }),
        _ => Err(DataError::NoRows { path: path.to_owned(), report }),
    }
}

/// A pair whose id is empty when the row has none.
fn pair(row: &Object, format: PairFormat) -> Result<PreferencePair, RowProblem> {
    let (prompt, chosen, rejected) = shape(row, format)?;
    usable_prompt(&prompt)?;
    if chosen.trim().is_empty() || rejected.trim().is_empty() {
        return Err(RowProblem::EmptyResponse);
    }
    if chosen == rejected {
        return Err(RowProblem::IdenticalResponses);
    }
    Ok(PreferencePair {
        id: id(row)?.unwrap_or_default(),
        prompt,
        chosen,
        rejected,
        margin: margin(row)?,
        domain: optional_text(row, "domain")?,
        subset: optional_text(row, "subset")?,
    })
}

fn margin(row: &Object) -> Result<Option<f64>, RowProblem> {
    let margin = optional_number(row, "margin")?;
    let scores = (optional_number(row, "score_chosen")?, optional_number(row, "score_rejected")?);
    Ok(match (margin, scores) {
        (None, (Some(chosen), Some(rejected))) => {
            Some(chosen - rejected).filter(|difference| difference.is_finite())
        }
        (margin, _) => margin,
    })
}

/// Hands every row that is an object to `take`, which keeps it or says why not; counts both.
pub(crate) fn read_rows(
    reader: impl Read,
    path: &Path,
    strict: bool,
    limit: Option<usize>,
    take: &mut dyn FnMut(Place, &Object) -> Result<(), RowProblem>,
) -> Result<(DropReport, ContentId), DataError> {
    if limit == Some(0) {
        return Err(DataError::ZeroLimit);
    }
    let broken = |source| DataError::Read { path: path.to_owned(), source };
    let mut report = DropReport::default();
    let mut rows = Rows::new(Source::new(reader).map_err(broken)?).map_err(broken)?;
    while limit.is_none_or(|limit| report.n_kept < limit) {
        let next = rows.next().map_err(|error| match error {
            RowsError::Io(source) => broken(source),
            RowsError::Array(what) => DataError::Array { path: path.to_owned(), what },
        })?;
        let Some((place, row)) = next else { break };
        match row.and_then(|row| take(place, &row)) {
            Ok(()) => report.keep(),
            Err(problem) if strict => {
                return Err(DataError::Row { path: path.to_owned(), place, problem });
            }
            Err(problem) => report.drop(problem.to_string(), problem.named(place)),
        }
    }
    let content = rows.into_reader().finish().map_err(broken)?;
    Ok((report, content))
}

#[cfg(test)]
mod tests;
