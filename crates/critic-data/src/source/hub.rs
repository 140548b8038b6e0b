use crate::{Container, DataError};
use critic_types::atomic_file;
use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{env, fmt, fs, thread};

/// How long the hub may be silent: before its first answer, and between files.
const FIRST_ANSWER: Duration = Duration::from_secs(8);
const STALL: Duration = Duration::from_secs(300);

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// A data set of the Hugging Face hub: `org/name[:split][@revision]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubDataSet {
    /// `org/name`.
    pub repo: String,
    /// The split (`train`), or a folder and a split (`helpful-base/test`); `train` when not given, or
    /// everything where there is no such split.
    pub split: Option<String>,
    /// Branch, tag or commit; `main` when not given.
    pub revision: Option<String>,
}

impl FromStr for HubDataSet {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let bad = || DataError::HubName { name: text.to_owned() };
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision.to_owned())),
            None => (text, None),
        };
        let (repo, split) = match name.split_once(':') {
            Some((repo, split)) => (repo, Some(split.to_owned())),
            None => (name, None),
        };
        let parts: Vec<&str> = repo.split('/').collect();
        let is_name = |part: &&str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
                && *part != ".."
        };
        let is_empty = |part: &Option<String>| part.as_deref() == Some("");
        if parts.len() != 2 || !parts.iter().all(is_name) || is_empty(&split) || is_empty(&revision)
        {
            return Err(bad());
        }
        Ok(Self { repo: repo.to_owned(), split, revision })
    }
}

impl fmt::Display for HubDataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repo)?;
        self.split.iter().try_for_each(|split| write!(f, ":{split}"))?;
        self.revision.iter().try_for_each(|revision| write!(f, "@{revision}"))
    }
}

impl HubDataSet {
    fn repo(&self) -> Repo {
        let revision = self.revision.clone().unwrap_or_else(|| "main".to_owned());
        Repo::with_revision(self.repo.clone(), RepoType::Dataset, revision)
    }

    /// The files of this split among those of the repository, by name.
    fn choose(&self, published: &[String]) -> Vec<String> {
        let mut data: Vec<String> = published
            .iter()
            .filter(|file| Container::of_name(Path::new(file)).is_some())
            .filter(|file| !file.ends_with("dataset_infos.json") && !file.starts_with('.'))
            .cloned()
            .collect();
        data.sort();
        let of = |split: &str| -> Vec<String> {
            data.iter().filter(|file| belongs(file, split)).cloned().collect()
        };
        match &self.split {
            Some(split) => of(split),
            None if of("train").is_empty() => data,
            None => of("train"),
        }
    }
}

