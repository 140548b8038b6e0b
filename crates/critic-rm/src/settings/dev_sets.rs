use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// `data.dev`: a file of pairs (`""`: none), or a list of files, each with a name of its own before it
/// (`"chat=chat.jsonl"`) or under the name of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum DevSets {
    /// One set, named `dev`.
    One(PathBuf),
    /// Several, in this order.
    Several(Vec<String>),
}

/// A named set of pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DevSet {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl DevSets {
    /// The sets in their order; the first one decides about best weights and early stopping.
    ///
    /// # Errors
    /// In words, when a name is not made of letters, digits, `-`, `_` and `.`, or stands twice.
    pub(crate) fn sets(&self) -> Result<Vec<DevSet>, String> {
        let sets: Vec<DevSet> = match self {
            Self::One(path) if path.as_os_str().is_empty() => Vec::new(),
            Self::One(path) => vec![DevSet { name: "dev".to_owned(), path: path.clone() }],
            Self::Several(texts) => texts.iter().map(|text| named(text)).collect(),
        };
        let mut seen = BTreeSet::new();
        for DevSet { name, path } in &sets {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || !name.chars().all(is_plain) {
                return Err(format!(
                    "data.dev names a set `{name}` ({}): a name has letters, digits, `-`, `_` and `.`; put one before the file, as in chat=chat.jsonl",
                    path.display()
                ));
            }
            if !seen.insert(name) {
                return Err(format!(
                    "data.dev names two sets `{name}`: put another name before one of the files, as in other={}",
                    path.display()
                ));
            }
        }
        Ok(sets)
    }
}

fn named(text: &str) -> DevSet {
    // A file whose own name holds the sign keeps it.
    let split = text.split_once('=').filter(|_| !Path::new(text).exists());
    let (name, path) = match split {
        Some((name, path)) => (name.to_owned(), path),
        None => {
            let file = Path::new(text).file_name().unwrap_or_default().to_string_lossy();
            (file.split('.').next().unwrap_or_default().to_owned(), text)
        }
    };
    DevSet { name, path: PathBuf::from(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(toml: &str) -> Result<Vec<(String, String)>, String> {
        let table: toml::Table = toml.parse().unwrap();
        let sets: DevSets = table["dev"].clone().try_into().unwrap();
        let of = |set: DevSet| (set.name, set.path.display().to_string());
        Ok(sets.sets()?.into_iter().map(of).collect())
    }

    #[test]
    fn a_set_has_the_name_before_its_file_or_its_files() {
        let pair = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        assert_eq!(sets(r#"dev = """#).unwrap(), []);
        assert_eq!(sets(r#"dev = "a/b.jsonl""#).unwrap(), [pair("dev", "a/b.jsonl")]);
        assert_eq!(
            sets(r#"dev = ["x=a/b.jsonl", "c/math.jsonl.gz"]"#).unwrap(),
            [pair("x", "a/b.jsonl"), pair("math", "c/math.jsonl.gz")]
        );
    }

    #[test]
    fn names_that_do_not_tell_sets_apart_are_refused() {
        let message = sets(r#"dev = ["a/b.jsonl", "c/b.jsonl"]"#).unwrap_err();
        assert!(message.contains("two sets `b`") && message.contains("c/b.jsonl"), "{message}");
        for text in [r#"dev = ["=a.jsonl"]"#, r#"dev = ["a b=a.jsonl"]"#] {
            assert!(sets(text).unwrap_err().contains("letters, digits"), "{text}");
        }
    }
}
