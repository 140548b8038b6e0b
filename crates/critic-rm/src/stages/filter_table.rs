use super::critic::Critic;
use super::rounds::Round;
use super::session::Session;
use super::{critique, warmup};
use crate::exit::Fault;
use crate::progress::answer;
use anyhow::{Result, anyhow};
use critic_method::{CritiqueAudit, FilterRule, RuleComparison, audit, compare_rules};
use critic_stats::wilson_interval;

/// Prints what every rule and threshold would keep of the stored critiques of the first round, so that a
/// scale and a rule can be chosen by evidence.
pub(crate) fn compare_filters(session: &mut Session) -> Result<()> {
    let missing = Fault::data(anyhow!(
        "no critiques of these settings are stored: write them first with `critic-rm critique {}`",
        session.folder.path().display()
    ));
    if !warmup::is_done(session) {
        return Err(missing);
    }
    let start = warmup::run(session)?;
    let round = Round { index: 0, critic: Critic::of_run(session, &start) };
    let candidates = critique::stored(session, &round)?;
    if candidates.is_empty() {
        return Err(missing);
    }
    let keep_truncated = session.resolved.settings.filter.keep_truncated;
    let found = compare_rules(&session.train.pairs, &candidates, keep_truncated)?;
    answer(table(&found, session.train.pairs.len())?);
    answer(audit_lines(&audit(&session.train.pairs, &candidates, session.prompts.scale())?));
    Ok(())
}

/// What the critiques are like, whatever the filter keeps.
fn audit_lines(found: &CritiqueAudit) -> String {
    let share = |n: usize, of: usize| match of {
        0 => "–".to_owned(),
        of => format!("{:.1} %", 100.0 * n as f64 / of as f64),
    };
    let number = |value: Option<f64>, digits: usize| {
        value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
    };
    let n = found.n_critiques;
    format!(
        "\nof {n} critiques: near-duplicates {} · self-BLEU {} · words {} · name content of their response {} · verdict and score agree {} of {}",
        share(found.n_near_duplicates, n),
        number(found.self_bleu, 2),
        number(found.mean_words, 1),
        share(found.n_concrete, n),
        share(found.n_consistent, found.n_judged_twice),
        found.n_judged_twice,
    )
}

fn table(found: &RuleComparison, n_pairs: usize) -> Result<String> {
    let mut out = format!(
        "{:<10} {:>10} {:>8} {:>8} {:>6} {:>11}  {}\n",
        "score", "readable", "pairs", "agree", "ties", "agreement", "95 % interval"
    );
    for score in &found.report.scores {
        let percent = |share: Option<f64>| {
            share.map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share))
        };
        let interval = match score.n_pairs {
            0 => String::new(),
            n => {
                let found = wilson_interval(score.n_agree as f64, n, 0.95)?;
                format!("{:.1} to {:.1} %", 100.0 * found.low, 100.0 * found.high)
            }
        };
        out += &format!(
            "{:<10} {:>10} {:>8} {:>8} {:>6} {:>11}  {interval}\n",
            score.score.as_str(),
            percent(score.parse_rate()),
            score.n_pairs,
            score.n_agree,
            score.n_ties,
            percent(score.agreement()),
        );
    }
    out += &format!(
        "\n{:<10} {:<22} {:>8} {:>8} {:>10}\n",
        "score", "rule", "pairs", "of all", "critiques"
    );
    for outcome in &found.outcomes {
        let score = match outcome.settings.rule {
            FilterRule::None => "–",
            _ => outcome.settings.score.as_str(),
        };
        out += &format!(
            "{score:<10} {:<22} {:>8} {:>6.1} % {:>10}\n",
            name(&outcome.settings.rule),
            outcome.n_pairs,
            100.0 * outcome.n_pairs as f64 / n_pairs.max(1) as f64,
            outcome.n_critiques
        );
    }
    out += "\nAgreement is that of the mean scores with the label, over all pairs that have the score; what a rule keeps agrees with it by construction. `critic-rm contest --judge MODEL` has the row without critique.";
    Ok(out)
}

/// A rule as settings write it.
fn name(rule: &FilterRule) -> String {
    match rule {
        FilterRule::PairMean => "pair_mean".to_owned(),
        FilterRule::PairMargin { delta } => format!("pair_margin, delta {delta}"),
        FilterRule::PerCritique => "per_critique".to_owned(),
        FilterRule::Cross => "cross".to_owned(),
        FilterRule::Majority { tau } => format!("majority, tau {tau}"),
        FilterRule::None => "none".to_owned(),
    }
}
