use crate::DataError;
use critic_types::{ContentHasher, ContentId};
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER: usize = 1 << 16;

/// Opens `path`, or standard input for `-`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file =
        File::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    Ok(Box::new(file))
}

/// Hashes what passes through.
pub(crate) struct Hashing<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

pub(crate) type Raw<R> = Chain<Cursor<Vec<u8>>, Hashing<R>>;

/// The text of a file, plain or gzip by its first bytes, hashed as it is read.
pub(crate) enum Source<R: Read> {
    Plain(BufReader<Raw<R>>),
    Gzip(Box<BufReader<MultiGzDecoder<BufReader<Raw<R>>>>>),
}

impl<R: Read> Source<R> {
    pub(crate) fn new(inner: R) -> io::Result<Self> {
        let mut hashing = Hashing { inner, hasher: Sha256::new() };
        let mut start = Vec::new();
        hashing.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
        let gzip = start == GZIP_MAGIC;
        let raw = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(hashing));
        Ok(if gzip {
            Source::Gzip(Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(raw))))
        } else {
            Source::Plain(raw)
        })
    }

    /// Address of the file's bytes as stored, whatever part of them was asked for.
    pub(crate) fn finish(self) -> io::Result<ContentId> {
        let raw = match self {
            Source::Plain(reader) => reader.into_inner(),
            Source::Gzip(reader) => reader.into_inner().into_inner().into_inner(),
        };
        let (_, mut hashing) = raw.into_inner();
        io::copy(&mut hashing, &mut io::sink())?;
        let mut hasher = ContentHasher::new("file");
        hasher.bytes(&hashing.hasher.finalize());
        Ok(hasher.finish())
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Plain(reader) => reader.read(buffer),
            Source::Gzip(reader) => reader.read(buffer),
        }
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Source::Plain(reader) => reader.fill_buf(),
            Source::Gzip(reader) => reader.fill_buf(),
        }
    }

    fn consume(&mut self, n: usize) {
        match self {
            Source::Plain(reader) => reader.consume(n),
            Source::Gzip(reader) => reader.consume(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn text_and_id(bytes: &[u8]) -> (String, ContentId) {
        let mut source = Source::new(bytes).unwrap();
        let mut text = String::new();
        source.read_to_string(&mut text).unwrap();
        (text, source.finish().unwrap())
    }

    #[test]
    fn gzip_is_known_by_its_bytes_and_may_have_several_members() {
        let mut bytes = Vec::new();
        for part in ["ab", "cd"] {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(part.as_bytes()).unwrap();
            bytes.extend(encoder.finish().unwrap());
        }
        assert_eq!(text_and_id(&bytes).0, "abcd");
        assert_eq!(text_and_id(b"abcd").0, "abcd");
        assert_ne!(text_and_id(&bytes).1, text_and_id(b"abcd").1);
    }

    #[test]
    fn the_address_does_not_depend_on_how_much_was_read() {
        let text = "x".repeat(3 * BUFFER);
        let unread = Source::new(text.as_bytes()).unwrap().finish().unwrap();
        assert_eq!(unread, text_and_id(text.as_bytes()).1);
        assert_ne!(unread, text_and_id(&text.as_bytes()[1..]).1);
    }
}
