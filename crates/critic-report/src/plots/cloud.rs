use super::Figure;
use super::axis::{Axis, plottable};
use super::canvas::{Anchor, draw};
use super::palette::Series;
use crate::format::size;
use crate::{ItemRecord, ReportError};
use critic_eval::StyleFeature;

const SIZE: (u32, u32) = (450, 340);
const PLOT: (f64, f64) = (46.0, 436.0);
const TOP: f64 = 28.0;
const BOTTOM: f64 = 292.0;
/// A cloud of more responses is thinned evenly.
const MAX_PAIRS: usize = 600;

/// Rewards against the length of responses; absent without items.
pub(crate) fn length_figure(
    name: &str,
    items: &[ItemRecord],
) -> Result<Option<Figure>, ReportError> {
    let step = items.len().div_ceil(MAX_PAIRS).max(1);
    let words = |text: &str| (1.0 + StyleFeature::Words.count(text) as f64).log10();
    let points: Vec<[(f64, f64); 2]> = items
        .iter()
        .step_by(step)
        .map(|item| {
            [
                (words(&item.chosen), item.chosen_prediction.mean.value()),
                (words(&item.rejected), item.rejected_prediction.mean.value()),
            ]
        })
        .filter(|both| both.iter().all(|&(_, reward)| plottable(reward)))
        .collect();
    if points.is_empty() {
        return Ok(None);
    }
    let all = || points.iter().flatten();
    let least = all().map(|&(x, _)| x).fold(f64::INFINITY, f64::min) - 0.1;
    let most = all().map(|&(x, _)| x).fold(0.0, f64::max) + 0.1;
    let steps: &[usize] = if most - least < 1.0 { &[1, 2, 3, 5] } else { &[1, 3] };
    let ticks = (0..6)
        .flat_map(|power| steps.iter().map(move |step| step * 10usize.pow(power)))
        .map(|n| ((1.0 + n as f64).log10(), size(n)))
        .filter(|(at, _)| (least..=most).contains(at))
        .collect();
    let x = Axis::with_ticks((least, most), PLOT, ticks);
    let y = Axis::around(all().map(|&(_, reward)| reward), (BOTTOM, TOP), 5);
    let mut caption = format!(
        "The reward of every response by {name} against its number of words (logarithmic). A reward \
         model that reads no more than length shows a slope here."
    );
    if step > 1 {
        caption.push_str(&format!(" One pair in {step} is drawn."));
    }
    let svg = draw("reward against length", "points", &caption, SIZE, |canvas| {
        x.draw_below(canvas, (TOP, BOTTOM), "words in the response")?;
        y.draw_left(canvas, PLOT)?;
        canvas.label("reward", (6.0, 10.0), Anchor::Left)?;
        for both in &points {
            for (side, &(words, reward)) in both.iter().enumerate() {
                canvas.dot((x.at(words), y.at(reward)), Series::points(side).ink, 0.55)?;
            }
        }
        Ok(())
    })?;
    let legend =
        vec![("chosen".to_owned(), Series::dots(0)), ("rejected".to_owned(), Series::dots(1))];
    let title = "Reward against length".to_owned();
    Ok(Some(Figure { title, caption, is_wide: false, legend, svg }))
}
