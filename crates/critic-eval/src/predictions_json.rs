use crate::{Contestant, EvalError};
use critic_types::{PreferencePair, Role, atomic_file};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What was run, as the `reward-bench` tool records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelCard {
    /// The model's name.
    pub model: String,
    /// What it is: `Seq. Classifier`, `Custom Classifier`, `Generative RM`.
    pub model_type: String,
    /// The model that an implicit reward is taken against.
    pub ref_model: Option<String>,
    /// The tokenizer's name.
    pub tokenizer: String,
    /// The chat template's name.
    pub chat_template: Option<String>,
}

/// What a file of predictions holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Pairs with both numbers, a line each.
    pub n_rows: usize,
    /// Pairs without; they are in no line.
    pub n_missing: usize,
}

/// Writes predictions as the `reward-bench` tool writes `MODEL_outputs.jsonl`: one line for each scored
/// pair.
///
/// Columns: `prompt` (the text of a single user turn, the list of messages otherwise), `results` (1 when
/// chosen > rejected, else 0), `scores_chosen`, `scores_rejected`, `text_chosen`, `text_rejected` (the
/// responses, without template), and `id`, `domain`, `subset`.
///
/// # Errors
/// [`EvalError::NotFinite`] for a number that is not finite, [`EvalError::Write`]; the old file then
/// still stands.
pub fn write_reward_bench_outputs(
    path: &Path,
    contestant: &Contestant,
    pairs: &[PreferencePair],
) -> Result<Written, EvalError> {
    let mut lines = Vec::new();
    let mut n_rows = 0;
    for pair in pairs {
        let Some((chosen, rejected)) = contestant.rewards(pair)? else { continue };
        let line = json!({
            "prompt": prompt(pair),
            "results": u8::from(chosen > rejected),
            "scores_chosen": chosen,
            "scores_rejected": rejected,
            "text_chosen": pair.chosen,
            "text_rejected": pair.rejected,
            "id": pair.id,
            "domain": pair.domain,
            "subset": pair.subset,
        });
        lines.extend_from_slice(line.to_string().as_bytes());
        lines.push(b'\n');
        n_rows += 1;
    }
    write(path, &lines)?;
    Ok(Written { n_rows, n_missing: pairs.len() - n_rows })
}

/// Writes the summary that the `reward-bench` tool writes as `MODEL.json`.
///
/// Keys: `accuracy` (over the scored pairs, a tie being wrong; `null` without any), `num_prompts` (the
/// scored pairs), `model`, `ref_model`, `tokenizer`, `chat_template`, and `extra_results` with one
/// accuracy a subset and the number of missing pairs.
///
/// # Errors
/// [`EvalError::NotFinite`], [`EvalError::Write`].
pub fn write_reward_bench_summary(
    path: &Path,
    card: &ModelCard,
    contestant: &Contestant,
    pairs: &[PreferencePair],
) -> Result<Written, EvalError> {
    let (overall, subsets) = shares(contestant, pairs)?;
    let mut extra: Map<String, Value> = subset_accuracies(&subsets);
    extra.insert("n_missing".to_owned(), json!(pairs.len() - overall.n));
    let summary = json!({
        "accuracy": overall.accuracy(),
        "num_prompts": overall.n,
        "model": card.model,
        "ref_model": card.ref_model,
        "tokenizer": card.tokenizer,
        "chat_template": card.chat_template,
        "extra_results": extra,
    });
    write(path, summary.to_string().as_bytes())?;
    Ok(Written { n_rows: overall.n, n_missing: pairs.len() - overall.n })
}

/// Writes the flat file of the leaderboard's results folder: subset → accuracy, and `model`,
/// `model_type`, `chat_template`.
///
/// # Errors
/// [`EvalError::NotFinite`], [`EvalError::Write`].
pub fn write_reward_bench_subsets(
    path: &Path,
    card: &ModelCard,
    contestant: &Contestant,
    pairs: &[PreferencePair],
) -> Result<Written, EvalError> {
    let (overall, subsets) = shares(contestant, pairs)?;
    let mut flat = subset_accuracies(&subsets);
    flat.insert("model".to_owned(), json!(card.model));
    flat.insert("model_type".to_owned(), json!(card.model_type));
    flat.insert("chat_template".to_owned(), json!(card.chat_template));
    write(path, Value::Object(flat).to_string().as_bytes())?;
    Ok(Written { n_rows: overall.n, n_missing: pairs.len() - overall.n })
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    n: usize,
    n_right: usize,
}

