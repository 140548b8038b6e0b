use super::critic::Critic;
use super::rounds::Round;
use super::session::Session;
use super::{critique, response_verdicts, warmup};
use crate::exit::Fault;
use crate::progress::answer;
use anyhow::{Result, anyhow};
use critic_eval::Accuracy;
use critic_method::{CritiqueAudit, FilterRule, RuleComparison, audit, compare_rules};
use critic_stats::wilson_interval;

/// Prints what every rule and threshold would keep of the stored critiques of the first round, so that a
/// scale and a rule can be chosen by evidence.
pub(crate) fn compare_filters(session: &mut Session) -> Result<()> {
    if session.resolved.settings.critique.n_candidates == 0 {
        return Err(Fault::config(anyhow!(
            "critique.n_candidates is 0: only what the critic wrote is compared, not critiques that came with the pairs; set it to 1 or more"
        )));
    }
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
    let without = response_verdicts::agreement(session, &round)?;
    answer(table(&found, without.as_ref(), session.train.pairs.len())?);
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

fn table(
    found: &RuleComparison,
    without_critique: Option<&Accuracy>,
    n_pairs: usize,
) -> Result<String> {
    let mut out = format!(
        "{:<12} {:>10} {:>8} {:>8} {:>6} {:>11}  {}\n",
        "score", "readable", "pairs", "agree", "ties", "agreement", "95 % interval"
    );
    for score in &found.report.scores {
        let counts = [score.n_pairs, score.n_agree, score.n_ties];
        out += &agreement_line(score.score.as_str(), score.parse_rate(), counts)?;
    }
    let without = without_critique.map(|found| &found.agreement);
    let counts = without.map_or([0; 3], |found| [found.n, found.n_correct, found.n_ties]);
    out += &agreement_line("no critique", None, counts)?;
    out += &format!(
        "\n{:<12} {:<22} {:>8} {:>8} {:>10}\n",
        "score", "rule", "pairs", "of all", "critiques"
    );
    for outcome in &found.outcomes {
        let score = match outcome.settings.rule {
            FilterRule::None => "–",
            _ => outcome.settings.score.as_str(),
        };
        out += &format!(
            "{score:<12} {:<22} {:>8} {:>6.1} % {:>10}\n",
            name(&outcome.settings.rule),
            outcome.n_pairs,
            100.0 * outcome.n_pairs as f64 / n_pairs.max(1) as f64,
            outcome.n_critiques
        );
    }
    out += "\nAgreement is that of the mean scores with the label, over all pairs that have the score; what a rule keeps agrees with it by construction. \"No critique\" is the verdict right after the response: critiques have to beat it.";
    if without_critique.is_none() {
        out += " It was not read here: the run's `critique` stage reads it.";
    }
    Ok(out)
}

/// How many of the pairs that have a score agree with the label by it; counts are pairs, agreeing ones, ties.
fn agreement_line(
    score: &str,
    readable: Option<f64>,
    [n_pairs, n_agree, n_ties]: [usize; 3],
) -> Result<String> {
    let percent = |share: Option<f64>| {
        share.map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share))
    };
    let (share, interval) = match n_pairs {
        0 => (None, String::new()),
        n => {
            let found = wilson_interval(n_agree as f64, n, 0.95)?;
            let interval = format!("{:.1} to {:.1} %", 100.0 * found.low, 100.0 * found.high);
            (Some(n_agree as f64 / n as f64), interval)
        }
    };
    Ok(format!(
        "{score:<12} {:>10} {n_pairs:>8} {n_agree:>8} {n_ties:>6} {:>11}  {interval}\n",
        percent(readable),
        percent(share),
    ))
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
