//! The command line.

use crate::commands::bench::BenchCommand;
use crate::commands::data::DataCommand;
use crate::exit::Fault;
use crate::settings::Overrides;
use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use critic_engine::Sampling;
use critic_model::WeightFormat;
use critic_model::sources::GgufFormat;
use critic_remote::{RemoteSettings, RewardApi};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use toml::Value;

/// Reward models that write a critique before they score.
#[derive(Debug, Parser)]
#[command(name = "critic-rm", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Say more about what happens (repeat for still more).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole loop: critiques, filter, refinement, training, scores, evaluation, report.
    #[command(args_override_self = true)]
    Run(RunArgs),
    /// Stage 0: train the critic on critiques that are known to be right.
    #[command(args_override_self = true)]
    Warmup(RunArgs),
    /// Stage 1a: write N candidate critiques of every response.
    #[command(args_override_self = true)]
    Critique(RunArgs),
    /// Stage 1b: keep the critiques that agree with the preference label.
    #[command(args_override_self = true)]
    Filter(FilterArgs),
    /// Stage 1c: rank or summarize the critiques that are left.
    #[command(args_override_self = true)]
    Refine(RunArgs),
    /// Stage 2: train the model jointly on critiques and preference.
    #[command(args_override_self = true)]
    Train(RunArgs),
    /// Score held-out pairs of a run, or any file of prompts and responses.
    #[command(args_override_self = true)]
    Score(ScoreArgs),
    /// Write answers to any prompt: a look at a model.
    Generate(GenerateArgs),
    /// Compare the trained model with its controls on held-out pairs.
    #[command(args_override_self = true)]
    Eval(RunArgs),
    /// Compare reward models, judges and controls on benches and on files of pairs.
    Contest(Box<ContestArgs>),
    /// Run a grid of settings over seeds, share what runs have in common, and compare them.
    #[command(args_override_self = true)]
    Study(StudyArgs),
    /// Write the report of a run, or set finished runs side by side.
    #[command(args_override_self = true)]
    Report(ReportArgs),
    /// Models: fetch, list, describe, export.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Preference data: inspect, convert, split, mix, compare with benches, synthesize.
    #[command(subcommand)]
    Data(DataCommand),
    /// Measure training, generation and scoring on the work in bench/.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// What this machine offers, what is missing, and how to get it; with --endpoint also what a
    /// server can do.
    Doctor(DoctorArgs),
}

/// Options of the stages of a run.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunArgs {
    /// A run file (TOML), or the folder of a run to go on with [default: the built-in recipe].
    #[arg(value_name = "RUNFILE")]
    pub(crate) run: Option<PathBuf>,
    /// The folder of the run [default: runs/ and the name of the run file; of a study: studies/ and its
    /// name].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Catalogue name, hub id, folder, or .gguf file.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Where the model is trained: cpu, cuda, cuda:1 and so on, or metal; critiques and scores stay on the
    /// CPU.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Preference pairs to train on.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Preference pairs held out.
    #[arg(long, value_name = "FILE")]
    pub(crate) eval: Option<PathBuf>,
    /// Root of every random draw.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Any setting, such as critique.n_candidates=8 (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Make a row that cannot be used an error.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print every setting with its origin, or a study's runs, and stop.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Show the work on the whole terminal: stages, the newest critique, curves; q stops, ? helps.
    #[arg(long)]
    pub(crate) tui: bool,
}

impl RunArgs {
    /// The flags as settings.
    pub(crate) fn overrides(&self) -> Overrides {
        let mut flags = Vec::new();
        let text = |path: &PathBuf| Value::String(path.display().to_string());
        flags.extend(self.model.clone().map(|model| ("model", Value::String(model))));
        let device = self.device.clone();
        flags.extend(device.map(|device| ("train.device", Value::String(device))));
        flags.extend(self.data.as_ref().map(|path| ("data.train", text(path))));
        flags.extend(self.eval.as_ref().map(|path| ("data.eval", text(path))));
        flags.extend(self.seed.map(|seed| ("seed", Value::Integer(seed.cast_signed()))));
        if self.strict {
            flags.push(("data.strict", Value::Boolean(true)));
        }
        Overrides { flags, set: self.set.clone() }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StudyArgs {
    /// A study by name (list: all of them), or a file of one's own (.toml).
    #[arg(value_name = "STUDY|FILE")]
    pub(crate) recipe: String,
    /// What the study varies; a study that stands in --out is gone on with.
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Seeds in place of the study's own, such as 0,1,2.
    #[arg(long, value_name = "SEED,...", value_delimiter = ',')]
    pub(crate) seeds: Vec<u64>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Set these finished runs side by side, with paired tests on the held-out pairs that all of them
    /// scored; the page goes to --out [default: runs/comparison].
    #[arg(long, value_name = "RUN", num_args = 2.., conflicts_with_all = [
        "run", "model", "device", "data", "eval", "set", "strict", "explain", "tui",
    ])]
    pub(crate) compare: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct FilterArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Compare all rules and thresholds on the critiques that are stored, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Options of everything that the engine computes outside a run.
