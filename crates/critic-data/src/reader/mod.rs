//! Streams of pairs: rows are parsed side by side, and come out in the order of the files.

mod groups;

use crate::container::{self, Container, RawRow, Rows};
use crate::fields::Object;
use crate::ids::Ids;
use crate::ranked::{AnnotatedPair, Comparison, Ranked};
use crate::{DataError, PairFormat, Place, RowProblem, source};
use critic_types::{ContentHasher, ContentId, DropReport, OracleCritique, PreferencePair};
use groups::Groups;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Which comparisons a row of several responses gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pairing {
    /// Every two responses of which one is better.
    #[default]
    All,
    /// The best response against each worse one.
    BestAgainstRest,
}

/// How pairs are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Refuse the file at the first row that cannot be used.
    pub strict: bool,
    /// Stop after this many pairs; at least 1.
    pub limit: Option<usize>,
    /// The format; told from the first usable row of each file when absent.
    pub format: Option<PairFormat>,
    /// The container; told from bytes and name when absent.
    pub container: Option<Container>,
    /// Which comparisons a row of several responses gives.
    pub pairing: Pairing,
    /// Columns under other names: what the format calls it, and what the file calls it.
    pub columns: BTreeMap<String, String>,
}

/// The pairs of a source and what was left out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PairSet {
    /// The pairs, in the order of the file; their ids are unique.
    pub pairs: Vec<PreferencePair>,
    /// The critiques that came with them, in the same order.
    pub critiques: Vec<OracleCritique>,
    /// How many comparisons became pairs, and how many rows or comparisons not, by reason.
    pub report: DropReport,
    /// The format they were read in, the first file's.
    pub format: PairFormat,
    /// Address of the file's bytes, the whole file's also under a limit.
    pub content: ContentId,
}

/// Reads preference pairs from a source: a file, a folder, a glob, standard input (`-`), or a hub data
/// set (`hub:org/name[:split][@revision]`).
///
/// Rows that cannot be used are left out and counted by reason. A pair that says what an earlier one said
/// is a duplicate whatever its id; an id that comes again with other content gets a suffix, `#2`; a pair
/// without id gets its [`PreferencePair::content_id`].
///
/// # Errors
/// [`DataError`] when the source cannot be read, no row can be used, or `strict` is set and one row cannot.
pub fn read_pairs(path: &Path, options: &ReadOptions) -> Result<PairSet, DataError> {
    PairReader::open(path, options)?.collect_set()
}

/// Reads preference pairs from `reader` as [`read_pairs`] does; `path` is its name in messages.
///
/// # Errors
/// As [`read_pairs`].
pub fn read_pairs_from(
    reader: impl Read + Send,
    path: &Path,
    options: &ReadOptions,
) -> Result<PairSet, DataError> {
    PairReader::from_reader(Box::new(reader), path, options)?.collect_set()
}

/// What one file gave.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileSummary {
    /// The file.
    pub path: PathBuf,
    /// The format it was read in; absent when no row could be used.
    pub format: Option<PairFormat>,
    /// Its rows, usable or not.
    pub n_rows: usize,
    /// The pairs it gave.
    pub n_pairs: usize,
    /// Address of its bytes; absent until it is read to its end.
    pub content: Option<ContentId>,
}

/// A stream of pairs from one source; holds a few megabytes of rows at a time, and some 60 bytes for each pair
/// it has given.
///
/// Rows of [`PairFormat::HelpSteer2`] and [`PairFormat::TrlUnpaired`] hold one response each; they are
/// held until the end of their file and compared within it.
pub struct PairReader<'a> {
    source: PathBuf,
    options: ReadOptions,
    waiting: VecDeque<(PathBuf, Option<Box<dyn Read + Send + 'a>>)>,
    is_one_file: bool,
    current: Option<OpenFile<'a>>,
    ready: VecDeque<AnnotatedPair>,
    files: Vec<FileSummary>,
    report: DropReport,
    ids: Ids,
    seen: HashMap<[u64; 2], (u64, u32)>,
    is_over: bool,
}

impl std::fmt::Debug for PairReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairReader").field("source", &self.source).finish_non_exhaustive()
    }
}

