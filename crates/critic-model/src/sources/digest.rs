use crate::error::ModelError;
use critic_types::{ContentHasher, ContentId};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Passes bytes on to another writer and sums them.
pub(crate) struct HashingWriter<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> HashingWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    /// The SHA-256 of what was written, in hexadecimal.
    pub(crate) fn finish(self) -> String {
        hexadecimal(self.hasher)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Passes bytes on from another reader and sums them.
pub(crate) struct HashingReader<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    /// The SHA-256 of what was read, in hexadecimal.
    pub(crate) fn finish(self) -> String {
        hexadecimal(self.hasher)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

fn hexadecimal(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text looks like a SHA-256 in hexadecimal.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String, ModelError> {
    let sum = || -> io::Result<String> {
        let mut writer = HashingWriter::new(io::sink());
        io::copy(&mut io::BufReader::with_capacity(1 << 20, File::open(path)?), &mut writer)?;
        Ok(writer.finish())
    };
    sum().map_err(|source| ModelError::Read { path: path.to_owned(), source })
}

/// The address of a model whose weight files have these sums, in the order in which they are read.
pub(crate) fn model_digest<'a>(sums: impl IntoIterator<Item = &'a str>) -> ContentId {
    let mut hasher = ContentHasher::new("weight files");
    for sum in sums {
        hasher.text(sum);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_writer_and_file_agree_on_the_sum() {
        let file = tempfile::NamedTempFile::new().unwrap();
        critic_types::atomic_file::write(file.path(), b"abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(file.path()).unwrap(), expected);
        let mut reader = HashingReader::new(&b"abc"[..]);
        let mut writer = HashingWriter::new(Vec::new());
        io::copy(&mut reader, &mut writer).unwrap();
        assert_eq!((reader.finish().as_str(), writer.finish().as_str()), (expected, expected));
    }
}
