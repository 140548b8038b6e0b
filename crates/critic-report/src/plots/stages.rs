use super::Figure;
use super::axis::{Axis, plottable};
use super::canvas::{Anchor, draw, fitted, text_width};
use super::palette::{Series, TEXT};
use crate::format::duration;
use crate::{ReportError, StageRecord};

const WIDTH: f64 = 940.0;
const ROW: f64 = 26.0;
const TOP: f64 = 8.0;
/// Room for the longest name.
const LABELS: (f64, f64) = (70.0, 240.0);

/// The time that each stage took; absent when none took any.
pub(crate) fn stages_figure(stages: &[StageRecord]) -> Result<Option<Figure>, ReportError> {
    let worked: Vec<&StageRecord> =
        stages.iter().filter(|stage| plottable(stage.seconds) && stage.seconds > 0.0).collect();
    let total: f64 = worked.iter().map(|stage| stage.seconds).sum();
    if worked.is_empty() {
        return Ok(None);
    }
    let widest = worked.iter().map(|stage| text_width(&stage.name)).fold(0.0, f64::max);
    let left = widest.clamp(LABELS.0, LABELS.1) + 16.0;
    let longest = worked.iter().map(|stage| stage.seconds).fold(0.0, f64::max);
    let axis = Axis::with_ticks((0.0, longest), (left, WIDTH - 170.0), Vec::new());
    let caption = format!(
        "Wall time of each stage over all sittings, {} in all, and its share of it.",
        duration(total)
    );
    let size = (WIDTH as u32, (TOP + ROW * worked.len() as f64 + 8.0) as u32);
    let svg = draw("time by stage", "points", &caption, size, |canvas| {
        for (i, stage) in worked.iter().enumerate() {
            let y = TOP + ROW * (i as f64 + 0.5);
            let end = axis.at(stage.seconds).max(left + 1.5);
            canvas.text(&fitted(&stage.name, LABELS.1), (left - 12.0, y), Anchor::Right, TEXT)?;
            canvas.bar([(left, y - 8.0), (end, y + 8.0)], Series::points(0).ink, 0.85)?;
            let share =
                format!("{} · {:.0} %", duration(stage.seconds), 100.0 * (stage.seconds / total));
            canvas.label(&share, (end + 8.0, y), Anchor::Left)?;
        }
        Ok(())
    })?;
    let title = "Time by stage".to_owned();
    Ok(Some(Figure { title, caption, is_wide: true, legend: Vec::new(), svg }))
}
