//! Final answers: found in a response, compared with a gold one.

use super::expression::{evaluate, evaluate_at, plain};

/// What a gold answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// A number, with or without units.
    Number,
    /// A formula, equal whatever its form.
    Expression,
    /// A letter of a multiple choice.
    Choice,
}

/// The answer to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldAnswer {
    /// What it is.
    pub kind: AnswerKind,
    /// As written, without the solution.
    pub text: String,
}

/// What a response is worth against a gold answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grade {
    /// It reaches the gold answer.
    Right,
    /// It reaches another.
    Wrong,
    /// No answer can be found in it, or the one found cannot be compared. Neither right nor wrong.
    Unreadable,
}

impl GoldAnswer {
    /// The answer of a gold solution: what stands behind `####` or in `\boxed{}`, or the whole text; its
    /// kind by its form.
    pub fn of(solution: &str) -> Self {
        let text = marked(solution).unwrap_or(solution).trim().trim_end_matches('.').to_owned();
        let kind = if letter(&text).is_some() {
            AnswerKind::Choice
        } else if number(&text).is_some() {
            AnswerKind::Number
        } else {
            AnswerKind::Expression
        };
        Self { kind, text }
    }

    /// Grades a response.
    pub fn grade(&self, response: &str) -> Grade {
        let found = final_answer(response);
        let same = match self.kind {
            AnswerKind::Choice => {
                let read = match found {
                    Some(found) => letter(found).or_else(|| bracketed_letter(found)),
                    None => letter(response).or_else(|| bracketed_letter(response)),
                };
                read.map(|read| Some(read) == letter(&self.text))
            }
            AnswerKind::Number => {
                let read = match found {
                    Some(found) => number(found).or_else(|| last_number(found)),
                    None => last_number(response),
                };
                read.zip(number(&self.text)).map(|(read, gold)| close(read, gold))
            }
            AnswerKind::Expression => found.and_then(|found| same_formula(found, &self.text)),
        };
        match same {
            Some(true) => Grade::Right,
            Some(false) => Grade::Wrong,
            None => Grade::Unreadable,
        }
    }
}

/// What a response marks as its answer: the last `\boxed{…}`, what stands behind the last `####`, behind
/// the last `answer is` or `answer:`, or on a last line that begins with `A:`.
pub fn final_answer(response: &str) -> Option<&str> {
    if let Some(marked) = marked(response) {
        return Some(marked);
    }
    let lower = response.to_ascii_lowercase();
    let phrases = ["answer is", "answer:", "answer is:"];
    let said = phrases.iter().filter_map(|phrase| Some(lower.rfind(phrase)? + phrase.len())).max();
    let said = said.map(|at| first_line(&response[at..]));
    let short = || response.trim_end().lines().last()?.trim().strip_prefix("A:").map(str::trim);
    said.or_else(short)
        .map(|text| text.trim_matches([':', '*', ' ']))
        .filter(|text| !text.is_empty())
}

fn marked(text: &str) -> Option<&str> {
    if let Some(at) = text.rfind("\\boxed{") {
        let inner = &text[at + 7..];
        let mut depth = 1;
        for (end, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(&inner[..end]);
            }
        }
    }
    text.rsplit_once("####")
        .map(|(_, answer)| first_line(answer))
        .filter(|answer| !answer.is_empty())
}

fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or_default().trim()
}

/// A single letter A–J, with or without parentheses, before a text or alone.
fn letter(text: &str) -> Option<char> {
    let bare = text.trim().trim_start_matches(['(', '*', '[']);
    let mut chars = bare.chars();
    let letter = chars.next().filter(|c| ('A'..='J').contains(c))?;
    let ends = chars.next().is_none_or(|next| ")].:,*".contains(next));
    ends.then_some(letter)
}

/// The last `(B)` of a text.
fn bracketed_letter(text: &str) -> Option<char> {
    let chars: Vec<char> = text.chars().collect();
    let found =
        chars.windows(3).rev().find(|w| w[0] == '(' && w[2] == ')' && ('A'..='J').contains(&w[1]));
    found.map(|window| window[1])
}

