//! Gold solutions with `<<expression=value>>` steps (Cobbe et al., arXiv 2110.14168), one step altered.

use super::expression::evaluate;
use super::gold::{GoldSolution, read_gold};
use crate::{AnnotatedPair, DataError, PairFormat, PairWriter, RowProblem};
use critic_types::{
    Conversation, DropReport, OracleCritique, PreferencePair, Provenance, SeedTree, Side,
};
use serde::Serialize;
use std::path::Path;

/// What was done to the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CorruptionKind {
    /// The expression stays and its value is wrong.
    Arithmetic,
    /// Another operation stands in the expression, and the value is that operation's.
    Operation,
}

/// A gold solution beside its corrupted twin.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrupted {
    /// The gold solution chosen, the corrupted one rejected, annotations taken out of both; a critique of
    /// each, true by construction.
    pub annotated: AnnotatedPair,
    /// The altered step, from 0, in the order of the annotations.
    pub step: usize,
    /// What was done to it.
    pub kind: CorruptionKind,
    /// Each step of the corrupted solution: its expression and the value it states. All are true but the
    /// altered one, if the kind is [`CorruptionKind::Arithmetic`].
    pub steps: Vec<(String, f64)>,
}

/// Text between steps, and steps.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Step { expression: String, value: f64 },
}

/// Small numbers and everyday units stand in later steps for themselves, so an error in them cannot be
/// followed.
const EVERYDAY: [f64; 14] =
    [5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 24.0, 30.0, 50.0, 52.0, 60.0, 100.0, 365.0, 1000.0];

/// Alters one step of a gold solution and carries the error through every later step up to the answer.
///
/// A step is altered only when its value can be followed without doubt: it stands neither in the question
/// nor before the step, no other step has it, and it is no everyday number; the same holds for the value
/// of every step that the error reaches. What must be whole stays whole, and nothing turns negative. The
/// corrupted answer differs from the gold one.
///
/// # Errors
/// [`RowProblem::NoSteps`], [`RowProblem::FalseStep`], or [`RowProblem::NotCorruptible`] when no step
/// satisfies all that.
pub fn corrupt(gold: &GoldSolution, seed: &SeedTree) -> Result<Corrupted, RowProblem> {
    let pieces = pieces(&gold.answer)?;
    let seed = seed.child("corrupted").child(&gold.id);
    let n_steps = steps(&pieces).count();
    for step in seed.child("step").permutation(n_steps) {
        let alterations = alterations(&pieces, step);
        for choice in seed.index(step as u64).permutation(alterations.len()) {
            let (kind, expression, value) = &alterations[choice];
            let Some(twin) = carried(&gold.question, &pieces, step, expression, *value) else {
                continue;
            };
            return Ok(corrupted(gold, &pieces, &twin, step, *kind));
        }
    }
    Err(RowProblem::NotCorruptible)
}

fn steps(pieces: &[Piece]) -> impl Iterator<Item = (&str, f64)> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Step { expression, value } => Some((expression.as_str(), *value)),
        Piece::Text(_) => None,
    })
}

