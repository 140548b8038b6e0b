//! The terminal while the screen has it, and how it is given back.

use anyhow::{Context, Result};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use std::io::{self, Stderr};
use std::panic;
use std::sync::{Mutex, Once, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// Whether the screen has the terminal; held while a frame is drawn.
static IS_TAKEN: Mutex<bool> = Mutex::new(false);

/// How long giving back waits for a frame that is being drawn.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) type RealTerminal = Terminal<CrosstermBackend<Stderr>>;

/// Takes the terminal that stderr is: another screen, keys as they are pressed. A panic gives it back
/// before it is told.
pub(super) fn take() -> Result<RealTerminal> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            give_back();
            told(panicked);
        }));
    });
    set_taken(true);
    let taken = enable_raw_mode()
        .and_then(|()| execute!(io::stderr(), EnterAlternateScreen))
        .and_then(|()| Terminal::new(CrosstermBackend::new(io::stderr())));
    if taken.is_err() {
        give_back();
    }
    taken.context("the screen cannot be drawn here; leave --tui out")
}

/// Draws while the screen has the terminal; nothing once it was given back.
pub(super) fn draw(draw: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let taken = IS_TAKEN.lock();
    match taken {
        Ok(taken) if *taken => draw(),
        _ => Ok(()),
    }
}

/// Gives the terminal back as it was; does nothing when that has been done.
pub(super) fn give_back() {
    if set_taken(false) {
        // Whoever has closed the terminal does not miss it.
        let _ = execute!(io::stderr(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Sets it and gives what it was. A frame that does not end, because its thread is the one that panics, is
/// not waited for for ever.
fn set_taken(value: bool) -> bool {
    let started = Instant::now();
    loop {
        match IS_TAKEN.try_lock() {
            Ok(mut taken) => return std::mem::replace(&mut *taken, value),
            Err(TryLockError::Poisoned(poisoned)) => {
                return std::mem::replace(&mut *poisoned.into_inner(), value);
            }
            Err(TryLockError::WouldBlock) if started.elapsed() > PATIENCE => return true,
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
        }
    }
}
