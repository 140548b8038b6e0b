use super::Figure;
use super::accuracy::family_index;
use super::axis::Axis;
use super::canvas::{Anchor, draw};
use super::palette::Series;
use crate::{ReportError, StudyRecord};
use critic_eval::ContestantResult;
use critic_stats::critiques::CritiqueCurve;

const SIZE: (u32, u32) = (450, 290);
const PLOT: (f64, f64) = (46.0, 436.0);
const TOP: f64 = 28.0;
const BOTTOM: f64 = 242.0;
/// Looks that differ.
const MAX_CURVES: usize = 4;

/// A name with its curve and its place among the looks.
type Curve<'a> = (String, &'a CritiqueCurve, usize);

/// Accuracy against m, the number of critiques: one curve a model, and one a domain of the first model.
pub(crate) fn critiques_figures(
    contestants: &[ContestantResult],
    studies: &[StudyRecord],
) -> Result<Vec<Figure>, ReportError> {
    let models = studies.iter().filter_map(|record| {
        let curve = record.study.overall.curve.as_ref()?;
        Some((record.family.clone(), curve, family_index(contestants, &record.family)))
    });
    let mut figures = Vec::new();
    figures.extend(figure(
        "Accuracy against the number of critiques",
        "Expected accuracy of the mean over m critiques, over subsets of those that were sampled, with \
         95\u{a0}% intervals over prompts; m\u{a0}=\u{a0}0 reads the reward without critique.",
        &models.take(MAX_CURVES).collect::<Vec<_>>(),
    )?);
    if let Some(first) = studies.first() {
        let domains = first.study.domains.iter().filter_map(|(domain, findings)| {
            findings.curve.as_ref().map(|curve| (domain.clone(), curve))
        });
        let domains: Vec<Curve<'_>> = domains
            .take(MAX_CURVES)
            .enumerate()
            .map(|(i, (domain, curve))| (domain, curve, i))
            .collect();
        if domains.len() > 1 {
            let n_more = first.study.domains.len().saturating_sub(MAX_CURVES);
            let mut caption = format!("{}, the expected accuracy in each domain.", first.family);
            if n_more > 0 {
                caption.push_str(&format!(" {n_more} more domains stand in the table."));
            }
            figures.extend(figure("The same by domain", &caption, &domains)?);
        }
    }
    Ok(figures)
}

fn figure(title: &str, caption: &str, curves: &[Curve<'_>]) -> Result<Option<Figure>, ReportError> {
    if curves.iter().all(|(_, curve, _)| curve.points.len() < 2) {
        return Ok(None);
    }
    let points = || curves.iter().flat_map(|(_, curve, _)| &curve.points);
    let mut counts: Vec<usize> = points().map(|point| point.m).collect();
    counts.sort_unstable();
    counts.dedup();
    let last = counts.last().map_or(1.0, |&m| place(m));
    let ticks = counts.iter().map(|&m| (place(m), m.to_string())).collect();
    let x = Axis::with_ticks((-0.12 * last, 1.12 * last), PLOT, ticks);
    let ends = points().flat_map(|point| [point.interval.low, point.interval.high, 0.5]);
    let y = Axis::around(ends.map(|share| 100.0 * share), (BOTTOM, TOP), 5);
    let svg = draw("accuracy against critiques", "points", caption, SIZE, |canvas| {
        x.draw_below(canvas, (TOP, BOTTOM), "m, critiques a response (logarithmic)")?;
        y.draw_left(canvas, PLOT)?;
        canvas.label("accuracy, %", (6.0, 10.0), Anchor::Left)?;
        canvas.dashes((PLOT.0, y.at(50.0)), (PLOT.1, y.at(50.0)))?;
        for (i, (_, curve, look)) in curves.iter().enumerate() {
            let look = Series::points(*look);
            // Whiskers of several curves stand beside each other.
            let aside = 8.0 * (i as f64 - 0.5 * (curves.len() - 1) as f64);
            let at = |m: usize, share: f64| (x.at(place(m)) + aside, y.at(100.0 * share));
            for point in &curve.points {
                let ends = [at(point.m, point.interval.low), at(point.m, point.interval.high)];
                canvas.line(&ends, look.ink, 1.5, 0.6)?;
            }
            let middle: Vec<(f64, f64)> =
                curve.points.iter().map(|point| at(point.m, point.accuracy)).collect();
            canvas.line(&middle, look.ink, 2.0, 1.0)?;
            for point in middle {
                canvas.marker(look.marker, point, look.ink)?;
            }
        }
        Ok(())
    })?;
    let legend =
        curves.iter().map(|(name, _, look)| (name.clone(), Series::points(*look))).collect();
    Ok(Some(Figure {
        title: title.to_owned(),
        caption: caption.to_owned(),
        is_wide: false,
        legend,
        svg,
    }))
}

fn place(m: usize) -> f64 {
    (m as f64).ln_1p()
}
