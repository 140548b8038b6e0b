use super::eval::Results;
use super::score::Predictions;
use super::session::Session;
use super::train::{HeadRecord, TrainedModel};
use anyhow::Result;
use critic_eval::ContestantResult;
use critic_stats::mean_std;
use critic_types::atomic_file;
use serde::Serialize;
use std::fmt::Write as _;

/// Rewards of one model on the held-out responses, with m critiques.
#[derive(Debug, Serialize)]
struct RewardStats {
    n_critiques: usize,
    n_responses: usize,
    mean: f64,
    /// Sample standard deviation (n − 1).
    std: Option<f64>,
}

/// Writes `README.md` in the form of the hub's model cards, and `reward_stats.json`, beside the weights of
/// every reward model.
pub(crate) fn run(
    session: &Session,
    trained: &[TrainedModel],
    results: &Results,
    predictions: &[Predictions],
) -> Result<()> {
    for model in trained {
        let Some(scored) = predictions.iter().find(|scored| scored.name == model.name) else {
            continue;
        };
        let stats = reward_stats(scored)?;
        let json = serde_json::to_string_pretty(&stats)? + "\n";
        atomic_file::write(&model.folder.join("reward_stats.json"), json.as_bytes())?;
        let card = card(session, model, results, &stats)?;
        atomic_file::write(&model.folder.join("README.md"), card.as_bytes())?;
    }
    Ok(())
}

/// Mean and spread without critiques, and with all of them where the model reads them.
fn reward_stats(scored: &Predictions) -> Result<Vec<RewardStats>> {
    let mut counts = vec![0];
    counts.extend((scored.reads_critiques && scored.n_critiques > 0).then_some(scored.n_critiques));
    let mut stats = Vec::new();
    for n_critiques in counts {
        let rewards: Vec<f64> =
            scored.at(n_critiques).into_values().map(|found| found.mean.value()).collect();
        if rewards.is_empty() {
            continue;
        }
        let found = mean_std(&rewards)?;
        let (mean, std) = (found.mean, found.std);
        stats.push(RewardStats { n_critiques, n_responses: rewards.len(), mean, std });
    }
    Ok(stats)
}

fn card(
    session: &Session,
    model: &TrainedModel,
    results: &Results,
    stats: &[RewardStats],
) -> Result<String> {
    let base = &session.base.identity;
    let head = model.head()?;
    let mut out = String::from("---\n");
    if let Some(license) = &base.license {
        let _ = writeln!(out, "license: {}", license.to_lowercase());
    }
    let _ = write!(
        out,
        "library_name: transformers\npipeline_tag: text-classification\ntags:\n- reward-model\n- critic-rm\n---\n\n\
         # {}: a reward model over {}\n\n{}\n\n",
        model.name,
        file_name(&base.name),
        match model.reads_critiques {
            true =>
                "It writes a critique of a response and reads a reward after it; rewards of several \
                 critiques are averaged (Critic-RM, arXiv 2411.16646). The folder holds the language model \
                 that writes and the reward head that reads.",
            false => "It reads a reward after a response; it was trained without critiques.",
        }
    );
    out += &usage(session, model, head.as_ref());
    out += &rewards(stats);
    out += &evaluation(session, results);
    out += &training(session, model, head.as_ref());
    let _ = write!(
        out,
        "## Limits\n\nRewards compare responses to one prompt; across prompts they mean little. Special tokens \
         in a prompt's text are read as special tokens. What the numbers above do not tell apart, they do not \
         tell apart: mind the intervals and the controls.\n"
    );
    Ok(out)
}

fn usage(session: &Session, model: &TrainedModel, head: Option<&HeadRecord>) -> String {
    let put_on = head.map_or_else(String::new, HeadRecord::in_pytorch);
    let import = if put_on.is_empty() { "" } else { "import safetensors.torch\n" };
    let m = if model.reads_critiques { " -m 8" } else { " -m 0" };
    let mut out = format!(
        "## Use\n\n```sh\ncritic-rm score responses.jsonl --model FOLDER{m}\n```\n\n\
         With transformers, the reward without critique, read at the token that closes the response:\n\n\
         ```python\n{import}import torch\nfrom transformers import AutoModelForSequenceClassification, AutoTokenizer\n\n\
         tokenizer = AutoTokenizer.from_pretrained(folder)\n\
         model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)\n{put_on}\
         turns = [{{\"role\": \"user\", \"content\": prompt}}, {{\"role\": \"assistant\", \"content\": response}}]\n\
         ids = tokenizer.apply_chat_template(turns, return_dict=False)\n\
         ids = ids[: len(ids) - ids[::-1].index(model.config.eos_token_id)]\n\
         with torch.no_grad():\n    reward = model(torch.tensor([ids])).logits.item()\n```\n\n"
    );
    if model.reads_critiques {
        let _ = write!(
            out,
            "A critique is the answer to this turn after the response, and its reward is read at the token \
             that closes it:\n\n```text\n{}\n```\n\nFor llama.cpp: `critic-rm model export FOLDER critic.gguf`.\n\n",
            session.prompts.sources().critique.text.trim_end()
        );
    }
    out
}

