use super::args::{ExportArgs, ImportArgs};
use super::table::count;
use crate::exit::Fault;
use crate::progress::{answer, say};
use crate::run_folder::RunFolder;
use anyhow::{Context, Error, Result};
use critic_data::{TableReader, TableWriter};
use critic_store::{Store, StoreError, Table};

/// Writes a table of a run's store to a file.
pub(super) fn export(args: &ExportArgs) -> Result<()> {
    let store = Store::open_read_only(&RunFolder::store_of(&args.run))?;
    let mut out = TableWriter::create(&args.output, args.table.as_str(), &args.table.columns())?;
    store.export(args.table, &mut |row| Ok::<(), Error>(out.write(row)?))?;
    let n = out.finish()?;
    say(format!("{} rows of {}: {}", count(n), args.table, args.output.display()));
    Ok(())
}

/// Adds the rows of a file to a run's store.
pub(super) fn import(args: &ImportArgs) -> Result<()> {
    let mut rows = TableReader::open(&args.file)?.map(|row| row.map_err(Error::from));
    let folder = RunFolder::take(&args.run)?;
    let mut store = Store::open(&folder.store())?;
    let imported = store.import(args.table, &mut rows).map_err(|error: Error| match error
        .downcast_ref::<StoreError>()
    {
        Some(StoreError::BadRow { .. } | StoreError::NotFinite { .. }) => {
            Fault::data(error.context(format!("{} is not imported", args.file.display())))
        }
        _ => error,
    })?;
    if args.json {
        answer(serde_json::to_string_pretty(&imported).context("a report has a JSON form")?);
        return Ok(());
    }
    say(format!(
        "{}: {} rows added, {} were there",
        args.table,
        count(imported.n_new),
        count(imported.n_known)
    ));
    if imported.n_other > 0 {
        say(format!(
            "left out: {} rows whose key another row has; the stored ones stay ({})",
            count(imported.n_other),
            imported.other.join(", ")
        ));
    }
    Ok(())
}

/// The columns of every table, for the help.
pub(super) fn columns() -> String {
    let mut text = "Tables and their columns; null is written for what is absent:".to_owned();
    for table in Table::ALL {
        text += &format!("\n\n{table}");
        for (name, meaning) in table.meanings() {
            text += &format!("\n  {name:<17} {meaning}");
        }
    }
    text
}
