use super::score::model_path;
use crate::cli::ModelExportArgs;
use crate::exit::Fault;
use crate::progress::{answer, is_plain, say};
use crate::stages::{TrainedModel, copy_notes, load_model, prompts_path};
use anyhow::{Result, anyhow};
use critic_model::sources::{
    Cache, GgufFormat, LoadedModel, Progress, Source, catalogue, write_gguf, write_hf_folder,
};
use critic_model::{ModelError, RewardHead};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Fetches a model into the cache.
pub(crate) fn pull(name: &str) -> Result<()> {
    describe(&load_model(name)?);
    Ok(())
}

/// Lists the catalogue.
pub(crate) fn list() -> Result<()> {
    let cache = Cache::default_location();
    answer(format!("models fetched by name are kept in {}", cache.folder().display()));
    for entry in catalogue()?.entries() {
        let cached = if entry.cached(&cache).is_some() { "cached" } else { "-" };
        let sources: Vec<String> = entry.sources.iter().map(Source::to_string).collect();
        answer(format!(
            "{:<16} {cached:<8} {:<12} {}",
            entry.name,
            entry.license,
            sources.join(" | ")
        ));
    }
    Ok(())
}

/// Describes a model.
pub(crate) fn info(name: &str) -> Result<()> {
    pull(name)
}

/// Writes a model for other programs.
pub(crate) fn export(args: &ModelExportArgs) -> Result<()> {
    let to = &args.to;
    let is_gguf = to.extension().is_some_and(|extension| extension == "gguf");
    if !is_gguf && args.format.is_some() {
        return Err(Fault::config(anyhow!(
            "--format is for .gguf files, and {} is to be a folder, whose weights are f32: leave it out, or name a .gguf file",
            to.display()
        )));
    }
    if to.exists() {
        return Err(Fault::config(anyhow!(
            "{} exists: give a name that is free, or delete it",
            to.display()
        )));
    }
    let path = model_path(Path::new(&args.model)).unwrap_or_else(|_| PathBuf::from(&args.model));
    if is_gguf && prompts_path(&path).exists() {
        return Err(Fault::config(anyhow!(
            "{} was trained with prompts of its own (prompts.json), and a .gguf file has no place for them: rewards would be read after other critiques. Export a folder",
            path.display()
        )));
    }
    let model = load_model(&path.display().to_string())?;
    let format = args.format.unwrap_or(GgufFormat::F16);
    if is_gguf {
        write_gguf(to, &model, format)?;
    } else {
        let head = model.reward_head.as_ref();
        write_hf_folder(to, &model.config, &model.weights, head, &model.renderer)?;
        copy_notes(&path, to)?;
    }
    let precision = if is_gguf { format.name() } else { "f32" };
    let head = match (&model.reward_head, is_gguf) {
        (None, _) => "it has no reward head".to_owned(),
        (Some(head), false) => format!("the reward head is {head}"),
        (Some(head), true) => format!(
            "the reward head ({}) stands in the metadata, where llama.cpp passes it over",
            head.layout().kind
        ),
    };
    say(format!("wrote {} in {precision}; {head}", to.display()));
    if is_gguf && !TrainedModel::reads_critiques(&path)? {
        say(
            "it was trained without critiques, which a .gguf file does not say: score it with -m 0",
        );
    }
    Ok(())
}

fn describe(model: &LoadedModel) {
    let config = &model.config;
    answer(format!("name         {}", model.identity.name));
    answer(format!("source       {}", model.identity.source));
    answer(format!("digest       {}", model.identity.digest));
    answer(format!("license      {}", model.identity.license.as_deref().unwrap_or("not known")));
    answer(format!("architecture {:?}", config.architecture));
    answer(format!("parameters   {:.1} M", config.n_parameters() as f64 / 1e6));
    answer(format!(
        "shape        {} layers, width {}, {} heads, {} key-value heads, feed-forward {}",
        config.n_layers, config.d_model, config.n_heads, config.n_kv_heads, config.d_ff
    ));
    answer(format!("context      {} tokens", config.context_length));
    answer(format!("vocabulary   {} tokens", config.vocab_size));
    let renderer = &model.renderer;
    let end = renderer.tokenizer().token(renderer.end_of_turn()).unwrap_or_default();
    answer(format!("end of turn  {end}"));
    let head = model.reward_head.as_ref().map_or_else(|| "none".to_owned(), RewardHead::to_string);
    answer(format!("reward head  {head}"));
}

/// Runs a download with a bar.
pub(crate) fn with_progress<T>(
    run: impl FnOnce(&mut dyn FnMut(Progress<'_>)) -> Result<T, ModelError>,
) -> Result<T> {
    let mut bar: Option<ProgressBar> = None;
    let result = run(&mut |progress: Progress<'_>| {
        let bar = bar.get_or_insert_with(|| {
            say(format!("fetching {}", progress.label));
            let bar = match is_plain() {
                true => ProgressBar::new(progress.total.unwrap_or(0)),
                false => ProgressBar::hidden(),
            };
            if let Ok(style) =
                ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes}  {eta} left")
            {
                bar.set_style(style);
            }
            bar
        });
        bar.set_position(progress.done);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(result?)
}
