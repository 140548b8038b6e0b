use super::asking::{games, implicit, judgements, rewards};
use super::items::BenchData;
use crate::cli::Mix;
use crate::commands::explain::explain;
use crate::commands::reward_servers::NamedServer;
use crate::commands::score::model_path;
use crate::exit::Fault;
use crate::journal::Journal;
use crate::progress::{Cancel, Meter, say};
use crate::stages::{TrainedModel, load_model_as};
use anyhow::{Result, anyhow};
use critic_engine::{EngineError, EngineErrorKind};
use critic_eval::SampledResponse;
use critic_local::{EngineLimits, LocalEngine};
use critic_method::{READINGS, ScoreSettings};
use critic_model::sources::load_path_as;
use critic_model::{Decoder, WeightFormat};
use critic_remote::{RemoteSettings, RewardServer};
use critic_text::{PairwisePrompt, Prompts};
use critic_types::{ContentHasher, ContentId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Answers under way at once, and so on; no limit changes a number.
const LIMITS: EngineLimits =
    EngineLimits { max_leaves: 64, prefill_tokens: 512, kv_tokens: 24_576 };

/// Who puts numbers on responses by running a model.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A reward model: m rewards after critiques, and the one without; where it does not read critiques, that
    /// alone.
    Reward { folder: PathBuf, reads_critiques: bool },
    /// A language model that is asked for critiques and judgements of each response alone.
    Judge { model: String },
    /// A language model that is asked which of two responses is better, in both orders.
    Pairwise { model: String },
    /// ln π(response) − ln π_ref(response): the reward that DPO leaves in its policy (arXiv 2305.18290).
    Implicit { policy: String, reference: String },
    /// A reward model of others, which writes no critiques.
    Server(Box<NamedServer>),
}

impl Kind {
    /// How samples of it are told from others of the same model.
    fn name(&self) -> &'static str {
        match self {
            Self::Reward { .. } => "reward",
            Self::Judge { .. } => "judge",
            Self::Pairwise { .. } => "pairwise",
            Self::Implicit { .. } => "implicit",
            Self::Server(_) => "server",
        }
    }
}

/// A contestant that runs a model.
#[derive(Debug, Clone)]
pub(super) struct Entrant {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What one call of a contestant gives for one response.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    /// Rewards, or a judge's forced verdicts, with and without critique.
    pub(super) response: SampledResponse,
    /// The scores that the critiques state; of a judge alone.
    pub(super) stated: Vec<Option<f64>>,
    /// Log-odds that the judge finds this response better, asked with it first and with it second.
    pub(super) games: Option<[f64; 2]>,
}

/// An item and one of its responses.
pub(super) type Place = (usize, usize);

/// By item and response.
pub(super) type Sampled = BTreeMap<Place, Sample>;

/// Responses in a row that no server answered after which none is asked any more.
const HOPELESS: usize = 8;

/// What a contestant runs.
pub(super) enum Engines {
    Local(Vec<LocalEngine>),
    Server(RewardServer),
}

/// How a contest is run.
#[derive(Debug)]
pub(super) struct Conduct<'a> {
    pub(super) critiques: ScoreSettings,
    pub(super) weights: WeightFormat,
    /// Whether to say what the engines computed.
    pub(super) explain: bool,
    pub(super) prompts: Prompts,
    /// How a judge of two responses is asked.
    pub(super) pairwise: PairwisePrompt,
    /// Who says which critiques are best, where anyone does.
    pub(super) meta_judge: Option<String>,
    /// Whether and how rewards and scores are mixed.
    pub(super) mixed: Option<Mix>,
    /// The most tokens of a response that is corrected with a critique, where any is.
    pub(super) correct: Option<usize>,
    /// The servers of a remote meta-judge.
    pub(super) remote: Option<RemoteSettings>,
    pub(super) folder: &'a Path,
    pub(super) cancel: Cancel,
}

impl Entrant {
    /// How many critiques it writes of a response where `n` are asked for.
    pub(super) fn n_critiques(&self, n: usize) -> usize {
        match self.kind {
            Kind::Reward { reads_critiques: true, .. } | Kind::Judge { .. } => n,
            _ => 0,
        }
    }

