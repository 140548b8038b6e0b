use super::palette::{AXIS, Ink, MUTED, Marker};
use crate::ReportError;
use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Units of a drawing in a CSS pixel; plotters puts everything on whole units.
pub(crate) const SCALE: u32 = 8;
/// Height of small text, in CSS pixels.
pub(crate) const FONT_SIZE: f64 = 12.5;

/// Where a text is held.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Left,
    Center,
    Right,
}

/// A drawing in CSS pixels, from the upper left corner.
pub(crate) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    figure: &'static str,
}

impl Canvas<'_> {
    /// A line through points.
    pub(crate) fn line(
        &self,
        points: &[(f64, f64)],
        ink: Ink,
        width: f64,
        opacity: f64,
    ) -> Result<(), ReportError> {
        let style = ink.color().mix(opacity).stroke_width((width * f64::from(SCALE)) as u32);
        let points: Vec<(i32, i32)> = points.iter().map(|&at| units(at)).collect();
        self.done(self.area.draw(&PathElement::new(points, style)))
    }

    /// Text at a point, vertically centered on it.
    pub(crate) fn text(
        &self,
        text: &str,
        at: (f64, f64),
        anchor: Anchor,
        ink: Ink,
    ) -> Result<(), ReportError> {
        let held = match anchor {
            Anchor::Left => HPos::Left,
            Anchor::Center => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        // The backend divides by 1.24.
        let size = FONT_SIZE * 1.24 * f64::from(SCALE);
        let color = ink.color();
        let style = TextStyle::from(("sans-serif", size).into_font())
            .color(&color)
            .pos(Pos::new(held, VPos::Center));
        self.done(self.area.draw(&Text::new(text.to_owned(), units(at), style)))
    }

    /// Small muted text, as at an axis.
    pub(crate) fn label(
        &self,
        text: &str,
        at: (f64, f64),
        anchor: Anchor,
    ) -> Result<(), ReportError> {
        self.text(text, at, anchor, MUTED)
    }

    /// A filled rectangle between two corners.
    pub(crate) fn bar(
        &self,
        corners: [(f64, f64); 2],
        ink: Ink,
        opacity: f64,
    ) -> Result<(), ReportError> {
        let style = ink.color().mix(opacity).filled();
        self.done(self.area.draw(&Rectangle::new(corners.map(units), style)))
    }

    /// A small dot of a cloud.
    pub(crate) fn dot(&self, at: (f64, f64), ink: Ink, opacity: f64) -> Result<(), ReportError> {
        let radius = (2.6 * f64::from(SCALE)) as i32;
        let style = ink.color().mix(opacity).filled();
        self.done(self.area.draw(&Circle::new(units(at), radius, style)))
    }

    /// A dashed reference line.
    pub(crate) fn dashes(&self, from: (f64, f64), to: (f64, f64)) -> Result<(), ReportError> {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |along: f64| {
            let share = (along / length).min(1.0);
            (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
        };
        let mut along = 0.0;
        while along < length {
            self.line(&[at(along), at(along + 5.0)], AXIS, 1.5, 1.0)?;
            along += 9.0;
        }
        Ok(())
    }

    /// A filled point.
    pub(crate) fn marker(
        &self,
        marker: Marker,
        at: (f64, f64),
        ink: Ink,
    ) -> Result<(), ReportError> {
        self.marker_of_size(marker, at, ink, 1.0)
    }

    /// A filled point, `scale` times as large as others.
    pub(crate) fn marker_of_size(
        &self,
        marker: Marker,
        (x, y): (f64, f64),
        ink: Ink,
        scale: f64,
    ) -> Result<(), ReportError> {
        let style = ink.color().filled();
        let corners: &[(f64, f64)] = match marker {
            Marker::Circle => {
                let radius = (5.0 * scale * f64::from(SCALE)) as i32;
                return self.done(self.area.draw(&Circle::new(units((x, y)), radius, style)));
            }
            Marker::Diamond => &[(0.0, -6.5), (6.5, 0.0), (0.0, 6.5), (-6.5, 0.0)],
            Marker::Square => &[(-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)],
            Marker::Triangle => &[(0.0, -6.0), (6.0, 4.5), (-6.0, 4.5)],
        };
        let corners: Vec<(i32, i32)> =
            corners.iter().map(|(dx, dy)| units((x + scale * dx, y + scale * dy))).collect();
        self.done(self.area.draw(&Polygon::new(corners, style)))
    }

    fn done<T>(
        &self,
        result: Result<T, DrawingAreaErrorKind<std::io::Error>>,
    ) -> Result<T, ReportError> {
        result
            .map_err(|error| ReportError::Figure { figure: self.figure, reason: error.to_string() })
    }
}

fn units((x, y): (f64, f64)) -> (i32, i32) {
    ((x * f64::from(SCALE)).round() as i32, (y * f64::from(SCALE)).round() as i32)
}

/// Draws a figure of this many CSS pixels and returns it as an SVG element that can stand in a page.
///
/// `class` is `lines` where lines are told apart by dashes, `points` otherwise; `description` is what a
/// screen reader says.
pub(crate) fn draw(
    figure: &'static str,
    class: &'static str,
    description: &str,
    (width, height): (u32, u32),
    paint: impl FnOnce(&Canvas<'_>) -> Result<(), ReportError>,
) -> Result<Markup, ReportError> {
    let mut document = String::new();
    {
        let backend = SVGBackend::with_string(&mut document, (width * SCALE, height * SCALE));
        let canvas = Canvas { area: backend.into_drawing_area(), figure };
        paint(&canvas)?;
        canvas.done(canvas.area.present())?;
    }
    // Only what stands inside the document's own <svg …>…</svg> goes into the page.
    let inside = document
        .split_once('>')
        .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
        .map(|(inside, _)| inside)
        .ok_or_else(|| ReportError::Figure { figure, reason: "no SVG element".to_owned() })?;
    let view_box = format!("0 0 {} {}", width * SCALE, height * SCALE);
    // Narrower than that, its text would be too small to read: the page scrolls it instead.
    let style = format!("max-width:{width}px;min-width:{}px", width * 3 / 4);
    Ok(html! {
        svg class=(class) viewBox=(view_box) style=(style) role="img"
            aria-label=(description) {
            (PreEscaped(inside))
        }
    })
}

/// A text that fits into this many CSS pixels: cut with an ellipsis where it would not.
pub(crate) fn fitted(text: &str, width: f64) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text_width(&clean) <= width {
        return clean;
    }
    let mut used = text_width("…");
    let kept = clean.chars().take_while(|&c| {
        used += char_width(c);
        used <= width
    });
    kept.chain(['…']).collect()
}

/// Width of a text in CSS pixels, on the wide side: the reader's font is not known.
pub(crate) fn text_width(text: &str) -> f64 {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> f64 {
    let em = match c {
        'i' | 'j' | 'l' | '.' | ',' | ' ' | '|' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.98,
        'A'..='Z' => 0.74,
        c if c.is_ascii() => 0.62,
        _ => 1.05,
    };
    em * FONT_SIZE
}

#[cfg(test)]
mod tests {
    use super::super::palette::TEXT;
    use super::*;

    #[test]
    fn text_in_a_figure_is_escaped() {
        let svg = draw("test", "points", "\"quoted\" <b>", (100, 50), |canvas| {
            canvas.text("</svg><script>&", (5.0, 5.0), Anchor::Left, TEXT)
        })
        .unwrap()
        .into_string();
        assert!(svg.contains("&lt;/svg&gt;&lt;script&gt;&amp;"), "{svg}");
        assert_eq!(svg.matches("</svg>").count(), 1);
        assert!(svg.contains("&quot;quoted&quot; &lt;b&gt;"));
        assert!(!svg.contains("http"), "{svg}");
    }

    #[test]
    fn long_names_end_in_an_ellipsis() {
        assert_eq!(fitted("short\n", 100.0), "short ");
        let cut = fitted(&"日本".repeat(50), 100.0);
        assert!(cut.ends_with('…') && text_width(&cut) <= 100.0, "{cut}");
    }
}
