/// What an engine has computed since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Forward passes.
    pub n_steps: usize,
    /// Prompt tokens that were computed; for scoring, prompt, response and the request for a critique.
    pub prompt_tokens_computed: usize,
    /// Prompt tokens whose keys and values were there already, from this call or an earlier one.
    pub prompt_tokens_reused: usize,
    /// Tokens of answers that were computed.
    pub answer_tokens_computed: usize,
    /// Tokens after answers that were computed: closing tokens, questions, choices.
    pub end_tokens_computed: usize,
    /// Answers that were begun anew because the memory limit left no room to end them.
    pub n_restarted: usize,
    /// The most tokens whose keys and values were held at once.
    pub peak_kv_tokens: usize,
    /// Tokens whose keys and values are held now, for requests to come.
    pub kept_kv_tokens: usize,
    /// Bytes that the keys and values take.
    pub kv_bytes: usize,
}