/// Cuts a solution at its annotations, and checks each.
fn pieces(answer: &str) -> Result<Vec<Piece>, RowProblem> {
    let mut pieces = Vec::new();
    let mut rest = answer;
    while let Some((before, after)) = rest.split_once("<<") {
        let (step, after) = after.split_once(">>").ok_or(RowProblem::NoSteps)?;
        let (expression, written) = step.rsplit_once('=').ok_or(RowProblem::NoSteps)?;
        let value = evaluate(written).ok_or(RowProblem::NoSteps)?;
        if !holds(expression, value, written) {
            return Err(RowProblem::FalseStep);
        }
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Step { expression: expression.trim().to_owned(), value });
        rest = after;
    }
    if pieces.is_empty() {
        return Err(RowProblem::NoSteps);
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// Whether an expression has the value that is written, up to its rounding.
fn holds(expression: &str, value: f64, written: &str) -> bool {
    let decimals = written.trim().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    // Decimals are cut as often as they are rounded.
    let unit = if decimals == 0 { 0.5 } else { 10f64.powi(-(decimals.min(12) as i32)) };
    evaluate(expression).is_some_and(|exact| (exact - value).abs() <= unit * 1.000_001)
}

/// What could be done to a step: the kind, the expression and the value it then has.
fn alterations(pieces: &[Piece], step: usize) -> Vec<(CorruptionKind, String, f64)> {
    let Some((expression, value)) = steps(pieces).nth(step) else { return Vec::new() };
    let mut found = Vec::new();
    let slip = match value.abs() {
        small if small < 20.0 => [-2.0, -1.0, 1.0, 2.0],
        middle if middle < 200.0 => [-10.0, -1.0, 2.0, 10.0],
        _ => [-100.0, -10.0, 10.0, 100.0],
    };
    for by in slip {
        found.push((CorruptionKind::Arithmetic, expression.to_owned(), value + by));
    }
    // The operation can be exchanged where the text writes the expression out.
    let signs: Vec<(usize, char)> =
        expression.char_indices().skip(1).filter(|(_, c)| "+-*/".contains(*c)).collect();
    if let ([(at, sign)], Some(_)) = (&signs[..], written_out(pieces, step)) {
        let others = match sign {
            '+' => "-*",
            '-' => "+",
            '*' => "+/",
            _ => "*-",
        };
        for other in others.chars() {
            let mut altered = expression.to_owned();
            altered.replace_range(at..&(at + 1), &other.to_string());
            if let Some(value) = evaluate(&altered) {
                found.push((CorruptionKind::Operation, altered, value));
            }
        }
    }
    found
}

/// Where the text before a step ends with its expression, up to spaces, `$` and `x`: the text's piece and
/// the place.
fn written_out(pieces: &[Piece], step: usize) -> Option<(usize, usize)> {
    let index = pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| matches!(piece, Piece::Step { .. }))
        .nth(step)?
        .0;
    let (Piece::Step { expression, .. }, Some(Piece::Text(before))) =
        (&pieces[index], pieces.get(index.checked_sub(1)?))
    else {
        return None;
    };
    let bare = |c: char| !c.is_whitespace() && !"$,()".contains(c);
    let same = |c: char| if c == 'x' || c == '×' { '*' } else { c };
    let mut wanted: Vec<char> = expression.chars().filter(|c| bare(*c)).collect();
    let end = before.trim_end_matches(|c: char| c.is_whitespace() || c == '$');
    let end = end.strip_suffix('=')?;
    for (at, c) in end.char_indices().rev().filter(|(_, c)| bare(*c)) {
        if wanted.pop() != Some(same(c)) {
            return None;
        }
        if wanted.is_empty() {
            return Some((index - 1, at));
        }
    }
    None
}

/// The solution with a step altered and the error carried through; `None` where it cannot be followed.
fn carried(
    question: &str,
    pieces: &[Piece],
    altered: usize,
    expression: &str,
    value: f64,
) -> Option<Vec<Piece>> {
    let is_whole = steps(pieces).all(|(_, value)| value.fract() == 0.0);
    let is_sound = |value: f64| {
        value > 0.0
            && (value * 100.0 - (value * 100.0).round()).abs() < 1e-6
            && (!is_whole || value.fract() == 0.0)
    };
    let mut changed: Vec<(f64, f64)> = Vec::new();
    let mut twin: Vec<Piece> = Vec::new();
    let mut at = 0;
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(text) => twin.push(Piece::Text(replaced(text, &changed))),
            Piece::Step { expression: gold, value: was } => {
                let (now, is) = if at == altered {
                    let place = written_out(pieces, altered);
                    if let (true, Some((_, start)), Some(Piece::Text(text))) =
                        (gold != expression, place, twin.last_mut())
                    {
                        *text = with_operation(text, start, gold, expression)?;
                    }
                    (expression.to_owned(), value)
                } else {
                    let now = replaced(gold, &changed);
                    let is = if now == *gold { *was } else { evaluate(&now)? };
                    (now, is)
                };
                if is != *was {
                    let may = is_sound(is) && is_traceable(question, pieces, index, *was);
                    if !may {
                        return None;
                    }
                    changed.push((*was, is));
                }
                twin.push(Piece::Step { expression: now, value: is });
                at += 1;
            }
        }
    }
    let differs = final_number(&text_of(&twin))? != final_number(&text_of(pieces))?;
    (differs && final_number(&text_of(&twin)) == changed.last().map(|(_, is)| *is)).then_some(twin)
}

