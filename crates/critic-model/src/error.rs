use crate::composed::TrainDevice;
use crate::config::Architecture;
use crate::reward_head::known_reward_heads;
use critic_kernels::KernelError;
use critic_text::TextError;
use critic_types::atomic_file::WriteError;
use std::io;
use std::path::PathBuf;

/// Why a model could not be named, fetched, read, written or put together.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A weight that the architecture needs is not there.
    #[error(
        "the weight {name} is missing; the architecture needs it with shape {expected:?}: use a complete model"
    )]
    MissingWeight {
        /// Its name in Hugging Face's spelling.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A weight has another shape than the architecture says.
    #[error(
        "the weight {name} has shape {found:?}, expected {expected:?}: use weights and config.json of one model"
    )]
    WeightShape {
        /// Its name in Hugging Face's spelling.
        name: String,
        /// The shape it has.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// There is more than one reward head.
    #[error("there are {} reward heads, {}: keep the tensors of the one that is to be read", heads.len(), heads.join("; and "))]
    SeveralRewardHeads {
        /// The tensors of each with their shapes.
        heads: Vec<String>,
    },
    /// A reward head lacks a tensor.
    #[error(
        "the reward head {found} lacks {lacking}; reward heads are read of {}: use all of its tensors",
        known_reward_heads()
    )]
    TornRewardHead {
        /// Its tensors with their shapes.
        found: String,
        /// One that is missing, with its shape.
        lacking: String,
    },
    /// The configuration of a model names another one instead of its shape.
    #[error(
        "{} names its base model {base} and not its own shape (as CLoud's do): put the config.json of {base} in its place", path.display()
    )]
    ConfigElsewhere {
        /// The configuration.
        path: PathBuf,
        /// The model whose shape it has.
        base: String,
    },
    /// A token that the embedding has no row for.
    #[error(
        "token {token} is not in the vocabulary of {vocab_size}: use the model's own tokenizer"
    )]
    UnknownToken {
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// A weight that the architecture does not have.
    #[error("the architecture has no weight {name}: use weights and config.json of one model")]
    UnknownWeight {
        /// Its name.
        name: String,
    },
    /// A row that a batch does not have.
    #[error("row {row} is to be read of a batch of {n_rows} rows: read rows that it has")]
    NoSuchRow {
        /// The row.
        row: usize,
        /// Rows of the batch.
        n_rows: usize,
    },
    /// A kernel refused its operands.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A file's weights are not those of the architecture beside them.
    #[error("{} does not hold the weights of its architecture: {mismatch}; use weights and config of one model", path.display())]
    WeightsMismatch {
        /// The folder or file.
        path: PathBuf,
        /// Every weight that is missing, has another shape or is not known.
        mismatch: Box<WeightMismatch>,
    },
    /// A plain name that the catalogue does not have.
    #[error("no model is called {name:?}{}; the catalogue has {}; or give a hub id (org/name), a folder or a .gguf file",
        nearest.as_ref().map(|n| format!(" (did you mean {n:?}?)")).unwrap_or_default(), known.join(", "))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// The catalogue's name that looks most like it.
        nearest: Option<String>,
        /// All names of the catalogue.
        known: Vec<String>,
    },
    /// A path that leads nowhere.
    #[error("{} does not exist; a model is a catalogue name, a hub id (org/name), a folder with config.json or a .gguf file", path.display())]
    NoSuchPath {
        /// The path.
        path: PathBuf,
    },
    /// A model folder lacks a file.
    #[error("{} has no {file}; a model folder needs config.json, tokenizer.json, a chat template and model.safetensors", folder.display())]
    MissingFile {
        /// The folder.
        folder: PathBuf,
        /// The file, or the files of which one is needed.
        file: String,
    },
    /// A file could not be read.
    #[error("could not read {}: {source}; check that it exists and is readable", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The catalogue that is built in cannot be read.
    #[error("the built-in catalogue of models cannot be read: {reason}")]
    Catalogue {
        /// What is wrong with it.
        reason: String,
    },
    /// A file is not the JSON that it should be.
    #[error("{} is not valid JSON of its kind: {reason}; fetch it again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// The configuration is not JSON.
    #[error("the model configuration is not valid JSON: {reason}; fetch config.json again")]
    ConfigJson {
        /// Where and what.
        reason: String,
    },
    /// The configuration lacks a field.
    #[error(
        "the model configuration lacks {field}; use the config.json or the GGUF file that the model was published with"
    )]
    ConfigMissing {
        /// The field.
        field: String,
    },
    /// The configuration asks for what the decoder does not compute.
    #[error(
        "the model configuration has {field} = {found}: {rule}; choose another model (critic-rm model list)"
    )]
    ConfigUnsupported {
        /// The field.
        field: String,
        /// Its value.
        found: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// An architecture that the decoder does not compute.
    #[error(
        "the architecture {found:?} is not supported; supported are {}: choose another model (critic-rm model list)",
        Architecture::NAMES
    )]
    UnknownArchitecture {
        /// Its name.
        found: String,
    },
    /// An error that happened over a file.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// The error.
        source: Box<ModelError>,
    },
    /// The tokenizer or the chat template cannot be used.
    #[error("{}: {source}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// The error.
        source: Box<TextError>,
    },
    /// No token ends a turn.
    #[error("{} names no token that ends a turn; set eos_token in tokenizer_config.json to a token of the vocabulary", path.display())]
    NoEndOfTurn {
        /// The folder or file.
        path: PathBuf,
    },
    /// A model that a GGUF file cannot hold so that llama.cpp computes the same.
    #[error(
        "the model cannot be written as GGUF: {reason}; a Hugging Face folder holds it (give a folder instead of a .gguf file)"
    )]
    NotForGguf {
        /// What would be lost.
        reason: String,
    },
    /// A safetensors file is torn or not one.
    #[error("{} is not a whole safetensors file: {reason}; fetch it again", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A weight is stored in a type that is not read.
    #[error("the weight {name} in {} is stored as {found}; f32, f16 and bf16 are read: use the unquantised model or a GGUF file", path.display())]
    DataType {
        /// The file.
        path: PathBuf,
        /// The weight.
        name: String,
        /// Its type on disk.
        found: String,
    },
    /// A file that is not GGUF.
    #[error("{} begins with {found:?}, a GGUF file begins with \"GGUF\"; give a .gguf file, or a folder with config.json", path.display())]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: String,
    },
    /// A GGUF version that is not read.
    #[error("{} is GGUF version {found}; versions 2 and 3 are read: convert the model again with a current llama.cpp", path.display())]
    GgufVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A GGUF file is torn or holds what is not read.
    #[error("{} cannot be read as GGUF: {reason}; it may be cut short, fetch it again, or use the model's Hugging Face folder", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The hub was not asked because the environment forbids it.
    #[error(
        "{repo} is not in the hub's cache and HF_HUB_OFFLINE is set; unset it, or give a folder"
    )]
    HubOffline {
        /// The repository.
        repo: String,
    },
    /// The hub answered with an error, or not at all.
    #[error(
        "{repo} could not be fetched from {endpoint}: {reason}; check the name and the network (HF_ENDPOINT sets a mirror, HF_TOKEN opens gated models), or give a folder"
    )]
    Hub {
        /// The repository.
        repo: String,
        /// The hub's address.
        endpoint: String,
        /// What it said.
        reason: String,
    },
    /// No Python with pip.
    #[error(
        "{requirement} needs Python with pip, and none of {tried} works; install Python 3 with pip, or give a model folder or .gguf file"
    )]
    NoPython {
        /// The package that was wanted.
        requirement: String,
        /// The commands that were tried.
        tried: String,
    },
    /// pip could not fetch the package.
    #[error(
        "`{command}` failed: {reason}; check the network and pip's index, or give a model folder or .gguf file"
    )]
    Pip {
        /// The command line.
        command: String,
        /// pip's last line, or what the system said.
        reason: String,
    },
    /// pip ended well but left no wheel.
    #[error(
        "pip left no wheel of {requirement}; check pip's settings (`pip config list`), or give a model folder or .gguf file"
    )]
    NoWheel {
        /// The package that was wanted.
        requirement: String,
    },
    /// A wheel does not hold the model.
    #[error("{} does not yield {member}: {reason}; give a model folder or .gguf file", wheel.display())]
    Wheel {
        /// The wheel.
        wheel: PathBuf,
        /// The file in it.
        member: String,
        /// What is wrong.
        reason: String,
    },
    /// A file is not the one that was promised.
    #[error("{} has SHA-256 {found}, expected {expected}; the file was removed: run the same command again, or give a model folder or .gguf file", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its sum.
        found: String,
        /// The sum it should have.
        expected: String,
    },
    /// Every source of a catalogue model failed.
    #[error("{name} could not be had from any source: {}", reasons.join("; "))]
    NoSource {
        /// The catalogue's name.
        name: String,
        /// What each source said.
        reasons: Vec<String>,
    },
    /// There is no device of this name.
    #[error(
        "`{name}` is no device; the devices are `cpu`, `cuda`, `cuda:1` and so on, and `metal`"
    )]
    UnknownDevice {
        /// What was asked for.
        name: String,
    },
    /// This build cannot use the device.
    #[error(
        "this build cannot train on {device}: build it with `cargo build --release --features {feature}`, or train on the cpu"
    )]
    DeviceNotBuilt {
        /// What was asked for.
        device: TrainDevice,
        /// The cargo feature that it needs.
        feature: &'static str,
    },
    /// The device does not answer.
    #[error("{device} cannot be used: {source}; train on another device or on the cpu")]
    Device {
        /// What was asked for.
        device: TrainDevice,
        /// What the driver said.
        #[source]
        source: candle_core::Error,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl ModelError {
    /// The same error with the file it is about.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        Self::InFile { path: path.to_owned(), source: Box::new(self) }
    }
}