/// A text that is one number or arithmetic, with currency, percent sign or a unit behind it.
fn number(text: &str) -> Option<f64> {
    let bare = text.trim().trim_end_matches('.').trim_start_matches(['$', '€', '£', '=']);
    evaluate(bare.trim_end_matches('%')).or_else(|| {
        let (first, unit) = bare.split_once(char::is_whitespace)?;
        let is_unit =
            unit.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || ".°²³".contains(c));
        is_unit.then(|| evaluate(first.trim_end_matches('%')))?
    })
}

fn last_number(text: &str) -> Option<f64> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '/');
    text.split(|c| !is_part(c))
        .map(|word| word.trim_matches(['.', ',', '/']).trim_end_matches('-'))
        .rev()
        .find_map(evaluate)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0)
}

/// Whether two formulas agree at several points; `None` when one of them cannot be read and they are
/// written differently.
fn same_formula(found: &str, gold: &str) -> Option<bool> {
    let side = |text: &str| {
        let text = text.trim().trim_end_matches('.').to_lowercase();
        plain(text.rsplit_once('=').map_or(text.as_str(), |(_, right)| right))
    };
    let is_formula = !has_words(found) && !has_words(gold);
    let (found, gold) = (side(found), side(gold));
    if found == gold {
        return Some(true);
    }
    if !is_formula {
        return None;
    }
    const POINTS: [f64; 4] = [0.37, 1.71, 2.93, 5.19];
    let mut compared = 0;
    for point in POINTS {
        let value = |c: char| Some(point + 0.1 * f64::from(u32::from(c) % 26));
        let (Some(a), Some(b)) = (evaluate_at(&found, &value), evaluate_at(&gold, &value)) else {
            continue;
        };
        compared += 1;
        if !close(a, b) {
            return Some(false);
        }
    }
    (compared > 0).then_some(true)
}

/// Whether a text has words, which a formula reader would take for products of letters.
fn has_words(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_alphabetic()) {
        let is_command = rest[..at].ends_with('\\');
        let word = &rest[at..];
        let end = word.find(|c: char| !c.is_alphabetic()).unwrap_or(word.len());
        if !is_command && word[..end].chars().count() > 2 {
            return true;
        }
        rest = &word[end..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grade(gold: &str, response: &str) -> Grade {
        GoldAnswer::of(gold).grade(response)
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for right in [
            "so\n#### 1,250",
            "the answer is $1250.",
            "\\boxed{1250}",
            "A: 1250",
            "5 * 250 = 1250.0 dollars",
            "The answer is 1250 dollars",
            "**Answer:** 2500/2",
            "answer: 1.25e0 no\n#### 1250",
        ] {
            assert_eq!(grade("Steps.\n#### 1250", right), Grade::Right, "{right}");
        }
        for wrong in ["#### 1251", "The answer is 12.50", "1250 is not it, 7 is"] {
            assert_eq!(grade("1250", wrong), Grade::Wrong, "{wrong}");
        }
        assert_eq!(grade("1250", "I do not know."), Grade::Unreadable);
    }

    #[test]
    fn choices_are_compared_by_letter() {
        assert_eq!(GoldAnswer::of("(C)").kind, AnswerKind::Choice);
        for right in
            ["The answer is (C).", "C", "\\boxed{C}", "It cannot be (A), so (C)", "Answer: C) cats"]
        {
            assert_eq!(grade("(C)", right), Grade::Right, "{right}");
        }
        assert_eq!(grade("C", "The answer is B"), Grade::Wrong);
        assert_eq!(grade("C", "Cats are nice"), Grade::Unreadable);
    }

    #[test]
    fn formulas_are_compared_whatever_their_form() {
        assert_eq!(GoldAnswer::of("x^2 + 2x + 1").kind, AnswerKind::Expression);
        assert_eq!(grade("x^2 + 2x + 1", "\\boxed{(x+1)^2}"), Grade::Right);
        assert_eq!(grade("y = \\frac{x}{2}", "the answer is 0.5x"), Grade::Right);
        assert_eq!(grade("x^2 + 2x + 1", "\\boxed{(x+1)^3}"), Grade::Wrong);
        assert_eq!(grade("x + 1", "\\boxed{one more than x}"), Grade::Unreadable);
        assert_eq!(grade("x + 1", "nothing marked"), Grade::Unreadable);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_grader_panic(gold in "\\PC{0,12}", text in "(\\PC|\\\\boxed\\{|####|answer is|A:|\n){0,30}") {
            let _ = grade(&gold, &text);
        }
    }
}
