use crate::cli::{SamplingArgs, WriterArgs};
use crate::commands::writer::{Writer, fault};
use crate::exit::Fault;
use crate::journal::Journal;
use crate::progress::{Cancel, Meter, say};
use anyhow::Result;
use critic_engine::{EngineErrorKind, GenerateRequest, RequestControl};
use critic_types::{ContentHasher, Conversation, FinishReason, SeedTree};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A text that a model wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) is_cut: bool,
}

/// What is asked of the model about one item.
pub(super) struct Question {
    pub(super) id: String,
    pub(super) conversation: Conversation,
    /// How many answers.
    pub(super) n: usize,
}

/// The model at work on one file: every answer is kept as it comes, so the work can be gone on with.
pub(super) struct Asking<'a> {
    sampling_args: &'a SamplingArgs,
    writer: Writer,
    explains: bool,
    cancel: Cancel,
    journal: Journal<String, Vec<Text>>,
    journal_path: PathBuf,
    failures: BTreeMap<String, EngineErrorKind>,
}

impl<'a> Asking<'a> {
    /// Opens or begins the work named by everything that decides the answers: the model, the sampling, and
    /// what `work` adds.
    pub(super) fn open(
        writer_args: &WriterArgs,
        sampling_args: &'a SamplingArgs,
        output: &Path,
        work: impl FnOnce(&mut ContentHasher),
    ) -> Result<Self> {
        let sampling = sampling_args.sampling()?;
        let writer = Writer::open(writer_args)?;
        let mut hasher = ContentHasher::new("synth");
        hasher.text(writer.address().as_str());
        hasher.text(&serde_json::to_string(&sampling)?).text(&sampling_args.seed.to_string());
        work(&mut hasher);
        let mut name = output.as_os_str().to_owned();
        name.push(".partial");
        let journal_path = PathBuf::from(name);
        let journal = Journal::open(journal_path.clone(), &hasher.finish())?;
        Ok(Self {
            sampling_args,
            writer,
            explains: writer_args.engine.explain,
            cancel: Cancel::listen(),
            journal,
            journal_path,
            failures: BTreeMap::new(),
        })
    }

    /// Asks every question that has no answers yet.
    pub(super) fn ask(&mut self, verb: &str, questions: &[Question]) -> Result<()> {
        let open: Vec<&Question> =
            questions.iter().filter(|one| !self.journal.done().contains_key(&one.id)).collect();
        if open.is_empty() {
            return Ok(());
        }
        let sampling = self.sampling_args.sampling()?;
        let seed = SeedTree::new(self.sampling_args.seed).child("synth");
        let control =
            RequestControl { cancel: Some(self.cancel.token()), ..RequestControl::default() };
        let requests: Vec<GenerateRequest> = open
            .iter()
            .map(|question| GenerateRequest {
                n: question.n,
                control: control.clone(),
                ..GenerateRequest::new(
                    &question.id,
                    question.conversation.clone(),
                    sampling.clone(),
                    seed.child(&question.id),
                )
            })
            .collect();
        let writer = &mut self.writer;
        let (journal, failures, cancel) = (&mut self.journal, &mut self.failures, &self.cancel);
        let n_done = questions.len() - open.len();
        let mut meter = Meter::new(verb, questions.len() as u64, n_done as u64);
        let mut kept = Ok(());
        writer.generator().generate(&requests, &mut |index, result| {
            let id = open[index].id.clone();
            match result {
                Ok(completions) => {
                    let text = |completion: critic_engine::Completion| Text {
                        text: completion.text,
                        is_cut: completion.finish_reason == FinishReason::Length,
                    };
                    kept = journal.add(id, completions.into_iter().map(text).collect());
                }
                Err(error) if error.kind == EngineErrorKind::Cancelled => {}
                Err(error) => {
                    failures.insert(id, error.kind);
                }
            }
            meter.advance("");
            if kept.is_err() || cancel.is_set() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        meter.finish();
        kept?;
        if self.cancel.is_set() {
            return Err(Fault::interrupted("the same command"));
        }
        Ok(())
    }

    /// What was answered; none when the question failed.
    pub(super) fn answers(&self, id: &str) -> Option<&[Text]> {
        self.journal.done().get(id).map(Vec::as_slice)
    }

    /// How many questions failed.
    pub(super) fn n_failed(&self) -> usize {
        self.failures.len()
    }

    /// Ends the work once its output stands; what failed is told, and an error where nothing else came.
    pub(super) fn finish(self, n_pairs: usize) -> Result<()> {
        if self.explains {
            self.writer.explain();
        }
        let Some((id, first)) = self.failures.iter().next() else {
            // The output is whole; a journal that stays behind is read again and changes nothing.
            let _ = std::fs::remove_file(&self.journal_path);
            return Ok(());
        };
        say(format!(
            "{} requests failed, the first about {id}: {first}; the same command asks them again and nothing else",
            self.failures.len()
        ));
        match n_pairs {
            0 => Err(fault(first.clone())),
            _ => Ok(()),
        }
    }
}
