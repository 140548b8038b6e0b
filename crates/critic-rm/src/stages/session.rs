use super::critic::Critic;
use crate::exit::Fault;
use crate::progress::{Cancel, News, say, tell};
use crate::run_folder::RunFolder;
use crate::settings::{DevSet, Resolved};
use anyhow::{Context, Result, anyhow};
use critic_model::WeightFormat;
use critic_model::sources::{LoadedModel, ModelRef, Progress, load};
use critic_report::{Fact, FunnelStep, RoundRecord, StageRecord};
use critic_store::Store;
use critic_text::Prompts;
use critic_train::StepRecord;
use critic_types::{
    ContentHasher, ContentId, DropReport, OracleCritique, PreferencePair, SeedTree,
};
use std::rc::Rc;

/// A run while it is worked on.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) resolved: Resolved,
    pub(crate) folder: RunFolder,
    pub(crate) store: Store,
    pub(crate) cancel: Cancel,
    pub(crate) prompts: Prompts,
    pub(crate) base: Rc<LoadedModel>,
    /// Address of the way from conversations to tokens.
    pub(crate) renderer: ContentId,
    pub(crate) train: Split,
    pub(crate) eval: Split,
    /// What training looks at, by name; the first set decides.
    pub(crate) dev: Vec<(String, Split)>,
    /// The command that goes on with this run.
    pub(crate) command: String,
    pub(crate) records: Records,
}

/// One set of pairs.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) file: String,
    pub(crate) pairs: Vec<PreferencePair>,
    /// Critiques that came with them.
    pub(crate) critiques: Vec<OracleCritique>,
    pub(crate) report: DropReport,
    /// Address of the pairs.
    pub(crate) content: ContentId,
}

/// What the stages tell the report.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) stages: Vec<StageRecord>,
    pub(crate) rounds: Vec<RoundRecord>,
    pub(crate) training: Vec<(String, Vec<StepRecord>)>,
    pub(crate) notes: Vec<String>,
}

impl Records {
    /// Adds a step to the funnel of the round that is worked on.
    pub(crate) fn funnel(&mut self, label: impl Into<String>, n_pairs: usize, n: Option<usize>) {
        if let Some(round) = self.rounds.last_mut() {
            let step = FunnelStep { label: label.into(), n_pairs, n_critiques: n };
            tell(|| News::Left(step.clone()));
            round.funnel.push(step);
        }
    }
}

impl Session {
    /// Opens the run: folder, store, model and data.
    pub(crate) fn open(resolved: Resolved, path: &std::path::Path, cancel: Cancel) -> Result<Self> {
        let folder = RunFolder::open(path, &resolved)?;
        let command = format!("critic-rm run {}", path.display());
        Self::open_in(folder, resolved, command, cancel)
    }

    /// Opens the run in a folder that is taken; `command` is what goes on with it.
    pub(crate) fn open_in(
        folder: RunFolder,
        resolved: Resolved,
        command: String,
        cancel: Cancel,
    ) -> Result<Self> {
        let mut store = Store::open(&folder.store())?;
        let settings = &resolved.settings;
        let data = &settings.data;
        let train = super::pairs::read_train(data)?;
        let eval = super::pairs::read(data, &data.eval, data.eval_limit)?;
        super::pairs::refuse_overlap(&train, &eval)?;
        let sets = data.dev.sets().map_err(|rule| Fault::config(anyhow!(rule)))?;
        let read = |set: DevSet| Ok((set.name, super::pairs::read(data, &set.path, 0)?));
        let dev: Vec<(String, Split)> = sets.into_iter().map(read).collect::<Result<_>>()?;
        for (_, set) in &dev {
            super::pairs::refuse_overlap(&train, set)?;
            super::pairs::refuse_overlap(set, &eval)?;
        }
        // A split keeps every pair it was ever given, so other data has another name.
        store.put_pairs(&format!("train {}", train.content), &train.pairs)?;
        store.put_pairs(&format!("eval {}", eval.content), &eval.pairs)?;
        let base = Rc::new(load_model(&settings.model)?);
        let renderer = base.renderer.digest();
        let prompts = settings.prompts.load()?;
        for split in [&train, &eval].into_iter().chain(dev.iter().map(|(_, set)| set)) {
            super::pairs::refuse_without_reference(&prompts, settings, &split.file, &split.pairs)?;
        }
        let records = Records::default();
        Ok(Self {
            resolved,
            folder,
            store,
            cancel,
            prompts,
            base,
            renderer,
            train,
            eval,
            dev,
            command,
            records,
        })
    }

