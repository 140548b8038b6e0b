//! Rows of benches that are not about preferences: responses that are right or wrong, and rated ones.

use super::items::Item;
use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_data::{TableReader, files};
use critic_types::{Conversation, DropReport};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// What is known of a response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Truth {
    /// What the responses of one prompt share.
    pub(super) prompt: String,
    pub(super) domain: String,
    /// Whether a critique should call it right.
    pub(super) is_right: bool,
    /// The answers of which a corrected response must reach one; none where they are not known.
    pub(super) gold: Vec<String>,
}

/// What people say of the responses to a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratings {
    pub(super) capability: String,
    /// Of each response.
    pub(super) ratings: Vec<Vec<f64>>,
}

/// Items with what is known of them in their row, rows by group, and what was left out.
pub(super) type Known = (Vec<Item>, BTreeMap<String, usize>, DropReport);

type Row = Map<String, Value>;

/// The items of a row, each with its group, or why there are none.
type OfRow<'a> = dyn Fn(&Row, &str) -> Result<Vec<(Item, String)>, &'static str> + 'a;

fn text<'a>(row: &'a Row, field: &str) -> Option<&'a str> {
    row.get(field).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) => match word.to_lowercase().as_str() {
            "true" | "correct" | "1" => Some(true),
            "false" | "wrong" | "incorrect" | "0" => Some(false),
            _ => None,
        },
        other => other.as_i64().map(|number| number != 0),
    }
}

fn numeric(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|n| n.is_finite())
}

/// Reads the first `limit` rows of a source.
fn read(path: &Path, limit: Option<usize>, of_row: &OfRow<'_>) -> Result<Known> {
    let (mut items, mut counts, mut report) = (Vec::new(), BTreeMap::new(), DropReport::default());
    let mut n_rows = 0;
    for file in files(path)? {
        for row in TableReader::open(&file)? {
            if limit.is_some_and(|limit| n_rows >= limit) {
                break;
            }
            let row = row?;
            let id = match row.get("id").or_else(|| row.get("prompt_id")) {
                Some(Value::String(id)) => id.clone(),
                Some(other) => other.to_string(),
                None => n_rows.to_string(),
            };
            n_rows += 1;
            match of_row(&row, &id) {
                Ok(found) => {
                    report.keep();
                    for (item, group) in found {
                        *counts.entry(group).or_insert(0) += 1;
                        items.push(item);
                    }
                }
                Err(reason) => report.drop(reason, id),
            }
        }
    }
    if items.is_empty() {
        let found: Vec<String> =
            report.dropped.iter().map(|(reason, n)| format!("{n} rows: {reason}")).collect();
        return Err(Fault::data(anyhow!(
            "{} holds no usable row ({})",
            path.display(),
            found.join("; ")
        )));
    }
    Ok((items, counts, report))
}

