use crate::cli::EngineArgs;
use crate::settings::PrecisionSetting;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BenchCommand {
    /// Full fine-tuning steps, AdamW included, over the work; the last of two epochs counts.
    Train(TrainArgs),
    /// Critiques of the work's responses, n of each.
    Generate(GenerateArgs),
    /// Rewards of the work's responses.
    Score(ScoreArgs),
    /// The matrix products of a training step.
    Products(ProductsArgs),
    /// Weights and tokens of the work, for another program to do the same work.
    Export(ExportArgs),
}

impl BenchCommand {
    /// The threads that were asked for.
    pub(crate) fn threads(&self) -> Option<usize> {
        match self {
            Self::Train(args) => args.common.threads,
            Self::Generate(args) => args.common.threads,
            Self::Score(args) => args.common.threads,
            Self::Products(args) => args.threads,
            Self::Export(args) => args.common.threads,
        }
    }
}

/// Options of every measurement on the work.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// The folder with pairs.jsonl and critiques.jsonl.
    #[arg(long, value_name = "FOLDER", default_value = "bench/work")]
    pub(crate) work: PathBuf,
    /// Only the first pairs of the work [default: all that the measurement can use].
    #[arg(long, value_name = "N")]
    pub(crate) pairs: Option<usize>,
    /// Threads [default: one for each core].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Any setting, such as train.tokens_per_pack=4096 (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// K, critiques of each response; 0 is the scalar baseline.
    #[arg(long, value_name = "K", default_value_t = 4)]
    pub(crate) critiques_per_response: usize,
    /// Pairs of an optimizer step.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) pairs_per_step: usize,
    /// Instead: one step on each of these numbers of pairs, and the line through their costs.
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    pub(crate) scale: Vec<usize>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// How many responses are critiqued.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) prompts: usize,
    /// Critiques of each.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) n: usize,
    /// The longest critique, in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) max_new_tokens: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// m, critiques per response; 0 reads the reward without critique.
    #[arg(long, short = 'm', value_name = "N", default_value_t = 0)]
    pub(crate) n_critiques: usize,
    /// The longest critique, in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) max_new_tokens: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProductsArgs {
    /// What the operands are rounded to.
    #[arg(long, value_enum, default_value_t = PrecisionSetting::Auto)]
    pub(crate) precision: PrecisionSetting,
    /// Threads [default: one for each core].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// The folder to write to.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// K, critiques of each response.
    #[arg(long, value_name = "K", default_value_t = 4)]
    pub(crate) critiques_per_response: usize,
}
