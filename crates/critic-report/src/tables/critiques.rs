use super::{accuracy_cells, correct_and_ties};
use crate::format::{number, points, points_interval, signed};
use crate::table::{Cell, Table};
use crate::{RoundRecord, RunRecord, StudyRecord};
use critic_eval::CritiqueFindings;

/// How far the critiques of a response say the same.
pub(super) fn agreement(studies: &[StudyRecord]) -> Option<Table> {
    let mut table = Table::new(
        "critique-agreement",
        "Do the critiques of a response agree? Correlation of the rewards after two of them; share of the \
         rewards' variance that lies between responses (intraclass correlation; 1: critiques change \
         nothing); how many independent critiques the most of a response are worth",
        &[
            "model",
            "domain",
            "#pairs",
            "#missing",
            "#failed critiques",
            "#correlation",
            "#intraclass correlation",
            "#independent critiques",
        ],
    );
    for (model, domain, found) in findings(studies) {
        table.row([
            model,
            domain,
            Cell::count(found.n_pairs),
            Cell::count(found.n_missing),
            Cell::count(found.n_failed),
            Cell::number(found.correlation.map(|r| r.mean), |r| signed(r, 2)),
            Cell::number(found.variance.map(|v| v.intraclass_correlation), |r| signed(r, 2)),
            Cell::number(found.effective_critiques, |n| format!("{n:.2}")),
        ]);
    }
    table.if_any()
}

/// What averaging over several critiques gains.
pub(super) fn worth(studies: &[StudyRecord]) -> Option<Table> {
    let mut table = Table::new(
        "critique-worth",
        "What averaging gains over a single critique, in percentage points: over all critiques, and when \
         repeated ones count once",
        &["model", "domain", "#distinct critiques", "#gain", "~gain interval", "#gain of distinct"],
    );
    for (model, domain, found) in findings(studies) {
        let Some(duplicates) = &found.duplicates else { continue };
        table.row([
            model,
            domain,
            Cell::percent(duplicates.distinct_share),
            Cell::number(duplicates.gain, points),
            Cell::interval(Some(&duplicates.gain_interval), points_interval),
            Cell::number(duplicates.gain_distinct, points),
        ]);
    }
    table.if_any()
}

/// The findings of every model, over all pairs and in each domain, with their names.
fn findings(studies: &[StudyRecord]) -> Vec<(Cell, Cell, &CritiqueFindings)> {
    let mut found: Vec<(Cell, Cell, &CritiqueFindings)> = Vec::new();
    for record in studies {
        let family = record.family.as_str();
        found.push((family.into(), "all".into(), &record.study.overall));
        for (domain, findings) in &record.study.domains {
            found.push((family.into(), domain.as_str().into(), findings));
        }
    }
    found
}

/// Accuracy at each m.
pub(super) fn curve(studies: &[StudyRecord]) -> Option<Table> {
    let mut table = Table::new(
        "critique-curve",
        "Expected accuracy over m critiques, over the same pairs at every m; gain over the first m in points",
        &["model", "domain", "#m", "#pairs", "#accuracy", "~interval", "#gain", "~gain interval"],
    );
    for (model, domain, found) in findings(studies) {
        let Some(curve) = &found.curve else { continue };
        for point in &curve.points {
            table.row([
                model.clone(),
                domain.clone(),
                Cell::count(point.m),
                Cell::count(curve.n_items),
                Cell::percent(point.accuracy),
                Cell::percents(Some(&point.interval)),
                Cell::number(point.gain, points),
                Cell::interval(Some(&point.gain_interval), points_interval),
            ]);
        }
    }
    table.if_any()
}