#[derive(Debug, Clone, Args)]
pub(crate) struct EngineArgs {
    /// How matrices are held [default: source, a file's own blocks or halves, else f32].
    #[arg(long, value_name = "FORMAT", value_parser = weight_format())]
    pub(crate) weights: Option<WeightFormat>,
    /// Say on stderr what the engine ran on and how much it computed and shared.
    #[arg(long)]
    pub(crate) explain: bool,
}

fn weight_format() -> impl TypedValueParser<Value = WeightFormat> {
    PossibleValuesParser::new(WeightFormat::ALL.map(WeightFormat::name)).map(|name| {
        let named = WeightFormat::ALL.into_iter().find(|format| format.name() == name);
        named.expect("the name is one of the possible values")
    })
}

/// A model on servers.
#[derive(Debug, Clone, Args)]
pub(crate) struct RemoteArgs {
    /// An OpenAI-compatible server, up to and with its version: http://127.0.0.1:8080/v1 (repeatable).
    #[arg(long, value_name = "URL", requires = "remote_model")]
    pub(crate) endpoint: Vec<String>,
    /// The model's name on the server.
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) remote_model: Option<String>,
    /// The environment variable that holds the server's key.
    #[arg(long, value_name = "VARIABLE", requires = "endpoint")]
    pub(crate) api_key_env: Option<String>,
}

impl RemoteArgs {
    /// The servers that are named; none when none is.
    pub(crate) fn settings(&self) -> Option<RemoteSettings> {
        (!self.endpoint.is_empty()).then(|| RemoteSettings {
            endpoints: self.endpoint.clone(),
            model: self.remote_model.clone().unwrap_or_default(),
            api_key_env: self.api_key_env.clone().unwrap_or_default(),
            ..RemoteSettings::default()
        })
    }
}

/// Who writes outside a run: a model here, or one on servers.
#[derive(Debug, Clone, Args)]
pub(crate) struct WriterArgs {
    /// Catalogue name, hub id, folder, or .gguf file.
    #[arg(long, value_name = "NAME", default_value = "smollm2-135m")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// How answers are drawn.
#[derive(Debug, Clone, Args)]
pub(crate) struct SamplingArgs {
    /// Divides the logits; 0 takes the likeliest token.
    #[arg(long, default_value_t = 0.9)]
    pub(crate) temperature: f64,
    /// Keeps the smallest set of likeliest tokens whose probability reaches this.
    #[arg(long, default_value_t = 0.95)]
    pub(crate) top_p: f64,
    /// Keeps this many likeliest tokens; 0 keeps all.
    #[arg(long, default_value_t = 0)]
    pub(crate) top_k: usize,
    /// Keeps tokens at least this times as probable as the likeliest.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) min_p: f64,
    /// Makes tokens of the prompt and the answer less likely when above 1.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) repetition_penalty: f64,
    /// Ends an answer before this text (repeatable).
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// Root of every random draw.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// The longest answer, in tokens.
    #[arg(long, default_value_t = 256)]
    pub(crate) max_new_tokens: usize,
}

impl SamplingArgs {
    /// As the engine takes them.
    pub(crate) fn sampling(&self) -> Result<Sampling> {
        let sampling = Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            max_new_tokens: self.max_new_tokens,
            stop: self.stop.clone(),
        };
        sampling.validate().map_err(|error| Fault::config(error.into()))?;
        Ok(sampling)
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
}

/// Reward models on servers.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// A reward server of OpenRLHF, vLLM or SGLang, or any that answers POST /rewards; NAME=URL gives it a
    /// name (repeatable).
    #[arg(long, value_name = "[NAME=]URL")]
    pub(crate) server: Vec<String>,
    /// What the servers speak [default: the URL's path, else what answers].
    #[arg(long, value_name = "API", requires = "server", value_parser = reward_api())]
    pub(crate) server_api: Option<RewardApi>,
    /// The model's name, where servers want one.
    #[arg(long, value_name = "NAME", requires = "server")]
    pub(crate) server_model: Option<String>,
    /// The model whose chat template the servers expect, or a .jinja file: for those that take plain text.
    #[arg(long, value_name = "MODEL|FILE", requires = "server")]
    pub(crate) server_template: Option<String>,
    /// The environment variable that holds the servers' key.
    #[arg(long, value_name = "VARIABLE", requires = "server")]
    pub(crate) server_key_env: Option<String>,
    /// Calls to a server under way at once.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) server_concurrency: usize,
    /// How often a call is tried again.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) server_retries: u32,
    /// Seconds for one call.
    #[arg(long, value_name = "SECONDS", default_value_t = 180.0)]
    pub(crate) server_timeout: f64,
}

