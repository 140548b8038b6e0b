use super::Figure;
use super::accuracy::family_index;
use super::axis::Axis;
use super::canvas::{Anchor, draw};
use super::palette::Series;
use crate::ReportError;
use critic_eval::{Accuracy, ContestantResult};

const SIZE: (u32, u32) = (620, 300);
const PLOT: (f64, f64) = (46.0, 606.0);
const TOP: f64 = 28.0;
const BOTTOM: f64 = 250.0;

/// Accuracy against m, the number of critiques, one curve a family; absent unless one has two points.
pub(crate) fn critiques_figure(
    contestants: &[ContestantResult],
) -> Result<Option<Figure>, ReportError> {
    let curves = curves(contestants);
    if curves.iter().all(|(_, points)| points.len() < 2) {
        return Ok(None);
    }
    let mut counts: Vec<usize> =
        curves.iter().flat_map(|(_, points)| points.iter().map(|(m, _)| *m)).collect();
    counts.sort_unstable();
    counts.dedup();
    let last = counts.last().map_or(1.0, |&m| place(m));
    let ticks = counts.iter().map(|&m| (place(m), m.to_string())).collect();
    let x = Axis::with_ticks((-0.15 * last, 1.15 * last), PLOT, ticks);
    let ends = curves
        .iter()
        .flat_map(|(_, points)| points.iter().flat_map(|(_, a)| [a.interval.low, a.interval.high]));
    let y = Axis::around(ends.map(|share| 100.0 * share), (BOTTOM, TOP), 5);
    let caption = "Accuracy of the mean over m critiques, with 95\u{a0}% intervals; m\u{a0}=\u{a0}0 \
                   is the fast path without critique. The horizontal axis grows as log(m\u{a0}+\u{a0}1)."
        .to_owned();
    let svg = draw("accuracy against critiques", "points", &caption, SIZE, |canvas| {
        x.draw_below(canvas, (TOP, BOTTOM), "m, critiques a response")?;
        y.draw_left(canvas, PLOT)?;
        canvas.label("accuracy, %", (6.0, 10.0), Anchor::Left)?;
        for (i, (family, points)) in curves.iter().enumerate() {
            let look = Series::points(family_index(contestants, family));
            // Whiskers of several families stand beside each other.
            let aside = 9.0 * (i as f64 - 0.5 * (curves.len() - 1) as f64);
            let at = |m: usize, share: f64| (x.at(place(m)) + aside, y.at(100.0 * share));
            for (m, accuracy) in points {
                let (low, high) = (at(*m, accuracy.interval.low), at(*m, accuracy.interval.high));
                canvas.line(&[low, high], look.ink, 1.5, 0.8)?;
                for (x, y) in [low, high] {
                    canvas.line(&[(x - 4.0, y), (x + 4.0, y)], look.ink, 1.5, 0.8)?;
                }
            }
            let middle: Vec<(f64, f64)> =
                points.iter().map(|(m, accuracy)| at(*m, accuracy.agreement.accuracy)).collect();
            canvas.line(&middle, look.ink, 2.0, 1.0)?;
            for point in middle {
                canvas.marker(look.marker, point, look.ink)?;
            }
        }
        Ok(())
    })?;
    let legend = curves
        .iter()
        .map(|(family, _)| {
            ((*family).to_owned(), Series::points(family_index(contestants, family)))
        })
        .collect();
    Ok(Some(Figure {
        title: "Accuracy against the number of critiques".to_owned(),
        caption,
        is_wide: true,
        legend,
        svg,
    }))
}

/// The points of each family by m, families in the order of their first appearance.
fn curves(contestants: &[ContestantResult]) -> Vec<(&str, Vec<(usize, Accuracy)>)> {
    let mut curves: Vec<(&str, Vec<(usize, Accuracy)>)> = Vec::new();
    for result in contestants {
        let (Some(m), Some(accuracy)) = (result.n_critiques, result.accuracy) else { continue };
        match curves.iter_mut().find(|(family, _)| *family == result.family) {
            Some((_, points)) => points.push((m, accuracy)),
            None => curves.push((&result.family, vec![(m, accuracy)])),
        }
    }
    for (_, points) in &mut curves {
        points.sort_by_key(|(m, _)| *m);
    }
    curves
}

fn place(m: usize) -> f64 {
    (m as f64).ln_1p()
}
