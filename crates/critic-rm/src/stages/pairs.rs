use super::session::Split;
use crate::exit::Fault;
use crate::progress::say;
use crate::settings::{DataSettings, Settings};
use anyhow::{Result, anyhow};
use critic_data::{ReadOptions, read_pairs};
use critic_text::Prompts;
use critic_types::{ContentHasher, ContentId, PreferencePair};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Reads pairs; a `limit` of 0 takes all.
pub(crate) fn read(settings: &DataSettings, path: &Path, limit: usize) -> Result<Split> {
    let options = ReadOptions {
        strict: settings.strict,
        limit: (limit > 0).then_some(limit),
        ..ReadOptions::default()
    };
    let set = read_pairs(path, &options)?;
    let n_dropped = set.report.n_dropped();
    if n_dropped > 0 {
        let reasons: Vec<String> =
            set.report.dropped.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        say(format!(
            "{}: {n_dropped} of {} rows left out: {}",
            path.display(),
            set.report.n_seen(),
            reasons.join(", ")
        ));
    }
    Ok(Split {
        file: path.display().to_string(),
        content: content(&set.pairs),
        pairs: set.pairs,
        critiques: set.critiques,
        report: set.report,
    })
}

/// Reads the pairs to train on: of those up to the limit the first share, without the domains held out.
pub(crate) fn read_train(settings: &DataSettings) -> Result<Split> {
    let mut split = read(settings, &settings.train, settings.train_limit)?;
    let n_seen = split.pairs.len();
    let n_kept = (settings.train_share * n_seen as f64).ceil() as usize;
    split.pairs.truncate(n_kept.max(1));
    let held_out = &settings.held_out_domains;
    let domains: BTreeSet<&str> =
        split.pairs.iter().filter_map(|pair| pair.domain.as_deref()).collect();
    if let Some(unknown) = held_out.iter().find(|name| !domains.contains(name.as_str())) {
        return Err(Fault::config(anyhow!(
            "data.held_out_domains names `{unknown}`, which no pair of {} has; its domains are {}",
            split.file,
            domains.into_iter().collect::<Vec<_>>().join(", ")
        )));
    }
    let is_held_out =
        |domain: &Option<String>| domain.as_ref().is_some_and(|name| held_out.contains(name));
    split.pairs.retain(|pair| !is_held_out(&pair.domain));
    if split.pairs.is_empty() {
        return Err(Fault::data(anyhow!(
            "no pair of {} is left to train on: hold out fewer domains",
            split.file
        )));
    }
    if split.pairs.len() < n_seen {
        split.content = content(&split.pairs);
        say(format!("{} of {n_seen} pairs are trained on", split.pairs.len()));
    }
    Ok(split)
}

fn content(pairs: &[PreferencePair]) -> ContentId {
    let mut hasher = ContentHasher::new("pairs");
    for pair in pairs {
        hasher.text(&pair.id).text(pair.content_id().as_str());
    }
    hasher.finish()
}

/// A critique prompt that shows a reference answer needs one to every prompt.
pub(crate) fn refuse_without_reference(
    prompts: &Prompts,
    settings: &Settings,
    file: &str,
    pairs: &[PreferencePair],
) -> Result<()> {
    let lacking: Vec<&str> = pairs
        .iter()
        .filter(|pair| prompts.lacks_reference(&pair.prompt))
        .map(|pair| pair.id.as_str())
        .collect();
    match lacking.first() {
        None => Ok(()),
        Some(first) => Err(Fault::data(anyhow!(
            "{} has no reference answer to the prompts of {} of the {} pairs of {file} (the first is `{first}`); add them, or take another critique prompt",
            settings.prompts.references().display(),
            lacking.len(),
            pairs.len(),
        ))),
    }
}

/// A pair on both sides would make the held-out numbers meaningless.
pub(crate) fn refuse_overlap(train: &Split, eval: &Split) -> Result<()> {
    let trained: HashMap<_, &str> =
        train.pairs.iter().map(|pair| (pair.content_id(), pair.id.as_str())).collect();
    let shared: Vec<&str> =
        eval.pairs.iter().filter_map(|pair| trained.get(&pair.content_id()).copied()).collect();
    match shared.first() {
        None => Ok(()),
        Some(first) => Err(Fault::data(anyhow!(
            "{} of the {} pairs of {} are also in {} (the first is `{first}`); take other pairs",
            shared.len(),
            eval.pairs.len(),
            eval.file,
            train.file,
        ))),
    }
}
