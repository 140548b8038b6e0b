use crate::progress::answer;
use anyhow::Result;
use critic_data::{ReadOptions, inspect as inspect_pairs, read_pairs};
use std::path::Path;

/// Describes a file of preference pairs.
pub(crate) fn inspect(file: &Path, as_json: bool, strict: bool) -> Result<()> {
    let set = read_pairs(file, &ReadOptions { strict, limit: None, format: None })?;
    let inspection = inspect_pairs(&set);
    if as_json {
        answer(serde_json::to_string_pretty(&inspection)?);
    } else {
        answer(inspection.to_string());
    }
    Ok(())
}
