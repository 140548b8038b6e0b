//! What follows an ended answer: the closing token with its reward, the tails with their choices.

use crate::answer::AnswerText;
use crate::batch::{Batch, LogitUse, RewardUse, clip};
use crate::job::{Tail, Written};
use critic_forest::{Forest, NodeId};
use critic_text::{TextError, Tokenizer};
use std::ops::Range;

/// Sequences that begin after the same tokens of an answer.
#[derive(Debug)]
struct Branch {
    /// How many tokens stand before them, the prompt's included.
    start: usize,
    /// Their tokens, each distinct beginning once.
    forest: Forest,
    logits: Vec<(NodeId, usize, LogitUse)>,
    reward: Option<(NodeId, usize, RewardUse)>,
}

impl Branch {
    fn new(start: usize) -> Self {
        Self { start, forest: Forest::new(usize::MAX), logits: Vec::new(), reward: None }
    }

    /// Adds a lead and its choices; what they are for is asked by (choice, token).
    fn read(&mut self, lead: &[u32], choices: &[Vec<u32>], use_: impl Fn(usize, u32) -> LogitUse) {
        for (choice_idx, choice) in choices.iter().enumerate() {
            let tokens = [lead, &choice[..choice.len() - 1]].concat();
            let node = self.insert(&tokens);
            for (offset, &token) in choice.iter().enumerate() {
                self.logits.push((node, lead.len() - 1 + offset, use_(choice_idx, token)));
            }
        }
    }

    fn insert(&mut self, tokens: &[u32]) -> NodeId {
        let inserted = self.forest.insert(None, tokens, 0);
        inserted.expect("leads and closings have tokens, and rows here have no limit").node
    }
}

/// Everything that follows one answer.
#[derive(Debug)]
pub(crate) struct End {
    branches: Vec<Branch>,
}

/// An ended answer.
#[derive(Debug)]
pub(crate) struct EndedAnswer<'a> {
    pub(crate) job: usize,
    pub(crate) leaf: usize,
    pub(crate) prompt: &'a [u32],
    /// Its tokens, without those that a stop string has taken.
    pub(crate) tokens: &'a [u32],
    /// What a stop string has left of a token.
    pub(crate) rest: Vec<u32>,
    pub(crate) text: &'a AnswerText,
    /// The token that closes it, when it is closed.
    pub(crate) closing: Option<u32>,
    pub(crate) read_reward: bool,
}

impl End {
    /// Lays out what follows `answer`.
    pub(crate) fn new(
        answer: &EndedAnswer<'_>,
        tails: &[Tail],
        tokenizer: &Tokenizer,
    ) -> Result<Self, TextError> {
        let &EndedAnswer { job, leaf, prompt, tokens, ref rest, .. } = answer;
        let mut after = Branch::new(prompt.len() + tokens.len());
        let closed = [&rest[..], answer.closing.as_slice()].concat();
        if !closed.is_empty() {
            let node = after.insert(&closed);
            if answer.read_reward {
                after.reward = Some((node, closed.len() - 1, RewardUse::Leaf { job, leaf }));
            }
        }
        let mut branches = Vec::new();
        for (tail_idx, tail) in tails.iter().enumerate() {
            let use_ =
                |choice, token| LogitUse::Choice { job, leaf, tail: tail_idx, choice, token };
            let place = match &tail.written {
                Some(written) => written.place(answer, tokenizer)?,
                None => None,
            };
            if let Some(Place { start, lead, choices }) = place {
                let mut branch = Branch::new(start);
                branch.read(&[lead], &choices, use_);
                branches.push(branch);
            } else {
                let before = if tail.after_close { &closed } else { rest };
                after.read(&[&before[..], &tail.lead].concat(), &tail.choices, use_);
            }
        }
        branches.push(after);
        Ok(Self { branches })
    }

    /// Rows that it takes.
    pub(crate) fn n_rows(&self) -> usize {
        self.branches.iter().map(|branch| branch.forest.n_rows()).sum()
    }

