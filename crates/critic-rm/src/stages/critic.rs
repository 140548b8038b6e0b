use super::session::Session;
use crate::exit::Fault;
use crate::settings::CriticSettings;
use anyhow::{Context, Result};
use critic_engine::{ChoiceRequest, Completion, GenerateRequest, Generator, Sink};
use critic_local::LocalEngine;
use critic_model::Decoder;
use critic_model::sources::LoadedModel;
use critic_remote::{Api, RemoteEngine, RemoteSettings, Render, Usage};
use critic_text::Renderer;
use critic_types::ContentId;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// Who writes, ranks and summarizes critiques.
#[derive(Debug, Clone)]
pub(crate) enum Critic {
    /// A model that runs here.
    Local(Rc<LoadedModel>),
    /// A model on servers.
    Remote(Rc<RemoteSettings>),
}

impl Critic {
    /// The critic of the first round: the settings' one, or the model that the run starts from.
    pub(crate) fn of_run(session: &Session, start: &Rc<LoadedModel>) -> Self {
        match &session.resolved.settings.critic {
            CriticSettings::Local {} => Self::Local(start.clone()),
            CriticSettings::OpenAi(settings) => Self::Remote(Rc::new((**settings).clone())),
        }
    }

    /// A remote critic's name.
    pub(crate) fn remote_name(&self) -> Option<&str> {
        match self {
            Self::Local(_) => None,
            Self::Remote(settings) => Some(&settings.model),
        }
    }
}

/// A critic at work on one stage.
#[derive(Debug)]
pub(crate) enum CriticEngine {
    Local(Box<LocalEngine>),
    Remote {
        engine: RemoteEngine,
        settings: Rc<RemoteSettings>,
        /// The file of replies to calls of items that are not finished.
        replies: PathBuf,
    },
}

impl CriticEngine {
    /// The critic for the stage whose results stand under `key`.
    pub(crate) fn new(session: &Session, critic: &Critic, key: &ContentId) -> Result<Self> {
        match critic {
            Critic::Local(model) => {
                let settings = &session.resolved.settings.engine;
                let decoder = Decoder::new(&model.config, &model.weights, settings.weights)?;
                let (renderer, prompts) = (model.renderer.clone(), session.prompts.clone());
                LocalEngine::new(decoder, None, renderer, prompts, settings.limits())
                    .map(|engine| Self::Local(Box::new(engine)))
                    .map_err(|error| Fault::config(error.into()))
            }
            Critic::Remote(settings) => {
                let folder = session.folder.path().join("remote");
                fs::create_dir_all(&folder)
                    .with_context(|| format!("{} cannot be made", folder.display()))
                    .map_err(Fault::store)?;
                let replies = folder.join(format!("{key}.jsonl"));
                let render = (settings.api == Api::Completions)
                    .then(|| renderer_of_texts(session.base.renderer.clone()));
                let engine = RemoteEngine::new((**settings).clone(), render, Some(&replies))?;
                Ok(Self::Remote { engine, settings: settings.clone(), replies })
            }
        }
    }

    /// What was asked of servers for the stage so far, for a meter; empty for a local critic.
    pub(crate) fn progress(&self) -> Progress {
        match self {
            Self::Local(_) => Progress(None),
            Self::Remote { engine, settings, .. } => {
                Progress(Some((engine.clone(), settings.clone())))
            }
        }
    }

    /// What the stage took of servers, for its record. Nothing of it is open: the kept replies go.
    pub(crate) fn finish(self) -> Result<Vec<(&'static str, String)>> {
        let Self::Remote { engine, settings, replies } = self else { return Ok(Vec::new()) };
        let Usage { n_calls, n_retries, prompt_tokens, completion_tokens, .. } = engine.usage();
        let mut facts = vec![
            ("requests", n_calls.to_string()),
            ("prompt tokens", prompt_tokens.to_string()),
            ("completion tokens", completion_tokens.to_string()),
        ];
        if n_retries > 0 {
            facts.push(("tried again", n_retries.to_string()));
        }
        if let Some(cost) = cost(&settings, &engine.usage()) {
            facts.push(("cost", cost));
        }
        drop(engine);
        fs::remove_file(&replies)
            .with_context(|| format!("{} cannot be removed", replies.display()))
            .map_err(Fault::store)?;
        Ok(facts)
    }
}

/// What a remote critic has taken so far, said anew each time.
#[derive(Debug)]
pub(crate) struct Progress(Option<(RemoteEngine, Rc<RemoteSettings>)>);

impl Progress {
    pub(crate) fn say(&self) -> String {
        let Some((engine, settings)) = &self.0 else { return String::new() };
        let usage = engine.usage();
        match cost(settings, &usage) {
            Some(cost) => format!("{usage}, cost {cost}"),
            None => usage.to_string(),
        }
    }
}

/// What tokens cost, where prices are given.
fn cost(settings: &RemoteSettings, usage: &Usage) -> Option<String> {
    let has_prices =
        settings.price_per_million_prompt + settings.price_per_million_completion > 0.0;
    let (prompt, completion) = (usage.prompt_tokens as f64, usage.completion_tokens as f64);
    has_prices.then(|| format!("{:.4}", settings.cost(prompt, completion)))
}

/// Renders conversations for plain completions with the run's own chat template.
fn renderer_of_texts(renderer: Renderer) -> Render {
    Arc::new(move |conversation| {
        let template = renderer.template();
        let text = template.render(conversation, true).map_err(|error| error.to_string())?;
        let bare = template.bos_token().and_then(|bos| text.strip_prefix(bos));
        Ok(bare.map_or(text.clone(), str::to_owned))
    })
}

impl Generator for CriticEngine {
    fn generate(&mut self, requests: &[GenerateRequest], sink: &mut Sink<'_, Vec<Completion>>) {
        match self {
            Self::Local(engine) => engine.generate(requests, sink),
            Self::Remote { engine, .. } => engine.generate(requests, sink),
        }
    }

    fn choose(&mut self, requests: &[ChoiceRequest], sink: &mut Sink<'_, Vec<f64>>) {
        match self {
            Self::Local(engine) => engine.choose(requests, sink),
            Self::Remote { engine, .. } => engine.choose(requests, sink),
        }
    }
}