struct OpenFile<'a> {
    rows: Rows<'a>,
    next: Vec<(Place, RawRow)>,
    groups: Option<Groups>,
}

/// What becomes of one row: its comparisons, or the reason why it has none.
type Outcome = Result<Vec<Comparison<Compared>>, RowProblem>;

/// A pair with its address.
struct Compared {
    annotated: AnnotatedPair,
    content: ContentId,
}

/// How much is parsed at a time.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_ROWS: usize = 4096;

impl<'a> PairReader<'a> {
    /// Opens a source as [`read_pairs`] does.
    ///
    /// # Errors
    /// [`DataError`] when the source cannot be found.
    pub fn open(path: &Path, options: &ReadOptions) -> Result<PairReader<'static>, DataError> {
        let files = source::files(path)?;
        PairReader::new(path, options, files.into_iter().map(|file| (file, None)).collect())
    }

    /// Reads from `reader`; `path` is its name in messages.
    ///
    /// # Errors
    /// [`DataError::ZeroLimit`].
    pub fn from_reader(
        reader: Box<dyn Read + Send + 'a>,
        path: &Path,
        options: &ReadOptions,
    ) -> Result<Self, DataError> {
        Self::new(path, options, VecDeque::from([(path.to_owned(), Some(reader))]))
    }

    fn new(
        source: &Path,
        options: &ReadOptions,
        waiting: VecDeque<(PathBuf, Option<Box<dyn Read + Send + 'a>>)>,
    ) -> Result<Self, DataError> {
        if options.limit == Some(0) {
            return Err(DataError::ZeroLimit);
        }
        Ok(Self {
            source: source.to_owned(),
            options: options.clone(),
            is_one_file: waiting.len() == 1,
            waiting,
            current: None,
            ready: VecDeque::new(),
            files: Vec::new(),
            report: DropReport::default(),
            ids: Ids::default(),
            seen: HashMap::new(),
            is_over: false,
        })
    }

    /// What was kept and left out so far.
    pub fn report(&self) -> &DropReport {
        &self.report
    }

    /// The files so far, the one being read among them.
    pub fn files(&self) -> &[FileSummary] {
        &self.files
    }

    /// Address of the bytes of all files; known once the stream has ended.
    pub fn content(&self) -> Option<ContentId> {
        if let [file] = &self.files[..] {
            return file.content.clone();
        }
        let mut hasher = ContentHasher::new("files");
        for file in &self.files {
            hasher.text(file.content.as_ref()?.as_str());
        }
        Some(hasher.finish())
    }

    fn collect_set(mut self) -> Result<PairSet, DataError> {
        let (mut pairs, mut critiques) = (Vec::new(), Vec::new());
        for annotated in &mut self {
            let annotated = annotated?;
            critiques.extend(annotated.critiques);
            pairs.push(annotated.pair);
        }
        let format = self.files.iter().find_map(|file| file.format);
        match (format, self.content()) {
            (Some(format), Some(content)) if !pairs.is_empty() => {
                Ok(PairSet { pairs, critiques, report: self.report, format, content })
            }
            _ => Err(DataError::NoRows { path: self.source, report: self.report }),
        }
    }

    /// The next pairs, some thousands at a time; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Option<Result<Vec<AnnotatedPair>, DataError>> {
        let first = match self.next()? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let mut batch = Vec::with_capacity(self.ready.len() + 1);
        batch.push(first);
        batch.extend(self.ready.drain(..));
        Some(Ok(batch))
    }

    /// Makes pairs ready; false when there are no more.
    fn advance(&mut self) -> Result<bool, DataError> {
        let Some(mut file) = self.current.take() else {
            let Some((path, reader)) = self.waiting.pop_front() else { return Ok(false) };
            let broken = |cause| DataError::Read { path: path.clone(), cause };
            let reader = match reader {
                Some(reader) => reader,
                None => container::open(&path)?,
            };
            let mut rows =
                container::rows(reader, &path, self.options.container).map_err(broken)?;
            let next = batch(&mut rows).map_err(|error| error.of(&path))?;
            self.current = Some(OpenFile { rows, next, groups: None });
            let format = self.options.format;
            self.files.push(FileSummary { path, format, n_rows: 0, n_pairs: 0, content: None });
            return Ok(true);
        };
        let index = self.files.len() - 1;
        let rows = std::mem::take(&mut file.next);
        if rows.is_empty() {
            if let Some(groups) = file.groups.take() {
                for (place, ranked) in groups.finish() {
                    self.take(place, compare(ranked, self.options.pairing))?;
                }
            }
            self.close(file)?;
            return Ok(true);
        }
        self.files[index].n_rows += rows.len();
        let rest = self.start_with(&mut file, rows)?;
        let format = self.files[index].format;
        let (options, reader) = (&self.options, &mut file.rows);
        let is_grouped = format.is_some_and(PairFormat::is_grouped);
        let (next, outcomes) = rayon::join(
            || batch(reader),
            || match format {
                Some(format) if !is_grouped => rest
                    .into_par_iter()
                    .map(|(place, row)| {
                        let ranked = row.parse().and_then(|row| read(row, format, options));
                        (place, ranked.and_then(|ranked| compare(ranked, options.pairing)))
                    })
                    .collect::<Vec<(Place, Outcome)>>(),
                _ => Vec::new(),
            },
        );
        for (place, outcome) in outcomes {
            self.take(place, outcome)?;
        }
        file.next = next.map_err(|error| error.of(&self.files[index].path))?;
        self.current = Some(file);
        Ok(true)
    }

    /// Takes rows one by one until the format is known, and gives back the rest; rows of formats that
    /// compare across rows are all taken, into their groups.
    fn start_with(
        &mut self,
        file: &mut OpenFile<'a>,
        rows: Vec<(Place, RawRow)>,
    ) -> Result<Vec<(Place, RawRow)>, DataError> {
        let index = self.files.len() - 1;
        let mut rows = rows.into_iter();
        while self.files[index].format.is_none_or(PairFormat::is_grouped) {
            let Some((place, raw)) = rows.next() else { break };
            let known = self.files[index].format;
            let row = raw.parse().and_then(|row| {
                let row = renamed(row, &self.options);
                let format = known.map_or_else(|| PairFormat::detect(&row), Ok)?;
                Ok((format, format.read(&row)?))
            });
            match row {
                Err(problem) => self.take(place, Err(problem))?,
                Ok((format, ranked)) if format.is_grouped() => {
                    self.files[index].format = Some(format);
                    if let Err(problem) = file.groups.get_or_insert_default().add(place, ranked) {
                        self.take(place, Err(problem))?;
                    }
                }
                Ok((format, ranked)) => {
                    let outcome = compare(ranked, self.options.pairing);
                    if outcome.as_ref().is_ok_and(|all| all.iter().any(|(_, pair)| pair.is_ok())) {
                        self.files[index].format = Some(format);
                    }
                    self.take(place, outcome)?;
                }
            }
        }
        Ok(rows.collect())
    }

    /// Counts what became of a row, and makes its pairs ready.
    fn take(&mut self, place: Place, outcome: Outcome) -> Result<(), DataError> {
        let comparisons = match outcome {
            Ok(comparisons) => comparisons,
            Err(problem) => return self.leave_out(place, "", problem),
        };
        for (name, compared) in comparisons {
            if self.is_full() {
                break;
            }
            match compared {
                Ok(compared) => self.keep(place, &name, compared)?,
                Err(problem) => self.leave_out(place, &name, problem)?,
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.report.n_kept >= limit)
    }

    fn keep(&mut self, place: Place, name: &str, compared: Compared) -> Result<(), DataError> {
        let Compared { annotated: AnnotatedPair { mut pair, mut critiques }, content } = compared;
        let key = halves(&content);
        if let Some((of, file)) = self.seen.get(&key) {
            let file =
                (*file as usize != self.files.len()).then(|| (*file as usize).wrapping_sub(1));
            let file = file.and_then(|index| self.files.get(index)).map(|file| file.path.clone());
            let of = Place::unpack(*of);
            return self.leave_out(place, name, RowProblem::Duplicate { of, file });
        }
        self.seen.insert(key, (place.pack(), self.files.len() as u32));
        let own = std::mem::take(&mut pair.id);
        pair.id = self.ids.give(if own.is_empty() { content.to_string() } else { own });
        for critique in &mut critiques {
            critique.pair_id.clone_from(&pair.id);
        }
        self.report.keep();
        if let Some(file) = self.files.last_mut() {
            file.n_pairs += 1;
        }
        self.ready.push_back(AnnotatedPair { pair, critiques });
        Ok(())
    }

    fn leave_out(
        &mut self,
        place: Place,
        name: &str,
        problem: RowProblem,
    ) -> Result<(), DataError> {
        if self.is_full() {
            return Ok(());
        }
        let path = self.files.last().map(|file| file.path.clone()).unwrap_or_default();
        if self.options.strict && problem.is_fault() {
            return Err(DataError::Row { path, place, problem });
        }
        let mut item = problem.named(place);
        if !name.is_empty() {
            item = format!("{item} responses {name}");
        }
        if !self.is_one_file {
            item = format!("{} {item}", path.file_name().unwrap_or_default().to_string_lossy());
        }
        self.report.drop(problem.to_string(), item);
        Ok(())
    }

    /// Ends a file, read to its end or not.
    fn close(&mut self, file: OpenFile<'a>) -> Result<(), DataError> {
        let Some(summary) = self.files.last_mut() else { return Ok(()) };
        let Rows { reader, address } = file.rows;
        drop(reader);
        let broken = |cause| DataError::Read { path: summary.path.clone(), cause };
        summary.content = Some(address.finish().map_err(broken)?);
        Ok(())
    }
}

