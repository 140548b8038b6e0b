//! The page itself.

mod browser;
mod figures;
mod shell;

pub(crate) use browser::browser_html;
pub(crate) use shell::{Card, FigureGroup, Page, Part};

use crate::format::{duration, p_value, percent, percent_interval, points, points_interval, size};
use crate::tables::sections;
use crate::{ReportError, RunRecord};
use critic_eval::{ContestantResult, CorrectedComparison};

/// The report as one HTML file that loads nothing.
///
/// Its style, its plots, its data and its one script stand in the file, and its policy lets nothing else
/// in. It follows the reader's choice of a light or dark screen, prints, and can be walked by keyboard.
/// Sections without content are left out. Texts from the record reach the page only escaped, those of
/// pairs as data that the script makes text of.
///
/// # Errors
/// [`ReportError::Figure`] when a plot cannot be drawn, [`ReportError::Unreadable`] when a number of an
/// item cannot be written as JSON.
pub fn html(record: &RunRecord) -> Result<String, ReportError> {
    let mut parts = Vec::new();
    for section in sections(record) {
        let browser = match (&record.main, section.id) {
            (Some(main), "items") if !record.items.is_empty() => {
                Some(browser_html(main, &record.items)?)
            }
            _ => None,
        };
        let groups = figures::figures(record, section.id)?;
        parts.push(Part { section, groups, browser });
    }
    let page = Page {
        title: &record.title,
        lead: lead(record),
        cards: cards(record),
        notes: &record.notes,
        parts,
        command: &record.command,
    };
    Ok(page.to_html())
}

/// The contestant that the run is about.
fn main_result(record: &RunRecord) -> Option<&ContestantResult> {
    let main = record.main.as_ref()?;
    record.contestants.iter().find(|result| result.name == *main)
}

/// The result in a sentence or two.
fn lead(record: &RunRecord) -> Option<String> {
    let main = main_result(record)?;
    let accuracy = main.accuracy.as_ref()?;
    let mut text = format!(
        "{} ranks {} of {} held-out pairs as their labels do: {} ({}).",
        main.name,
        size(accuracy.agreement.n_correct),
        size(accuracy.agreement.n),
        percent(accuracy.agreement.accuracy),
        percent_interval(&accuracy.interval),
    );
    let own: Vec<&CorrectedComparison> =
        record.comparisons.iter().filter(|one| one.comparison.a == main.name).collect();
    let differing: Vec<String> =
        own.iter().filter(|one| one.holm_p < 0.05).map(|one| told(one)).collect();
    if !differing.is_empty() {
        text.push_str(&format!(" It differs from {}.", differing.join(", ")));
    }
    match own.len() - differing.len() {
        0 => {}
        _ if differing.is_empty() => text.push_str(
            " No other contestant is told apart from it by these pairs (permutation tests, Holm's correction).",
        ),
        1 => text.push_str(" One other contestant is not told apart from it by these pairs."),
        n => text.push_str(&format!(" {n} others are not told apart from it by these pairs.")),
    }
    Some(unbroken(&text))
}

/// A text whose intervals are not broken after their dash.
pub(crate) fn unbroken(text: &str) -> String {
    text.replace('–', "–\u{2060}")
}

/// A difference in words.
pub(crate) fn told(corrected: &CorrectedComparison) -> String {
    let p = p_value(corrected.holm_p);
    let p = format!("p {}{p}", if p.starts_with('<') { "" } else { "= " }).replace(' ', "\u{a0}");
    format!(
        "{} by {} points ({}; corrected {p})",
        corrected.comparison.b,
        points(corrected.comparison.difference),
        points_interval(&corrected.clustered.interval),
    )
}

/// The few numbers a reader looks for first.
fn cards(record: &RunRecord) -> Vec<Card> {
    let mut cards = Vec::new();
    if let Some((main, accuracy)) =
        main_result(record).and_then(|main| Some((main, main.accuracy.as_ref()?)))
    {
        cards.push(Card {
            label: format!("Accuracy of {}", main.name),
            value: percent(accuracy.agreement.accuracy),
            remark: Some(percent_interval(&accuracy.interval)),
        });
    }
    let best = |a: &&ContestantResult, b: &&ContestantResult| {
        let share = |result: &ContestantResult| result.accuracy.map(|a| a.agreement.accuracy);
        share(a).partial_cmp(&share(b)).unwrap_or(std::cmp::Ordering::Equal)
    };
    let main_family = main_result(record).map(|main| main.family.as_str());
    let others = record.contestants.iter().filter(|one| Some(one.family.as_str()) != main_family);
    if let Some((other, accuracy)) =
        others.max_by(best).and_then(|other| Some((other, other.accuracy.as_ref()?)))
    {
        cards.push(Card {
            label: format!("Best other: {}", other.name),
            value: percent(accuracy.agreement.accuracy),
            remark: Some(percent_interval(&accuracy.interval)),
        });
    }
    cards.push(Card::plain("Model", record.model.name.clone()));
    cards.push(Card::plain("Training pairs", size(record.data.train.n_pairs)));
    if let Some(eval) = &record.data.eval {
        cards.push(Card::plain("Held-out pairs", size(eval.n_pairs)));
    }
    if !record.stages.is_empty() {
        let seconds: f64 = record.stages.iter().map(|stage| stage.seconds).sum();
        cards.push(Card::plain("Time", duration(seconds)));
    }
    cards
}

#[cfg(test)]
mod tests;
