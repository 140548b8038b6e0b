use serde::{Deserialize, Serialize};

/// A linear layer that can have an adapter, in Hugging Face's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetModule {
    /// Queries.
    QProj,
    /// Keys.
    KProj,
    /// Values.
    VProj,
    /// What the attention gives back to the stream.
    OProj,
    /// The gate of the feed-forward network.
    GateProj,
    /// What the gate opens.
    UpProj,
    /// What the feed-forward network gives back to the stream.
    DownProj,
}

impl TargetModule {
    /// Every linear layer of a decoder.
    pub fn all() -> Vec<Self> {
        use TargetModule::{DownProj, GateProj, KProj, OProj, QProj, UpProj, VProj};
        vec![QProj, KProj, VProj, OProj, GateProj, UpProj, DownProj]
    }

    /// The name of its weights in a layer, and in PEFT's `target_modules`.
    pub fn name(self) -> &'static str {
        match self {
            Self::QProj => "q_proj",
            Self::KProj => "k_proj",
            Self::VProj => "v_proj",
            Self::OProj => "o_proj",
            Self::GateProj => "gate_proj",
            Self::UpProj => "up_proj",
            Self::DownProj => "down_proj",
        }
    }
}

/// Low-rank adapters in place of full training (LoRA, Hu et al. 2021; the arithmetic is PEFT's).
///
/// y = x·Wᵀ + b + scale · (dropout(x)·Aᵀ)·Bᵀ with W and b as they were; A starts uniform in ±1/√n_in and
/// B at zero. The reward head is trained whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// r, the rows of A and the columns of B.
    pub rank: usize,
    /// α, what the scale is taken from.
    pub alpha: f64,
    /// Probability that a number of x does not reach A while training.
    #[serde(default)]
    pub dropout: f64,
    /// The linear layers that have an adapter; all of them where it is left out.
    #[serde(default = "TargetModule::all")]
    pub target_modules: Vec<TargetModule>,
    /// Whether the scale is α/√r (rsLoRA, Kalajdzievski 2023) instead of α/r.
    #[serde(default)]
    pub rslora: bool,
}

impl LoraConfig {
    /// What B·A is multiplied by.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }
}
