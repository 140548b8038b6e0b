//! Which figures stand in which section.

use super::FigureGroup;
use crate::plots::{
    Bars, Figure, accuracy_figure, critiques_figures, curve_figures, domains_figure,
    histogram_figure, length_figure, reliability_figure, stages_figure,
};
use crate::{ReportError, RunRecord};
use critic_eval::{ContestantResult, Diagnostics};

/// Looks that differ: a figure shows at most so many contestants.
const MAX_SHOWN: usize = 4;

/// The figures of a section, each group under its own heading where it has one.
pub(super) fn figures(record: &RunRecord, section: &str) -> Result<Vec<FigureGroup>, ReportError> {
    let mut groups: Vec<FigureGroup> = Vec::new();
    match section {
        "result" => {
            let mut drawn: Vec<Figure> = Vec::new();
            drawn.extend(accuracy_figure(&record.contestants)?);
            drawn.extend(domains_figure(&record.contestants, &finalists(&record.contestants))?);
            groups.push((None, drawn));
        }
        "behind" => groups.push((None, behind(record)?)),
        "critiques" => {
            groups.push((None, critiques_figures(&record.contestants, &record.critique_studies)?));
            for round in &record.rounds {
                let mut drawn = Vec::new();
                for histogram in &round.histograms {
                    drawn.extend(histogram_figure(&Bars {
                        title: &histogram.title,
                        caption: "Every candidate critique of the training pairs.",
                        unit: &histogram.unit,
                        counted: "critiques",
                        series: &histogram.series,
                        splits_at_zero: false,
                    })?);
                }
                let name = (record.rounds.len() > 1).then(|| format!("Round {}", round.round));
                groups.push((name, drawn));
            }
        }
        "training" => {
            for curve in &record.training {
                groups.push((Some(curve.name.clone()), curve_figures(curve)?));
            }
        }
        "run" => groups.push((None, stages_figure(&record.stages)?.into_iter().collect())),
        _ => {}
    }
    groups.retain(|(_, drawn)| !drawn.is_empty());
    Ok(groups)
}

/// Calibration, margins and length.
fn behind(record: &RunRecord) -> Result<Vec<Figure>, ReportError> {
    let diagnosed: Vec<(&ContestantResult, &Diagnostics)> = finalists(&record.contestants)
        .into_iter()
        .filter_map(|result| {
            let found = record.diagnostics.iter().find(|found| found.name == result.name)?;
            Some((result, found))
        })
        .collect();
    let mut drawn = Vec::new();
    drawn.extend(reliability_figure(&record.contestants, &diagnosed)?);
    if let Some(main) = &record.main {
        drawn.extend(length_figure(main, &record.items)?);
    }
    for (result, found) in diagnosed.iter().filter(|(_, found)| found.calibration.is_some()) {
        drawn.extend(histogram_figure(&Bars {
            title: &format!("Margins of {}", result.name),
            caption: "Reward of the chosen response less that of the rejected one, over pairs; a margin of zero is ranked wrong.",
            unit: "margin, log-odds",
            counted: "pairs",
            series: &[(result.name.clone(), found.margin_histogram.clone())],
            splits_at_zero: true,
        })?);
    }
    Ok(drawn)
}

/// Of each family the contestant with the most critiques, the first few families.
fn finalists(contestants: &[ContestantResult]) -> Vec<&ContestantResult> {
    let mut found: Vec<&ContestantResult> = Vec::new();
    for result in contestants {
        match found.iter_mut().find(|known| known.family == result.family) {
            Some(known) if result.n_critiques > known.n_critiques => *known = result,
            Some(_) => {}
            None => found.push(result),
        }
    }
    found.truncate(MAX_SHOWN);
    found
}
