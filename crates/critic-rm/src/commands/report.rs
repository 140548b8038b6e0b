use crate::cli::ReportArgs;
use crate::exit::Fault;
use crate::progress::{answer, say};
use crate::stages;
use anyhow::{Context, Result, anyhow};
use critic_report::{ReportError, RunComparison, RunRecord};
use critic_types::SeedTree;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Sets finished runs side by side: their accuracies, paired tests, costs and the settings that differ.
pub(crate) fn compare(args: &ReportArgs) -> Result<()> {
    let out = args.run.out.clone().unwrap_or_else(|| PathBuf::from("runs/comparison"));
    if out.join("run.toml").exists() {
        return Err(Fault::config(anyhow!(
            "{} is the folder of a run, whose report would be lost: name another with --out",
            out.display()
        )));
    }
    let names = names(&args.compare)?;
    let mut runs = Vec::with_capacity(names.len());
    for (name, path) in names.into_iter().zip(&args.compare) {
        runs.push((name, read(path)?));
    }
    let seed = SeedTree::new(args.run.seed.unwrap_or(0));
    let comparison = RunComparison::new(runs, seed).map_err(|error| match error {
        ReportError::NoCommonPair => Fault::data(error.into()),
        error => error.into(),
    })?;
    let text = comparison.markdown();
    stages::write_report(&out, &comparison.html()?, &text, &comparison.csv_files()?)?;
    answer(text);
    say(format!("report: {}", out.join("report.html").display()));
    Ok(())
}

/// The record of a finished run.
fn read(path: &Path) -> Result<RunRecord> {
    let file = path.join("run-record.json");
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Fault::data(anyhow!(
            "{} cannot be read: {error}; name the folder of a finished run, or finish it with `critic-rm report {}`",
            file.display(),
            path.display()
        ))
    })?;
    RunRecord::from_json(&text)
        .with_context(|| format!("{} cannot be compared", path.display()))
        .map_err(Fault::data)
}

/// What the runs are called: the ends of their paths, as long as it takes to tell them apart.
fn names(paths: &[PathBuf]) -> Result<Vec<String>> {
    let parts: Vec<Vec<String>> = paths
        .iter()
        .map(|path| {
            let known = path.canonicalize().unwrap_or_else(|_| path.clone());
            known.iter().map(|part| part.to_string_lossy().into_owned()).collect()
        })
        .collect();
    let longest = parts.iter().map(Vec::len).max().unwrap_or(0);
    for n in 1..=longest {
        let end = |parts: &Vec<String>| parts[parts.len().saturating_sub(n)..].join("/");
        let names: Vec<String> = parts.iter().map(end).collect();
        if names.iter().collect::<BTreeSet<_>>().len() == names.len() {
            return Ok(names);
        }
    }
    Err(Fault::config(anyhow!("a run is named twice: name each run to compare once")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_as_much_of_their_paths_as_tells_them_apart() {
        let names = |paths: &[&str]| names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["runs/a", "runs/b"]).unwrap(), ["a", "b"]);
        assert_eq!(names(&["x/runs/a", "y/runs/a", "b"]).unwrap(), ["x/runs/a", "y/runs/a", "b"]);
        assert!(names(&["runs/a", "runs/a"]).is_err());
    }
}