impl Share {
    fn add(&mut self, right: bool) {
        self.n += 1;
        self.n_right += usize::from(right);
    }

    fn accuracy(self) -> Option<f64> {
        (self.n > 0).then(|| self.n_right as f64 / self.n as f64)
    }
}

fn shares<'a>(
    contestant: &Contestant,
    pairs: &'a [PreferencePair],
) -> Result<(Share, BTreeMap<&'a str, Share>), EvalError> {
    let (mut overall, mut subsets) = (Share::default(), BTreeMap::<&str, Share>::new());
    for pair in pairs {
        let Some((chosen, rejected)) = contestant.rewards(pair)? else { continue };
        overall.add(chosen > rejected);
        if let Some(subset) = &pair.subset {
            subsets.entry(subset).or_default().add(chosen > rejected);
        }
    }
    Ok((overall, subsets))
}

fn subset_accuracies(subsets: &BTreeMap<&str, Share>) -> Map<String, Value> {
    subsets.iter().map(|(subset, share)| ((*subset).to_owned(), json!(share.accuracy()))).collect()
}

fn prompt(pair: &PreferencePair) -> Value {
    match pair.prompt.messages() {
        [only] if only.role == Role::User => json!(only.content),
        messages => messages
            .iter()
            .map(|message| json!({ "role": message.role.as_str(), "content": message.content }))
            .collect(),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), EvalError> {
    atomic_file::write(path, bytes)
        .map_err(|error| EvalError::Write { path: error.path, reason: error.source.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{contestant, pairs};

    fn card() -> ModelCard {
        ModelCard {
            model: "critic-rm".to_owned(),
            model_type: "Custom Classifier".to_owned(),
            ref_model: None,
            tokenizer: "smollm2".to_owned(),
            chat_template: Some("chatml".to_owned()),
        }
    }

    fn read(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_columns_of_reward_bench() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("critic-rm_outputs.jsonl");
        let mut pairs = pairs(3);
        pairs[0].prompt =
            pairs[0].prompt.clone().with(Role::Assistant, "So.").with(Role::User, "?");
        let who = contestant("x", &[(0.1, 0.3), (1.0, 1.0)]);
        let written = write_reward_bench_outputs(&path, &who, &pairs).unwrap();
        assert_eq!(written, Written { n_rows: 2, n_missing: 1 });
        let rows = read(&path);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["prompt"][1], json!({ "role": "assistant", "content": "So." }));
        assert_eq!(rows[1]["prompt"], "Why?");
        assert_eq!((&rows[0]["results"], &rows[1]["results"]), (&json!(0), &json!(0)));
        assert_eq!(rows[0]["scores_rejected"], 0.3);
        assert_eq!(rows[1]["text_chosen"], "a good response");
    }

    #[test]
    fn summaries_count_what_was_scored() {
        let folder = tempfile::tempdir().unwrap();
        let mut pairs = pairs(4);
        for (pair, subset) in
            pairs.iter_mut().zip(["donotanswer", "donotanswer", "hep-go", "hep-go"])
        {
            pair.subset = Some(subset.to_owned());
        }
        let who = contestant("x", &[(1.0, 0.0), (0.0, 1.0), (1.0, 0.0)]);
        let path = folder.path().join("critic-rm.json");
        write_reward_bench_summary(&path, &card(), &who, &pairs).unwrap();
        let summary = &read(&path)[0];
        assert_eq!(summary["accuracy"], 2.0 / 3.0);
        assert_eq!((&summary["num_prompts"], &summary["ref_model"]), (&json!(3), &Value::Null));
        assert_eq!(summary["extra_results"]["donotanswer"], 0.5);
        assert_eq!(summary["extra_results"]["n_missing"], 1);
        write_reward_bench_subsets(&path, &card(), &who, &pairs).unwrap();
        let flat = &read(&path)[0];
        assert_eq!(
            (&flat["hep-go"], &flat["model_type"]),
            (&json!(1.0), &json!("Custom Classifier"))
        );
        write_reward_bench_summary(&path, &card(), &contestant("x", &[]), &pairs).unwrap();
        assert_eq!(read(&path)[0]["accuracy"], Value::Null);
    }

    #[test]
    fn nan_is_refused_and_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        let good = contestant("x", &[(1.0, 0.0)]);
        write_reward_bench_outputs(&path, &good, &pairs(1)).unwrap();
        let broken = contestant("x", &[(f64::NAN, 0.0)]);
        assert!(write_reward_bench_outputs(&path, &broken, &pairs(1)).is_err());
        assert_eq!(read(&path).len(), 1);
    }
}
