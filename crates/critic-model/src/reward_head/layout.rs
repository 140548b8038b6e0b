use std::fmt::Write as _;

/// What the numbers of a head's hidden layer go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadActivation {
    /// `x · σ(x)`.
    Silu,
    /// `tanh(x)`.
    Tanh,
}

impl HeadActivation {
    /// Its value.
    pub(crate) fn of(self, x: f32) -> f32 {
        match self {
            Self::Silu => x * sigmoid(x),
            Self::Tanh => x.tanh(),
        }
    }

    /// Its derivative.
    pub(crate) fn slope(self, x: f32) -> f32 {
        match self {
            Self::Silu => sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
            Self::Tanh => 1.0 - x.tanh() * x.tanh(),
        }
    }

    /// The module of PyTorch that computes it.
    fn module(self) -> &'static str {
        match self {
            Self::Silu => "torch.nn.SiLU()",
            Self::Tanh => "torch.nn.Tanh()",
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// A shape of reward heads: the names of its tensors in files, and what happens between them.
///
/// A hidden layer `f = act(W·h + b)` where there is one, else `f = h`; then `r = w · f + shift`.
#[derive(Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// What it is called in settings and in what a person reads.
    pub kind: &'static str,
    /// W `[width, d_model]` and b `[width]`.
    pub(crate) hidden: Option<HiddenNames>,
    /// w `[1, width]`.
    pub(crate) out: &'static str,
    /// The shift `[1]`.
    pub(crate) shift: Option<&'static str>,
    /// What its authors' files put before the names of the decoder's weights.
    pub(crate) decoder_prefix: Option<&'static str>,
}

/// The hidden layer of a [`HeadLayout`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HiddenNames {
    pub(crate) weight: &'static str,
    pub(crate) bias: &'static str,
    pub(crate) activation: HeadActivation,
}

/// The name of the weight in a Hugging Face sequence classifier.
pub const REWARD_HEAD: &str = "score.weight";

/// transformers' `score`: r = w · h.
pub(crate) static LINEAR: HeadLayout = HeadLayout {
    kind: "linear",
    hidden: None,
    out: REWARD_HEAD,
    shift: None,
    decoder_prefix: None,
};

/// Two layers with SiLU between (BaseReward, arXiv 2509.16127, found it the best of the heads it tried),
/// named as `torch.nn.Sequential` names them. A shift would cancel in the loss of pairs, so it has none.
pub(crate) static MLP: HeadLayout = HeadLayout {
    kind: "mlp",
    hidden: Some(HiddenNames {
        weight: "score.0.weight",
        bias: "score.0.bias",
        activation: HeadActivation::Silu,
    }),
    out: "score.2.weight",
    shift: None,
    decoder_prefix: None,
};

/// `AutoModelForCausalLMWithValueHead` of TRL, which LLaMA-Factory trains reward models with.
static VALUE_HEAD: HeadLayout = HeadLayout {
    kind: "value head",
    hidden: None,
    out: "v_head.summary.weight",
    shift: Some("v_head.summary.bias"),
    decoder_prefix: Some("pretrained_model."),
};

/// `RewardHead` of CLoud (arXiv 2408.11791; `cloud/model.py`), without its dropout.
static CLOUD: HeadLayout = HeadLayout {
    kind: "CLoud",
    hidden: Some(HiddenNames {
        weight: "reward_head.dense.weight",
        bias: "reward_head.dense.bias",
        activation: HeadActivation::Tanh,
    }),
    out: "reward_head.out_proj.weight",
    shift: Some("reward_head.out_proj.bias"),
    decoder_prefix: Some("reward_base_model."),
};

/// Every shape that is read; no two have a name in common.
pub(crate) static LAYOUTS: [&HeadLayout; 4] = [&LINEAR, &MLP, &VALUE_HEAD, &CLOUD];

impl HeadLayout {
    /// The shape of this kind.
    pub fn of_kind(kind: &str) -> Option<&'static Self> {
        LAYOUTS.into_iter().find(|layout| layout.kind == kind)
    }

    /// The names of its tensors.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let of_hidden = self.hidden.iter().flat_map(|names| [names.weight, names.bias]);
        of_hidden.collect::<Vec<_>>().into_iter().chain([self.out]).chain(self.shift)
    }

    /// The module that holds it: the first part of its names.
    pub(crate) fn module(&self) -> &'static str {
        self.out.split('.').next().unwrap_or(self.out)
    }

    /// The shape of its tensor `name` over hidden states of `d_model` numbers, where its hidden layer has
    /// `width`.
    pub(crate) fn shape(&self, name: &str, d_model: usize, width: usize) -> Vec<usize> {
        match &self.hidden {
            Some(hidden) if name == hidden.weight => vec![width, d_model],
            Some(hidden) if name == hidden.bias => vec![width],
            Some(_) if name == self.out => vec![1, width],
            None if name == self.out => vec![1, d_model],
            _ => vec![1],
        }
    }

    /// The shape of its tensor `name` of `n` numbers, if that can be one; else a row of them.
    pub(crate) fn shape_of_numbers(&self, name: &str, d_model: usize, n: usize) -> Vec<usize> {
        let is_vector = Some(name) == self.shift
            || self.hidden.as_ref().is_some_and(|hidden| name == hidden.bias);
        let is_hidden = self.hidden.as_ref().is_some_and(|hidden| name == hidden.weight);
        match n.checked_div(d_model) {
            _ if is_vector => vec![n],
            Some(width) if is_hidden && width * d_model == n => vec![width, d_model],
            _ => vec![1, n],
        }
    }

    /// Lines of Python that put the head of `model.safetensors` in `folder` on a sequence classifier of
    /// transformers (`model.score`), whose own is the linear one: nothing for that.
    pub fn in_pytorch(&self, d_model: usize, width: usize) -> String {
        if *self == LINEAR {
            return String::new();
        }
        let has_shift = if self.shift.is_some() { "True" } else { "False" };
        let mut modules = Vec::new();
        let mut places = Vec::new();
        if let Some(HiddenNames { weight, bias, activation }) = &self.hidden {
            modules.push(format!("torch.nn.Linear({d_model}, {width})"));
            modules.push(activation.module().to_owned());
            places.extend([("0.weight", *weight), ("0.bias", *bias)]);
        }
        let (n_in, last) = if self.hidden.is_some() { (width, 2) } else { (d_model, 0) };
        modules.push(format!("torch.nn.Linear({n_in}, 1, bias={has_shift})"));
        let (weight, bias) = (format!("{last}.weight"), format!("{last}.bias"));
        places.push((&weight, self.out));
        places.extend(self.shift.map(|shift| (bias.as_str(), shift)));
        let mut lines = format!(
            "tensors = safetensors.torch.load_file(f\"{{folder}}/model.safetensors\")\n\
             model.score = torch.nn.Sequential({})\nmodel.score.load_state_dict({{\n",
            modules.join(", ")
        );
        for (place, name) in places {
            let _ = writeln!(lines, "    \"{place}\": tensors[\"{name}\"],");
        }
        lines + "})\n"
    }
}

/// Whether a tensor of this name belongs to a reward head.
pub fn is_reward_head(name: &str) -> bool {
    LAYOUTS.into_iter().any(|layout| layout.names().any(|of_head| of_head == name))
}

/// The names of every shape that is read, in words.
pub fn known_reward_heads() -> String {
    let shapes = LAYOUTS.map(|layout| layout.names().collect::<Vec<_>>().join(" + "));
    shapes.join(", or ")
}
