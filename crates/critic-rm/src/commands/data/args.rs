use super::store;
use crate::cli::{SamplingArgs, WriterArgs};
use clap::{Args, Subcommand};
use critic_data::{Container, MixSource, PairFormat, Pairing, Part, ReadOptions};
use critic_store::Table;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Say what a source holds: format, counts, lengths, broken rows by reason, sample pairs.
    Inspect(InspectArgs),
    /// List the formats that are understood, with the columns each needs.
    Formats {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the pairs of a source in another format or container.
    Convert(ConvertArgs),
    /// Split a source by prompt, so that pairs of one prompt stay together and growing data moves none.
    Split(SplitArgs),
    /// Mix sources by weight, seeded, no pair twice.
    Mix(MixArgs),
    /// Find pairs whose prompt or words stand in a bench.
    Overlap(OverlapArgs),
    /// Write a table of a run's store to a file; a run may be at work on it meanwhile.
    #[command(after_long_help = store::columns())]
    Export(ExportArgs),
    /// Add rows to a run's store, so that the run finds them and does not compute them again.
    #[command(after_long_help = store::columns())]
    Import(ImportArgs),
    /// Make pairs: from gold answers, or by a model.
    #[command(subcommand)]
    Synth(SynthCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SynthCommand {
    /// Alter one step of a gold solution with <<expression=value>> steps and carry the error through,
    /// with the critique that names it.
    Corrupted(CorruptedArgs),
    /// Sample solutions of questions with gold answers from a model, and pair right ones with wrong ones.
    Verifiable(VerifiableArgs),
    /// Pair good responses with a model's responses to slightly different instructions.
    Modified(ModifiedArgs),
}

/// How a source is read.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReadArgs {
    /// The format of the rows, such as trl-standard [default: told from the rows; see data formats].
    #[arg(long, value_name = "NAME", value_parser = str::parse::<PairFormat>)]
    format: Option<PairFormat>,
    /// json (also JSONL), csv, tsv or parquet [default: told from bytes and name].
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Container>)]
    container: Option<Container>,
    /// A column under another name, such as chosen=answer_good (repeatable).
    #[arg(long = "column", value_name = "OURS=THEIRS", value_parser = column)]
    columns: Vec<(String, String)>,
    /// Of several responses to a prompt, compare only the best with each worse one.
    #[arg(long)]
    best_against_rest: bool,
    /// Stop after this many pairs.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Make a row that cannot be used an error.
    #[arg(long)]
    strict: bool,
}

impl ReadArgs {
    pub(crate) fn options(&self) -> ReadOptions {
        let pairing = if self.best_against_rest { Pairing::BestAgainstRest } else { Pairing::All };
        ReadOptions {
            strict: self.strict,
            limit: self.limit,
            format: self.format,
            container: self.container,
            pairing,
            columns: self.columns.iter().cloned().collect(),
        }
    }
}