/// The text before a step with the sign of its operation exchanged.
fn with_operation(text: &str, start: usize, gold: &str, altered: &str) -> Option<String> {
    let new = altered.chars().zip(gold.chars()).find(|(new, old)| new != old)?.0;
    let old = gold.chars().zip(altered.chars()).find(|(old, new)| old != new)?.0;
    let is_old = |c: char| c == old || (old == '*' && (c == 'x' || c == '×'));
    // A sign in front of the first number is no operation.
    let (at, sign) = text[start..].char_indices().skip(1).find(|(_, c)| is_old(*c))?;
    let mut text = text.to_owned();
    text.replace_range(start + at..start + at + sign.len_utf8(), &new.to_string());
    Some(text)
}

/// Whether a number means the result of this step wherever it stands behind it.
fn is_traceable(question: &str, pieces: &[Piece], step: usize, value: f64) -> bool {
    let is_everyday = value.abs() < 5.0 || EVERYDAY.contains(&value);
    let stands_in = |text: &str| numbers(text).iter().any(|(_, _, number)| *number == value);
    let before = pieces[..step].iter().any(|piece| match piece {
        Piece::Text(text) => stands_in(text),
        Piece::Step { expression, value: other } => stands_in(expression) || *other == value,
    });
    let again = pieces[step + 1..]
        .iter()
        .any(|piece| matches!(piece, Piece::Step { value: other, .. } if *other == value));
    let Piece::Step { expression, .. } = &pieces[step] else { return false };
    !is_everyday && !before && !again && !stands_in(question) && !stands_in(expression)
}

/// Every number of a text, with where it begins and ends.
fn numbers(text: &str) -> Vec<(usize, usize, f64)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let starts = bytes[at].is_ascii_digit()
            || (bytes[at] == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit));
        if !starts {
            at += 1;
            continue;
        }
        let mut end = at;
        while end < bytes.len() {
            let next_is_digit = bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
            match bytes[end] {
                b'0'..=b'9' => end += 1,
                b'.' if next_is_digit => end += 1,
                b',' if bytes
                    .get(end + 1..end + 4)
                    .is_some_and(|d| d.iter().all(u8::is_ascii_digit)) =>
                {
                    end += 1;
                }
                _ => break,
            }
        }
        if let Some(value) = evaluate(&text[at..end]) {
            found.push((at, end, value));
        }
        at = end;
    }
    found
}

fn replaced(text: &str, changed: &[(f64, f64)]) -> String {
    let mut out = String::new();
    let mut done = 0;
    for (start, end, value) in numbers(text) {
        let Some((_, new)) = changed.iter().find(|(old, _)| *old == value) else { continue };
        out.push_str(&text[done..start]);
        out.push_str(&printed(*new, text[start..end].contains(',')));
        done = end;
    }
    out.push_str(&text[done..]);
    out
}

/// A number with at most two decimals, and thousands separators where the old one had them.
fn printed(value: f64, with_separators: bool) -> String {
    let plain = format!("{value:.2}");
    let plain = plain.trim_end_matches('0').trim_end_matches('.');
    if !with_separators {
        return plain.to_owned();
    }
    let (whole, decimals) =
        plain.split_once('.').map_or((plain, ""), |(w, _)| (w, &plain[w.len()..]));
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + decimals
}

/// The solution as a person writes it, without annotations.
fn text_of(pieces: &[Piece]) -> String {
    let texts = pieces.iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        Piece::Step { .. } => None,
    });
    texts.collect()
}

/// The number behind `####`, or the last of the text.
fn final_number(text: &str) -> Option<f64> {
    let last = text.rsplit_once("####").map_or(text, |(_, last)| last);
    numbers(last).last().map(|(_, _, value)| *value)
}

fn corrupted(
    gold: &GoldSolution,
    pieces: &[Piece],
    twin: &[Piece],
    step: usize,
    kind: CorruptionKind,
) -> Corrupted {
    let (chosen, rejected) = (text_of(pieces), text_of(twin));
    let (right, wrong) = (final_number(&chosen), final_number(&rejected));
    let answer =
        |number: Option<f64>| number.map_or(String::new(), |number| printed(number, false));
    let equations: Vec<String> = steps(pieces)
        .map(|(expression, value)| format!("{expression} = {}", printed(value, false)))
        .collect();
    let of_chosen = format!(
        "Every step holds: {}. The final answer {} is right.",
        equations.join(", "),
        answer(right)
    );
    let critique = |side, text| OracleCritique {
        pair_id: gold.id.clone(),
        side: Some(side),
        text,
        provenance: Provenance::Constructed,
    };
    let of_rejected = names_the_error(pieces, twin, step, kind, &answer(wrong), &answer(right));
    Corrupted {
        annotated: AnnotatedPair {
            pair: PreferencePair {
                id: gold.id.clone(),
                prompt: Conversation::from_user(&gold.question),
                chosen,
                rejected,
                margin: None,
                domain: None,
                subset: None,
            },
            critiques: vec![
                critique(Side::Chosen, of_chosen),
                critique(Side::Rejected, of_rejected),
            ],
        },
        step,
        kind,
        steps: steps(twin).map(|(expression, value)| (expression.to_owned(), value)).collect(),
    }
}

