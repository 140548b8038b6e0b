use critic_types::Role;

/// Why text could not become tokens, or tokens text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// `tokenizer.json` cannot be read.
    #[error(
        "tokenizer.json cannot be read: {detail}; it must be the file that the `tokenizers` library \
         saves (export it with `save_pretrained` of a fast tokenizer)"
    )]
    TokenizerJson {
        /// What the reader found.
        detail: String,
    },
    /// `tokenizer_config.json` cannot be read.
    #[error("tokenizer_config.json cannot be read: {detail}")]
    TokenizerConfig {
        /// What the reader found.
        detail: String,
    },
    /// A GGUF vocabulary of a kind that we cannot rebuild exactly.
    #[error(
        "a GGUF vocabulary of kind `{model}` cannot be used: {reason}; use the model's Hugging Face \
         folder, whose tokenizer.json is read as it is"
    )]
    UnsupportedTokenizer {
        /// `tokenizer.ggml.model`.
        model: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// A GGUF vocabulary names a pre-tokenizer that we do not know.
    #[error(
        "the pre-tokenizer `{pre}` (tokenizer.ggml.pre) is not known; known are {known}; use the \
         model's Hugging Face folder, whose tokenizer.json is read as it is"
    )]
    UnknownPreTokenizer {
        /// `tokenizer.ggml.pre`.
        pre: String,
        /// The names that are known.
        known: String,
    },
    /// A tokenizer that no GGUF vocabulary stands for.
    #[error(
        "the tokenizer cannot be written into a GGUF file: {reason}; write the model as a Hugging Face \
         folder, and convert that with llama.cpp's convert_hf_to_gguf.py"
    )]
    NotForGguf {
        /// What llama.cpp lacks for it.
        reason: String,
    },
    /// The tokenizer refused a text or its own state.
    #[error("the tokenizer failed to {action}: {detail}")]
    Tokenizer {
        /// What was tried.
        action: &'static str,
        /// Its message.
        detail: String,
    },
    /// A token id that the tokenizer does not have.
    #[error("{role} has the id {id}, but the tokenizer has no such token (it has {n_tokens})")]
    UnknownToken {
        /// What the token is for.
        role: &'static str,
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        n_tokens: usize,
    },
    /// The model comes without a chat template.
    #[error(
        "the model has no chat template, so a conversation cannot be rendered; take the model's \
         instruct version, or put its template into chat_template.jinja beside the weights"
    )]
    NoChatTemplate,
    /// The chat template is not valid Jinja.
    #[error("the chat template does not compile, line {line}: {detail}")]
    TemplateSyntax {
        /// Line in the template, from 1.
        line: usize,
        /// What is wrong there.
        detail: String,
    },
    /// The chat template failed on this conversation.
    #[error("the chat template failed, line {line}: {detail}")]
    TemplateFailed {
        /// Line in the template, from 1; 0 when not known.
        line: usize,
        /// What went wrong.
        detail: String,
    },
    /// The chat template itself refused this conversation (`raise_exception`).
    #[error("the chat template refuses this conversation: {message}")]
    TemplateRaised {
        /// The template's message.
        message: String,
    },
    /// The chat template changes what it wrote for earlier turns when a later turn comes.
    #[error(
        "the chat template rewrites turn {turn}: {detail}; responses would have other tokens in \
         training than in scoring, so give a template in which a turn's text depends on nothing that \
         comes later (for instance one that keeps earlier thoughts)"
    )]
    TemplateRewrites {
        /// The turn, from 0.
        turn: usize,
        /// How it was noticed.
        detail: &'static str,
    },
    /// The chat template does not write what the assistant says.
    #[error(
        "the chat template does not write the text of turn {turn}, which is the assistant's, as it \
         is; a critique could not be found in it, so give a template that writes the turn's content \
         (it may trim it)"
    )]
    TemplateHidesContent {
        /// The turn, from 0.
        turn: usize,
    },
    /// A date that the calendar does not have.
    #[error(
        "{year:04}-{month:02}-{day:02} is not a date; give a year of 1–9999 and a day that its month has"
    )]
    BadDate {
        /// Year.
        year: u16,
        /// Month.
        month: u8,
        /// Day.
        day: u8,
    },
    /// The conversation has no turns.
    #[error("the conversation has no turns; it needs at least one of the user")]
    EmptyConversation,
    /// The last turn does not fit the ending that was asked for.
    #[error("a sequence that is to end {ending} needs a last turn {needed}, but the last turn is of `{}`", found.as_str())]
    WrongLastTurn {
        /// The ending, in words.
        ending: &'static str,
        /// The rule, in words.
        needed: &'static str,
        /// Who spoke last.
        found: Role,
    },
    /// A score scale that is none.
    #[error("`{scale}` is no score scale; a scale is {rule}")]
    BadScale {
        /// The scale.
        scale: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A prompt text is not usable.
    #[error("the prompt `{prompt}` ({file}) cannot be used: {detail}")]
    BadPrompt {
        /// Which prompt.
        prompt: &'static str,
        /// Where it comes from.
        file: String,
        /// What is wrong.
        detail: String,
    },
}
