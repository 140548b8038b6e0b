use super::lex::Token;

/// A scale of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Numbers {
    pub(super) fn holds(self, score: f64) -> bool {
        (self.low..=self.high).contains(&score)
    }

    /// The end of the scale, `10` or `ten`.
    pub(super) fn is_top(self, token: &Token<'_>) -> bool {
        let word = match self.high {
            3.0 => "three",
            4.0 => "four",
            5.0 => "five",
            6.0 => "six",
            7.0 => "seven",
            10.0 => "ten",
            100.0 => "hundred",
            _ => return *token == Token::Number(self.high),
        };
        *token == Token::Number(self.high) || token.is_word(word)
    }
}

/// How a score is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// `the score is 7`.
    Sentence,
    /// `Score: 7`.
    Colon,
}

/// What stands behind a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reading {
    /// No number, or the scale (`from 1 to 10`).
    Nothing,
    /// A number that is no score of the scale.
    Bad,
    /// A score of the scale.
    Score(f64),
}

/// Words that may stand between a label and its number.
const FILLERS: [&str; 21] = [
    "is", "was", "be", "would", "will", "should", "of", "a", "an", "the", "at", "as", "on",
    "scale", "from", "between", "for", "this", "it", "answer", "response",
];

/// Reads the tokens behind a label.
pub(super) fn read_statement(tokens: &[Token<'_>], scale: Numbers) -> (Strength, Reading) {
    let mut strength = Strength::Sentence;
    let mut n_fillers = 0;
    let mut at = 0;
    loop {
        let rest = &tokens[at..];
        let colon = strength == Strength::Colon;
        match rest {
            [Token::Colon, ..] => strength = Strength::Colon,
            [Token::Open(_) | Token::Close, ..] => {}
            [Token::Newline, ..] if colon => {}
            [Token::Dash { .. }, Token::Number(_), ..] if colon => return (strength, Reading::Bad),
            [Token::Dash { spaced: true }, Token::Number(_), ..] => strength = Strength::Colon,
            [Token::Dash { .. }, Token::Number(_), ..] => return (strength, Reading::Bad),
            [Token::Slash, top, ..] if !colon && scale.is_top(top) => at += 1,
            [out, of, top, ..]
                if !colon && out.is_word("out") && of.is_word("of") && scale.is_top(top) =>
            {
                at += 2;
            }
            [Token::Number(from), Token::Dash { .. } | Token::Word(_), Token::Number(to), ..]
                if is_range(&rest[1]) =>
            {
                let is_scale = (*from == 0.0 || *from == scale.low) && *to == scale.high;
                if !is_scale {
                    return (strength, Reading::Bad);
                }
                at += 2;
                if !matches!(rest[3..], [Token::Colon, ..] | [Token::Close, Token::Colon, ..]) {
                    return (strength, Reading::Nothing);
                }
            }
            [Token::Number(score), after @ ..] => {
                let is_plain = colon || n_fillers > 0;
                return (strength, read_number(*score, after, is_plain, scale));
            }
            [word, ..] if n_fillers < 6 && FILLERS.iter().any(|f| word.is_word(f)) => {
                n_fillers += 1;
            }
            _ => return (strength, Reading::Nothing),
        }
        at += 1;
    }
}

/// The number with what stands behind it: a scale, a range, a word. Without colon and filler (`score
/// 7`) only the end of a phrase may follow.
fn read_number(score: f64, after: &[Token<'_>], is_plain: bool, scale: Numbers) -> Reading {
    let behind = match after {
        [Token::Slash, top, behind @ ..] if scale.is_top(top) => behind,
        [out, of, top, behind @ ..]
            if out.is_word("out") && of.is_word("of") && scale.is_top(top) =>
        {
            behind
        }
        [of, top, behind @ ..] if of.is_word("of") && scale.is_top(top) => behind,
        [Token::Slash | Token::Percent | Token::Number(_), ..] => return Reading::Bad,
        [word, ..] if word.is_word("out") || word.is_word("of") || word.is_word("percent") => {
            return Reading::Bad;
        }
        [Token::Word(_), ..] if !is_plain => return Reading::Nothing,
        _ => after,
    };
    let goes_on = match behind {
        [Token::Slash, ..] => true,
        [joint, Token::Number(_), ..] => is_range(joint),
        _ => false,
    };
    if goes_on || !scale.holds(score) { Reading::Bad } else { Reading::Score(score) }
}

/// A dash or a word between two numbers that makes them a range or a choice.
fn is_range(token: &Token<'_>) -> bool {
    matches!(token, Token::Dash { .. })
        || ["to", "or", "and"].iter().any(|word| token.is_word(word))
}