    /// The tree of every random draw.
    pub(crate) fn seed(&self) -> SeedTree {
        SeedTree::new(self.resolved.settings.seed)
    }

    /// A hasher for the results of a stage of this model.
    pub(crate) fn hasher(&self, stage: &str, model: &LoadedModel) -> ContentHasher {
        self.hasher_of(stage, model.identity.digest.as_str())
    }

    fn hasher_of(&self, stage: &str, identity: &str) -> ContentHasher {
        let mut hasher = ContentHasher::new(stage);
        hasher.text(identity);
        hasher.text(self.renderer.as_str());
        hasher.text(self.prompts.digest().as_str());
        hasher.bytes(&self.resolved.settings.seed.to_le_bytes());
        hasher
    }

    /// A hasher for the results of a stage that the engine computes.
    pub(crate) fn engine_hasher(&self, stage: &str, model: &LoadedModel) -> ContentHasher {
        let mut hasher = self.hasher(stage, model);
        hasher.text(self.resolved.settings.engine.weights.name());
        hasher
    }

    /// A hasher for the results of a stage that a critic computes.
    pub(crate) fn critic_hasher(&self, stage: &str, critic: &Critic) -> ContentHasher {
        match critic {
            Critic::Local(model) => self.engine_hasher(stage, model),
            Critic::Remote(settings) => {
                self.hasher_of(stage, &format!("remote {}", settings.identity()))
            }
        }
    }

    /// The error of an interrupted stage.
    pub(crate) fn interrupted(&self) -> anyhow::Error {
        Fault::interrupted(&self.command)
    }

    /// Notes a finished stage, for the person and for the report.
    pub(crate) fn finish(
        &mut self,
        stage: &str,
        key: &ContentId,
        seconds: f64,
        resumed: bool,
        facts: Vec<(&str, String)>,
    ) -> Result<()> {
        let facts: Vec<Fact> = facts
            .into_iter()
            .map(|(label, value)| Fact { label: label.to_owned(), value })
            .collect();
        // A stage that had nothing left to do keeps the record of the sitting that did it.
        let stored = self
            .store
            .stage(stage, key)?
            .and_then(|value| serde_json::from_value::<StageRecord>(value).ok());
        let record = match stored {
            Some(record) => record,
            None => {
                let record =
                    StageRecord { name: stage.to_owned(), seconds, summary: facts, resumed };
                self.store.finish_stage(
                    stage,
                    key,
                    &serde_json::to_value(&record).context("a stage record cannot be written")?,
                )?;
                record
            }
        };
        let told: Vec<String> =
            record.summary.iter().map(|fact| format!("{} {}", fact.value, fact.label)).collect();
        say(format!(
            "{:<12} {:>12}   {}",
            record.name,
            crate::progress::duration(record.seconds),
            told.join(" · ")
        ));
        tell(|| News::Finished(record.clone()));
        self.records.stages.push(record);
        Ok(())
    }
}

/// Loads a model and says where it comes from.
pub(crate) fn load_model(name: &str) -> Result<LoadedModel> {
    load_model_as(name, WeightFormat::Source)
}

/// As [`load_model`], for a decoder of this format.
pub(crate) fn load_model_as(name: &str, format: WeightFormat) -> Result<LoadedModel> {
    let reference = ModelRef::parse(name)?;
    let load = |progress: &mut dyn FnMut(Progress<'_>)| load(&reference, format, progress);
    crate::commands::model::with_progress(load)
}