    /// Its samples of every response, those that stand in its journal apart, and their address; what fails
    /// is told, counted as missing, and tried again by the next call.
    pub(super) fn sample(
        &self,
        data: &BenchData,
        conduct: &Conduct<'_>,
    ) -> Result<(Sampled, ContentId)> {
        let samples = conduct.folder.join("samples");
        std::fs::create_dir_all(&samples)
            .map_err(|error| Fault::store(anyhow!("{}: {error}", samples.display())))?;
        let n_critiques = self.n_critiques(conduct.critiques.n_critiques);
        let critiques = ScoreSettings { n_critiques, ..conduct.critiques.clone() };
        let mut hasher = ContentHasher::new("contest samples");
        if !matches!(self.kind, Kind::Server(_)) {
            hasher.text(conduct.weights.name()).text(READINGS);
            hasher.text(&format!("{critiques:?}")).text(self.kind.name());
            hasher.text(conduct.prompts.digest().as_str()).text(&conduct.pairwise.text());
        }
        let mut engines = self.engines(conduct, &mut hasher)?;
        // Other settings have another file and more rows the same one, so that no sample is ever lost.
        let work = hasher.finish();
        let name = self.name.replace(['/', ' '], "-");
        let file = format!("{}--{name}--{:.12}.jsonl", data.slug, work.as_str());
        let mut journal: Journal<String, Sample> = Journal::open(samples.join(file), &work)?;
        let keys: BTreeMap<Place, String> =
            data.places().map(|place| (place, data.address(place).to_string())).collect();
        let open: Vec<Place> =
            data.places().filter(|place| !journal.done().contains_key(&keys[place])).collect();
        let n_done = keys.len() - open.len();
        let sampled = |journal: &Journal<String, Sample>| -> Sampled {
            let found =
                |(place, key): (&Place, &String)| Some((*place, journal.done().get(key)?.clone()));
            keys.iter().filter_map(found).collect()
        };
        if open.is_empty() {
            return Ok((sampled(&journal), work));
        }
        let title = format!("{} on {}", self.name, data.slug);
        let mut meter = Meter::new(&title, keys.len() as u64, n_done as u64);
        let (mut written, mut failures) = (Ok(()), Vec::new());
        let (mut out_of_reach, mut in_a_row) = (None, 0);
        let mut keep = |place: Place, result: Result<Sample, EngineError>| {
            match result {
                Ok(sample) => {
                    in_a_row = 0;
                    written = journal.add(keys[&place].clone(), sample);
                }
                Err(error) => {
                    in_a_row = if error.kind.stays_open() { in_a_row + 1 } else { 0 };
                    let is_refused = matches!(error.kind, EngineErrorKind::RemoteRefused { .. });
                    if is_refused || in_a_row >= HOPELESS {
                        out_of_reach.get_or_insert(error.kind.to_string());
                    }
                    failures.push(error.to_string());
                }
            }
            meter.advance("");
            if written.is_err() || out_of_reach.is_some() || conduct.cancel.is_set() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        match &mut engines {
            Engines::Server(server) => rewards(server, data, &open, &critiques, &mut keep),
            Engines::Local(engines) => match (&self.kind, &mut engines[..]) {
                (Kind::Reward { .. }, [engine]) => {
                    rewards(engine, data, &open, &critiques, &mut keep);
                }
                (Kind::Judge { .. }, [engine]) => {
                    judgements(engine, data, &open, conduct, &mut keep);
                }
                (Kind::Pairwise { .. }, [engine]) => {
                    games(engine, data, &conduct.pairwise, &open, &mut keep);
                }
                (Kind::Implicit { .. }, [policy, reference]) => {
                    implicit(policy, reference, data, &open, conduct, &mut keep);
                }
                _ => {}
            },
        }
        meter.finish();
        if conduct.explain {
            match &engines {
                Engines::Local(engines) => {
                    engines.iter().for_each(|engine| explain(engine, conduct.weights));
                }
                Engines::Server(server) => say(format!("server    {}", server.usage())),
            }
        }
        written?;
        if conduct.cancel.is_set() {
            return Err(Fault::interrupted("the same command"));
        }
        if let Some(reason) = out_of_reach {
            return Err(Fault::remote(anyhow!(
                "{title}: {reason}. Every reward it gave is stored; go on with the same command"
            )));
        }
        failures.iter().take(3).for_each(|failure| say(format!("{title}: no number: {failure}")));
        Ok((sampled(&journal), work))
    }

    /// What it runs; the address of the weights goes into `hasher`.
    pub(super) fn engines(
        &self,
        conduct: &Conduct<'_>,
        hasher: &mut ContentHasher,
    ) -> Result<Engines> {
        let names: Vec<&String> = match &self.kind {
            Kind::Reward { folder, .. } => {
                let model = load_path_as(folder, conduct.weights)?;
                hasher.text(model.identity.digest.as_str()).text(model.renderer.digest().as_str());
                let (prompts, weights) = (TrainedModel::prompts(folder)?, conduct.weights);
                let engine = TrainedModel::engine(model, folder, &prompts, LIMITS, weights)?;
                return Ok(Engines::Local(vec![engine]));
            }
            Kind::Server(server) => {
                hasher.text(server.address().as_str());
                return Ok(Engines::Server(server.connect()?));
            }
            Kind::Judge { model } | Kind::Pairwise { model } => vec![model],
            Kind::Implicit { policy, reference } => vec![policy, reference],
        };
        let engines = names.into_iter().map(|name| language_model(name, conduct, hasher));
        Ok(Engines::Local(engines.collect::<Result<_>>()?))
    }

    /// The prompts that its critiques are asked for with.
    pub(super) fn prompts(&self, conduct: &Conduct<'_>) -> Result<Prompts> {
        match &self.kind {
            Kind::Reward { folder, .. } => TrainedModel::prompts(folder),
            _ => Ok(conduct.prompts.clone()),
        }
    }
}

/// A model without reward head; the address of its weights goes into `hasher`.
pub(super) fn language_model(
    name: &str,
    conduct: &Conduct<'_>,
    hasher: &mut ContentHasher,
) -> Result<LocalEngine> {
    let folder = model_path(Path::new(name)).map(|folder| folder.display().to_string());
    let model = load_model_as(&folder.unwrap_or_else(|_| name.to_owned()), conduct.weights)?;
    hasher.text(model.identity.digest.as_str()).text(model.renderer.digest().as_str());
    let decoder = Decoder::new(&model.config, &model.weights, conduct.weights)?;
    let prompts = conduct.prompts.clone();
    LocalEngine::new(decoder, None, model.renderer, prompts, LIMITS)
        .map_err(|error| Fault::model(error.into()))
}
