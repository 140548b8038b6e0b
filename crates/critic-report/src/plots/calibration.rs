use super::Figure;
use super::accuracy::family_index;
use super::axis::Axis;
use super::canvas::{Anchor, draw};
use super::palette::Series;
use crate::ReportError;
use critic_eval::{ContestantResult, Diagnostics};
use critic_stats::calibration::Calibration;

const SIZE: (u32, u32) = (450, 340);
const PLOT: (f64, f64) = (46.0, 436.0);
const TOP: f64 = 28.0;
const BOTTOM: f64 = 292.0;

/// Stated confidence against the share that was right; absent when nobody states one.
pub(crate) fn reliability_figure(
    contestants: &[ContestantResult],
    shown: &[(&ContestantResult, &Diagnostics)],
) -> Result<Option<Figure>, ReportError> {
    let curves: Vec<(&ContestantResult, &Calibration)> = shown
        .iter()
        .filter_map(|(result, found)| Some((*result, found.calibration.as_ref()?)))
        .collect();
    if curves.is_empty() {
        return Ok(None);
    }
    let x = Axis::around([50.0, 100.0], PLOT, 5);
    let y = Axis::around([0.0, 100.0], (BOTTOM, TOP), 5);
    let caption = "How often the response with the larger reward is the chosen one, against the \
                   confidence σ(|margin|) that the rewards state. On the dashed line confidence \
                   comes true; below it the model is too sure. Larger points hold more pairs."
        .to_owned();
    let svg = draw("reliability", "points", &caption, SIZE, |canvas| {
        x.draw_below(canvas, (TOP, BOTTOM), "stated confidence, %")?;
        y.draw_left(canvas, PLOT)?;
        canvas.label("right, %", (6.0, 10.0), Anchor::Left)?;
        canvas.dashes((x.at(50.0), y.at(50.0)), (x.at(100.0), y.at(100.0)))?;
        for (result, calibration) in &curves {
            let look = Series::points(family_index(contestants, &result.family));
            let at =
                |probability: f64, outcome: f64| (x.at(100.0 * probability), y.at(100.0 * outcome));
            let middle: Vec<(f64, f64)> = calibration
                .bins
                .iter()
                .map(|bin| at(bin.mean_probability, bin.mean_outcome))
                .collect();
            canvas.line(&middle, look.ink, 2.0, 0.7)?;
            for (bin, &point) in calibration.bins.iter().zip(&middle) {
                let share = bin.n as f64 / calibration.n as f64;
                canvas.marker_of_size(look.marker, point, look.ink, 0.7 + 1.1 * share.sqrt())?;
            }
        }
        Ok(())
    })?;
    let legend = curves
        .iter()
        .map(|(result, _)| {
            (result.name.clone(), Series::points(family_index(contestants, &result.family)))
        })
        .collect();
    let title = "Reliability".to_owned();
    Ok(Some(Figure { title, caption, is_wide: false, legend, svg }))
}