/// Rounds beside each other, when there are several.
pub(super) fn rounds(record: &RunRecord) -> Option<Table> {
    if record.rounds.len() < 2 {
        return None;
    }
    let mut table = Table::new(
        "rounds",
        "Round by round: what each critic wrote, how far it agrees with the label, and the model that was trained on it",
        &[
            "round",
            "critic",
            "#critiques",
            "#critiques kept",
            "#pairs kept",
            "#best agreement of a score",
            "trained",
            "#accuracy without critique",
            "#accuracy with critiques",
            "~interval",
        ],
    );
    for round in &record.rounds {
        let trained = round.trained.as_deref().unwrap_or_default();
        let family = || record.contestants.iter().filter(|result| result.family == trained);
        let accuracy = |result: &critic_eval::ContestantResult| result.accuracy;
        let without = family().find(|result| result.n_critiques == Some(0)).and_then(accuracy);
        let with = family().max_by_key(|result| result.n_critiques).and_then(accuracy);
        let agreement = round
            .score_agreement
            .iter()
            .filter_map(|score| score.accuracy.map(|found| found.agreement.accuracy))
            .max_by(f64::total_cmp);
        let first = round.funnel.iter().find_map(|step| step.n_critiques);
        let last = round.funnel.last();
        let [with, interval] = accuracy_cells(with.as_ref());
        let n =
            |n: Option<usize>| n.map_or_else(|| Cell::number(None, |_| String::new()), Cell::count);
        table.row([
            round.round.to_string().into(),
            round.critic.as_str().into(),
            n(first),
            n(last.and_then(|step| step.n_critiques)),
            n(last.map(|step| step.n_pairs)),
            Cell::percent(agreement),
            trained.into(),
            Cell::percent(without.map(|found| found.agreement.accuracy)),
            with,
            interval,
        ]);
    }
    table.if_any()
}

/// What is left from the candidates to the training data.
pub(super) fn funnel(rounds: &[RoundRecord]) -> Option<Table> {
    let mut table =
        Table::new("funnel", "From candidates to training data", &["step", "#pairs", "#critiques"]);
    let steps = || rounds.iter().flat_map(|round| &round.funnel);
    let most_pairs = steps().map(|step| step.n_pairs).max().unwrap_or(0);
    let most_critiques = steps().filter_map(|step| step.n_critiques).max().unwrap_or(0);
    for round in rounds {
        for step in &round.funnel {
            table.row([
                named(rounds, round, &step.label),
                Cell::bar(step.n_pairs, most_pairs),
                step.n_critiques.map_or_else(
                    || Cell::number(None, |_| String::new()),
                    |n| Cell::bar(n, most_critiques),
                ),
            ]);
        }
    }
    table.if_any()
}

/// A label with its round, where there are several.
fn named(rounds: &[RoundRecord], round: &RoundRecord, label: &str) -> Cell {
    if rounds.len() > 1 { format!("round {} · {label}", round.round) } else { label.to_owned() }
        .into()
}

/// Why the filter left things out.
pub(super) fn reasons(rounds: &[RoundRecord]) -> Option<Table> {
    let mut table = Table::new(
        "filter-reasons",
        "What the filter did, by reason",
        &["reason", "#pairs", "#critiques"],
    );
    for round in rounds {
        let Some(filter) = &round.filter else { continue };
        let (n_pairs, n_critiques) = (filter.pairs.n_seen(), filter.critiques.n_seen());
        let mut reasons: Vec<&String> =
            filter.pairs.dropped.keys().chain(filter.critiques.dropped.keys()).collect();
        let struck = |reason: &String| {
            [&filter.pairs, &filter.critiques]
                .map(|report| report.dropped.get(reason).copied().unwrap_or(0))
        };
        reasons.sort_by_key(|reason| (std::cmp::Reverse(struck(reason)), *reason));
        reasons.dedup();
        table.row([
            named(rounds, round, "kept"),
            Cell::bar(filter.pairs.n_kept, n_pairs),
            Cell::bar(filter.critiques.n_kept, n_critiques),
        ]);
        for reason in reasons {
            let [pairs, critiques] = struck(reason);
            table.row([
                named(rounds, round, reason),
                Cell::bar(pairs, n_pairs),
                Cell::bar(critiques, n_critiques),
            ]);
        }
    }
    table.if_any()
}

/// The pairs that the filter kept in each domain.
pub(super) fn filter_by_domain(rounds: &[RoundRecord]) -> Option<Table> {
    let mut table = Table::new(
        "filter-by-domain",
        "Pairs that the filter kept, by domain",
        &["domain", "#pairs", "#kept", "#share kept"],
    );
    for round in rounds {
        let Some(filter) = &round.filter else { continue };
        for (domain, report) in &filter.by_domain {
            let n_seen = report.n_seen();
            let share = (n_seen > 0).then(|| report.n_kept as f64 / n_seen as f64);
            table.row([
                named(rounds, round, domain),
                Cell::count(n_seen),
                Cell::bar(report.n_kept, n_seen),
                Cell::percent(share),
            ]);
        }
    }
    table.if_any()
}

