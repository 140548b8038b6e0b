/// A piece of a critique's text, as far as scores are concerned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    /// Digits, perhaps with a decimal point.
    Number(f64),
    /// Letters, or what looks like a number and is none (`7th`, `8.5.2`, `7,5`).
    Word(&'a str),
    /// `:` or `=`.
    Colon,
    /// `/`.
    Slash,
    /// `-` or a longer dash, with spaces on both sides or not.
    Dash { spaced: bool },
    /// `(`, `[`, `{` or `<`.
    Open(char),
    /// `)`, `]`, `}`, `>` or `</`.
    Close,
    /// `.`, `!`, `?`, `,` or `;`.
    Stop(char),
    /// `%`.
    Percent,
    /// Line break.
    Newline,
    /// Anything else.
    Other,
}

impl Token<'_> {
    pub(super) fn is_word(&self, expected: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(expected))
    }
}

/// Cuts a text into tokens; spaces and emphasis (`*`, `_`, quotes, back ticks) are dropped.
pub(super) fn lex(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut after_space = true;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        let next = rest[length..].chars().next();
        let token = match character {
            '\n' => Some(Token::Newline),
            c if c.is_whitespace() => None,
            '*' | '_' | '`' | '"' | '\'' | '“' | '”' | '‘' | '’' | '\\' => None,
            ':' | '=' | '：' => Some(Token::Colon),
            '<' if next == Some('/') => {
                length += 1;
                Some(Token::Close)
            }
            '/' => Some(Token::Slash),
            '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {
                let spaced = after_space && next.is_none_or(char::is_whitespace);
                Some(Token::Dash { spaced })
            }
            '(' | '[' | '{' | '<' => Some(Token::Open(character)),
            ')' | ']' | '}' | '>' => Some(Token::Close),
            '%' => Some(Token::Percent),
            '.' | '!' | '?' | ',' | ';' => Some(Token::Stop(character)),
            c if c.is_alphanumeric() => {
                length = word_length(rest);
                Some(word(&rest[..length]))
            }
            _ => Some(Token::Other),
        };
        tokens.extend(token);
        after_space = character.is_whitespace();
        rest = &rest[length..];
    }
    tokens
}

/// Length of the word or number at the start of `text`; points and commas between digits belong to it.
fn word_length(text: &str) -> usize {
    let mut length = 0;
    let mut previous = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let is_point =
            matches!(character, '.' | ',') && previous.is_ascii_digit() && next.is_ascii_digit();
        if !is_point && !character.is_alphanumeric() {
            break;
        }
        length += character.len_utf8();
        previous = character;
    }
    length
}

fn word(text: &str) -> Token<'_> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| {
        (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    match text.parse() {
        Ok(value) if digits(whole) && digits(fraction) => Token::Number(value),
        _ => Token::Word(text),
    }
}
