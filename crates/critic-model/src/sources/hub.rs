use super::cache::Cache;
use super::folder::{VALUE_HEAD, shards, weight_files};
use super::{Progress, digest};
use crate::error::ModelError;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Repo, RepoType};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{env, fmt, fs, thread};

/// How long the hub may be silent: before its first answer, so that the next source gets its turn, and
/// later, when the network has stalled.
const FIRST_ANSWER: Duration = Duration::from_secs(8);
const STALL: Duration = Duration::from_secs(60);

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const NEEDED: [&str; 3] = ["config.json", "tokenizer.json", "tokenizer_config.json"];
const OPTIONAL: [&str; 4] =
    ["generation_config.json", "chat_template.jinja", "chat_template.json", VALUE_HEAD];
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A repository of the Hugging Face hub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSource {
    /// `org/name`.
    pub repo: String,
    /// Branch, tag or commit; `main` when not given.
    #[serde(default)]
    pub revision: Option<String>,
}

impl fmt::Display for HubSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repo)?;
        self.revision.iter().try_for_each(|revision| write!(f, "@{revision}"))
    }
}

impl HubSource {
    fn repo(&self) -> Repo {
        let revision = self.revision.clone().unwrap_or_else(|| "main".to_owned());
        Repo::with_revision(self.repo.clone(), RepoType::Model, revision)
    }
}

/// The folder of a repository that lies whole in the hub's cache, whoever fetched it.
pub(crate) fn cached(source: &HubSource, cache: &Cache) -> Option<PathBuf> {
    let repo = source.repo();
    let files = hf_hub::Cache::new(cache.hub_folder().to_owned()).repo(repo.clone());
    let folder = match files.get(NEEDED[0]) {
        Some(config) => config.parent()?.to_owned(),
        // A commit has a folder of its own, but seldom a reference.
        None => files.pointer_path(repo.revision()),
    };
    let is_whole =
        NEEDED.iter().all(|file| folder.join(file).is_file()) && weight_files(&folder).is_ok();
    is_whole.then_some(folder)
}

