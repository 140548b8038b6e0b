//! What a person sees while the program works: bars on a terminal, lines in a log.

use critic_engine::CancelToken;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Whether the person has asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Cancel(CancelToken);

impl Cancel {
    /// Listens to Ctrl-C; the second one ends the program at once.
    pub(crate) fn listen() -> Self {
        let token = CancelToken::new();
        let seen = token.clone();
        let handler = move || {
            if seen.is_cancelled() {
                std::process::exit(8);
            }
            seen.cancel();
            say("stopping after the item in flight; press Ctrl-C again to stop at once");
        };
        if let Err(error) = ctrlc::set_handler(handler) {
            tracing::warn!("Ctrl-C cannot be caught: {error}");
        }
        Self(token)
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
#[expect(clippy::print_stderr, reason = "the binary's one way of talking")]
pub(crate) fn say(line: impl AsRef<str>) {
    eprintln!("{}", line.as_ref());
}

/// A line of results, on stdout. A reader that has seen enough, such as `head`, is no error.
pub(crate) fn answer(line: impl AsRef<str>) {
    match writeln!(std::io::stdout(), "{}", line.as_ref()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            say(format!("error: standard output cannot be written: {error}"));
        }
        _ => {}
    }
}

/// The progress of one stage.
#[derive(Debug)]
pub(crate) struct Meter {
    bar: ProgressBar,
    name: String,
    total: u64,
    start: u64,
    started: Instant,
    spoken: Instant,
    is_terminal: bool,
}

/// How often a log gets a line.
const LOG_EVERY: Duration = Duration::from_secs(20);

impl Meter {
    /// A meter that stands at `done` of `total`.
    pub(crate) fn new(name: &str, total: u64, done: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(total),
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        );
        let template =
            "{prefix:<28} {bar:32} {pos}/{len}  {elapsed} elapsed, {eta} left  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_prefix(name.to_owned());
        bar.set_position(done);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(500));
        let now = Instant::now();
        if !is_terminal {
            say(format!("{name}: {done}/{total}"));
        }
        Self {
            bar,
            name: name.to_owned(),
            total,
            start: done,
            started: now,
            spoken: now,
            is_terminal,
        }
    }

    /// One item is done.
    pub(crate) fn advance(&mut self, message: impl Into<String>) {
        self.bar.inc(1);
        let message = message.into();
        if !self.is_terminal && self.spoken.elapsed() >= LOG_EVERY {
            let position = self.bar.position();
            let per_item =
                self.started.elapsed().as_secs_f64() / (position - self.start).max(1) as f64;
            let left = per_item * self.total.saturating_sub(position) as f64;
            say(format!(
                "{}: {position}/{}, about {} left  {message}",
                self.name,
                self.total,
                duration(left)
            ));
            self.spoken = Instant::now();
        }
        self.bar.set_message(message);
    }

    /// The stage is over.
    pub(crate) fn finish(self) -> f64 {
        self.bar.finish_and_clear();
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
