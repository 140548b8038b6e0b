use critic_types::atomic_file::{AtomicFile, WriteError};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

/// Where the bytes go.
enum Sink {
    File(AtomicFile),
    Stdout(BufWriter<Stdout>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::File(file) => file.write(bytes),
            Sink::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::File(file) => file.flush(),
            Sink::Stdout(out) => out.flush(),
        }
    }
}

enum Packed {
    None(Sink),
    Gzip(GzEncoder<Sink>),
    Zstd(zstd::Encoder<'static, Sink>),
}

/// A file, compressed as its name says.
pub(super) struct Encoder {
    path: PathBuf,
    packed: Packed,
}

impl Encoder {
    /// Begins the file at `path`, or standard output for `-`.
    pub(super) fn create(path: &Path) -> Result<Self, WriteError> {
        let sink = if path == Path::new("-") {
            Sink::Stdout(BufWriter::with_capacity(1 << 16, io::stdout()))
        } else {
            Sink::File(AtomicFile::create(path)?)
        };
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let packed = match ending.as_deref() {
            Some("gz" | "gzip") => Packed::Gzip(GzEncoder::new(sink, Compression::default())),
            Some("zst" | "zstd") => Packed::Zstd(
                zstd::Encoder::new(sink, zstd::DEFAULT_COMPRESSION_LEVEL)
                    .map_err(|source| WriteError { path: path.to_owned(), source })?,
            ),
            _ => Packed::None(sink),
        };
        Ok(Self { path: path.to_owned(), packed })
    }

    /// Ends the compression and lets the file appear.
    pub(super) fn finish(self) -> Result<(), WriteError> {
        let Self { path, packed } = self;
        let sink = match packed {
            Packed::None(sink) => Ok(sink),
            Packed::Gzip(encoder) => encoder.finish(),
            Packed::Zstd(encoder) => encoder.finish(),
        };
        match sink.map_err(|source| WriteError { path: path.clone(), source })? {
            Sink::File(file) => file.commit(),
            Sink::Stdout(mut out) => out.flush().map_err(|source| WriteError { path, source }),
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.packed {
            Packed::None(out) => out.write(bytes),
            Packed::Gzip(out) => out.write(bytes),
            Packed::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.packed {
            Packed::None(out) => out.flush(),
            Packed::Gzip(out) => out.flush(),
            Packed::Zstd(out) => out.flush(),
        }
    }
}
