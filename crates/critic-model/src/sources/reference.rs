use super::catalogue::catalogue;
use super::hub::HubSource;
use crate::error::ModelError;
use std::fmt;
use std::path::{Path, PathBuf};

/// How a person names a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelRef {
    /// A name of the catalogue: `smollm2-135m`.
    Catalogue(String),
    /// A repository of the hub: `org/name` or `org/name@revision`.
    Hub(HubSource),
    /// A folder with `config.json`, `model.safetensors` and a tokenizer.
    Folder(PathBuf),
    /// A GGUF file.
    Gguf(PathBuf),
}

impl ModelRef {
    /// Reads a name.
    ///
    /// A catalogue name comes first (`./name` means the folder of that name), then whatever exists on
    /// disk, then `org/name[@revision]`.
    ///
    /// # Errors
    /// [`ModelError::NoSuchPath`] for what looks like a path and does not exist,
    /// [`ModelError::UnknownModel`] with the nearest name for any other.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let name = text.trim();
        let catalogue = catalogue()?;
        if catalogue.get(name).is_some() {
            return Ok(Self::Catalogue(name.to_owned()));
        }
        let path = PathBuf::from(name);
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        if path.is_file() {
            return Ok(Self::Gguf(path));
        }
        if looks_like_path(name) {
            return Err(ModelError::NoSuchPath { path });
        }
        if let Some(hub) = hub_id(name) {
            return Ok(Self::Hub(hub));
        }
        Err(ModelError::UnknownModel {
            name: name.to_owned(),
            nearest: catalogue.nearest(name).map(str::to_owned),
            known: catalogue.entries().iter().map(|entry| entry.name.clone()).collect(),
        })
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalogue(name) => f.write_str(name),
            Self::Hub(source) => source.fmt(f),
            Self::Folder(path) | Self::Gguf(path) => path.display().fmt(f),
        }
    }
}

fn looks_like_path(name: &str) -> bool {
    let is_gguf =
        Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    is_gguf
        || name.starts_with(['.', '/', '~'])
        || name.contains('\\')
        || name.ends_with('/')
        || name.matches('/').count() > 1
}

fn hub_id(name: &str) -> Option<HubSource> {
    let (repo, revision) = match name.split_once('@') {
        Some((repo, revision)) => (repo, Some(revision)),
        None => (name, None),
    };
    let is_word = |word: &str| {
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !word.contains("..")
    };
    let (organisation, model) = repo.split_once('/')?;
    let is_valid = is_word(organisation) && is_word(model) && revision.is_none_or(is_word);
    is_valid.then(|| HubSource { repo: repo.to_owned(), revision: revision.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        ModelRef::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn each_kind_of_name_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let gguf = folder.path().join("a.gguf");
        critic_types::atomic_file::write(&gguf, b"GGUF").unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        assert_eq!(
            ModelRef::parse(" smollm2-135m ").unwrap(),
            ModelRef::Catalogue("smollm2-135m".to_owned())
        );
        assert_eq!(
            ModelRef::parse(&text(folder.path())).unwrap(),
            ModelRef::Folder(folder.path().to_owned())
        );
        assert_eq!(ModelRef::parse(&text(&gguf)).unwrap(), ModelRef::Gguf(gguf.clone()));
        let hub = |repo: &str, revision: Option<&str>| {
            ModelRef::Hub(HubSource {
                repo: repo.to_owned(),
                revision: revision.map(str::to_owned),
            })
        };
        assert_eq!(
            ModelRef::parse("Qwen/Qwen2.5-0.5B-Instruct").unwrap(),
            hub("Qwen/Qwen2.5-0.5B-Instruct", None)
        );
        assert_eq!(ModelRef::parse("org/name@v1.0").unwrap(), hub("org/name", Some("v1.0")));
        assert_eq!(ModelRef::parse("org/name@v1.0").unwrap().to_string(), "org/name@v1.0");
    }

    #[test]
    fn an_unknown_name_gets_the_catalogue_and_the_nearest_name() {
        let message = message("smollm2-135");
        assert!(
            message.contains("did you mean \"smollm2-135m\"?") && message.contains("qwen2.5-1.5b"),
            "{message}"
        );
    }

    #[test]
    fn a_path_that_leads_nowhere_is_called_one() {
        for path in ["./nowhere", "/no/where", "nowhere.gguf", "a/b/c", "~/nowhere", "nowhere/"] {
            assert!(message(path).contains("does not exist"), "{path}");
        }
    }

    #[test]
    fn malformed_hub_ids_are_unknown_names() {
        for name in ["", "org/na me", "org/@main", "org/name@", "org/na..me", "@main"] {
            assert!(message(name).contains("no model is called"), "{name}");
        }
    }
}
