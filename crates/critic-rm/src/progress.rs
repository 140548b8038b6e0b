//! What a person sees while the program works. Stages tell it here; a [`Display`] shows it.

mod display;
mod log_writer;
mod news;
mod plain;

pub(crate) use display::{Display, Gauge, set_display};
pub(crate) use log_writer::log_writer;
pub(crate) use news::{News, Planned};

use critic_engine::CancelToken;
use std::io::{ErrorKind, Write};
use std::time::Instant;

/// Whether the person has asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Cancel(CancelToken);

impl Cancel {
    /// Listens to Ctrl-C; the second one ends the program at once.
    pub(crate) fn listen() -> Self {
        let cancel = Self(CancelToken::new());
        let asked = cancel.clone();
        if let Err(error) = ctrlc::set_handler(move || asked.ask()) {
            tracing::warn!("Ctrl-C cannot be caught: {error}");
        }
        cancel
    }

    /// Asks to stop; whoever asks twice ends the program at once.
    pub(crate) fn ask(&self) {
        if self.is_set() {
            display::current().abandon();
            std::process::exit(8);
        }
        self.0.cancel();
        say("stopping after the item in flight; press Ctrl-C again to stop at once");
    }

    /// What requests carry to end when the person asks to stop.
    pub(crate) fn token(&self) -> CancelToken {
        self.0.clone()
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// A line for the person, on stderr: stdout is for results.
pub(crate) fn say(line: impl AsRef<str>) {
    display::current().say(line.as_ref());
}

/// A line of results, on stdout. A reader that has seen enough, such as `head`, is no error.
pub(crate) fn answer(line: impl AsRef<str>) {
    display::current().answer(line.as_ref());
}

/// Tells more than lines say to whoever shows more; `news` is made only then.
pub(crate) fn tell(news: impl Fn() -> News) {
    display::current().tell(&news);
}

/// Whether the terminal is free for a bar of one's own.
pub(crate) fn is_plain() -> bool {
    display::current().is_plain()
}

/// Writes to stdout what `answer` was given.
pub(crate) fn write_answer(line: &str) {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            say(format!("error: standard output cannot be written: {error}"));
        }
        _ => {}
    }
}

/// The progress of one stage.
#[derive(Debug)]
pub(crate) struct Meter {
    gauge: Box<dyn Gauge>,
    started: Instant,
}

impl Meter {
    /// A meter that stands at `done` of `total`.
    pub(crate) fn new(name: &str, total: u64, done: u64) -> Self {
        Self { gauge: display::current().gauge(name, total, done), started: Instant::now() }
    }

    /// One item is done.
    pub(crate) fn advance(&mut self, message: impl Into<String>) {
        self.gauge.advance(message.into());
    }

    /// The stage is over.
    pub(crate) fn finish(self) -> f64 {
        self.gauge.finish();
        self.started.elapsed().as_secs_f64()
    }
}

/// Seconds as a person says them.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}