/// How the weights of a file differ from those of its architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeightMismatch {
    /// Name and shape of weights that should be there.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Name, shape found and shape expected of weights with another shape.
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Weights that the architecture does not know.
    pub unknown: Vec<String>,
}

impl WeightMismatch {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.misshaped.is_empty() && self.unknown.is_empty()
    }
}

impl std::fmt::Display for WeightMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let missing = self.missing.iter().map(|(name, expected)| format!("{name} {expected:?}"));
        let misshaped = self
            .misshaped
            .iter()
            .map(|(name, found, expected)| format!("{name} {found:?}, expected {expected:?}"));
        let parts = [
            part("missing", missing.collect()),
            part("of another shape", misshaped.collect()),
            part("unknown", self.unknown.clone()),
            self.unknown
                .iter()
                .any(|name| names_a_head(name))
                .then(|| format!("reward heads are read of {}", known_reward_heads())),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

/// Whether an unknown weight may be meant as a reward head.
fn names_a_head(name: &str) -> bool {
    !name.starts_with("lm_head")
        && ["head", "score", "value"].iter().any(|word| name.contains(word))
}

/// The first few of `items` and how many more there are.
fn part(label: &str, items: Vec<String>) -> Option<String> {
    const SHOWN: usize = 4;
    let more = items.len().saturating_sub(SHOWN);
    let shown = items.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!items.is_empty()).then(|| format!("{label}: {shown}{tail}"))
}