impl Iterator for PairReader<'_> {
    type Item = Result<AnnotatedPair, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.ready.pop_front() {
                return Some(Ok(pair));
            }
            if self.is_over {
                return None;
            }
            let more = if self.is_full() {
                self.waiting.clear();
                let file = self.current.take();
                file.map_or(Ok(()), |file| self.close(file)).map(|()| false)
            } else {
                self.advance()
            };
            match more {
                Ok(true) => {}
                Ok(false) => self.is_over = true,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn batch(rows: &mut Rows<'_>) -> Result<Vec<(Place, RawRow)>, container::RowsError> {
    let (mut batch, mut n_bytes) = (Vec::new(), 0);
    while n_bytes < BATCH_BYTES && batch.len() < BATCH_ROWS {
        let Some((place, row)) = rows.reader.next_row()? else { break };
        n_bytes += if let RawRow::Json(bytes) = &row { bytes.len() } else { 0 };
        batch.push((place, row));
    }
    Ok(batch)
}

fn read(row: Object, format: PairFormat, options: &ReadOptions) -> Result<Ranked, RowProblem> {
    format.read(&renamed(row, options))
}

fn renamed(mut row: Object, options: &ReadOptions) -> Object {
    for (ours, theirs) in &options.columns {
        if let Some(value) = row.remove(theirs) {
            row.insert(ours.clone(), value);
        }
    }
    row
}

fn compare(ranked: Ranked, pairing: Pairing) -> Outcome {
    let comparisons = ranked.comparisons(pairing)?;
    let with_address =
        |annotated: AnnotatedPair| Compared { content: annotated.pair.content_id(), annotated };
    Ok(comparisons.into_iter().map(|(name, pair)| (name, pair.map(with_address))).collect())
}

/// The 32 hexadecimal digits as two numbers.
fn halves(content: &ContentId) -> [u64; 2] {
    let half = |range| u64::from_str_radix(&content.as_str()[range], 16).unwrap_or_default();
    [half(0..16), half(16..32)]
}

/// Hands every row of a source that is an object to `take`, which keeps it or says why not; counts both.
pub(crate) fn read_rows(
    inner: Box<dyn Read + Send + '_>,
    path: &Path,
    report: &mut DropReport,
    take: &mut dyn FnMut(&Object) -> Result<(), RowProblem>,
) -> Result<ContentId, DataError> {
    let broken = |cause| DataError::Read { path: path.to_owned(), cause };
    let Rows { mut reader, address } = container::rows(inner, path, None).map_err(broken)?;
    while let Some((place, row)) = reader.next_row().map_err(|error| error.of(path))? {
        match row.parse().and_then(|row| take(&row)) {
            Ok(()) => report.keep(),
            Err(problem) => report.drop(problem.to_string(), problem.named(place)),
        }
    }
    drop(reader);
    address.finish().map_err(broken)
}

#[cfg(test)]
mod tests;
