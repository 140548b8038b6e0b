use super::{Display, Gauge, duration, write_answer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a log gets a line.
const LOG_EVERY: Duration = Duration::from_secs(20);

/// Lines on stderr; a bar where that is a terminal.
#[derive(Debug)]
pub(crate) struct Plain;

impl Display for Plain {
    #[expect(clippy::print_stderr, reason = "the binary's one way of talking")]
    fn say(&self, line: &str) {
        eprintln!("{line}");
    }

    fn answer(&self, line: &str) {
        write_answer(line);
    }

    fn log(&self, text: &[u8]) {
        // A log that cannot be written has nobody to tell.
        let _ = std::io::stderr().write_all(text);
    }

    fn gauge(&self, name: &str, total: u64, done: u64) -> Box<dyn Gauge> {
        Box::new(Bar::new(name, total, done))
    }

    fn is_plain(&self) -> bool {
        true
    }
}

/// A bar on a terminal, a line now and then in a log.
#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    name: String,
    total: u64,
    start: u64,
    started: Instant,
    spoken: Instant,
    is_terminal: bool,
}

impl Bar {
    fn new(name: &str, total: u64, done: u64) -> Self {
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
            Plain.say(&format!("{name}: {done}/{total}"));
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
}

impl Gauge for Bar {
    fn advance(&mut self, message: String) {
        self.bar.inc(1);
        if !self.is_terminal && self.spoken.elapsed() >= LOG_EVERY {
            let position = self.bar.position();
            let per_item =
                self.started.elapsed().as_secs_f64() / (position - self.start).max(1) as f64;
            let left = per_item * self.total.saturating_sub(position) as f64;
            Plain.say(&format!(
                "{}: {position}/{}, about {} left  {message}",
                self.name,
                self.total,
                duration(left)
            ));
            self.spoken = Instant::now();
        }
        self.bar.set_message(message);
    }

    fn finish(self: Box<Self>) {
        self.bar.finish_and_clear();
    }
}