fn names_the_error(
    pieces: &[Piece],
    twin: &[Piece],
    step: usize,
    kind: CorruptionKind,
    wrong: &str,
    right: &str,
) -> String {
    let Some(((expression, value), (altered, stated))) =
        steps(pieces).nth(step).zip(steps(twin).nth(step))
    else {
        return String::new();
    };
    let (value, stated) = (printed(value, false), printed(stated, false));
    let line = line_of(twin, step);
    let fault = match kind {
        CorruptionKind::Arithmetic => format!("{expression} is {value}, not {stated}"),
        CorruptionKind::Operation => {
            format!("it computes {altered} = {stated} where {expression} = {value} is needed")
        }
    };
    let before = match step {
        0 => "",
        1 => "The step before it is right. ",
        _ => "The steps before it are right. ",
    };
    let carried: Vec<String> = steps(pieces)
        .zip(steps(twin))
        .skip(step + 1)
        .filter(|((_, was), (_, is))| was != is)
        .map(|(_, (_, is))| printed(is, false))
        .collect();
    let reach = match carried.len() {
        0 => String::new(),
        1 => format!("The error is carried into {}. ", carried[0]),
        _ => format!("The error is carried into {}. ", carried.join(", ")),
    };
    format!(
        "The first wrong step is \"{line}\": {fault}. {before}{reach}The final answer {wrong} is wrong; it should be {right}."
    )
}

/// The line of the text in which a step stands.
fn line_of(pieces: &[Piece], step: usize) -> String {
    let mut text = String::new();
    let mut at = None;
    let mut n = 0;
    for piece in pieces {
        match piece {
            Piece::Text(more) => text.push_str(more),
            Piece::Step { .. } => {
                if n == step {
                    at = Some(text.len());
                }
                n += 1;
            }
        }
    }
    let at = at.unwrap_or_default();
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    text[start..end].trim().to_owned()
}

/// What came of a source of gold solutions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorruptionReport {
    /// Pairs written.
    pub n_pairs: usize,
    /// Pairs whose step has a wrong value.
    pub n_arithmetic: usize,
    /// Pairs whose step has a wrong operation.
    pub n_operation: usize,
    /// What was left out and why.
    pub report: DropReport,
}

/// Corrupts every gold solution of a source and writes the pairs with their critiques in the own format,
/// under this domain.
///
/// # Errors
/// [`DataError`] when the source cannot be read, no solution can be corrupted, or the file not be written.
pub fn corrupt_all(
    path: &Path,
    seed: u64,
    domain: Option<&str>,
    output: &Path,
) -> Result<CorruptionReport, DataError> {
    let gold = read_gold(path)?;
    let mut report = gold.report;
    report.n_kept = 0;
    let seed = SeedTree::new(seed);
    let mut out = PairWriter::create(output, PairFormat::Own)?;
    let (mut n_arithmetic, mut n_operation) = (0, 0);
    for solution in &gold.solutions {
        match corrupt(solution, &seed) {
            Err(problem) => report.drop(problem.to_string(), solution.id.clone()),
            Ok(mut made) => {
                report.keep();
                match made.kind {
                    CorruptionKind::Arithmetic => n_arithmetic += 1,
                    CorruptionKind::Operation => n_operation += 1,
                }
                made.annotated.pair.domain = domain.map(str::to_owned);
                out.write(made.annotated)?;
            }
        }
    }
    if report.n_kept == 0 {
        return Err(DataError::NoRows { path: path.to_owned(), report });
    }
    let n_pairs = out.finish()?;
    Ok(CorruptionReport { n_pairs, n_arithmetic, n_operation, report })
}

#[cfg(test)]
mod tests;