fn reward_api() -> impl TypedValueParser<Value = RewardApi> {
    PossibleValuesParser::new(RewardApi::ALL.map(RewardApi::name)).map(|name| {
        let named = RewardApi::ALL.into_iter().find(|api| api.name() == name);
        named.expect("the name is one of the possible values")
    })
}

/// `NAME=VALUE`, or a value alone; a name holds no slash.
pub(crate) fn named(text: &str) -> (Option<String>, String) {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !name.contains('/') => {
            (Some(name.to_owned()), value.to_owned())
        }
        _ => (None, text.to_owned()),
    }
}

/// How a reward and a score are made one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mix {
    /// Both weigh the same: each is divided by its standard deviation over the critiques.
    Equal,
    /// So many log-odds for a point of the score.
    Weight(f64),
}

fn mix(text: &str) -> std::result::Result<Mix, String> {
    match (text, text.parse()) {
        ("equal", _) => Ok(Mix::Equal),
        (_, Ok(weight)) if f64::is_finite(weight) => Ok(Mix::Weight(weight)),
        _ => Err("a weight is a finite number (log-odds for a point of the score), or `equal`"
            .to_owned()),
    }
}

/// A margin of rewards.
fn margin(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(margin) if f64::is_finite(margin) && margin >= 0.0 => Ok(margin),
        _ => Err("a margin is a finite number of at least 0, such as 0.5".to_owned()),
    }
}

/// How critiques are drawn outside a run.
#[derive(Debug, Clone, Args)]
pub(crate) struct DrawArgs {
    /// Root of every random draw.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// The longest critique, in tokens.
    #[arg(long, default_value_t = 64)]
    pub(crate) max_new_tokens: usize,
    /// The critiques' temperature.
    #[arg(long, default_value_t = 0.9)]
    pub(crate) temperature: f64,
    /// The critiques' top-p.
    #[arg(long, default_value_t = 0.95)]
    pub(crate) top_p: f64,
}

