//! Where rows come from: a file, a folder, a glob, standard input, or a data set of the hub.

mod hub;

use crate::{Container, DataError};
use std::fs;
use std::path::{Path, PathBuf};

pub use hub::HubDataSet;

/// The files that a source names, in order.
///
/// | source | files |
/// |---|---|
/// | `-` | standard input |
/// | `hub:org/name[:split][@revision]` | those of a hub data set, fetched if they are not cached |
/// | a folder | every file below it whose name ends like a container's, by name |
/// | a glob, such as `data/*.jsonl.gz` | what it matches, by name |
/// | anything else | that file |
///
/// # Errors
/// [`DataError`] when a folder or a glob holds no file, or the hub data set cannot be had.
pub fn files(source: &Path) -> Result<Vec<PathBuf>, DataError> {
    let text = source.to_string_lossy();
    if let Some(set) = text.strip_prefix("hub:") {
        return hub::files(&set.parse()?);
    }
    if source == Path::new("-") || source.is_file() {
        return Ok(vec![source.to_owned()]);
    }
    if source.is_dir() {
        let mut found = Vec::new();
        walk(source, &mut found)?;
        found.sort();
        return match found.is_empty() {
            true => Err(DataError::EmptyFolder { path: source.to_owned() }),
            false => Ok(found),
        };
    }
    if text.contains(['*', '?', '[']) {
        let visible =
            glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
        let paths = glob::glob_with(&text, visible).map_err(|error| DataError::Glob {
            pattern: text.to_string(),
            what: error.msg.to_owned(),
        })?;
        let mut found = Vec::new();
        for path in paths {
            let path = path.map_err(|error| DataError::Open {
                path: error.path().to_owned(),
                cause: error.into(),
            })?;
            if path.is_file() {
                found.push(path);
            }
        }
        if found.is_empty() {
            let what = "it matches no file".to_owned();
            return Err(DataError::Glob { pattern: text.to_string(), what });
        }
        return Ok(found);
    }
    Ok(vec![source.to_owned()])
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let open = |cause| DataError::Open { path: folder.to_owned(), cause };
    for entry in fs::read_dir(folder).map_err(open)? {
        let path = entry.map_err(open)?.path();
        let is_hidden =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            walk(&path, found)?;
        } else if Container::of_name(&path).is_some() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_a_glob_name_their_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        for name in ["b.jsonl", "a.csv.gz", "README.md", ".hidden.jsonl", "sub/c.parquet"] {
            critic_types::atomic_file::write(&at(name), b"x").unwrap();
        }
        let all = files(folder.path()).unwrap();
        assert_eq!(all, [at("a.csv.gz"), at("b.jsonl"), at("sub/c.parquet")]);
        assert_eq!(files(&at("*.jsonl")).unwrap(), [at("b.jsonl")]);
        let error = files(&at("*.tsv")).unwrap_err().to_string();
        assert!(error.contains("matches no file"), "{error}");
        fs::create_dir(at("empty")).unwrap();
        assert!(matches!(files(&at("empty")), Err(DataError::EmptyFolder { .. })));
        assert_eq!(files(&at("nowhere")).unwrap(), [at("nowhere")]);
        assert_eq!(files(Path::new("-")).unwrap(), [Path::new("-")]);
    }
}
