use super::canvas::{Anchor, Canvas, FONT_SIZE, fitted};
use super::palette::{AXIS, GRID};
use crate::ReportError;
use crate::format::count;

/// Numbers larger than this are not plotted: no axis could show them beside the others.
const LARGEST: f64 = 1e15;

/// A linear axis over pixels with round ticks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    /// Pixel of `low` and of `high`.
    pixels: (f64, f64),
    /// Value and label.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis that holds every number and ends on ticks; about `n_ticks` of them.
    pub(crate) fn around(
        values: impl IntoIterator<Item = f64>,
        pixels: (f64, f64),
        n_ticks: usize,
    ) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|&value| plottable(value)) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low <= 1e-9 * high.abs().max(low.abs()) {
            let room = if high == 0.0 { 1.0 } else { 0.5 * high.abs() };
            (low, high) = (low - room, high + room);
        }
        let step = round_step((high - low) / n_ticks.max(1) as f64);
        // A value that misses its tick by rounding alone needs no further one.
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let n_steps = (last - first) as usize;
        let ticks = (0..=n_steps)
            .map(|i| (first + i as f64) * step)
            .map(|value| (value, tick_label(value, step)))
            .collect();
        Self { low: first * step, high: last * step, pixels, ticks }
    }

    /// An axis that ends with its largest and smallest number, with the round ticks in between.
    pub(crate) fn within(
        values: impl IntoIterator<Item = f64>,
        pixels: (f64, f64),
        n_ticks: usize,
    ) -> Self {
        let values: Vec<f64> = values.into_iter().filter(|&value| plottable(value)).collect();
        let mut axis = Self::around(values.iter().copied(), pixels, n_ticks);
        let (low, high) = values
            .iter()
            .fold((axis.high, axis.low), |(low, high), &value| (low.min(value), high.max(value)));
        if low < high {
            (axis.low, axis.high) = (low, high);
            axis.ticks.retain(|(value, _)| (low..=high).contains(value));
        }
        axis
    }

    /// An axis with its own ticks.
    pub(crate) fn with_ticks(
        range: (f64, f64),
        pixels: (f64, f64),
        ticks: Vec<(f64, String)>,
    ) -> Self {
        Self { low: range.0, high: range.1, pixels, ticks }
    }

    /// The pixel of a value; one outside the range is held at the nearer end.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Grid lines, ticks' labels and the line of a horizontal axis between `top` and `bottom`.
    pub(crate) fn draw_below(
        &self,
        canvas: &Canvas<'_>,
        (top, bottom): (f64, f64),
        title: &str,
    ) -> Result<(), ReportError> {
        for (value, label) in &self.ticks {
            let x = self.at(*value);
            canvas.line(&[(x, top), (x, bottom)], GRID, 1.0, 1.0)?;
            canvas.label(label, (x, bottom + 13.0), Anchor::Center)?;
        }
        let (left, right) = self.pixels;
        canvas.line(&[(left, bottom), (right, bottom)], AXIS, 1.0, 1.0)?;
        let title = fitted(title, right - left);
        canvas.label(
            &title,
            (0.5 * (left + right), bottom + 15.0 + 1.5 * FONT_SIZE),
            Anchor::Center,
        )
    }

    /// Grid lines and ticks' labels of a vertical axis between `left` and `right`.
    pub(crate) fn draw_left(
        &self,
        canvas: &Canvas<'_>,
        (left, right): (f64, f64),
    ) -> Result<(), ReportError> {
        for (value, label) in &self.ticks {
            let y = self.at(*value);
            canvas.line(&[(left, y), (right, y)], GRID, 1.0, 1.0)?;
            canvas.label(label, (left - 8.0, y), Anchor::Right)?;
        }
        Ok(())
    }
}

/// Whether a number can stand in a figure.
pub(crate) fn plottable(value: f64) -> bool {
    value.is_finite() && value.abs() <= LARGEST
}

/// 1, 2 or 5 times a power of ten, at least as large as `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let lead = rough / power;
    let round = [1.0, 2.0, 5.0].into_iter().find(|&round| lead <= round * 1.000_001);
    round.unwrap_or(10.0) * power
}

fn tick_label(value: f64, step: f64) -> String {
    let text = if step < 1e-3 {
        if value == 0.0 { "0".to_owned() } else { scientific(value, step) }
    } else if step >= 1.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", count(value.abs().round() as u64))
    } else {
        format!("{value:.*}", (-step.log10().floor()) as usize)
    };
    text.replace('-', "\u{2212}")
}

/// With the digits that tell two ticks apart.
fn scientific(value: f64, step: f64) -> String {
    let digits = value.abs().log10().floor() - step.log10().floor();
    format!("{value:.*e}", digits.clamp(0.0, 6.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(values: &[f64], labels: &[&str]) {
        let axis = Axis::around(values.iter().copied(), (0.0, 100.0), 4);
        let found: Vec<&str> = axis.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(found, labels);
    }

    #[test]
    fn ticks_are_round() {
        check(&[0.0, 1.0], &["0.0", "0.5", "1.0"]);
        check(&[-3.0, 900.0], &["\u{2212}500", "0", "500", "1,000"]);
        check(
            &[0.0, 2e-5],
            &["0", "5e\u{2212}6", "1.0e\u{2212}5", "1.5e\u{2212}5", "2.0e\u{2212}5"],
        );
    }

    #[test]
    fn nothing_and_a_single_value_still_give_an_axis() {
        check(&[], &["0.0", "0.5", "1.0"]);
        check(&[f64::NAN, 1e300], &["0.0", "0.5", "1.0"]);
        assert_eq!(Axis::within([4.0], (0.0, 100.0), 4), Axis::around([4.0], (0.0, 100.0), 4));
        assert_eq!(Axis::around([4.0], (0.0, 100.0), 4).at(4.0), 50.0);
    }

    #[test]
    fn an_axis_may_end_between_its_ticks() {
        let axis = Axis::within([0.0, 240.0], (0.0, 100.0), 4);
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0", "100", "200"]);
        assert_eq!(axis.at(240.0), 100.0);
    }

    proptest! {
        #[test]
        fn every_value_lies_within_its_axis(values in prop::collection::vec(-1e14f64..1e14, 1..20)) {
            let axis = Axis::around(values.iter().copied(), (10.0, 90.0), 5);
            prop_assert!((2..=12).contains(&axis.ticks.len()), "{:?}", axis);
            for value in values {
                let room = 1e-8 * (axis.high - axis.low);
                prop_assert!(axis.low - room <= value && value <= axis.high + room, "{value} {axis:?}");
            }
        }
    }
}
