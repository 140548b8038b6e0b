use super::Stage;
use super::session::Session;
use crate::methods::{CritiqueSource, Method, WARMUP};
use crate::progress::{News, Planned};

/// What a run up to `last` is about to do, with the `estimates` of each kind of stage shared out evenly.
pub(super) fn news(
    session: &Session,
    methods: &[Method],
    last: Stage,
    estimates: &[(Stage, f64)],
) -> News {
    let names = names(session, methods, last);
    let of_kind = |kind: Stage| names.iter().filter(|(one, _)| *one == kind).count().max(1);
    let seconds = |kind: Stage| {
        let all = estimates.iter().find(|(one, _)| *one == kind)?.1;
        Some(all / of_kind(kind) as f64)
    };
    let stages = names
        .iter()
        .map(|(kind, name)| Planned { name: name.clone(), seconds: seconds(*kind) })
        .collect();
    let folder = session.folder.path().to_owned();
    News::Planned { folder, model: session.base.identity.name.clone(), stages }
}

/// The stages as they are called when they are over.
fn names(session: &Session, methods: &[Method], last: Stage) -> Vec<(Stage, String)> {
    let settings = &session.resolved.settings;
    let mut names = Vec::new();
    if !settings.warmup.data.as_os_str().is_empty() {
        let is_measured = settings.warmup.measure_pairs > 0;
        names.extend(is_measured.then(|| (Stage::Warmup, "before warm-up".to_owned())));
        names.push((Stage::Warmup, format!("train {WARMUP}")));
        names.extend(is_measured.then(|| (Stage::Warmup, "after warm-up".to_owned())));
    }
    let writer = methods.iter().find(|method| method.reads_critiques()).map(|one| &one.name);
    let n_rounds = if writer.is_some() { settings.rounds.n } else { 1 };
    let (mut models, mut earlier) = (Vec::new(), Vec::new());
    for round in 0..n_rounds {
        let is_last = round + 1 == n_rounds;
        let until = if is_last { last } else { Stage::Train.min(last) };
        let numbered = |stage: &str| match round {
            0 => stage.to_owned(),
            _ => format!("{stage} {}", round + 1),
        };
        let refines = methods.iter().any(|one| one.critiques == CritiqueSource::Refined);
        if writer.is_some() || until < Stage::Train {
            names.push((Stage::Critique, numbered("critique")));
            if refines || until < Stage::Train {
                names.push((Stage::Filter, numbered("filter")));
                names.push((Stage::Refine, numbered("refine")));
            }
        }
        for method in methods.iter().filter(|one| is_last || Some(&one.name) == writer) {
            let name = match is_last {
                true => method.name.clone(),
                false => format!("{}-round-{}", method.name, round + 1),
            };
            names.push((Stage::Train, format!("train {name}")));
            if is_last { models.push(name) } else { earlier.push(name) }
        }
    }
    models.extend(earlier);
    names.extend(models.into_iter().map(|name| (Stage::Score, format!("score {name}"))));
    names.retain(|(kind, _)| *kind <= last);
    names
}