/// How often the critiques' scores agree with the label.
pub(super) fn score_agreement(rounds: &[RoundRecord]) -> Option<Table> {
    let mut table = Table::new(
        "score-agreement",
        "Critique scores against the label: chosen above rejected, by the mean over a response's critiques; and \
         the verdict right after the response, which critiques have to beat",
        &["score", "#pairs", "#with the score on both sides", "#ties", "#agreement", "~interval"],
    );
    for round in rounds {
        for score in &round.score_agreement {
            let [accuracy, interval] = accuracy_cells(score.accuracy.as_ref());
            let [_, n_ties] = correct_and_ties(score.accuracy.as_ref());
            table.row([
                named(rounds, round, score.kind.as_str()),
                Cell::count(score.n_pairs),
                Cell::count(score.accuracy.map_or(0, |accuracy| accuracy.n_scored())),
                n_ties,
                accuracy,
                interval,
            ]);
        }
        if let Some(found) = round.verdict_without_critique {
            let [accuracy, interval] = accuracy_cells(Some(&found));
            let [_, n_ties] = correct_and_ties(Some(&found));
            let n = round.score_agreement.first().map_or(found.n_scored(), |score| score.n_pairs);
            table.row([
                named(rounds, round, "verdict, no critique"),
                Cell::count(n),
                Cell::count(found.n_scored()),
                n_ties,
                accuracy,
                interval,
            ]);
        }
    }
    table.if_any()
}

/// What the critiques are like.
pub(super) fn audits(rounds: &[RoundRecord]) -> Option<Table> {
    let mut table = Table::new(
        "critique-audits",
        "What the critiques are like: near-duplicates of another critique of the same response; BLEU against \
         the others of the response (1: all the same); critiques that name content of their response; \
         verdicts that agree with the score, of the critiques that have both",
        &[
            "critiques",
            "#critiques",
            "#near-duplicates",
            "#self-BLEU",
            "#words",
            "#name content",
            "#verdict agrees with score",
        ],
    );
    for round in rounds {
        for (which, found) in &round.audits {
            let share = |n: usize, of: usize| Cell::percent((of > 0).then(|| n as f64 / of as f64));
            table.row([
                named(rounds, round, which),
                Cell::count(found.n_critiques),
                share(found.n_near_duplicates, found.n_critiques),
                Cell::number(found.self_bleu, |bleu| format!("{bleu:.2}")),
                Cell::number(found.mean_words, |words| format!("{words:.1}")),
                share(found.n_concrete, found.n_critiques),
                share(found.n_consistent, found.n_judged_twice),
            ]);
        }
    }
    table.if_any()
}

/// How far a meta-judge that compares critiques agrees with itself.
pub(super) fn meta_judge(rounds: &[RoundRecord]) -> Option<Table> {
    let mut table = Table::new(
        "meta-judge",
        "The meta-judge against itself: every two critiques of a response in both orders; comparisons whose \
         orders prefer the same critique (a tie in one is no agreement); answers that prefer the critique \
         shown first (a tie counts half; 50 %: no position bias). Questions without an answer are left out \
         with their comparisons",
        &[
            "what",
            "#comparisons",
            "#questions without an answer",
            "#alike in both orders",
            "#tied answers",
            "#answers for the first place",
        ],
    );
    for round in rounds {
        let Some(found) = &round.meta_judge else { continue };
        table.row([
            named(rounds, round, "critiques compared"),
            Cell::count(found.n_comparisons),
            Cell::count(found.n_failed),
            Cell::percent(found.consistency()),
            Cell::count(found.n_ties),
            Cell::percent(found.first_share()),
        ]);
    }
    table.if_any()
}

/// The bars of the histograms of lengths and scores.
pub(super) fn histograms(rounds: &[RoundRecord]) -> Option<Table> {
    let mut table = Table::new(
        "critique-histograms",
        "Lengths and scores of the candidates, bar by bar",
        &["what", "of", "#from", "#to", "#critiques"],
    );
    for round in rounds {
        for histogram in &round.histograms {
            for (name, bins) in &histogram.series {
                for bin in bins.iter().filter(|bin| bin.n > 0) {
                    table.row([
                        named(rounds, round, &histogram.title),
                        name.as_str().into(),
                        Cell::number(bin.low, number),
                        Cell::number(bin.high, number),
                        Cell::count(bin.n),
                    ]);
                }
            }
        }
    }
    table.if_any()
}
