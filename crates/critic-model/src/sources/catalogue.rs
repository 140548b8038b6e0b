use super::cache::Cache;
use super::hub::{self, HubSource};
use super::pip::PipSource;
use crate::error::ModelError;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;

/// Models that are known by a short name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    #[serde(rename = "model")]
    entries: Vec<CatalogueEntry>,
}

/// One model of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueEntry {
    /// The name to ask for it by.
    pub name: String,
    /// What it is.
    pub description: String,
    /// SPDX identifier of its license.
    pub license: String,
    /// Where it can be had, best first. Sources may hold other roundings of the same weights.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

/// One place where a model can be had.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Source {
    /// A repository of the Hugging Face hub.
    Hub(HubSource),
    /// A Python package that carries the weights.
    Pip(PipSource),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(source) => write!(f, "hub {source}"),
            Self::Pip(source) => write!(f, "Python package {source}"),
        }
    }
}

impl Source {
    /// Where the model lies if this source was fetched before: a folder or a file.
    pub fn cached(&self, cache: &Cache) -> Option<PathBuf> {
        match self {
            Self::Hub(source) => hub::cached(source, cache),
            Self::Pip(source) => Some(source.cache_path(cache)).filter(|path| path.is_file()),
        }
    }
}

impl CatalogueEntry {
    /// Where the model lies if one of its sources was fetched before.
    pub fn cached(&self, cache: &Cache) -> Option<PathBuf> {
        self.sources.iter().find_map(|source| source.cached(cache))
    }
}

impl Catalogue {
    /// Every model, in the catalogue's order.
    pub fn entries(&self) -> &[CatalogueEntry] {
        &self.entries
    }

    /// The model of this name.
    pub fn get(&self, name: &str) -> Option<&CatalogueEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The name that looks most like this one, if one looks like it at all.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let wanted = name.to_lowercase();
        let distance = |known: &str| match known.contains(&wanted) && !wanted.is_empty() {
            true => 0,
            false => edit_distance(&wanted, known),
        };
        let (distance, nearest) = self
            .entries
            .iter()
            .map(|entry| (distance(&entry.name), entry))
            .min_by_key(|&(d, _)| d)?;
        (distance <= nearest.name.chars().count() / 2).then_some(nearest.name.as_str())
    }
}

/// The catalogue that is built in.
///
/// # Errors
/// [`ModelError::Catalogue`] when it is broken.
pub fn catalogue() -> Result<Catalogue, ModelError> {
    toml::from_str(include_str!("catalogue.toml"))
        .map_err(|error| ModelError::Catalogue { reason: error.to_string() })
}

/// Insertions, deletions and replacements between two texts (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::digest::is_sha256;

    #[test]
    fn the_built_in_catalogue_can_be_read_and_its_sums_look_like_sums() {
        let catalogue = catalogue().unwrap();
        let small = catalogue.get("smollm2-135m").unwrap();
        assert!(
            matches!(small.sources[..], [Source::Hub(_), Source::Pip(_)]),
            "{:?}",
            small.sources
        );
        let mut names: Vec<&str> =
            catalogue.entries().iter().map(|entry| entry.name.as_str()).collect();
        names.dedup();
        assert_eq!(names.len(), catalogue.entries().len());
        for entry in catalogue.entries() {
            assert!(!entry.name.contains('/') && !entry.sources.is_empty(), "{entry:?}");
            for source in &entry.sources {
                match source {
                    Source::Hub(hub) => assert_eq!(hub.repo.matches('/').count(), 1),
                    Source::Pip(pip) => assert!(is_sha256(&pip.sha256), "{pip:?}"),
                }
            }
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let catalogue = catalogue().unwrap();
        assert_eq!(catalogue.nearest("smolm2-135m"), Some("smollm2-135m"));
        assert_eq!(catalogue.nearest("SmolLM2-360M"), Some("smollm2-360m"));
        assert_eq!(catalogue.nearest("qwen2.5-05b"), Some("qwen2.5-0.5b"));
        assert_eq!(catalogue.nearest("smollm2"), Some("smollm2-135m"));
        assert_eq!(catalogue.nearest("a-quite-different-thing"), None);
        assert_eq!(catalogue.nearest(""), None);
    }

    #[test]
    fn edit_distances_are_levenshteins() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
    }

    #[test]
    fn nothing_is_cached_in_an_empty_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        assert!(catalogue().unwrap().entries().iter().all(|entry| entry.cached(&cache).is_none()));
    }
}
