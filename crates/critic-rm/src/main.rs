//! The command line of critic-rm: settings, run folders, wiring and exit codes.

mod cli;
mod commands;
mod exit;
mod journal;
mod memory;
mod methods;
mod metrics;
mod progress;
mod run_folder;
mod screen;
mod settings;
mod stages;

use clap::Parser;
use cli::{Cli, Command, ModelCommand};
use progress::say;
use stages::Stage;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Keeps its pages: with glibc's allocator a training step spends its time in the kernel clearing them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match cli.verbose {
        0 => "warn,critic_rm=info,critic_model=info",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("CRITIC_RM_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(progress::log_writer)
        .without_time()
        .with_target(false)
        .init();
    match dispatch(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("error: {error:#}"));
            exit::code(&error)
        }
    }
}

fn dispatch(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => commands::run::run(args, Stage::Report),
        Command::Warmup(args) => commands::run::run(args, Stage::Warmup),
        Command::Critique(args) => commands::run::run(args, Stage::Critique),
        Command::Filter(args) if args.dry_run => commands::run::compare_filters(&args.run),
        Command::Filter(args) => commands::run::run(&args.run, Stage::Filter),
        Command::Refine(args) => commands::run::run(args, Stage::Refine),
        Command::Train(args) => commands::run::run(args, Stage::Train),
        Command::Eval(args) => commands::run::run(args, Stage::Eval),
        Command::Contest(args) => commands::contest::contest(args),
        Command::Report(args) if !args.compare.is_empty() => commands::report::compare(args),
        Command::Report(args) => commands::run::run(&args.run, Stage::Report),
        Command::Study(args) => commands::study::study(args),
        Command::Score(args) => commands::score::score(args),
        Command::Generate(args) => commands::generate::generate(args),
        Command::Model(ModelCommand::Pull { name }) => commands::model::pull(name),
        Command::Model(ModelCommand::List) => commands::model::list(),
        Command::Model(ModelCommand::Info { name }) => commands::model::info(name),
        Command::Model(ModelCommand::Export(args)) => commands::model::export(args),
        Command::Bench(bench) => commands::bench::bench(bench),
        Command::Data(command) => commands::data::run(command),
        Command::Doctor(args) => commands::doctor::doctor(args),
    }
}
