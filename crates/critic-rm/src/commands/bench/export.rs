use super::args::ExportArgs;
use super::work::{Work, as_tokens, fetch_model, settings};
use anyhow::Result;
use critic_model::RewardHead;
use critic_model::sources::write_hf_folder;
use critic_text::{Ending, Prompts};
use critic_train::TrainPair;
use critic_types::{SeedTree, Side, atomic_file};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What was written.
#[derive(Debug, Serialize)]
pub(super) struct Exported {
    /// The model with the reward head that training starts from, as a Hugging Face folder.
    model: PathBuf,
    /// The file or folder that the weights were read from.
    source: PathBuf,
    /// A line for each response: `pair_id`, `side`, `tokens`, and `critiques` with `tokens` and
    /// `label_span`.
    training: PathBuf,
    /// A line for each response of the work: `tokens` closed, and `critique_prompt`.
    responses: PathBuf,
}

/// Writes weights and token ids, so that a peer does the same work on the same numbers.
pub(super) fn export(args: &ExportArgs) -> Result<Exported> {
    let settings = settings(&args.common, Vec::new())?;
    let fetched = fetch_model(&settings)?;
    let model = fetched.load()?;
    let seed = SeedTree::new(settings.seed).child("train");
    let head = RewardHead::random_linear(model.config.d_model, &seed);
    let work = Work::read(&args.common)?;
    let folder = std::path::absolute(&args.folder)?;
    let exported = Exported {
        model: folder.join("model"),
        source: std::path::absolute(&fetched.path)?,
        training: folder.join("training.jsonl"),
        responses: folder.join("responses.jsonl"),
    };
    std::fs::create_dir_all(&exported.model)?;
    write_hf_folder(&exported.model, &model.config, &model.weights, Some(&head), &model.renderer)?;

    let critiqued = work.with_critiques(args.common.pairs, args.critiques_per_response)?;
    let pairs = as_tokens(&critiqued, &model, &settings)?;
    write_lines(&exported.training, pairs.iter().flat_map(training_lines))?;

    let prompts = Prompts::builtin();
    let mut lines = Vec::new();
    for pair in work.first(args.common.pairs)? {
        for side in Side::BOTH {
            let closed = model.renderer.render(&pair.conversation(side), Ending::Closed)?;
            let asked = prompts.critique(&pair.prompt, pair.response(side));
            let asked = model.renderer.render(&asked, Ending::GenerationPrompt)?;
            lines.push(json!({
                "pair_id": pair.id,
                "side": side,
                "tokens": closed.tokens,
                "critique_prompt": asked.tokens,
            }));
        }
    }
    write_lines(&exported.responses, lines)?;
    atomic_file::write(&folder.join("work.json"), &serde_json::to_vec_pretty(&exported)?)?;
    Ok(exported)
}

fn training_lines(pair: &TrainPair) -> impl Iterator<Item = Value> + '_ {
    Side::BOTH.into_iter().enumerate().map(|(i, side)| {
        let critiques: Vec<Value> = pair.critiqued[i]
            .iter()
            .map(|(tokens, span)| json!({"tokens": tokens, "label_span": [span.start, span.end]}))
            .collect();
        json!({
            "pair_id": pair.id,
            "side": side,
            "tokens": pair.responses[i],
            "critiques": critiques,
        })
    })
}

fn write_lines(path: &Path, lines: impl IntoIterator<Item = Value>) -> Result<()> {
    let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
    Ok(atomic_file::write(path, text.as_bytes())?)
}
