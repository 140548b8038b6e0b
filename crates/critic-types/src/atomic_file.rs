//! Files that appear whole: write beside, sync, rename.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

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
    let attempt = || -> io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        let temporary = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder)?;
        {
            let mut out = BufWriter::with_capacity(1 << 20, temporary.as_file());
            fill(&mut out)?;
            out.flush()?;
        }
        temporary.as_file().sync_all()?;
        make_readable(temporary.as_file())?;
        temporary.persist(path).map_err(|error| error.error)?;
        // The rename itself is durable only once the folder is.
        File::open(folder)?.sync_all()
    };
    attempt().map_err(|source| WriteError { path: path.to_owned(), source })
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
