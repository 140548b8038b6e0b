/// Families of decoders that [`Decoder`](crate::Decoder) computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// transformers' `LlamaForCausalLM`: Llama 2 and 3, SmolLM.
    Llama,
    /// transformers' `MistralForCausalLM`: Llama with a sliding window.
    Mistral,
    /// transformers' `Qwen2ForCausalLM`, Qwen2.5 too: biases on the query, key and value projections.
    Qwen2,
    /// transformers' `Qwen3ForCausalLM`: norms on the queries and keys of each head.
    Qwen3,
    /// transformers' `Gemma2ForCausalLM`: bounded scores, windows in every other layer, norms before and
    /// after each part of a layer.
    Gemma2,
    /// transformers' `Gemma3ForCausalLM` (text alone): norms on queries and keys, windows in five of six
    /// layers with a rotary base of their own.
    Gemma3,
    /// transformers' `Phi3ForCausalLM`: Llama with fused projections in its files.
    Phi3,
}

impl Architecture {
    /// The names by which files call the supported architectures.
    pub const NAMES: &str = "llama, mistral, qwen2, qwen3, gemma2, gemma3_text, phi3";

    pub(crate) const ALL: [Self; 7] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gemma2,
        Self::Gemma3,
        Self::Phi3,
    ];

    /// The name in `config.json` (`model_type`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3_text",
            Self::Phi3 => "phi3",
        }
    }

    /// The name in GGUF (`general.architecture`); llama.cpp writes Mistral as Llama.
    pub fn gguf_name(self) -> &'static str {
        match self {
            Self::Mistral => Self::Llama.name(),
            Self::Gemma3 => "gemma3",
            other => other.name(),
        }
    }

    /// The class of transformers (`architectures` in `config.json`).
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Gemma2 => "Gemma2ForCausalLM",
            Self::Gemma3 => "Gemma3ForCausalLM",
            Self::Phi3 => "Phi3ForCausalLM",
        }
    }

    /// The architecture of this name in `config.json`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }

    /// The architecture of this name in GGUF.
    pub(crate) fn from_gguf_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.gguf_name() == name)
    }

    /// Whether it is one of the Gemma family.
    pub(crate) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }
}
