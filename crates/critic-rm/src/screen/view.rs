//! What the person has chosen to see.

use super::state::{Curve, Pane, State};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Duration;

/// What a key asks of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Stop,
}

/// Chosen by keys, kept from frame to frame.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The pane that was chosen; the one that the work is about if none was.
    pane: Option<Pane>,
    /// The curve that has the whole pane; all of them if none was chosen and there is room.
    pub(super) curve: Option<usize>,
    /// How many critiques back from the newest.
    pub(super) back: usize,
    /// Lines that the text has been scrolled by.
    pub(super) scroll: u16,
    pub(super) is_helping: bool,
    /// What was known when the view was frozen, and when that was.
    pub(super) frozen: Option<(Box<State>, Duration)>,
    /// Whether a stop was asked for.
    pub(super) is_stopping: bool,
}

impl View {
    /// The pane that is shown of this state.
    pub(super) fn pane(&self, state: &State) -> Pane {
        self.pane.unwrap_or(state.about)
    }

    /// Takes a key in; `state` is what is known at the moment.
    pub(super) fn press(&mut self, key: KeyEvent, state: &State, now: Duration) -> Wish {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') => return Wish::Stop,
            KeyCode::Char('c') if is_control => return Wish::Stop,
            KeyCode::Char('?' | 'h') => self.is_helping = !self.is_helping,
            KeyCode::Char('p') => {
                self.frozen = match self.frozen.take() {
                    Some(_) => None,
                    None => Some((Box::new(state.clone()), now)),
                };
            }
            KeyCode::Esc if self.is_helping => self.is_helping = false,
            KeyCode::Esc => {
                (self.pane, self.curve, self.back, self.scroll) = (None, None, 0, 0);
            }
            KeyCode::Tab => self.turn(state, 1),
            KeyCode::BackTab => self.turn(state, Pane::ALL.len() - 1),
            KeyCode::Right => self.step(state, true),
            KeyCode::Left => self.step(state, false),
            KeyCode::Down => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            _ => {}
        }
        Wish::Nothing
    }

    fn turn(&mut self, state: &State, by: usize) {
        let shown = self.pane(state);
        let place = Pane::ALL.iter().position(|&one| one == shown).unwrap_or(0);
        self.pane = Some(Pane::ALL[(place + by) % Pane::ALL.len()]);
        self.scroll = 0;
    }

    fn step(&mut self, state: &State, forward: bool) {
        self.scroll = 0;
        if self.pane(state) == Pane::Critiques {
            self.back = if forward { self.back.saturating_sub(1) } else { self.back + 1 };
            return;
        }
        let n = Curve::ALL.len();
        self.curve = match (self.curve, forward) {
            (None, true) => Some(0),
            (None, false) => Some(n - 1),
            (Some(place), true) => (place + 1 < n).then_some(place + 1),
            (Some(place), false) => place.checked_sub(1),
        };
    }
}
