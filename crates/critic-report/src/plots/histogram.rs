use super::Figure;
use super::axis::{Axis, plottable};
use super::canvas::{Anchor, draw};
use super::palette::Series;
use crate::ReportError;
use crate::format::size;
use critic_stats::HistogramBin;

const SIZE: (u32, u32) = (450, 270);
const PLOT: (f64, f64) = (52.0, 436.0);
const TOP: f64 = 28.0;
const BOTTOM: f64 = 222.0;

/// What a histogram shows.
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    pub(crate) caption: &'a str,
    /// Of the bars' edges.
    pub(crate) unit: &'a str,
    /// What is counted.
    pub(crate) counted: &'a str,
    /// Each list's name and bars; lists share their bars' edges.
    pub(crate) series: &'a [(String, Vec<HistogramBin>)],
    /// Whether bars below zero have a look of their own.
    pub(crate) splits_at_zero: bool,
}

/// Bars, those of several lists beside each other; absent when there are none.
pub(crate) fn histogram_figure(bars: &Bars<'_>) -> Result<Option<Figure>, ReportError> {
    let all = || bars.series.iter().flat_map(|(_, bins)| bins);
    let usable = all().all(|bin| plottable(bin.low) && plottable(bin.high));
    if !usable || all().map(|bin| bin.n).sum::<usize>() == 0 {
        return Ok(None);
    }
    let edges = all().flat_map(|bin| [bin.low, bin.high]).chain(bars.splits_at_zero.then_some(0.0));
    let x = Axis::around(edges, PLOT, 6);
    let mut y = Axis::around(all().map(|bin| bin.n as f64).chain([0.0]), (BOTTOM, TOP), 4);
    y.ticks.retain(|(n, _)| n.fract() == 0.0);
    y.ticks.iter_mut().for_each(|(n, label)| *label = size(*n as usize));
    let svg = draw("histogram", "points", bars.caption, SIZE, |canvas| {
        y.draw_left(canvas, PLOT)?;
        x.draw_below(canvas, (BOTTOM, BOTTOM), bars.unit)?;
        canvas.label(bars.counted, (6.0, 10.0), Anchor::Left)?;
        let n_series = bars.series.len() as f64;
        for (i, (_, bins)) in bars.series.iter().enumerate() {
            for bin in bins.iter().filter(|bin| bin.n > 0) {
                let (mut low, mut high) = (x.at(bin.low), x.at(bin.high));
                if high - low < 6.0 {
                    (low, high) = (0.5 * (low + high) - 3.0, 0.5 * (low + high) + 3.0);
                }
                let width = (high - low - 1.5) / n_series;
                let left = low + 0.75 + width * i as f64;
                let is_below = bars.splits_at_zero && bin.low + bin.high < 0.0;
                let look = Series::points(if is_below { 1 } else { i });
                let corners = [(left, y.at(bin.n as f64)), (left + width, BOTTOM)];
                canvas.bar(corners, look.ink, 0.85)?;
            }
        }
        if bars.splits_at_zero {
            canvas.dashes((x.at(0.0), TOP), (x.at(0.0), BOTTOM))?;
        }
        Ok(())
    })?;
    let legend = if bars.splits_at_zero {
        vec![
            ("ranked right".to_owned(), Series::bars(0)),
            ("ranked wrong".to_owned(), Series::bars(1)),
        ]
    } else if bars.series.len() > 1 {
        let named = |(i, (name, _)): (usize, &(String, _))| (name.clone(), Series::bars(i));
        bars.series.iter().enumerate().map(named).collect()
    } else {
        Vec::new()
    };
    Ok(Some(Figure {
        title: bars.title.to_owned(),
        caption: bars.caption.to_owned(),
        is_wide: false,
        legend,
        svg,
    }))
}
