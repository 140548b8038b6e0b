mod lex;
mod stated;
#[cfg(test)]
mod tests;

use lex::{Token, lex};
use stated::{Reading, Strength, read_statement};

/// The score that a critique states, 1–10. None when it states none or contradicts itself.
///
/// In order of trust: what follows `score`, `rating` or `grade` and a colon; what follows `score` or
/// `rating` in a sentence (`the score is 7`); what the text ends with (`8/10`, `8 out of 10`,
/// `[[8]]`, a number alone on the last line). Scores outside 1–10, on another scale, as a range or
/// with a sign are not read, and one that is marked so makes the whole unreadable: a critique's score
/// is counted as missing rather than guessed.
pub fn parse_score(text: &str) -> Option<f64> {
    let tokens = lex(text);
    let mut marked: Vec<Statement> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        let Some(label) = Label::of(word) else { continue };
        let (strength, reading) = read_statement(&tokens[at + 1..]);
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
    let last = score_at_end(&tokens);
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
fn score_at_end(tokens: &[Token<'_>]) -> Option<f64> {
    let is_end =
        |token: &Token<'_>| matches!(token, Token::Newline | Token::Close | Token::Stop('.' | '!'));
    let n_kept = tokens.len() - tokens.iter().rev().take_while(|token| is_end(token)).count();
    let (kept, ending) = tokens.split_at(n_kept);
    let score = match kept {
        [.., Token::Open('['), Token::Open('['), Token::Number(score)] => {
            matches!(ending, [Token::Close, Token::Close, ..]).then_some(*score)
        }
        [before @ .., Token::Number(score), Token::Slash, ten] if stated::is_ten(ten) => {
            stands_alone(before).then_some(*score)
        }
        [before @ .., Token::Number(score), out, of, ten]
            if out.is_word("out") && of.is_word("of") && stated::is_ten(ten) =>
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
    score.filter(|score| (1.0..=10.0).contains(score))
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
