//! What is known of the work: everything that the screen shows, and nothing of how.

mod critiques;
mod scores;
mod stages;
mod training;

pub(super) use critiques::Critiques;
pub(super) use scores::ModelScores;
pub(super) use stages::{Stages, Work};
pub(super) use training::{Curve, Training};

use super::harmless::{harmless, one_line};
use crate::progress::News;
use critic_report::FunnelStep;
use std::collections::VecDeque;
use std::time::Duration;

/// Lines that the log keeps.
const LOG_LINES: usize = 500;

/// What comes in from the stages.
#[derive(Debug)]
pub(super) enum Message {
    Said(String),
    Logged(String),
    News(Box<News>),
    Began { name: String, total: u64, done: u64 },
    Advanced(String),
    Ended,
    Close,
}

/// What the work is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Critiques,
    Filter,
    Training,
    Scores,
    Log,
}

impl Pane {
    pub(super) const ALL: [Self; 5] =
        [Self::Critiques, Self::Filter, Self::Training, Self::Scores, Self::Log];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Critiques => "critiques",
            Self::Filter => "filter",
            Self::Training => "training",
            Self::Scores => "scores",
            Self::Log => "log",
        }
    }
}

/// A line of the log.
#[derive(Debug, Clone)]
pub(super) struct LogLine {
    pub(super) text: String,
    pub(super) is_warning: bool,
}

/// Times are since the screen came up.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) folder: String,
    pub(super) model: String,
    pub(super) stages: Stages,
    pub(super) critiques: Critiques,
    pub(super) funnel: Vec<FunnelStep>,
    pub(super) training: Training,
    pub(super) scores: Vec<ModelScores>,
    pub(super) log: VecDeque<LogLine>,
    /// What the newest news were about.
    pub(super) about: Pane,
}

impl State {
    /// Of work in `folder` that has not begun.
    pub(super) fn new(folder: &str) -> Self {
        Self {
            folder: one_line(folder),
            model: String::new(),
            stages: Stages::default(),
            critiques: Critiques::default(),
            funnel: Vec::new(),
            training: Training::default(),
            scores: Vec::new(),
            log: VecDeque::new(),
            about: Pane::Log,
        }
    }

    /// Takes a message in.
    pub(super) fn take(&mut self, message: Message, now: Duration) {
        match message {
            Message::Said(line) => self.add_to_log(&line, false),
            Message::Logged(line) => {
                let is_warning = ["WARN", "ERROR"].iter().any(|level| line.contains(level));
                self.add_to_log(&line, is_warning);
            }
            Message::Began { name, total, done } => {
                self.stages.work = Some(Work::new(one_line(&name), total, done, now));
                self.critiques.is_over = true;
            }
            Message::Advanced(message) => self.stages.advance(one_line(&message)),
            Message::Ended => self.stages.work = None,
            Message::News(news) => self.learn(*news, now),
            Message::Close => {}
        }
    }

    fn learn(&mut self, news: News, now: Duration) {
        match news {
            News::Planned { folder, model, stages } => {
                let log = std::mem::take(&mut self.log);
                *self = Self::new(&folder.display().to_string());
                self.log = log;
                self.model = one_line(&model);
                self.stages = Stages::planned(stages);
            }
            News::Finished(record) => self.stages.finish(record),
            News::Wrote { pair, side, critiques } => {
                let began = self.stages.work.as_ref().map_or(now, |work| work.began);
                self.critiques.add(&pair, side, &critiques, now.saturating_sub(began));
                self.about = Pane::Critiques;
            }
            News::Left(step) => {
                if step.n_critiques.is_none() {
                    self.funnel.clear();
                }
                self.funnel.push(FunnelStep { label: one_line(&step.label), ..step });
                self.about = Pane::Filter;
            }
            News::Stepped { folder, name, n_steps, record } => {
                self.training.step(&folder, &name, n_steps, record);
                self.about = Pane::Training;
            }
            News::Trained { name, records } => {
                self.training = Training::ended(&name, records);
                self.about = Pane::Training;
            }
            News::Scored { model, n_critiques, pair, side, prediction } => {
                let model = one_line(&model);
                let place = self.scores.iter().position(|one| one.name == model);
                let place = place.unwrap_or_else(|| {
                    self.scores.push(ModelScores::new(model, n_critiques));
                    self.scores.len() - 1
                });
                self.scores[place].add(pair, side, &prediction);
                self.about = Pane::Scores;
            }
        }
    }

    fn add_to_log(&mut self, text: &str, is_warning: bool) {
        for line in harmless(text).lines().filter(|line| !line.trim().is_empty()) {
            self.log.push_back(LogLine { text: line.trim().to_owned(), is_warning });
        }
        while self.log.len() > LOG_LINES {
            self.log.pop_front();
        }
    }
}
