use super::Figure;
use super::axis::Axis;
use super::canvas::{Anchor, draw, fitted, text_width};
use super::palette::{Series, TEXT};
use crate::ReportError;
use crate::format::percent;
use critic_eval::{Accuracy, ContestantResult};

const WIDTH: f64 = 940.0;
const ROW: f64 = 30.0;
const TOP: f64 = 30.0;
/// Room for the longest name.
const LABELS: (f64, f64) = (70.0, 240.0);
/// Room for the numbers at the right.
const NUMBERS: f64 = 180.0;

/// Accuracy of every contestant that has one, as a point on its interval; absent when none has.
pub(crate) fn accuracy_figure(
    contestants: &[ContestantResult],
) -> Result<Option<Figure>, ReportError> {
    let rows: Vec<(&ContestantResult, Accuracy)> = contestants
        .iter()
        .filter_map(|result| result.accuracy.map(|accuracy| (result, accuracy)))
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let widest = rows.iter().map(|(result, _)| text_width(&result.name)).fold(0.0, f64::max);
    let left = widest.clamp(LABELS.0, LABELS.1) + 16.0;
    let right = WIDTH - NUMBERS;
    let bottom = TOP + ROW * rows.len() as f64;
    let ends = rows.iter().flat_map(|(_, a)| [a.interval.low, a.interval.high]).chain([0.5]);
    let axis = Axis::around(ends.map(|share| 100.0 * share), (left, right), 6);
    let mut caption =
        "How often the chosen response of a held-out pair has the larger reward, with \
                       its 95\u{a0}% Wilson interval. The dashed line is chance."
            .to_owned();
    if rows.iter().any(|(result, _)| result.n_critiques.is_some()) {
        caption.push_str(
            " m is how many critiques a reward is the mean over; m=0 reads it without any.",
        );
    }
    let has = |name: &str| rows.iter().any(|(result, _)| result.name == name);
    if has("length") {
        caption.push_str(" length, a control, prefers the longer response.");
    }
    if has("bag of words") {
        caption.push_str(
            " bag of words, a control, weighs words by the training pairs and knows no order.",
        );
    }
    let description = format!("{caption} {}", spoken(&rows));
    let size = (WIDTH as u32, (bottom + 48.0) as u32);
    let svg = draw("accuracy by contestant", "points", &description, size, |canvas| {
        axis.draw_below(canvas, (TOP - 4.0, bottom), "accuracy, %")?;
        let coin = axis.at(50.0);
        canvas.dashes((coin, TOP - 4.0), (coin, bottom))?;
        canvas.label("chance", (coin, TOP - 14.0), Anchor::Center)?;
        for (i, (result, accuracy)) in rows.iter().enumerate() {
            let y = TOP + ROW * (i as f64 + 0.5);
            let look = Series::points(family_index(contestants, &result.family));
            let (low, high) = (accuracy.interval.low, accuracy.interval.high);
            let (from, to) = (axis.at(100.0 * low), axis.at(100.0 * high));
            canvas.line(&[(from, y), (to, y)], look.ink, 2.0, 1.0)?;
            for end in [from, to] {
                canvas.line(&[(end, y - 4.0), (end, y + 4.0)], look.ink, 2.0, 1.0)?;
            }
            let share = accuracy.agreement.accuracy;
            canvas.marker(look.marker, (axis.at(100.0 * share), y), look.ink)?;
            canvas.text(&fitted(&result.name, LABELS.1), (left - 12.0, y), Anchor::Right, TEXT)?;
            canvas.text(&percent(share), (right + 64.0, y), Anchor::Right, TEXT)?;
            let interval = format!("{:.1} – {:.1}", 100.0 * low, 100.0 * high);
            canvas.label(&interval, (right + 74.0, y), Anchor::Left)?;
        }
        Ok(())
    })?;
    let title = "Accuracy by contestant".to_owned();
    Ok(Some(Figure { title, caption, is_wide: true, legend: Vec::new(), svg }))
}

/// The place of a family among those of all contestants, in the order of their first appearance.
pub(crate) fn family_index(contestants: &[ContestantResult], family: &str) -> usize {
    let mut families: Vec<&str> = Vec::new();
    for result in contestants {
        if !families.contains(&result.family.as_str()) {
            families.push(&result.family);
        }
    }
    families.iter().position(|&known| known == family).unwrap_or(0)
}

fn spoken(rows: &[(&ContestantResult, Accuracy)]) -> String {
    let parts: Vec<String> = rows
        .iter()
        .map(|(result, accuracy)| {
            format!("{}: {}", result.name, percent(accuracy.agreement.accuracy))
        })
        .collect();
    parts.join(", ")
}
