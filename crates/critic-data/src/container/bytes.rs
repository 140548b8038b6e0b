//! The bytes of a file: hashed as stored, decompressed as read.

use crate::DataError;
use critic_types::{ContentHasher, ContentId};
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

const BUFFER: usize = 1 << 17;

/// How a file is compressed; told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

const MAGIC: [(Compression, &[u8]); 2] =
    [(Compression::Gzip, &[0x1f, 0x8b]), (Compression::Zstd, &[0x28, 0xb5, 0x2f, 0xfd])];

/// Opens `path`, or standard input for `-`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read + Send>, DataError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file =
        File::open(path).map_err(|cause| DataError::Open { path: path.to_owned(), cause })?;
    Ok(Box::new(file))
}

struct Hashing<'a> {
    inner: Box<dyn Read + Send + 'a>,
    hasher: Sha256,
}

/// What was stored, shared between the decompressor and whoever asks for its address.
#[derive(Clone)]
struct Stored<'a>(Arc<Mutex<Hashing<'a>>>);

impl Read for Stored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = stored.inner.read(buffer)?;
        stored.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// A file's text, decompressed.
pub(crate) type Text<'a> = Box<dyn BufRead + Send + 'a>;

/// The address of a file's bytes, to be asked for when its rows are read.
pub(crate) struct Address<'a>(Stored<'a>);

impl Address<'_> {
    /// Address of the bytes as stored, whatever part of them was asked for.
    pub(crate) fn finish(self) -> io::Result<ContentId> {
        let mut rest = self.0.clone();
        io::copy(&mut rest, &mut io::sink())?;
        let stored = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hasher = ContentHasher::new("file");
        hasher.bytes(&stored.hasher.clone().finalize());
        Ok(hasher.finish())
    }
}

/// Tells the compression and gives the text and the address of what `inner` holds.
pub(crate) fn text<'a>(
    inner: Box<dyn Read + Send + 'a>,
) -> io::Result<(Text<'a>, Compression, Address<'a>)> {
    let stored = Stored(Arc::new(Mutex::new(Hashing { inner, hasher: Sha256::new() })));
    let address = Address(stored.clone());
    let mut start = Vec::new();
    stored.clone().take(4).read_to_end(&mut start)?;
    let compression =
        MAGIC.iter().find(|(_, magic)| start.starts_with(magic)).map_or(Compression::None, |m| m.0);
    let raw = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(stored));
    let text: Text<'a> = match compression {
        Compression::None => Box::new(raw),
        Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(raw))),
        Compression::Zstd => {
            Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(raw)?))
        }
    };
    Ok((text, compression, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn text_and_id(bytes: &[u8]) -> (String, ContentId) {
        let (mut reader, _, address) = text(Box::new(bytes)).unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        (read, address.finish().unwrap())
    }

    #[test]
    fn gzip_and_zstd_are_known_by_their_bytes_and_may_have_several_parts() {
        let (mut gzip, mut zstandard) = (Vec::new(), Vec::new());
        for part in ["ab", "cd"] {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(part.as_bytes()).unwrap();
            gzip.extend(encoder.finish().unwrap());
            zstandard.extend(zstd::encode_all(part.as_bytes(), 1).unwrap());
        }
        assert_eq!(text_and_id(&gzip).0, "abcd");
        assert_eq!(text_and_id(&zstandard).0, "abcd");
        assert_eq!(text_and_id(b"abcd").0, "abcd");
        assert_ne!(text_and_id(&gzip).1, text_and_id(b"abcd").1);
    }

    #[test]
    fn the_address_does_not_depend_on_how_much_was_read() {
        let long = "x".repeat(3 * BUFFER);
        let (_, _, unread) = text(Box::new(long.as_bytes())).unwrap();
        assert_eq!(unread.finish().unwrap(), text_and_id(long.as_bytes()).1);
        assert_ne!(text_and_id(&long.as_bytes()[1..]).1, text_and_id(long.as_bytes()).1);
    }
}
