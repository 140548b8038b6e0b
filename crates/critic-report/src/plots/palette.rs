//! Colors that stay apart for color-blind readers, each with its counterpart for dark screens.

use super::canvas::SCALE;
use maud::{Markup, html};
use plotters::style::RGBColor;
use std::fmt::Write as _;

/// A color of light pages with its counterpart on dark screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ink {
    light: (u8, u8, u8),
    dark: (u8, u8, u8),
}

impl Ink {
    /// As plotters knows it.
    pub(crate) fn color(self) -> RGBColor {
        let (r, g, b) = self.light;
        RGBColor(r, g, b)
    }

    fn hex((r, g, b): (u8, u8, u8)) -> String {
        format!("#{r:02X}{g:02X}{b:02X}")
    }
}

/// Text.
pub(crate) const TEXT: Ink = Ink { light: (0x24, 0x29, 0x2F), dark: (0xE6, 0xE9, 0xED) };
/// Tick labels and axis titles.
pub(crate) const MUTED: Ink = Ink { light: (0x59, 0x63, 0x6E), dark: (0xA7, 0xB0, 0xBA) };
/// Grid lines.
pub(crate) const GRID: Ink = Ink { light: (0xE3, 0xE7, 0xEB), dark: (0x36, 0x3D, 0x46) };
/// Axis and reference lines.
pub(crate) const AXIS: Ink = Ink { light: (0x9A, 0xA4, 0xAE), dark: (0x76, 0x80, 0x8B) };

/// Blue, vermilion, green, purple: told apart in all three common forms of color blindness.
const SERIES: [Ink; 4] = [
    Ink { light: (0x00, 0x72, 0xB2), dark: (0x5B, 0xB8, 0xF0) },
    Ink { light: (0xC8, 0x4E, 0x00), dark: (0xF2, 0x93, 0x4F) },
    Ink { light: (0x00, 0x8A, 0x64), dark: (0x3F, 0xCF, 0xA4) },
    Ink { light: (0x9A, 0x4B, 0x84), dark: (0xE3, 0xA0, 0xCC) },
];

/// The shape of a point, so that color is never the only difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Diamond,
    Square,
    Triangle,
}

/// How one series looks; the dashes of its line come with the color, from the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Series {
    /// Its color.
    pub(crate) ink: Ink,
    /// Its points.
    pub(crate) marker: Marker,
    dashes: Option<&'static str>,
    draws: Draws,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Draws {
    Points,
    Lines,
    Bars,
    Dots,
}

impl Series {
    /// The look of the `index`-th series of points; four differ.
    pub(crate) fn points(index: usize) -> Self {
        Self { dashes: None, draws: Draws::Points, ..Self::lines(index) }
    }

    /// The look of the `index`-th series of lines; four differ.
    pub(crate) fn lines(index: usize) -> Self {
        let markers = [Marker::Circle, Marker::Diamond, Marker::Square, Marker::Triangle];
        let index = index % SERIES.len();
        Self {
            ink: SERIES[index],
            marker: markers[index],
            dashes: DASHES[index],
            draws: Draws::Lines,
        }
    }

    /// The look of the `index`-th series of bars.
    pub(crate) fn bars(index: usize) -> Self {
        Self { draws: Draws::Bars, ..Self::points(index) }
    }

    /// The look of the `index`-th cloud of dots.
    pub(crate) fn dots(index: usize) -> Self {
        Self { draws: Draws::Dots, ..Self::points(index) }
    }

    /// The mark of the series in a legend.
    pub(crate) fn swatch(self) -> Markup {
        let hex = Ink::hex(self.ink.light);
        html! {
            svg.swatch viewBox="0 0 28 12" aria-hidden="true" {
                @match self.draws {
                    Draws::Lines => {
                        polyline points="0,6 28,6" fill="none" stroke=(hex) stroke-width="2.5"
                            stroke-dasharray=[self.dashes] {}
                    }
                    Draws::Bars => { rect x="6" y="1" width="16" height="10" fill=(hex) {} }
                    Draws::Dots => { circle cx="14" cy="6" r="3" fill=(hex) {} }
                    Draws::Points => @match self.marker {
                        Marker::Circle => { circle cx="14" cy="6" r="4.5" fill=(hex) {} }
                        Marker::Diamond => { polygon points="14,0 20,6 14,12 8,6" fill=(hex) {} }
                        Marker::Square => { polygon points="10,2 18,2 18,10 10,10" fill=(hex) {} }
                        Marker::Triangle => { polygon points="14,1 19,10 9,10" fill=(hex) {} }
                    },
                }
            }
        }
    }
}

/// Dashes of the lines, in CSS pixels.
const DASHES: [Option<&str>; 4] = [None, Some("7 4"), Some("2 3"), Some("9 3 2 3")];

/// The rules that give every color its dark counterpart and every line its dashes.
pub(crate) fn style_sheet() -> String {
    let mut css = String::new();
    for (ink, dashes) in SERIES.iter().zip(DASHES) {
        if let Some(dashes) = dashes {
            let lengths: Vec<String> = dashes
                .split(' ')
                .filter_map(|length| length.parse::<u32>().ok())
                .map(|length| (length * SCALE).to_string())
                .collect();
            let (hex, lengths) = (Ink::hex(ink.light), lengths.join(" "));
            let _ = writeln!(
                css,
                "svg.lines polyline[opacity='1'][stroke='{hex}']{{stroke-dasharray:{lengths}}}"
            );
        }
    }
    css.push_str("@media screen and (prefers-color-scheme:dark){\n");
    for ink in SERIES.iter().chain(&[TEXT, MUTED, GRID, AXIS]) {
        let (light, dark) = (Ink::hex(ink.light), Ink::hex(ink.dark));
        let _ = writeln!(
            css,
            "svg [stroke='{light}']{{stroke:{dark}}}svg [fill='{light}']{{fill:{dark}}}"
        );
    }
    css.push_str("}\n");
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG contrast against a background of this luminance.
    fn contrast(color: (u8, u8, u8), background: f64) -> f64 {
        let channel = |value: u8| {
            let share = f64::from(value) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        let (r, g, b) = color;
        let luminance = 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
        let (a, b) = (luminance + 0.05, background + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_ink_is_legible_on_its_page() {
        for ink in SERIES {
            assert!(contrast(ink.light, 1.0) > 4.0, "{}", Ink::hex(ink.light));
            assert!(contrast(ink.dark, 0.012) > 7.0, "{}", Ink::hex(ink.dark));
        }
        for ink in [TEXT, MUTED] {
            assert!(contrast(ink.light, 1.0) > 5.5, "{}", Ink::hex(ink.light));
            assert!(contrast(ink.dark, 0.012) > 7.0, "{}", Ink::hex(ink.dark));
        }
    }

    #[test]
    fn four_series_differ_in_more_than_color() {
        let looks: Vec<_> = (0..4).map(Series::lines).collect();
        for (i, a) in looks.iter().enumerate() {
            assert!(looks[..i].iter().all(|b| a.dashes != b.dashes && a.marker != b.marker));
        }
    }
}