    /// Adds it to a batch: the answer lies in the rows `path`, and what follows it goes to the rows from
    /// `first_row` on.
    pub(crate) fn add(&self, batch: &mut Batch, path: &[Range<usize>], first_row: usize) {
        let mut first_row = first_row;
        for branch in &self.branches {
            let mut index_of_row = vec![usize::MAX; branch.forest.n_rows()];
            let above = clip(path, branch.start);
            for node in branch.forest.nodes_by_row() {
                let below = branch.forest.path_rows(node);
                let mut whole = above.clone();
                whole.extend(below.iter().map(|run| first_row + run.start..first_row + run.end));
                let tokens = branch.forest.tokens(node);
                let start = branch.start + branch.forest.depth(node);
                let first = batch.add(&whole, start..start + tokens.len(), tokens);
                for (offset, row) in branch.forest.rows(node).enumerate() {
                    index_of_row[row] = first + offset;
                }
            }
            let index = |node: NodeId, position: usize| {
                let row = branch.forest.row_at(node, position);
                index_of_row[row.expect("a position of a sequence that was inserted")]
            };
            let logits = branch.logits.iter();
            batch.logits.extend(logits.map(|&(node, at, use_)| (index(node, at), use_)));
            batch.rewards.extend(branch.reward.map(|(node, at, use_)| (index(node, at), use_)));
            first_row += branch.forest.n_rows();
        }
    }
}

/// Where an answer itself makes a choice.
struct Place {
    /// Tokens before the one after which the choices are read, the prompt's included.
    start: usize,
    /// That token.
    lead: u32,
    choices: Vec<Vec<u32>>,
}

impl Written {
    /// Where the answer makes a choice.
    fn place(
        &self,
        answer: &EndedAnswer<'_>,
        tokenizer: &Tokenizer,
    ) -> Result<Option<Place>, TextError> {
        let text = answer.text.text();
        let Some(at) = self.find(text) else { return Ok(None) };
        let (n_before, end) = answer.text.tokens_before(at);
        let Some(start) = (answer.prompt.len() + n_before).checked_sub(1) else { return Ok(None) };
        let lead = match n_before.checked_sub(1) {
            Some(last) => answer.tokens.get(last).copied(),
            None => answer.prompt.last().copied(),
        };
        let Some(lead) = lead else { return Ok(None) };
        // What stands in the same token before the choice belongs to the choice: " 7".
        let choices = self.choices.iter();
        let choices =
            choices.map(|choice| tokenizer.encode(&format!("{}{choice}", &text[end..at])));
        Ok(Some(Place { start, lead, choices: choices.collect::<Result<_, _>>()? }))
    }

    /// The byte at which a choice stands after the last marker that has one.
    fn find(&self, text: &str) -> Option<usize> {
        text.rmatch_indices(&self.marker).find_map(|(at, marker)| {
            let behind = &text[at + marker.len()..];
            let choice = behind.trim_start_matches(|c: char| c.is_whitespace() || c == '*');
            self.choices.iter().any(|c| is_said(choice, c)).then_some(text.len() - choice.len())
        })
    }
}

/// Whether `text` begins with `choice`, and not with a longer word or number.
fn is_said(text: &str, choice: &str) -> bool {
    let Some(behind) = text.strip_prefix(choice) else { return false };
    let mut after = behind.chars();
    match after.next() {
        Some('.' | ',') => !after.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => !c.is_alphanumeric(),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stated_choice_is_found() {
        let choices: Vec<String> = (1..=10).map(|i| i.to_string()).collect();
        let written = Written { marker: "Score:".to_owned(), choices };
        let at = |text: &str| written.find(text).map(|at| text[at..].to_owned());
        assert_eq!(at("Good.\nScore: 7"), Some("7".to_owned()));
        assert_eq!(at("Score: 3 or rather Score: **10**."), Some("10**.".to_owned()));
        assert_eq!(at("Score: 8/10"), Some("8/10".to_owned()));
        assert_eq!(at("Score: 8. Score: none"), Some("8. Score: none".to_owned()));
        for text in ["Score: 100", "Score: 7.5", "Score: high", "7", ""] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
