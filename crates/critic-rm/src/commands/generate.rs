use super::writer::{Writer, fault};
use crate::cli::GenerateArgs;
use crate::exit::Fault;
use crate::progress::{Cancel, answer, say};
use anyhow::{Context, Result, anyhow};
use critic_engine::{
    Completion, EngineErrorKind, GenerateRequest, RequestControl, TextPiece, TokenLogProb,
};
use critic_types::{Conversation, FinishReason, Role, SeedTree};
use serde::Serialize;
use std::io::{IsTerminal, Read, Write};
use std::ops::ControlFlow;

/// Writes answers to a prompt: one as it comes, several each as it ends.
pub(crate) fn generate(args: &GenerateArgs) -> Result<()> {
    let sampling = args.sampling.sampling()?;
    if args.n == 0 {
        return Err(Fault::config(anyhow!("--n is 0; ask for at least 1 answer")));
    }
    let prompt = prompt(args)?;
    let mut conversation = Conversation::default();
    if let Some(system) = &args.system {
        conversation = conversation.with(Role::System, system);
    }
    let conversation = conversation.with(Role::User, prompt);
    let mut engine = Writer::open(&args.writer)?;
    let cancel = Cancel::listen();
    let request = GenerateRequest {
        n: args.n,
        log_probs: args.log_probs,
        control: RequestControl { cancel: Some(cancel.token()), ..RequestControl::default() },
        ..GenerateRequest::new("prompt", conversation, sampling, SeedTree::new(args.sampling.seed))
    };
    let mut screen = Screen::new(args);
    let mut result = None;
    engine.generator().stream(
        &[request],
        &mut |piece| screen.piece(piece),
        &mut |_, completions| {
            result = Some(completions);
            ControlFlow::Continue(())
        },
    );
    screen.end_line();
    if args.writer.engine.explain {
        engine.explain();
    }
    match result.context("the engine gave no result")? {
        Ok(completions) => screen.finish(&completions),
        Err(_) if screen.error.is_some() => {}
        Err(error) if error.kind == EngineErrorKind::Cancelled => return Err(Fault::stopped()),
        Err(error) => return Err(fault(error.kind)),
    }
    screen.error.map_or(Ok(()), |error| Err(error).context("the answer could not be written"))
}

/// The prompt from the command line, or from standard input.
fn prompt(args: &GenerateArgs) -> Result<String> {
    let text = match args.prompt.as_deref() {
        Some("-") => read_stdin()?,
        Some(text) => text.to_owned(),
        None if std::io::stdin().is_terminal() => {
            return Err(Fault::config(anyhow!(
                "there is no prompt; give one, or - to read it from standard input"
            )));
        }
        None => read_stdin()?,
    };
    if text.trim().is_empty() {
        return Err(Fault::data(anyhow!("the prompt is empty; give it at least one word")));
    }
    Ok(text)
}

fn read_stdin() -> Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("the prompt could not be read from standard input")
        .map_err(Fault::data)?;
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}

/// Standard output: one answer as it comes, several as they end.
struct Screen {
    n: usize,
    json: bool,
    /// The text of each answer that has not ended.
    texts: Vec<String>,
    /// Whether the cursor stands behind text.
    is_inside_line: bool,
    error: Option<std::io::Error>,
}

impl Screen {
    fn new(args: &GenerateArgs) -> Self {
        let texts = vec![String::new(); if args.json { 0 } else { args.n }];
        Self { n: args.n, json: args.json, texts, is_inside_line: false, error: None }
    }

    /// Takes a piece in; breaks when nobody reads any more.
    fn piece(&mut self, piece: TextPiece<'_>) -> ControlFlow<()> {
        if self.json {
            return ControlFlow::Continue(());
        }
        if self.n == 1 {
            self.write(piece.text);
        } else {
            self.texts[piece.answer].push_str(piece.text);
            if let Some(reason) = piece.finish_reason {
                let text = std::mem::take(&mut self.texts[piece.answer]);
                let number = piece.answer + 1;
                self.write(&format!("[{number}, {}]\n{text}\n\n", reason.as_str()));
            }
        }
        if self.error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut out = std::io::stdout().lock();
        self.is_inside_line = !text.ends_with('\n');
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.error = Some(error);
        }
    }

    fn end_line(&mut self) {
        if self.is_inside_line && self.error.is_none() {
            self.write("\n");
        }
    }

    /// What is known when all answers are there.
    fn finish(&mut self, completions: &[Completion]) {
        for (index, completion) in completions.iter().enumerate() {
            if self.json {
                answer(json(index, completion));
            } else if !completion.log_probs.is_empty() {
                answer(format!("[{}] ln P of each token, and of the likeliest", index + 1));
                completion.log_probs.iter().for_each(|drawn| answer(row(drawn)));
            }
        }
        let n_tokens: usize = completions.iter().map(|completion| completion.n_tokens).sum();
        let n_cut = completions.iter().filter(|c| c.finish_reason == FinishReason::Length).count();
        let cut =
            if n_cut > 0 { format!(", {n_cut} cut by --max-new-tokens") } else { String::new() };
        say(format!("answers {}, tokens {n_tokens}{cut}", completions.len()));
    }
}

/// One answer as a line of JSON; the names of its fields are those of the OpenAI API where it has them.
#[derive(Serialize)]
struct AnswerLine<'a> {
    index: usize,
    text: &'a str,
    finish_reason: &'static str,
    n_tokens: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log_probs: Vec<TokenLine<'a>>,
}

#[derive(Serialize)]
struct TokenLine<'a> {
    token: &'a str,
    log_prob: f64,
    top: &'a [(String, f64)],
}

impl<'a> TokenLine<'a> {
    fn new(drawn: &'a TokenLogProb) -> Self {
        Self { token: &drawn.token, log_prob: drawn.log_prob, top: &drawn.top }
    }
}

fn json(index: usize, completion: &Completion) -> String {
    let line = AnswerLine {
        index,
        text: &completion.text,
        finish_reason: completion.finish_reason.as_str(),
        n_tokens: completion.n_tokens,
        log_probs: completion.log_probs.iter().map(TokenLine::new).collect(),
    };
    serde_json::to_string(&line).expect("texts and finite numbers are JSON")
}

fn row(drawn: &TokenLogProb) -> String {
    let top: Vec<String> =
        drawn.top.iter().map(|(token, log_prob)| format!("{token} {log_prob:.2}")).collect();
    format!("{:8.3}  {:<16} {}", drawn.log_prob, drawn.token, top.join("  "))
}