fn rewards(stats: &[RewardStats]) -> String {
    let mut out = String::from(
        "## Rewards\n\nOn the held-out responses, chosen and rejected ones together (`reward_stats.json`):\n\n\
         | critiques | responses | mean | standard deviation |\n|---|---|---|---|\n",
    );
    for RewardStats { n_critiques, n_responses, mean, std } in stats {
        let std = std.map_or("–".to_owned(), |std| format!("{std:.4}"));
        let _ = writeln!(out, "| {n_critiques} | {n_responses} | {mean:.4} | {std} |");
    }
    out.push('\n');
    out
}

fn evaluation(session: &Session, results: &Results) -> String {
    let mut out = format!(
        "## Evaluation\n\nHow often the chosen response of a pair has the larger number; ties are wrong. \
         {} pairs of `{}`, 95 % Wilson intervals:\n\n\
         | contestant | right | accuracy | interval | mean margin |\n|---|---|---|---|---|\n",
        session.eval.pairs.len(),
        file_name(&session.eval.file),
    );
    for ContestantResult { name, accuracy, mean_margin, .. } in &results.contestants {
        let Some(found) = accuracy else { continue };
        let margin = mean_margin.map_or("–".to_owned(), |margin| format!("{margin:.3}"));
        let _ = writeln!(
            out,
            "| {name} | {} of {} | {:.1} % | {:.1} – {:.1} % | {margin} |",
            found.agreement.n_correct,
            found.agreement.n,
            100.0 * found.agreement.accuracy,
            100.0 * found.interval.low,
            100.0 * found.interval.high,
        );
    }
    out.push('\n');
    out
}

fn training(session: &Session, model: &TrainedModel, head: Option<&HeadRecord>) -> String {
    let (base, resolved) = (&session.base.identity, &session.resolved);
    let mut out = format!(
        "## Training\n\ncritic-rm {}, method `{}`.\n\n| | |\n|---|---|\n\
         | base model | {} ({}), weights `{}` |\n| training pairs | {} of `{}`, content `{}` |\n\
         | held-out pairs | {} of `{}`, content `{}` |\n",
        env!("CARGO_PKG_VERSION"),
        model.name,
        file_name(&base.name),
        file_name(&base.source),
        base.digest,
        session.train.pairs.len(),
        file_name(&session.train.file),
        session.train.content,
        session.eval.pairs.len(),
        file_name(&session.eval.file),
        session.eval.content,
    );
    if let Some(head) = head {
        let _ = writeln!(out, "| reward head | {head} |");
    }
    for stage in &session.records.stages {
        let told: Vec<String> =
            stage.summary.iter().map(|fact| format!("{} {}", fact.value, fact.label)).collect();
        let _ = writeln!(out, "| {} | {} |", stage.name, told.join(", "));
    }
    let own: Vec<String> = resolved
        .values
        .iter()
        .filter(|(key, value, origin)| origin != "default" && !is_of_this_machine(key, value))
        .map(|(key, value, _)| format!("{key} = {value}"))
        .collect();
    if own.is_empty() {
        out += "\nAll settings are the defaults (`critic-rm run --explain`).\n\n";
    } else {
        let _ = write!(
            out,
            "\nSettings other than the defaults (`critic-rm run --explain` lists those):\n\n```toml\n{}\n```\n\n",
            own.join("\n")
        );
    }
    out
}

/// Paths and servers are of the machine that trained, and have no place in what is published.
fn is_of_this_machine(key: &str, value: &str) -> bool {
    key.starts_with("critic.") || value.contains(['/', '\\'])
}

/// The last part of a path; anything else as it is.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
