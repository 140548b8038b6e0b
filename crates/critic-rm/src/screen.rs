//! The whole terminal as a view of the work (`--tui`). Stages tell it what they do by messages, and a
//! thread of its own draws them, so that no stage waits for the terminal.

mod draw;
mod harmless;
mod palette;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use crate::progress::{Cancel, Display, Gauge, News, answer, say, set_display};
use anyhow::Result;
use draw::Scene;
use harmless::{harmless, without_colors};
use palette::Palette;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use state::{Message, State};
use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use terminal::RealTerminal;
use view::{View, Wish};

/// Eight frames a second at most.
const FRAME: Duration = Duration::from_millis(125);

/// Lines that are said again when the screen is left.
const MOST_LINES: usize = 2_000;

/// The screen while it is up; dropping it gives the terminal back and says there what was said meanwhile.
#[derive(Debug)]
pub(crate) struct Screen {
    shown: Arc<Shown>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Shows the work in `folder` on the whole terminal if that is `wanted` and stderr is one; keys ask
    /// `cancel` to stop.
    pub(crate) fn open(wanted: bool, folder: &str, cancel: &Cancel) -> Result<Option<Self>> {
        if !wanted {
            return Ok(None);
        }
        if !io::stderr().is_terminal() || std::env::var_os("TERM").is_some_and(|t| t == "dumb") {
            say("note: --tui needs a terminal at standard error; here are plain lines");
            return Ok(None);
        }
        let (sender, receiver) = mpsc::channel();
        let terminal = terminal::take()?;
        let (cancel, state) = (cancel.clone(), State::new(folder));
        let thread = thread::Builder::new().name("screen".to_owned()).spawn(move || {
            if show(terminal, &receiver, &cancel, state).is_err() {
                terminal::give_back();
            }
        });
        let thread = thread.inspect_err(|_| terminal::give_back())?;
        let holds_answers = io::stdout().is_terminal();
        let shown = Arc::new(Shown { sender, kept: Mutex::default(), holds_answers });
        set_display(Some(shown.clone()));
        Ok(Some(Self { shown, thread: Some(thread) }))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shown.send(Message::Close);
        if let Some(thread) = self.thread.take() {
            // If it panicked, the terminal was given back and the panic told.
            let _ = thread.join();
        }
        terminal::give_back();
        set_display(None);
        let kept = std::mem::take(&mut *self.shown.kept());
        kept.said.iter().for_each(say);
        kept.answers.iter().for_each(answer);
    }
}

/// Draws what comes in until it is told to close.
fn show(
    mut terminal: RealTerminal,
    messages: &Receiver<Message>,
    cancel: &Cancel,
    mut state: State,
) -> io::Result<()> {
    let started = Instant::now();
    let palette = Palette::of_environment();
    let mut view = View::default();
    let (mut is_new, mut second) = (true, 0);
    loop {
        let end_of_frame = Instant::now() + FRAME;
        loop {
            match messages.try_recv() {
                Ok(Message::Close) | Err(TryRecvError::Disconnected) => return Ok(()),
                Ok(message) => state.take(message, started.elapsed()),
                Err(TryRecvError::Empty) => break,
            }
            is_new = true;
        }
        let now = started.elapsed();
        is_new |= now.as_secs() != second || cancel.is_set() != view.is_stopping;
        view.is_stopping = cancel.is_set();
        if is_new {
            let (state, now) = view.frozen.as_ref().map_or((&state, now), |(seen, at)| (seen, *at));
            let scene = Scene { state, view: &view, palette, now };
            terminal::draw(|| terminal.draw(|frame| draw::frame(frame, scene)).map(drop))?;
        }
        (is_new, second) = (false, now.as_secs());
        while let Some(left) = end_of_frame.checked_duration_since(Instant::now()) {
            // Without keys, such as when the terminal is gone, there is still the work.
            match event::poll(left) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => {
                    thread::sleep(left);
                    break;
                }
            }
            match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if view.press(key, &state, started.elapsed()) == Wish::Stop {
                        cancel.ask();
                    }
                    is_new = true;
                }
                Ok(Event::Resize(..)) => is_new = true,
                _ => {}
            }
        }
    }
}

/// What was said while the screen was up.
#[derive(Debug, Default)]
struct Kept {
    said: VecDeque<String>,
    answers: Vec<String>,
}

/// The display that stages tell; it only passes on.
#[derive(Debug)]
struct Shown {
    sender: Sender<Message>,
    kept: Mutex<Kept>,
    /// Whether results would go where the screen is.
    holds_answers: bool,
}

impl Shown {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends and keeps nothing back; when nobody draws any more, there is nobody to tell.
    fn send(&self, message: Message) {
        let _ = self.sender.send(message);
    }

    fn keep(&self, line: String) {
        let said = &mut self.kept().said;
        said.push_back(line);
        if said.len() > MOST_LINES {
            said.pop_front();
        }
    }
}

impl Display for Shown {
    fn say(&self, line: &str) {
        self.keep(harmless(line));
        self.send(Message::Said(line.to_owned()));
    }

    fn answer(&self, line: &str) {
        if self.holds_answers {
            self.kept().answers.push(harmless(line));
        } else {
            crate::progress::write_answer(line);
        }
    }

    fn log(&self, text: &[u8]) {
        let text = without_colors(&String::from_utf8_lossy(text));
        self.keep(harmless(text.trim_end()));
        self.send(Message::Logged(text));
    }

    fn gauge(&self, name: &str, total: u64, done: u64) -> Box<dyn Gauge> {
        self.send(Message::Began { name: name.to_owned(), total, done });
        Box::new(Counted(self.sender.clone()))
    }

    fn tell(&self, news: &dyn Fn() -> News) {
        self.send(Message::News(Box::new(news())));
    }

    fn abandon(&self) {
        terminal::give_back();
    }
}

/// A stage that counts.
#[derive(Debug)]
struct Counted(Sender<Message>);

impl Gauge for Counted {
    fn advance(&mut self, message: String) {
        let _ = self.0.send(Message::Advanced(message));
    }

    fn finish(self: Box<Self>) {
        let _ = self.0.send(Message::Ended);
    }
}
