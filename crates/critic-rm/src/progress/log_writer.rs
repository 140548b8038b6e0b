use super::display;
use std::io::{self, Write};

/// Where `tracing` writes: to whatever shows the program's work at that moment.
pub(crate) fn log_writer() -> impl Write {
    LogWriter
}

#[derive(Debug)]
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        display::current().log(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
