//! Figures as SVG fragments that stand in the page.
//!
//! Every color of a figure is one of [`palette`]; the page's style sheet turns it into its counterpart
//! for dark screens, so a figure holds no style of its own.

mod accuracy;
mod axis;
mod calibration;
mod canvas;
mod cloud;
mod critiques;
mod curves;
mod domains;
mod histogram;
pub(crate) mod palette;
mod shares;
mod stages;

pub(crate) use accuracy::accuracy_figure;
pub(crate) use calibration::reliability_figure;
pub(crate) use cloud::length_figure;
pub(crate) use critiques::critiques_figures;
pub(crate) use curves::curve_figures;
pub(crate) use domains::domains_figure;
pub(crate) use histogram::{Bars, histogram_figure};
pub(crate) use shares::{SharePoint, share_figure};
pub(crate) use stages::stages_figure;

use maud::{Markup, html};
use palette::Series;

/// A drawn figure with its words.
pub(crate) struct Figure {
    /// The heading above it.
    pub(crate) title: String,
    /// What a reader who does not see it should know; also under the figure.
    pub(crate) caption: String,
    /// Whether it takes the whole width of the page.
    pub(crate) is_wide: bool,
    /// Name of a series and how it looks; empty where the figure names its own.
    pub(crate) legend: Vec<(String, Series)>,
    /// The SVG.
    pub(crate) svg: Markup,
}

impl Figure {
    /// The figure as HTML.
    pub(crate) fn to_html(&self) -> Markup {
        html! {
            figure class=[self.is_wide.then_some("wide")] {
                p.figure-title { (self.title) }
                @if !self.legend.is_empty() {
                    ul.legend {
                        @for (name, series) in &self.legend {
                            li { (series.swatch()) bdi { (name) } }
                        }
                    }
                }
                (self.svg)
                figcaption { (self.caption) }
            }
        }
    }
}
