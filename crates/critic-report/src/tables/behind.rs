use crate::format::{number, signed};
use crate::table::{Cell, Table};
use critic_eval::{Diagnostics, StyleFeature};
use critic_stats::calibration::Calibration;

/// Whether stated confidences come true.
pub(super) fn calibration(diagnostics: &[Diagnostics]) -> Option<Table> {
    let mut table = Table::new(
        "calibration",
        "Calibration of σ(margin): expected error with bins of equal width (ECE) and of equal mass, \
         Brier score and log loss of the label",
        &["contestant", "#pairs", "#ECE", "#adaptive ECE", "#Brier score", "#log loss (nats)"],
    );
    for found in diagnostics {
        if let Some(calibration) = &found.calibration {
            table.row([vec![found.name.as_str().into()], errors(calibration)].concat());
        }
    }
    table.if_any()
}

/// The same in each domain.
pub(super) fn calibration_by_domain(diagnostics: &[Diagnostics]) -> Option<Table> {
    let mut table = Table::new(
        "calibration-by-domain",
        "Calibration by domain",
        &[
            "domain",
            "contestant",
            "#pairs",
            "#ECE",
            "#adaptive ECE",
            "#Brier score",
            "#log loss (nats)",
        ],
    );
    let mut rows: Vec<_> = diagnostics
        .iter()
        .flat_map(|found| found.calibration_by_domain.iter().map(|domain| (domain, &found.name)))
        .collect();
    rows.sort_by_key(|((domain, _), _)| domain.as_str());
    for ((domain, calibration), name) in rows {
        let names = vec![domain.as_str().into(), name.as_str().into()];
        table.row([names, errors(calibration)].concat());
    }
    table.if_any()
}

fn errors(calibration: &Calibration) -> Vec<Cell> {
    vec![
        Cell::count(calibration.n),
        Cell::percent(calibration.expected_error),
        Cell::percent(calibration.adaptive_error),
        Cell::number(calibration.brier_score, number),
        Cell::number(calibration.log_loss, number),
    ]
}

/// How far apart chosen and rejected stand.
pub(super) fn margins(diagnostics: &[Diagnostics]) -> Option<Table> {
    let mut table = Table::new(
        "margins",
        "Margins, chosen less rejected, in each contestant's own unit",
        &[
            "contestant",
            "#pairs",
            "#mean",
            "#standard deviation",
            "#least",
            "#lower quartile",
            "#median",
            "#upper quartile",
            "#most",
            "#below zero",
            "#ties",
        ],
    );
    for found in diagnostics {
        let Some(margins) = &found.margins else { continue };
        let mut cells = vec![
            found.name.as_str().into(),
            Cell::count(margins.spread.n),
            Cell::number(margins.spread.mean, |mean| signed(mean, 3)),
            Cell::number(margins.spread.std, number),
        ];
        cells.extend(margins.quartiles.map(|edge| Cell::number(edge, |edge| signed(edge, 3))));
        cells.extend([Cell::count(margins.n_negative), Cell::count(margins.n_ties)]);
        table.row(cells);
    }
    table.if_any()
}

/// What the numbers go with that says nothing about being right.
pub(super) fn style(diagnostics: &[Diagnostics]) -> Option<Table> {
    let mut table = Table::new(
        "style",
        "What rewards go with: correlation with features of style over responses, of differences over \
         pairs, and how often the chosen response has more of it",
        &[
            "feature",
            "contestant",
            "#Pearson",
            "#Spearman",
            "#Kendall τ-b",
            "#Spearman of differences",
            "#chosen has more",
        ],
    );
    for feature in StyleFeature::ALL {
        for found in diagnostics {
            let Some(style) = found.style.iter().find(|style| style.feature == feature) else {
                continue;
            };
            if style.pearson.is_none() && style.spearman_of_differences.is_none() {
                continue;
            }
            let name = match feature {
                StyleFeature::Words => "words",
                StyleFeature::Chars => "characters",
                StyleFeature::Headers => "headers",
                StyleFeature::ListItems => "list items",
                StyleFeature::Bold => "bold",
                StyleFeature::CodeBlocks => "code blocks",
            };
            let r = |value: Option<f64>| Cell::number(value, |value| signed(value, 2));
            table.row([
                name.into(),
                found.name.as_str().into(),
                r(style.pearson),
                r(style.spearman),
                r(style.kendall_tau_b),
                r(style.spearman_of_differences),
                Cell::percent(style.chosen_has_more),
            ]);
        }
    }
    table.if_any()
}
