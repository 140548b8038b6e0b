use super::Figure;
use super::accuracy::family_index;
use super::axis::Axis;
use super::canvas::{Anchor, draw, fitted, text_width};
use super::palette::{Series, TEXT};
use crate::ReportError;
use critic_eval::{Accuracy, ContestantResult};

const WIDTH: f64 = 940.0;
const TOP: f64 = 14.0;
/// Room for the longest name.
const LABELS: (f64, f64) = (70.0, 240.0);
/// Height of one contestant's line in a domain.
const LINE: f64 = 13.0;
/// More domains than this stand in the table alone.
const MAX_DOMAINS: usize = 24;

/// Accuracy in every domain, with intervals, of the given contestants; absent below two domains.
pub(crate) fn domains_figure(
    contestants: &[ContestantResult],
    shown: &[&ContestantResult],
) -> Result<Option<Figure>, ReportError> {
    let mut domains: Vec<(&str, Vec<(&ContestantResult, Accuracy)>)> = Vec::new();
    for result in shown {
        for domain in &result.by_domain {
            let Some(accuracy) = domain.accuracy else { continue };
            match domains.iter_mut().find(|(name, _)| *name == domain.domain) {
                Some((_, found)) => found.push((result, accuracy)),
                None => domains.push((&domain.domain, vec![(result, accuracy)])),
            }
        }
    }
    if !(2..=MAX_DOMAINS).contains(&domains.len()) {
        return Ok(None);
    }
    domains.sort_by_key(|(name, _)| *name);
    let widest = domains.iter().map(|(name, _)| text_width(name)).fold(0.0, f64::max);
    let left = widest.clamp(LABELS.0, LABELS.1) + 16.0;
    let row = LINE * shown.len() as f64 + 16.0;
    let bottom = TOP + row * domains.len() as f64;
    let ends = domains
        .iter()
        .flat_map(|(_, found)| found)
        .flat_map(|(_, accuracy)| [100.0 * accuracy.interval.low, 100.0 * accuracy.interval.high]);
    let axis = Axis::around(ends.chain([50.0]), (left, WIDTH - 16.0), 8);
    let caption = "Accuracy in each domain with its 95\u{a0}% Wilson interval, of each family's \
                   contestant with the most critiques. The dashed line is chance."
        .to_owned();
    let size = (WIDTH as u32, (bottom + 48.0) as u32);
    let svg = draw("accuracy by domain", "points", &caption, size, |canvas| {
        axis.draw_below(canvas, (TOP, bottom), "accuracy, %")?;
        canvas.dashes((axis.at(50.0), TOP), (axis.at(50.0), bottom))?;
        for (i, (name, found)) in domains.iter().enumerate() {
            let middle = TOP + row * (i as f64 + 0.5);
            canvas.text(&fitted(name, LABELS.1), (left - 12.0, middle), Anchor::Right, TEXT)?;
            let first = middle - 0.5 * LINE * (found.len() - 1) as f64;
            for (j, (result, accuracy)) in found.iter().enumerate() {
                let y = first + LINE * j as f64;
                let look = Series::points(family_index(contestants, &result.family));
                let at = |share: f64| (axis.at(100.0 * share), y);
                canvas.line(
                    &[at(accuracy.interval.low), at(accuracy.interval.high)],
                    look.ink,
                    2.0,
                    0.55,
                )?;
                canvas.marker(look.marker, at(accuracy.agreement.accuracy), look.ink)?;
            }
        }
        Ok(())
    })?;
    let legend = shown
        .iter()
        .map(|result| {
            (result.name.clone(), Series::points(family_index(contestants, &result.family)))
        })
        .collect();
    let title = "Accuracy by domain".to_owned();
    Ok(Some(Figure { title, caption, is_wide: true, legend, svg }))
}
