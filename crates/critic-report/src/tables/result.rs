use super::correct_and_ties;
use crate::format::{number, p_value, points, points_interval, signed};
use crate::table::{Cell, Table};
use critic_eval::{Accuracy, ContestantResult, CorrectedComparison};

/// Who ranked how many held-out pairs right.
pub(super) fn contestants(results: &[ContestantResult]) -> Option<Table> {
    let mut table = Table::new(
        "contestants",
        format!(
            "Contestants on held-out pairs{}. The mean margin is in each contestant's own unit; nats per \
             pair are −ln σ(margin), 0.693 for an undecided model",
            tie_remark(results)
        ),
        &[
            "contestant",
            "#pairs",
            "#scored",
            "#missing",
            "#correct",
            "#ties",
            "#accuracy",
            "~interval",
            "#mean margin",
            "#nats per pair",
        ],
    );
    for result in results {
        let [n_correct, n_ties] = correct_and_ties(result.accuracy.as_ref());
        let [accuracy, interval] = accuracy_cells(result.accuracy.as_ref());
        table.row([
            result.name.as_str().into(),
            Cell::count(result.n_pairs),
            Cell::count(result.n_scored),
            Cell::count(result.n_missing),
            n_correct,
            n_ties,
            accuracy,
            interval,
            Cell::number(result.mean_margin, |margin| signed(margin, 3)),
            Cell::number(result.mean_nll, number),
        ]);
    }
    table.if_any()
}

/// Which contestants differ.
pub(crate) fn comparisons(comparisons: &[CorrectedComparison]) -> Option<Table> {
    let mut table = Table::new(
        "comparisons",
        "Who differs, on the same pairs: difference of accuracy in percentage points with its bootstrap \
         interval over prompts, p-values of McNemar's exact test and of a permutation test over prompts, \
         and the latter after Holm's correction for looking several times",
        &[
            "first",
            "second",
            "#pairs",
            "#difference",
            "~interval",
            "#only first right",
            "#only second right",
            "#McNemar p",
            "#permutation p",
            "#Holm p",
        ],
    );
    for corrected in comparisons {
        let comparison = &corrected.comparison;
        table.row([
            comparison.a.as_str().into(),
            comparison.b.as_str().into(),
            Cell::count(comparison.n_pairs),
            Cell::number(comparison.difference, points),
            Cell::interval(Some(&corrected.clustered.interval), points_interval),
            Cell::count(comparison.n_only_a),
            Cell::count(comparison.n_only_b),
            Cell::number(comparison.mcnemar_p, p_value),
            Cell::number(corrected.permutation.p, p_value),
            Cell::number(corrected.holm_p, p_value),
        ]);
    }
    table.if_any()
}

/// The contestants in each domain.
pub(super) fn domains(results: &[ContestantResult]) -> Option<Table> {
    let mut table = Table::new(
        "domains",
        "By domain",
        &["domain", "contestant", "#pairs", "#scored", "#accuracy", "~interval"],
    );
    let mut rows: Vec<_> = results
        .iter()
        .flat_map(|result| result.by_domain.iter().map(move |domain| (domain, &result.name)))
        .collect();
    rows.sort_by_key(|(domain, _)| domain.domain.as_str());
    for (domain, name) in rows {
        let [accuracy, interval] = accuracy_cells(domain.accuracy.as_ref());
        table.row([
            domain.domain.as_str().into(),
            name.as_str().into(),
            Cell::count(domain.n_pairs),
            Cell::count(domain.n_scored),
            accuracy,
            interval,
        ]);
    }
    table.if_any()
}

/// The share and its interval.
pub(crate) fn accuracy_cells(accuracy: Option<&Accuracy>) -> [Cell; 2] {
    [
        Cell::percent(accuracy.map(|found| found.agreement.accuracy)),
        Cell::percents(accuracy.map(|found| &found.interval)),
    ]
}

/// The rule for ties and the confidence, when all contestants share them.
fn tie_remark(results: &[ContestantResult]) -> String {
    let accuracies: Vec<&Accuracy> = results.iter().filter_map(|r| r.accuracy.as_ref()).collect();
    let Some(first) = accuracies.first() else { return String::new() };
    let (rule, confidence) = (first.agreement.tie_rule, first.interval.confidence);
    if accuracies
        .iter()
        .any(|a| a.agreement.tie_rule != rule || a.interval.confidence != confidence)
    {
        return String::new();
    }
    let ties = match rule {
        critic_stats::TieRule::Wrong => "a tie counts as wrong",
        critic_stats::TieRule::Half => "a tie counts half",
        critic_stats::TieRule::Exclude => "ties are left out",
    };
    format!(" ({}\u{a0}% Wilson intervals; {ties})", (confidence * 1000.0).round() / 10.0)
}