/// Whether a file's path speaks of a split: a folder of that name, or a name that begins with it.
/// `folder/split` asks for both.
fn belongs(file: &str, split: &str) -> bool {
    let wanted: Vec<&str> = split.split('/').collect();
    let Some((last, folders)) = wanted.split_last() else { return false };
    let parts: Vec<&str> = file.split('/').collect();
    let stem = parts.last().and_then(|name| name.split('.').next()).unwrap_or_default();
    let named = stem == *last
        || stem.strip_prefix(last).is_some_and(|rest| rest.starts_with(['-', '_']))
        || stem.strip_suffix(last).is_some_and(|rest| rest.ends_with(['-', '_']))
        || parts[..parts.len() - 1].contains(last);
    named && folders.iter().all(|folder| parts[..parts.len() - 1].contains(folder))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The hub's cache on this machine, which other programs share.
fn cache_folder() -> PathBuf {
    let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
    variable("HF_HOME")
        .map(|hf_home| PathBuf::from(hf_home).join("hub"))
        .or_else(|| home.map(|home| home.join(".cache/huggingface/hub")))
        .unwrap_or_else(|| PathBuf::from(".critic-rm-cache/huggingface/hub"))
}

/// The files of a data set, from the hub's cache, fetched into it if they are not there.
///
/// `HF_ENDPOINT` sets the address, `HF_TOKEN` the token; `HF_HUB_OFFLINE` forbids to fetch.
pub(super) fn files(set: &HubDataSet) -> Result<Vec<PathBuf>, DataError> {
    let cache = cache_folder();
    if let Some(files) = cached(set, &cache) {
        return Ok(files);
    }
    let is_no = |value: &str| matches!(value.to_lowercase().as_str(), "0" | "false" | "no" | "off");
    if variable("HF_HUB_OFFLINE").is_some_and(|value| !is_no(&value)) {
        return Err(DataError::HubOffline { name: set.to_string() });
    }
    let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    let endpoint = endpoint.trim_end_matches('/');
    download(set, &cache, endpoint, variable("HF_TOKEN"), FIRST_ANSWER)
}

/// Where it is written down which files make up a data set, once all of them are there.
fn list_path(set: &HubDataSet, cache: &Path) -> PathBuf {
    let folder = cache.join(format!("datasets--{}", set.repo.replace('/', "--"))).join("critic-rm");
    let part = |text: &Option<String>, absent: &str| {
        text.as_deref().unwrap_or(absent).replace(['/', '\\'], "--")
    };
    folder.join(format!("{}@{}.json", part(&set.split, "default"), part(&set.revision, "main")))
}

/// The files of a data set that lie whole in the cache.
fn cached(set: &HubDataSet, cache: &Path) -> Option<Vec<PathBuf>> {
    let list = fs::read(list_path(set, cache)).ok()?;
    let names: Vec<String> = serde_json::from_slice(&list).ok()?;
    let repo = Cache::new(cache.to_owned()).repo(set.repo());
    names.iter().map(|name| repo.get(name)).collect()
}

enum Event {
    Alive,
    Ended(Result<Vec<PathBuf>, String>),
}

fn download(
    set: &HubDataSet,
    cache: &Path,
    endpoint: &str,
    token: Option<String>,
    first_answer: Duration,
) -> Result<Vec<PathBuf>, DataError> {
    let fault = |reason: String| DataError::Hub {
        name: set.to_string(),
        endpoint: endpoint.to_owned(),
        reason,
    };
    let mut builder = ApiBuilder::from_cache(Cache::new(cache.to_owned()))
        .with_endpoint(endpoint.to_owned())
        .with_progress(false)
        .with_retries(2)
        .with_user_agent("critic-rm", env!("CARGO_PKG_VERSION"));
    if token.is_some() {
        builder = builder.with_token(token);
    }
    let api = builder.build().map_err(|error| fault(error.to_string()))?;
    let (events, received) = mpsc::channel();
    let (wanted, folder) = (set.clone(), cache.to_owned());
    // hf-hub cannot be given a time limit, so it works in a thread that is left behind when it is silent.
    thread::spawn(move || {
        let ended = fetch_all(&api, &wanted, &folder, &events);
        // Nobody listens any more when the wait was given up.
        let _ = events.send(Event::Ended(ended));
    });
    let mut patience = first_answer;
    loop {
        match received.recv_timeout(patience) {
            Ok(Event::Alive) => patience = STALL,
            Ok(Event::Ended(ended)) => return ended.map_err(fault),
            Err(RecvTimeoutError::Timeout) => {
                return Err(fault(format!("no answer in {} seconds", patience.as_secs_f32())));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(fault("the download ended without a result".to_owned()));
            }
        }
    }
}

fn fetch_all(
    api: &Api,
    set: &HubDataSet,
    cache: &Path,
    events: &Sender<Event>,
) -> Result<Vec<PathBuf>, String> {
    let repo = api.repo(set.repo());
    let info = repo.info().map_err(|error| error.to_string())?;
    let _ = events.send(Event::Alive);
    let published: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
    let names = set.choose(&published);
    if names.is_empty() {
        let has: Vec<&str> = published.iter().take(12).map(String::as_str).collect();
        return Err(format!(
            "no file of it holds rows of split `{}`; it has {}",
            set.split.as_deref().unwrap_or("train"),
            has.join(", ")
        ));
    }
    let mut paths = Vec::new();
    for name in &names {
        paths.push(repo.get(name).map_err(|error| format!("{name}: {error}"))?);
        let _ = events.send(Event::Alive);
    }
    let list = serde_json::to_vec(&names).map_err(|error| error.to_string())?;
    atomic_file::write(&list_path(set, cache), &list).map_err(|error| error.to_string())?;
    Ok(paths)
}

#[cfg(test)]
mod tests;