fn column(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((ours, theirs)) if !ours.is_empty() && !theirs.is_empty() => {
            Ok((ours.to_owned(), theirs.to_owned()))
        }
        _ => Err("write what the format calls it and what the file calls it, such as chosen=good"
            .to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A file, a folder, a glob, - for standard input, or hub:org/name:split@revision.
    pub(crate) source: PathBuf,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draws the sample pairs.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// How much of each text of a sample is shown, in characters; 0 shows all.
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub(crate) width: usize,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A file, a folder, a glob, - for standard input, or hub:org/name:split@revision.
    pub(crate) source: PathBuf,
    /// Ends in .jsonl, .json, .csv, .tsv or .parquet, and .gz or .zst; - writes JSONL to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The format to write.
    #[arg(long, value_name = "NAME", default_value = "own", value_parser = str::parse::<PairFormat>)]
    pub(crate) to: PairFormat,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    /// A file, a folder, a glob, - for standard input, or hub:org/name:split@revision.
    pub(crate) source: PathBuf,
    /// Parts with their shares, such as train=0.9 eval=0.1.
    #[arg(required = true, value_name = "NAME=SHARE", value_parser = str::parse::<Part>)]
    pub(crate) parts: Vec<Part>,
    /// The folder of the parts.
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// How the parts' names end.
    #[arg(long, value_name = "ENDING", default_value = "jsonl")]
    pub(crate) ending: String,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MixArgs {
    /// Sources with their weights, such as a.jsonl=0.7 b.parquet=0.3; without weight 1.
    #[arg(required = true, value_name = "SOURCE=WEIGHT", value_parser = mix_source)]
    pub(crate) sources: Vec<MixSource>,
    /// Where the mixture goes; its name says how.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Pairs in the mixture [default: as many as the weights allow without a pair twice].
    #[arg(long, value_name = "N")]
    pub(crate) pairs: Option<usize>,
    /// Draws the pairs and their order.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

fn mix_source(text: &str) -> Result<MixSource, String> {
    let Some((path, weight)) = text.rsplit_once('=') else {
        return Ok(MixSource { path: text.into(), weight: 1.0 });
    };
    match weight.parse::<f64>() {
        Ok(weight) if weight > 0.0 && weight.is_finite() => {
            Ok(MixSource { path: path.into(), weight })
        }
        _ => Err(format!("the weight `{weight}` is no number above 0; write it as 0.7")),
    }
}

#[derive(Debug, Args)]
pub(crate) struct OverlapArgs {
    /// The data to be checked: a file, a folder, a glob, -, or hub:org/name:split@revision.
    pub(crate) source: PathBuf,
    /// A bench that it must not know (repeatable).
    #[arg(long, required = true, value_name = "SOURCE")]
    pub(crate) against: Vec<PathBuf>,
    /// Write the pairs that meet no bench here.
    #[arg(long, value_name = "FILE")]
    pub(crate) drop: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The folder of the run.
    pub(crate) run: PathBuf,
    /// pairs, candidates, critiques, response-verdicts, verdicts, meta-scores, meta-comparisons, predictions
    /// or stages; --help has their columns.
    #[arg(long, value_name = "TABLE", value_parser = str::parse::<Table>)]
    pub(crate) table: Table,
    /// Ends in .jsonl or .parquet, and .gz or .zst; - writes JSONL to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The folder of the run; made where there is none.
    pub(crate) run: PathBuf,
    /// JSONL or Parquet, as data export writes it; - for JSONL on standard input.
    pub(crate) file: PathBuf,
    /// What the rows are: pairs, candidates, critiques, response-verdicts, verdicts, meta-scores,
    /// meta-comparisons, predictions or stages; --help has their columns.
    #[arg(long, value_name = "TABLE", value_parser = str::parse::<Table>)]
    pub(crate) table: Table,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CorruptedArgs {
    /// Rows of question and answer; the answers carry <<expression=value>> steps, as GSM8K's do.
    pub(crate) source: PathBuf,
    /// Where the pairs go; the name says how.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Draws the step and what is done to it.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// The domain of the pairs.
    #[arg(long, default_value = "math")]
    pub(crate) domain: String,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifiableArgs {
    /// Rows of a question and its gold answer (a number, an expression or a choice; a whole solution with
    /// "#### " or \boxed{} before the answer will do).
    pub(crate) source: PathBuf,
    /// Where the pairs go; the name says how. What is there so far stands beside it until it is whole.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Solutions of each question.
    #[arg(long, short = 'n', default_value_t = 8)]
    pub(crate) n: usize,
    /// The most pairs of a question; the seed draws them.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) max_pairs: usize,
    /// Only the first questions.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// A Jinja file that asks for a solution, with {{ question }}; by default step by step, the answer behind
    /// "#### ". The pairs' prompt is the question alone.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt: Option<PathBuf>,
    /// The domain of the pairs.
    #[arg(long, default_value = "math")]
    pub(crate) domain: String,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) writer: WriterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ModifiedArgs {
    /// Preference pairs: a file, a folder, a glob, - for standard input, or hub:org/name:split@revision. Each
    /// prompt is used once.
    pub(crate) source: PathBuf,
    /// Where the pairs go; the name says how. What is there so far stands beside it until it is whole.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The model writes the chosen response too, in place of the data's.
    #[arg(long)]
    pub(crate) sample_chosen: bool,
    /// How often a modified instruction is tried; the first that can be used is.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) attempts: usize,
    /// Write each pair's instruction and the modified one here (.jsonl or .parquet).
    #[arg(long, value_name = "FILE")]
    pub(crate) instructions: Option<PathBuf>,
    /// A Jinja file that asks for the modified instruction, with {{ instruction }}.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) writer: WriterArgs,
}
