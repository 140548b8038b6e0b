//! Text to tokens and back: tokenizer, chat template, prompts, rendering, score parser.
//!
//! A [`Renderer`] is the one way from a [`Conversation`](critic_types::Conversation) to tokens: its
//! [`ChatTemplate`] writes the text, its [`Tokenizer`] cuts it, and it alone knows where a turn is
//! labelled and where its reward is read. [`Prompts`] holds every text that we ask a critic with;
//! a [`ScoreScale`] reads the score that it wrote.

mod config;
mod error;
mod prompts;
mod renderer;
mod scale;
mod score;
mod template;
mod tokenizer;

pub use config::TokenizerConfig;
pub use error::TextError;
pub use prompts::{
    CORRECTION_REQUEST, PairwisePrompt, PromptSource, PromptSources, Prompts, SynthPrompt,
    SynthTask,
};
pub use renderer::{Ending, Renderer, TokenSequence};
pub use scale::{Level, ScoreScale};
pub use template::{ChatTemplate, TemplateDate};
pub use tokenizer::{GgufVocabulary, Tokenizer};
