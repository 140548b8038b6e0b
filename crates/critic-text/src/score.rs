mod lex;
mod named;
mod stated;
#[cfg(test)]
mod tests;

use crate::scale::{Kind, ScoreScale};
use lex::{Token, lex};
use named::stated_label;
use stated::{Numbers, Reading, Strength, read_statement};

impl ScoreScale {
    /// The score that a critique states, in this scale's points. None when it states none that can be read,
    /// or contradicts itself: it is counted as missing rather than guessed.
    ///
    /// Numbers are read as models write them: `Score: 8`, `**8/10**`, `[[8]]`, `the score is 8`, a number
    /// alone on the last line; those of another scale, ranges and signed ones are not. A label is read after
    /// `score`, `rating` or `grade`, in brackets, or alone on the last line, in upper or lower case.
    pub fn parse(&self, text: &str) -> Option<f64> {
        let tokens = lex(text);
        match self.kind() {
            Kind::Numbers { low, high } => {
                stated_number(&tokens, Numbers { low: f64::from(*low), high: f64::from(*high) })
            }
            Kind::YesNo | Kind::Levels(_) => stated_label(&tokens, &self.scores()),
        }
    }
}

/// The score that a critique states on a scale of whole numbers. None when it states none or contradicts
/// itself.
///
/// In order of trust: what follows `score`, `rating` or `grade` and a colon; what follows `score` or
/// `rating` in a sentence (`the score is 7`); what the text ends with (`8/10`, `8 out of 10`,
/// `[[8]]`, a number alone on the last line). Scores outside the scale, on another scale, as a range or
/// with a sign are not read, and one that is marked so makes the whole unreadable: a critique's score
/// is counted as missing rather than guessed.
fn stated_number(tokens: &[Token<'_>], scale: Numbers) -> Option<f64> {
    let mut marked: Vec<Statement> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        let Some(label) = Label::of(word) else { continue };
        let (strength, reading) = read_statement(&tokens[at + 1..], scale);
        if reading == Reading::Nothing || (label == Label::Grade && strength == Strength::Sentence)
        {
            continue;
        }
        let is_overall = at.checked_sub(1).is_some_and(|before| {
            ["overall", "final"].iter().any(|word| tokens[before].is_word(word))
        });
        marked.push(Statement { strength, reading, is_overall });
    }
    let strongest = marked.iter().map(|statement| statement.strength).max();
    marked.retain(|statement| Some(statement.strength) == strongest);
    if marked.iter().any(|statement| statement.is_overall) {
        marked.retain(|statement| statement.is_overall);
    }
    let last = score_at_end(tokens, scale);
    let Some(first) = marked.first() else { return last };
    let Reading::Score(score) = first.reading else { return None };
    let agrees = marked.iter().all(|statement| statement.reading == first.reading)
        && last.is_none_or(|last| last == score);
    agrees.then_some(score)
}

struct Statement {
    strength: Strength,
    reading: Reading,
    is_overall: bool,
}

/// Words that announce a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Score,
    /// Only before a colon: `grade 7` is a class at school.
    Grade,
}

impl Label {
    fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "score" | "rating" => Some(Label::Score),
            "grade" => Some(Label::Grade),
            _ => None,
        }
    }
}

/// A score that stands unmarked at the end of the text.
fn score_at_end(tokens: &[Token<'_>], scale: Numbers) -> Option<f64> {
    let is_end =
        |token: &Token<'_>| matches!(token, Token::Newline | Token::Close | Token::Stop('.' | '!'));
    let n_kept = tokens.len() - tokens.iter().rev().take_while(|token| is_end(token)).count();
    let (kept, ending) = tokens.split_at(n_kept);
    let score = match kept {
        [.., Token::Open('['), Token::Open('['), Token::Number(score)] => {
            matches!(ending, [Token::Close, Token::Close, ..]).then_some(*score)
        }
        [before @ .., Token::Number(score), Token::Slash, top] if scale.is_top(top) => {
            stands_alone(before).then_some(*score)
        }
        [before @ .., Token::Number(score), out, of, top]
            if out.is_word("out") && of.is_word("of") && scale.is_top(top) =>
        {
            stands_alone(before).then_some(*score)
        }
        [before @ .., Token::Number(score)] => {
            let line = before.iter().rev().take_while(|token| **token != Token::Newline);
            let n_line = line.clone().count();
            let is_alone =
                line.clone().all(|token| matches!(token, Token::Open(_)) || token.is_word("boxed"));
            let is_list_mark = n_line < before.len() && ending.contains(&Token::Stop('.'));
            (is_alone && !is_list_mark).then_some(*score)
        }
        _ => None,
    };
    score.filter(|score| scale.holds(*score))
}

/// Whether the number after these tokens is neither the end of a range, nor negative, nor a part of
/// a fraction.
fn stands_alone(before: &[Token<'_>]) -> bool {
    match before {
        [.., Token::Slash | Token::Number(_) | Token::Dash { spaced: false }] => false,
        [.., Token::Number(_), Token::Dash { .. }] => false,
        [.., Token::Number(_), word] => !["to", "or", "and"].iter().any(|w| word.is_word(w)),
        _ => true,
    }
}