impl DrawArgs {
    /// As the engine takes them.
    pub(crate) fn sampling(&self) -> Result<Sampling> {
        let &Self { temperature, top_p, max_new_tokens, .. } = self;
        let sampling = Sampling { temperature, top_p, ..Sampling::greedy(max_new_tokens) };
        sampling.validate().map_err(|error| Fault::config(error.into()))?;
        Ok(sampling)
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ScoreArgs {
    /// A file of prompts and responses (JSONL), or the folder of a run whose held-out pairs are scored.
    #[arg(value_name = "FILE|RUN")]
    pub(crate) target: PathBuf,
    /// The reward model: the folder of a run, of a checkpoint, any model folder with a reward head, or a
    /// .gguf file that was exported with one.
    #[arg(long, value_name = "FOLDER|FILE", default_value = "runs/default")]
    pub(crate) model: PathBuf,
    /// Where the rewards go [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Critiques per response whose rewards are averaged; 0 reads the reward without critique [default: 4, or
    /// 0 for a model that was trained without critiques].
    #[arg(long, short = 'm')]
    pub(crate) n_critiques: Option<usize>,
    #[command(flatten)]
    pub(crate) draws: DrawArgs,
    /// Any setting, when the target is a run (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Show the work on the whole terminal; q stops, ? helps.
    #[arg(long)]
    pub(crate) tui: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ContestArgs {
    /// A bench by name (list: all of them) or a file of preference pairs (repeatable).
    #[arg(long, value_name = "BENCH|FILE", required = true)]
    pub(crate) on: Vec<String>,
    /// Where the files of benches lie, such as llmbar.jsonl.gz.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) data: PathBuf,
    /// A reward model: the folder of a run, of a checkpoint, any folder with a reward head, or a .gguf file
    /// that was exported with one; NAME=FOLDER gives it a name (repeatable).
    #[arg(long, value_name = "[NAME=]FOLDER")]
    pub(crate) model: Vec<String>,
    /// A language model that judges each response alone, by what it writes and by yes or no (repeatable).
    #[arg(long, value_name = "[NAME=]MODEL")]
    pub(crate) judge: Vec<String>,
    /// A language model that is asked which of two responses is better, in both orders (repeatable).
    #[arg(long, value_name = "[NAME=]MODEL")]
    pub(crate) pairwise: Vec<String>,
    /// A Jinja file that asks it, with {{ conversation }}, {{ first }} and {{ second }}.
    #[arg(long, value_name = "FILE", requires = "pairwise")]
    pub(crate) pairwise_prompt: Option<PathBuf>,
    /// A policy trained with DPO, for its implicit reward against --reference (repeatable).
    #[arg(long, value_name = "[NAME=]MODEL", requires = "reference")]
    pub(crate) implicit: Vec<String>,
    /// The model that DPO started from.
    #[arg(long, value_name = "MODEL")]
    pub(crate) reference: Option<String>,
    /// Pairs that the bag-of-words control learns from; without, there is none.
    #[arg(long, value_name = "FILE")]
    pub(crate) control_data: Option<PathBuf>,
    /// The most critiques of a response; powers of two below it are read from the same ones. Models that were
    /// trained without critiques write none.
    #[arg(long, short = 'm', default_value_t = 0)]
    pub(crate) n_critiques: usize,
    /// Write critiques only where the rewards without are closer than this (log-odds), as one more way.
    #[arg(long, value_name = "MARGIN", value_parser = margin, allow_negative_numbers = true)]
    pub(crate) gate: Option<f64>,
    /// Count only the critiques that a meta-judge finds best, as one more way: self (the model that wrote
    /// them), remote (the one at --endpoint), or a language model.
    #[arg(long, value_name = "self|remote|MODEL")]
    pub(crate) meta_judge: Option<String>,
    /// Add the score that a critique comes to (its expectation, 1-10) to the reward, as one more way:
    /// WEIGHT log-odds for a point, or both by their spread.
    #[arg(long, value_name = "WEIGHT", num_args = 0..=1, default_missing_value = "equal", value_parser = mix, allow_negative_numbers = true)]
    pub(crate) mixed: Option<Mix>,
    /// On benches of critiques: let whoever wrote one correct the response with it, in at most so many
    /// tokens, and grade what comes out.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) correct: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    /// Only the first rows of each bench.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Only so many items of each bench, drawn by the seed; a larger number keeps those of a smaller one.
    #[arg(long, value_name = "N", conflicts_with = "limit")]
    pub(crate) sample: Option<NonZeroUsize>,
    /// Where samples, predictions and tables go; a contest there is gone on with.
    #[arg(long, value_name = "FOLDER", default_value = "contest")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) draws: DrawArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct GenerateArgs {
    /// What the user says; - reads it from standard input.
    #[arg(value_name = "PROMPT")]
    pub(crate) prompt: Option<String>,
    /// What the system turn says [default: what the model's template puts there].
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// How many answers; one is written as it comes, several each as it ends.
    #[arg(long, short = 'n', default_value_t = 1)]
    pub(crate) n: usize,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Print one JSON object an answer.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the log-probability of every token, and of this many likeliest ones.
    #[arg(long, value_name = "TOP", num_args = 0..=1, default_missing_value = "3")]
    pub(crate) log_probs: Option<usize>,
    #[command(flatten)]
    pub(crate) writer: WriterArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ModelExportArgs {
    /// A run or one of its checkpoints, a catalogue name, a hub id, a folder, or a .gguf file.
    #[arg(value_name = "MODEL|RUN")]
    pub(crate) model: String,
    /// Where it goes: a name that ends in .gguf is a file, any other a Hugging Face folder in f32.
    #[arg(value_name = "FILE.gguf|FOLDER")]
    pub(crate) to: PathBuf,
    /// How a .gguf file holds matrices [default: f16].
    #[arg(long, value_name = "FORMAT", value_parser = gguf_format())]
    pub(crate) format: Option<GgufFormat>,
}

fn gguf_format() -> impl TypedValueParser<Value = GgufFormat> {
    PossibleValuesParser::new(GgufFormat::ALL.map(GgufFormat::name)).map(|name| {
        let named = GgufFormat::ALL.into_iter().find(|format| format.name() == name);
        named.expect("the name is one of the possible values")
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Fetch a model into the cache.
    Pull {
        /// Catalogue name, hub id, folder, or .gguf file.
        name: String,
    },
    /// List the catalogue and what is cached.
    List,
    /// Describe a model.
    Info {
        /// Catalogue name, hub id, folder, or .gguf file.
        name: String,
    },
    /// Write a model for other programs: a .gguf file for llama.cpp, or a Hugging Face folder.
    Export(ModelExportArgs),
}
