use super::Label;
use super::lex::Token;

/// The score that a critique states by its label, one of `scores`. None when it states none, or several
/// that differ.
///
/// Read are: a label behind `score`, `rating` or `grade` and a colon; behind `score` or `rating` and a verb
/// (`the score is good`); in brackets at the end; alone on the last line. A list of labels, as in the
/// request itself, states nothing.
pub(super) fn stated_label(tokens: &[Token<'_>], scores: &[(String, f64)]) -> Option<f64> {
    let mut stated = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        let Some(label) = Label::of(word) else { continue };
        if let Some(score) = behind(&tokens[at + 1..], label, scores) {
            stated.push(score);
        }
    }
    stated.extend(at_end(tokens, scores));
    let first = *stated.first()?;
    stated.iter().all(|score| *score == first).then_some(first)
}

/// The label that stands behind the word `score`.
fn behind(tokens: &[Token<'_>], label: Label, scores: &[(String, f64)]) -> Option<f64> {
    let mut is_marked = false;
    let mut at = 0;
    loop {
        match tokens.get(at)? {
            Token::Colon => is_marked = true,
            Token::Dash { spaced: true } => is_marked = true,
            Token::Open(_) | Token::Close => {}
            Token::Newline if is_marked => {}
            Token::Word(verb) if label == Label::Score && ["is", "was"].contains(verb) => {
                is_marked = true;
            }
            _ => break,
        }
        at += 1;
    }
    let (n_words, score) = longest(&tokens[at..], scores)?;
    let lists = match &tokens[at + n_words..] {
        [Token::Slash, ..] => true,
        [Token::Stop(','), rest @ ..] => longest(rest, scores).is_some(),
        [joint, ..] => ["or", "to", "and"].iter().any(|word| joint.is_word(word)),
        [] => false,
    };
    (is_marked && !lists).then_some(score)
}

/// The label at the start, the one of most words where several fit.
fn longest(tokens: &[Token<'_>], scores: &[(String, f64)]) -> Option<(usize, f64)> {
    let fits = |(label, score): &(String, f64)| {
        let words: Vec<&str> = label.split(' ').collect();
        let is_there = tokens.len() >= words.len()
            && words.iter().zip(tokens).all(|(word, token)| match token {
                Token::Word(found) => found.to_lowercase() == word.to_lowercase(),
                _ => false,
            });
        is_there.then_some((words.len(), *score))
    };
    scores.iter().filter_map(fits).max_by_key(|(n_words, _)| *n_words)
}

/// A label alone on the last line, perhaps in brackets, or in double brackets behind other words.
fn at_end(tokens: &[Token<'_>], scores: &[(String, f64)]) -> Option<f64> {
    let is_end =
        |token: &Token<'_>| matches!(token, Token::Newline | Token::Close | Token::Stop('.' | '!'));
    let n_kept = tokens.len() - tokens.iter().rev().take_while(|token| is_end(token)).count();
    let kept = &tokens[..n_kept];
    let is_word = |token: &Token<'_>| matches!(token, Token::Word(_));
    let n_words = kept.iter().rev().take_while(|token| is_word(token)).count();
    let (before, last) = kept.split_at(n_kept - n_words);
    let stands_alone = match before {
        [.., Token::Open('['), Token::Open('[')] => true,
        [line @ .., Token::Open(_)] => starts_line(line),
        line => starts_line(line),
    };
    let (n_words, score) = longest(last, scores)?;
    (stands_alone && n_words == last.len()).then_some(score)
}

fn starts_line(before: &[Token<'_>]) -> bool {
    matches!(before, [] | [.., Token::Newline])
}