/// The responses of a critique bench. A row is one of CriticBench (`question`, `response`,
/// `response_label`, `answer`), of BIG-Bench Mistake (`input`, `steps`, `mistake_index` where there is a
/// mistake, `target`), or a pair of a right and a wrong response.
pub(super) fn read_truths(path: &Path, limit: Option<usize>) -> Result<Known> {
    read(path, limit, &|row, id| {
        let group = ["subset", "question_type", "domain", "question_source"];
        let group = group.iter().find_map(|field| text(row, field)).unwrap_or_default().to_owned();
        let asked = ["prompt", "question", "input"];
        let prompt = asked.iter().find_map(|field| text(row, field)).ok_or("no question")?;
        let item = |id: String, response: &str, is_right: bool, gold: Vec<String>| {
            let domain = group.clone();
            let truth = Truth { prompt: prompt.to_owned(), domain, is_right, gold };
            let row = serde_json::to_value(truth).unwrap_or_default();
            let prompt = Conversation::from_user(prompt);
            (Item { id, prompt, responses: vec![response.to_owned()], row }, group.clone())
        };
        let listed = |field: &str| match row.get(field) {
            Some(Value::Array(all)) => all.iter().map(as_text).collect(),
            Some(Value::Null) | None => Vec::new(),
            Some(one) => vec![as_text(one)],
        };
        if let (Some(chosen), Some(rejected)) = (text(row, "chosen"), text(row, "rejected")) {
            let gold: Vec<String> =
                critic_data::synth::final_answer(chosen).map(str::to_owned).into_iter().collect();
            return Ok(vec![
                item(format!("{id}/right"), chosen, true, gold.clone()),
                item(format!("{id}/wrong"), rejected, false, gold),
            ]);
        }
        if let Some(Value::Array(steps)) = row.get("steps") {
            let response: Vec<String> = steps.iter().map(as_text).collect();
            let is_right = row.get("mistake_index").is_none_or(Value::is_null);
            return Ok(vec![item(id.to_owned(), &response.join("\n"), is_right, listed("target"))]);
        }
        let response = text(row, "response").ok_or("no response")?;
        let label = row.get("response_label").and_then(flag);
        let is_right = label.ok_or("response_label says neither right nor wrong")?;
        Ok(vec![item(id.to_owned(), response, is_right, listed("answer"))])
    })
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The rated responses of CrossEval: `prompt`, `capability`, `response_1` and on, and their
/// `response_1_human_1_rating` and on. A prompt with an attached file asks what no text tells, and is left
/// out.
pub(super) fn read_ratings(path: &Path, limit: Option<usize>) -> Result<Known> {
    read(path, limit, &|row, id| {
        let prompt = text(row, "prompt").ok_or("no prompt")?;
        let capability = text(row, "capability").ok_or("no capability")?.to_owned();
        let attached = row.get("attached_file").is_some_and(|file| match file {
            Value::Null => false,
            Value::String(file) => !matches!(file.trim(), "" | "None" | "nan" | "[]"),
            Value::Array(all) => !all.is_empty(),
            _ => true,
        });
        if attached {
            return Err("its prompt has an attached file");
        }
        let (mut responses, mut ratings) = (Vec::new(), Vec::new());
        for i in 1.. {
            let Some(response) = text(row, &format!("response_{i}")) else { break };
            let rating = |j| numeric(row.get(&format!("response_{i}_human_{j}_rating"))?);
            let of_response: Vec<f64> = (1..).map_while(rating).collect();
            if of_response.is_empty() {
                return Err("a response without ratings");
            }
            responses.push(response.to_owned());
            ratings.push(of_response);
        }
        if responses.is_empty() {
            return Err("no responses");
        }
        let row = serde_json::to_value(Ratings { capability: capability.clone(), ratings });
        let prompt = Conversation::from_user(prompt);
        Ok(vec![(
            Item { id: id.to_owned(), prompt, responses, row: row.unwrap_or_default() },
            capability,
        )])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(rows: &[Value]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        critic_types::atomic_file::write(&path, lines.as_bytes()).unwrap();
        (folder, path)
    }

    #[test]
    fn right_and_wrong_responses_are_read_from_three_kinds_of_rows() {
        let (_folder, path) = file(&[
            json!({"id": 0, "question": "1+1?", "response": "2", "response_label": true,
                   "question_type": "math", "answer": ["2"]}),
            json!({"id": "m", "input": "2+2?", "steps": ["two", "four"], "target": "4",
                   "answer": "5", "mistake_index": 1, "subset": "sums"}),
            json!({"id": "n", "input": "2+2?", "steps": ["four"], "target": "4", "answer": "4"}),
            json!({"id": "p", "prompt": "q", "chosen": "3\n#### 3", "rejected": "4"}),
            json!({"id": "x", "question": "q", "response": "a", "response_label": "perhaps"}),
        ]);
        let (items, counts, report) = read_truths(&path, None).unwrap();
        let truths: Vec<Truth> =
            items.iter().map(|item| serde_json::from_value(item.row.clone()).unwrap()).collect();
        let right: Vec<bool> = truths.iter().map(|truth| truth.is_right).collect();
        assert_eq!(right, [true, false, true, true, false]);
        let gold: Vec<&str> = truths.iter().map(|truth| truth.gold[0].as_str()).collect();
        assert_eq!(gold, ["2", "4", "4", "3", "3"]);
        assert_eq!(
            (items[1].responses[0].as_str(), items[4].id.as_str()),
            ("two\nfour", "p/wrong")
        );
        assert_eq!(
            (counts["math"], counts["sums"], report.dropped.values().sum::<usize>()),
            (1, 1, 1)
        );
        assert_eq!(read_truths(&path, Some(2)).unwrap().0.len(), 2);
    }

    #[test]
    fn rated_responses_are_read_and_attachments_left_out() {
        let rated = |id: &str, file: Value| {
            json!({"prompt_id": id, "capability": "Coding", "prompt": "q", "attached_file": file,
                   "response_1": "a", "response_1_human_1_rating": 3, "response_1_human_2_rating": "4",
                   "response_2": "b", "response_2_human_1_rating": 5.0, "response_2_human_2_rating": null})
        };
        let (_folder, path) = file(&[rated("0", Value::Null), rated("1", json!("photo.png"))]);
        let (items, counts, report) = read_ratings(&path, None).unwrap();
        let ratings: Ratings = serde_json::from_value(items[0].row.clone()).unwrap();
        assert_eq!(ratings.ratings, [vec![3.0, 4.0], vec![5.0]]);
        assert_eq!((items.len(), counts["Coding"]), (1, 1));
        assert!(report.dropped.contains_key("its prompt has an attached file"));
        let (_folder, path) = file(&[json!({"prompt": "q"})]);
        let error = read_ratings(&path, None).unwrap_err().to_string();
        assert!(error.contains("no capability"), "{error}");
    }
}
