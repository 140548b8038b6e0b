use super::Figure;
use super::axis::Axis;
use super::canvas::{Anchor, draw, fitted, text_width};
use super::palette::{Series, TEXT};
use crate::ReportError;
use crate::format::{percent, percent_interval};
use critic_stats::Interval;

const WIDTH: f64 = 940.0;
const ROW: f64 = 30.0;
const TOP: f64 = 30.0;
/// Room for the longest name.
const LABELS: (f64, f64) = (70.0, 320.0);
/// Room for the numbers at the right.
const NUMBERS: f64 = 180.0;

/// An accuracy on its interval.
#[derive(Debug, Clone)]
pub(crate) struct SharePoint {
    pub(crate) name: String,
    /// Points of one series look alike.
    pub(crate) series: usize,
    /// 0–1.
    pub(crate) share: f64,
    pub(crate) interval: Interval,
}

/// Accuracies below each other, each a point on its interval, beside the line of chance.
pub(crate) fn share_figure(
    title: &'static str,
    caption: String,
    points: &[SharePoint],
) -> Result<Figure, ReportError> {
    let widest = points.iter().map(|point| text_width(&point.name)).fold(0.0, f64::max);
    let left = widest.clamp(LABELS.0, LABELS.1) + 16.0;
    let right = WIDTH - NUMBERS;
    let bottom = TOP + ROW * points.len() as f64;
    let ends = points.iter().flat_map(|point| [point.interval.low, point.interval.high]);
    let axis = Axis::around(ends.chain([0.5]).map(|share| 100.0 * share), (left, right), 6);
    let spoken: Vec<String> =
        points.iter().map(|point| format!("{}: {}", point.name, percent(point.share))).collect();
    let description = format!("{caption} {}", spoken.join(", "));
    let size = (WIDTH as u32, (bottom + 48.0) as u32);
    let svg = draw(title, "points", &description, size, |canvas| {
        axis.draw_below(canvas, (TOP - 4.0, bottom), "accuracy, %")?;
        let coin = axis.at(50.0);
        canvas.dashes((coin, TOP - 4.0), (coin, bottom))?;
        canvas.label("chance", (coin, TOP - 14.0), Anchor::Center)?;
        for (i, point) in points.iter().enumerate() {
            let y = TOP + ROW * (i as f64 + 0.5);
            let look = Series::points(point.series);
            let (low, high) = (point.interval.low, point.interval.high);
            let (from, to) = (axis.at(100.0 * low), axis.at(100.0 * high));
            canvas.line(&[(from, y), (to, y)], look.ink, 2.0, 1.0)?;
            for end in [from, to] {
                canvas.line(&[(end, y - 4.0), (end, y + 4.0)], look.ink, 2.0, 1.0)?;
            }
            canvas.marker(look.marker, (axis.at(100.0 * point.share), y), look.ink)?;
            canvas.text(&fitted(&point.name, LABELS.1), (left - 12.0, y), Anchor::Right, TEXT)?;
            canvas.text(&percent(point.share), (right + 64.0, y), Anchor::Right, TEXT)?;
            let interval = percent_interval(&point.interval);
            canvas.label(&interval, (right + 74.0, y), Anchor::Left)?;
        }
        Ok(())
    })?;
    Ok(Figure { title: title.to_owned(), caption, is_wide: true, legend: Vec::new(), svg })
}