/// The folder of a repository, fetched into the hub's cache if it is not there.
///
/// `HF_ENDPOINT` sets the address, `HF_TOKEN` or `HF_HOME/token` the token; `HF_HUB_OFFLINE` forbids it.
pub(crate) fn fetch(
    source: &HubSource,
    cache: &Cache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, ModelError> {
    if let Some(folder) = cached(source, cache) {
        return Ok(folder);
    }
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    if variable("HF_HUB_OFFLINE")
        .is_some_and(|value| !matches!(value.to_lowercase().as_str(), "0" | "false" | "no" | "off"))
    {
        return Err(ModelError::HubOffline { repo: source.to_string() });
    }
    let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    download(
        source,
        cache,
        endpoint.trim_end_matches('/'),
        variable("HF_TOKEN"),
        FIRST_ANSWER,
        progress,
    )
}

/// Fetches a repository from this endpoint.
fn download(
    source: &HubSource,
    cache: &Cache,
    endpoint: &str,
    token: Option<String>,
    first_answer: Duration,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, ModelError> {
    let fault = |reason: String| ModelError::Hub {
        repo: source.to_string(),
        endpoint: endpoint.to_owned(),
        reason,
    };
    let mut builder = ApiBuilder::from_cache(hf_hub::Cache::new(cache.hub_folder().to_owned()))
        .with_endpoint(endpoint.to_owned())
        .with_progress(false)
        .with_retries(2)
        .with_user_agent("critic-rm", env!("CARGO_PKG_VERSION"));
    if token.is_some() {
        builder = builder.with_token(token);
    }
    let api = builder.build().map_err(|error| fault(error.to_string()))?;
    let (events, received) = mpsc::channel();
    let (repo, hub) = (source.repo(), hf_hub::Cache::new(cache.hub_folder().to_owned()));
    // hf-hub cannot be given a time limit, so it works in a thread that is left behind when it is silent.
    thread::spawn(move || {
        let ended = download_files(&api, &repo, &hub, &events);
        // Nobody listens any more when the wait was given up.
        let _ = events.send(Event::Ended(ended));
    });
    let mut patience = first_answer;
    loop {
        match received.recv_timeout(patience) {
            Ok(Event::Alive) => patience = STALL,
            Ok(Event::Bytes { file, done, total }) => {
                progress(Progress { label: &file, done, total: Some(total) });
            }
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

enum Event {
    Alive,
    Bytes { file: String, done: u64, total: u64 },
    Ended(Result<PathBuf, String>),
}

/// Fetches every file that is not cached, the weights last: where they lie, the rest lies too.
fn download_files(
    api: &Api,
    repo: &Repo,
    hub: &hf_hub::Cache,
    events: &Sender<Event>,
) -> Result<PathBuf, String> {
    let files = api.repo(repo.clone());
    let published: Vec<String> = files
        .info()
        .map_err(|e| e.to_string())?
        .siblings
        .into_iter()
        .map(|file| file.rfilename)
        .collect();
    let _ = events.send(Event::Alive);
    let is_published = |file: &str| published.iter().any(|name| name == file);
    let get = |file: &str| match hub.repo(repo.clone()).get(file) {
        Some(path) => Ok(path),
        None => download_file(api, &files, repo, hub, file, events)
            .map_err(|error| format!("{file}: {error}")),
    };
    if let Some(missing) = NEEDED.iter().find(|file| !is_published(file)) {
        return Err(format!("the repository has no {missing}"));
    }
    let config = get(NEEDED[0])?;
    for file in NEEDED.iter().chain(&OPTIONAL).filter(|file| is_published(file)) {
        get(file)?;
    }
    if is_published(WEIGHTS) {
        get(WEIGHTS)?;
    } else if is_published(INDEX) {
        let index = fs::read(get(INDEX)?).map_err(|error| error.to_string())?;
        for shard in shards(&index)? {
            get(&shard)?;
        }
    } else {
        return Err(format!("the repository has no weights as safetensors ({WEIGHTS})"));
    }
    config.parent().map(Path::to_owned).ok_or_else(|| "the hub's cache has no folder".to_owned())
}

fn download_file(
    api: &Api,
    files: &ApiRepo,
    repo: &Repo,
    hub: &hf_hub::Cache,
    file: &str,
    events: &Sender<Event>,
) -> Result<PathBuf, ApiError> {
    let metadata = api.metadata(&files.url(file))?;
    // A part that is already full, left by a download killed at its end, could not be resumed.
    let part = hub.repo(repo.clone()).blob_path(metadata.etag()).with_extension("part");
    if fs::metadata(&part).is_ok_and(|part| part.len() >= metadata.size() as u64) {
        fs::remove_file(&part)?;
    }
    loop {
        let _ = events.send(Event::Alive);
        let meter = Meter { events: events.clone(), file: file.to_owned(), done: 0, total: 0 };
        match files.download_with_progress(file, meter) {
            // Another process fetches the same file: its end is ours. A lock goes with its process.
            Err(ApiError::LockAcquisition(_)) => match hub.repo(repo.clone()).get(file) {
                Some(path) => return Ok(path),
                None => continue,
            },
            ended => return ended,
        }
    }
}

struct Meter {
    events: Sender<Event>,
    file: String,
    done: u64,
    total: u64,
}

impl hf_hub::api::Progress for Meter {
    fn init(&mut self, size: usize, _filename: &str) {
        (self.done, self.total) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        let _ = self.events.send(Event::Bytes {
            file: self.file.clone(),
            done: self.done,
            total: self.total,
        });
    }

    fn finish(&mut self) {}
}

/// Checks a file against the sum by which the hub's cache calls it, and removes it when they differ.
///
/// The cache names large files by their SHA-256 and lets the model's folder point to them.
pub(crate) fn check_blob(path: &Path, sum: &str) -> Result<(), ModelError> {
    let Some(blob) = fs::canonicalize(path)
        .ok()
        .filter(|blob| blob.parent().is_some_and(|folder| folder.ends_with("blobs")))
    else {
        return Ok(());
    };
    let name = blob.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name == sum || !digest::is_sha256(&name) {
        return Ok(());
    }
    fs::remove_file(&blob).map_err(|source| ModelError::Read { path: blob.clone(), source })?;
    Err(ModelError::Checksum { path: blob, found: sum.to_owned(), expected: name })
}

#[cfg(test)]
mod tests;
