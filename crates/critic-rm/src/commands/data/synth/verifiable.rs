use super::asking::{Asking, Question, Text};
use super::prompt;
use crate::commands::data::args::VerifiableArgs;
use crate::commands::data::table::{self, count};
use crate::exit::Fault;
use crate::progress::{answer, say};
use anyhow::{Result, anyhow};
use critic_data::synth::{GoldAnswer, Grade, final_answer, pair_right_with_wrong, read_gold};
use critic_data::{PairFormat, PairWriter};
use critic_text::SynthTask;
use critic_types::{Conversation, DropReport, SeedTree};
use serde::Serialize;

/// What came of the questions.
#[derive(Debug, Default, Serialize)]
struct Report {
    n_questions: usize,
    n_samples: usize,
    n_right: usize,
    n_wrong: usize,
    n_unreadable: usize,
    /// Cut at the token limit before an answer.
    n_cut: usize,
    n_pairs: usize,
    /// Questions that gave pairs and those that gave none, by reason.
    questions: DropReport,
    /// Rows that are no questions with an answer.
    rows: DropReport,
}

/// Samples solutions of questions with gold answers and pairs right ones with wrong ones.
pub(super) fn verifiable(args: &VerifiableArgs) -> Result<()> {
    for (flag, value) in [("-n", args.n), ("--max-pairs", args.max_pairs)] {
        if value == 0 {
            return Err(Fault::config(anyhow!("{flag} is 0; it must be at least 1")));
        }
    }
    let prompt = prompt(SynthTask::Solve, args.prompt.as_deref())?;
    let mut gold = read_gold(&args.source)?;
    gold.solutions.truncate(args.limit.unwrap_or(usize::MAX));
    let mut asking = Asking::open(&args.writer, &args.sampling, &args.output, |hasher| {
        hasher.text("verifiable").text(&prompt.text()).text(&args.n.to_string());
        for solution in &gold.solutions {
            hasher.text(&solution.id).text(&solution.question);
        }
    })?;
    let questions: Vec<Question> = gold
        .solutions
        .iter()
        .map(|solution| Question {
            id: solution.id.clone(),
            conversation: Conversation::from_user(prompt.ask(&solution.question)),
            n: args.n,
        })
        .collect();
    asking.ask("solving", &questions)?;
    let seed = SeedTree::new(args.sampling.seed);
    let mut report =
        Report { n_questions: questions.len(), rows: gold.report, ..Report::default() };
    let mut out = PairWriter::create(&args.output, PairFormat::Own)?;
    for solution in &gold.solutions {
        let Some(texts) = asking.answers(&solution.id) else {
            report.questions.drop("the request failed", &solution.id);
            continue;
        };
        // Half a solution has no answer but one that it marks.
        let is_whole = |one: &&Text| !one.is_cut || final_answer(&one.text).is_some();
        let n_texts = texts.len();
        let texts: Vec<String> =
            texts.iter().filter(is_whole).map(|one| one.text.trim().to_owned()).collect();
        report.n_cut += n_texts - texts.len();
        let graded = pair_right_with_wrong(
            &solution.id,
            &Conversation::from_user(&solution.question),
            &GoldAnswer::of(&solution.answer),
            &texts,
            args.max_pairs,
            &seed,
        );
        let n = |grade: Grade| graded.grades.iter().filter(|one| **one == grade).count();
        let [right, wrong, unreadable] = [Grade::Right, Grade::Wrong, Grade::Unreadable].map(n);
        report.n_samples += n_texts;
        report.n_right += right;
        report.n_wrong += wrong;
        report.n_unreadable += unreadable;
        match (right, wrong) {
            (0, 0) => report.questions.drop("no answer can be read", &solution.id),
            (0, _) => report.questions.drop("no right solution", &solution.id),
            (_, 0) => report.questions.drop("no wrong solution", &solution.id),
            _ => report.questions.keep(),
        }
        report.n_pairs += graded.pairs.len();
        for mut annotated in graded.pairs {
            annotated.pair.domain = Some(args.domain.clone());
            out.write(annotated)?;
        }
    }
    out.finish()?;
    if args.json {
        answer(serde_json::to_string_pretty(&report)?);
    } else {
        answer(format!(
            "{} solutions of {} questions: {} right, {} wrong, {} without an answer that can be read, {} cut before one",
            count(report.n_samples),
            count(report.n_questions),
            count(report.n_right),
            count(report.n_wrong),
            count(report.n_unreadable),
            count(report.n_cut)
        ));
        answer(format!(
            "{} pairs of {} questions: {}",
            count(report.n_pairs),
            count(report.questions.n_kept),
            args.output.display()
        ));
        table::left_out(&report.questions);
        table::left_out(&report.rows);
    }
    if report.n_pairs == 0 && asking.n_failed() == 0 {
        say(
            "no question has both a right and a wrong solution: ask for more of them (-n), at a higher --temperature, or of another model",
        );
    }
    asking.finish(report.n_pairs)
}
