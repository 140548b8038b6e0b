//! Files that appear whole: write beside, sync, rename.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write {}: {source}; check that the folder exists, is writable and has free space", path.display())]
pub struct WriteError {
    /// The file that was to appear.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Writes `bytes` to `path`; a reader sees the old file or the new one, never a part.
///
/// # Errors
/// [`WriteError`] when the folder cannot be written; the old file then still stands.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_with(path, |file| file.write_all(bytes))
}

/// Writes what `fill` puts out to `path`, whole or not at all.
///
/// # Errors
/// [`WriteError`] when the folder cannot be written or `fill` fails; the old file then still stands.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let mut file = AtomicFile::create(path)?;
    fill(&mut file).map_err(|source| WriteError { path: path.to_owned(), source })?;
    file.commit()
}

/// A file that is written bit by bit and appears whole when it is committed; dropped before, it never was.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Begins the file that is to appear at `path`; its folder is made if there is none.
    ///
    /// # Errors
    /// [`WriteError`] when the folder cannot be written.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let begin = || {
            fs::create_dir_all(folder(path))?;
            tempfile::Builder::new().prefix(".writing-").tempfile_in(folder(path))
        };
        let path = path.to_owned();
        match begin() {
            Ok(file) => Ok(Self { path, out: BufWriter::with_capacity(1 << 20, file) }),
            Err(source) => Err(WriteError { path, source }),
        }
    }

    /// Lets the file appear, on disk and whole.
    ///
    /// # Errors
    /// [`WriteError`] when the disk is full or the folder cannot be written; the old file then still stands.
    pub fn commit(self) -> Result<(), WriteError> {
        let Self { path, out } = self;
        let attempt = || -> io::Result<()> {
            let temporary = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            temporary.as_file().sync_all()?;
            make_readable(temporary.as_file())?;
            temporary.persist(&path).map_err(|error| error.error)?;
            // The rename itself is durable only once the folder is.
            File::open(folder(&path))?.sync_all()
        };
        attempt().map_err(|source| WriteError { path: path.clone(), source })
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives a finished file the permissions an ordinary file would have; temporary ones are private.
#[cfg(unix)]
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write(&path, b"old").unwrap();
        let error = write_with(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::Error::other("disk full"))
        });
        assert!(error.unwrap_err().to_string().contains("weights"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
