use super::asking::{Asking, Question, Text};
use super::prompt;
use crate::commands::data::args::ModifiedArgs;
use crate::commands::data::table::{self, count};
use crate::exit::Fault;
use crate::progress::answer;
use anyhow::{Result, anyhow};
use critic_data::synth::modified_instruction;
use critic_data::{AnnotatedPair, PairFormat, PairWriter, TableWriter, prompt_digest, read_pairs};
use critic_text::SynthTask;
use critic_types::{Column, ColumnKind, Conversation, DropReport, PreferencePair, Role};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// What came of the instructions.
#[derive(Debug, Default, Serialize)]
struct Report {
    n_prompts: usize,
    n_pairs: usize,
    /// Prompts that gave a pair and those that gave none, by reason.
    prompts: DropReport,
    /// Attempts at a modified instruction that could not be used, by reason.
    attempts: DropReport,
    /// Rows that are no pairs.
    rows: DropReport,
}

/// Pairs a good response with one to a slightly different instruction
/// (Self-Taught Evaluators, arXiv 2408.02666, §3.2).
pub(super) fn modified(args: &ModifiedArgs) -> Result<()> {
    if args.attempts == 0 {
        return Err(Fault::config(anyhow!("--attempts is 0; it must be at least 1")));
    }
    let prompt = prompt(SynthTask::Modify, args.prompt.as_deref())?;
    let set = read_pairs(&args.source, &args.read.options())?;
    let mut seen = HashSet::new();
    let pairs: Vec<PreferencePair> =
        set.pairs.into_iter().filter(|pair| seen.insert(prompt_digest(&pair.prompt))).collect();
    let mut asking = Asking::open(&args.writer, &args.sampling, &args.output, |hasher| {
        hasher.text("modified").text(&prompt.text()).text(&args.attempts.to_string());
        for pair in &pairs {
            hasher.text(&pair.id).conversation(&pair.prompt);
        }
    })?;
    let named = |what: &str, pair: &PreferencePair| format!("{what}/{}", pair.id);
    let question = |what: &str, pair: &PreferencePair, conversation: Conversation, n: usize| {
        Question { id: named(what, pair), conversation, n }
    };

    let instructions: Vec<Question> = pairs
        .iter()
        .map(|pair| {
            let asked = Conversation::from_user(prompt.ask(pair.prompt.last_user_text()));
            question("instruction", pair, asked, args.attempts)
        })
        .collect();
    asking.ask("modifying instructions", &instructions)?;
    let mut report = Report { n_prompts: pairs.len(), rows: set.report, ..Report::default() };
    let mut modified: Vec<Option<String>> = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        let texts = asking.answers(&named("instruction", pair)).unwrap_or_default();
        modified.push(usable(texts, pair, &mut report.attempts));
    }

    let answers: Vec<Question> = pairs
        .iter()
        .zip(&modified)
        .filter_map(|(pair, modified)| {
            let turns = instead(&pair.prompt, modified.as_deref()?);
            Some(question("rejected", pair, turns, 1))
        })
        .collect();
    asking.ask("answering them", &answers)?;
    if args.sample_chosen {
        let answers: Vec<Question> = pairs
            .iter()
            .zip(&modified)
            .filter(|(_, modified)| modified.is_some())
            .map(|(pair, _)| question("chosen", pair, pair.prompt.clone(), 1))
            .collect();
        asking.ask("answering the originals", &answers)?;
    }

    let mut out = PairWriter::create(&args.output, PairFormat::Own)?;
    let mut instructions = match &args.instructions {
        Some(path) => Some(TableWriter::create(path, "instructions", &COLUMNS)?),
        None => None,
    };
    for (pair, modified) in pairs.iter().zip(modified) {
        let Some(modified) = modified else {
            let failed = asking.answers(&named("instruction", pair)).is_none();
            report.prompts.drop(
                if failed { "the request failed" } else { "no modified instruction" },
                &pair.id,
            );
            continue;
        };
        let written = |what: &str| answer_of(asking.answers(&named(what, pair)));
        let chosen = match args.sample_chosen {
            true => written("chosen"),
            false => Ok(pair.chosen.clone()),
        };
        let made = chosen.and_then(|chosen| Ok((chosen, written("rejected")?)));
        let made = made.and_then(|(chosen, rejected)| match chosen.trim() == rejected.trim() {
            true => Err("both responses are the same"),
            false => Ok((chosen, rejected)),
        });
        let (chosen, rejected) = match made {
            Ok(made) => made,
            Err(reason) => {
                report.prompts.drop(reason, &pair.id);
                continue;
            }
        };
        report.prompts.keep();
        if let Some(out) = &mut instructions {
            let texts = [&pair.id, pair.prompt.last_user_text(), &modified];
            let row = COLUMNS.iter().zip(texts);
            let row: Map<String, Value> =
                row.map(|(column, text)| (column.name.to_owned(), Value::from(text))).collect();
            out.write(row)?;
        }
        let pair = PreferencePair { chosen, rejected, margin: None, ..pair.clone() };
        out.write(AnnotatedPair { pair, critiques: Vec::new() })?;
    }
    report.n_pairs = out.finish()?;
    if let Some(out) = instructions {
        out.finish()?;
    }
    if args.json {
        answer(serde_json::to_string_pretty(&report)?);
    } else {
        answer(format!(
            "{} pairs of {} prompts: {}",
            count(report.n_pairs),
            count(report.n_prompts),
            args.output.display()
        ));
        table::left_out(&report.prompts);
        if report.attempts.n_dropped() > 0 {
            answer("attempts at an instruction that could not be used:");
            table::left_out(&report.attempts);
        }
        table::left_out(&report.rows);
    }
    asking.finish(report.n_pairs)
}

/// What the file of instructions holds: the pair's id, its instruction, and the one that the rejected
/// response answers.
const COLUMNS: [Column; 3] = [
    Column::new("id", ColumnKind::Text),
    Column::new("instruction", ColumnKind::Text),
    Column::new("modified", ColumnKind::Text),
];

/// The first attempt that can be used.
fn usable(texts: &[Text], pair: &PreferencePair, attempts: &mut DropReport) -> Option<String> {
    for Text { text, is_cut } in texts {
        let read = match is_cut {
            true => Err("cut at the token limit"),
            false => modified_instruction(text, pair.prompt.last_user_text())
                .map_err(critic_data::synth::NotModified::as_str),
        };
        match read {
            Ok(instruction) => {
                attempts.keep();
                return Some(instruction);
            }
            Err(reason) => attempts.drop(reason, &pair.id),
        }
    }
    None
}

/// The conversation with another last turn of the user.
fn instead(prompt: &Conversation, instruction: &str) -> Conversation {
    let turns = prompt.messages();
    let last = turns.iter().rposition(|turn| turn.role == Role::User).unwrap_or(0);
    let mut changed = Conversation::default();
    for turn in &turns[..last] {
        changed = changed.with(turn.role, &turn.content);
    }
    changed.with(Role::User, instruction)
}

/// The one answer to a question, where it can be used.
fn answer_of(texts: Option<&[Text]>) -> Result<String, &'static str> {
    match texts {
        None | Some([]) => Err("the request failed"),
        Some([first, ..]) if first.is_cut => Err("a response was cut at the token limit"),
        Some([first, ..]) if first.text.trim().is_empty() => Err("an empty response"),
        Some([first, ..]) => Ok(first.text.trim().to_owned()),
    }
}
