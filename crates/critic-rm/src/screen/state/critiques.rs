use super::super::harmless::harmless;
use critic_types::{Candidate, FinishReason, PreferencePair, Side};
use std::time::Duration;

/// Characters of a text that are kept for the screen.
const MOST: usize = 20_000;

/// A response with its newest critiques.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) pair: String,
    pub(crate) side: Side,
    pub(crate) prompt: String,
    pub(crate) response: String,
    pub(crate) critiques: Vec<Shown>,
}

/// A critique as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) scores: String,
    pub(crate) is_cut: bool,
}

/// The critiques that this sitting wrote in its newest stage.
#[derive(Debug, Clone, Default)]
pub(crate) struct Critiques {
    pub(crate) n: usize,
    /// With a readable score.
    pub(crate) n_parsed: usize,
    /// Cut at the most tokens.
    pub(crate) n_cut: usize,
    n_tokens: usize,
    seconds: f64,
    pub(crate) newest: Option<Written>,
    /// Whether another stage has begun: what comes next begins anew.
    pub(crate) is_over: bool,
}

impl Critiques {
    /// Adds a response's critiques, which came `spent` after the stage had begun.
    pub(crate) fn add(
        &mut self,
        pair: &PreferencePair,
        side: Side,
        critiques: &[Candidate],
        spent: Duration,
    ) {
        if self.is_over {
            *self = Self::default();
        }
        self.n += critiques.len();
        let is_parsed = |one: &&Candidate| one.scores.parsed.is_some();
        self.n_parsed += critiques.iter().filter(is_parsed).count();
        self.n_cut += critiques.iter().filter(|one| is_cut(one)).count();
        self.n_tokens += critiques.iter().map(|one| one.n_tokens).sum::<usize>();
        self.seconds = spent.as_secs_f64();
        self.newest = Some(Written {
            pair: shortened(&pair.id),
            side,
            prompt: shortened(pair.prompt.last_user_text()),
            response: shortened(pair.response(side)),
            critiques: critiques.iter().map(shown).collect(),
        });
    }

    pub(crate) fn tokens_per_second(&self) -> f64 {
        self.n_tokens as f64 / self.seconds.max(1e-9)
    }
}

fn is_cut(critique: &Candidate) -> bool {
    critique.finish_reason == FinishReason::Length
}

fn shown(critique: &Candidate) -> Shown {
    let scores = &critique.scores;
    let mut words = vec![match scores.parsed {
        Some(score) => format!("score {score}"),
        None => "no readable score".to_owned(),
    }];
    words.extend(scores.expected.map(|score| format!("expected {score:.1}")));
    words.extend(scores.verdict.map(|log_odds| format!("verdict {log_odds:+.2}")));
    Shown { text: shortened(&critique.text), scores: words.join(" · "), is_cut: is_cut(critique) }
}

fn shortened(text: &str) -> String {
    let end = text.char_indices().nth(MOST).map_or(text.len(), |(end, _)| end);
    harmless(text[..end].trim())
}
