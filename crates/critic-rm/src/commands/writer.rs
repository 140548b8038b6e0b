use super::explain::explain;
use crate::cli::WriterArgs;
use crate::exit::Fault;
use crate::progress::say;
use crate::stages::load_model_as;
use anyhow::Result;
use critic_engine::{EngineErrorKind, Generator};
use critic_local::{EngineLimits, LocalEngine};
use critic_model::sources::LoadedModel;
use critic_model::{Decoder, WeightFormat};
use critic_remote::RemoteEngine;
use critic_text::Prompts;
use critic_types::{ContentHasher, ContentId};

/// Answers under way at once, and so on; no limit changes an answer.
const LIMITS: EngineLimits =
    EngineLimits { max_leaves: 64, prefill_tokens: 512, kv_tokens: 24_576 };

/// Who writes answers outside a run, and the address of what decides them.
pub(super) struct Writer {
    engine: Engine,
    address: ContentId,
}

enum Engine {
    Local(Box<LocalEngine>, WeightFormat),
    Remote(RemoteEngine),
}

impl Writer {
    /// Loads the model, or gets in touch with the servers.
    pub(super) fn open(args: &WriterArgs) -> Result<Self> {
        let mut address = ContentHasher::new("writer");
        if let Some(settings) = args.remote.settings() {
            address.text("servers").text(&settings.model).text(&settings.endpoints.join(" "));
            let engine = Engine::Remote(RemoteEngine::new(settings, None, None)?);
            return Ok(Self { engine, address: address.finish() });
        }
        let weights = args.engine.weights.unwrap_or_default();
        let model = load_model_as(&args.model, weights)?;
        let LoadedModel { config, weights: loaded, renderer, identity, .. } = model;
        address
            .text(weights.name())
            .text(identity.digest.as_str())
            .text(renderer.digest().as_str());
        let decoder = Decoder::new(&config, &loaded, weights)?;
        drop(loaded);
        let engine = LocalEngine::new(decoder, None, renderer, Prompts::builtin(), LIMITS)
            .map_err(|error| Fault::model(error.into()))?;
        let engine = Engine::Local(Box::new(engine), weights);
        Ok(Self { engine, address: address.finish() })
    }

    /// Address of the model: of its bytes and how they are held, or of its name and its servers'.
    pub(super) fn address(&self) -> &ContentId {
        &self.address
    }

    pub(super) fn generator(&mut self) -> &mut dyn Generator {
        match &mut self.engine {
            Engine::Local(engine, _) => engine.as_mut(),
            Engine::Remote(engine) => engine,
        }
    }

    /// Says what it ran on.
    pub(super) fn explain(&self) {
        match &self.engine {
            Engine::Local(engine, weights) => explain(engine, *weights),
            Engine::Remote(engine) => say(format!("servers   {}", engine.usage())),
        }
    }
}

/// The exit code of a failed request.
pub(super) fn fault(kind: EngineErrorKind) -> anyhow::Error {
    match kind {
        EngineErrorKind::Sampling(_) | EngineErrorKind::OutOfMemory { .. } => {
            Fault::config(kind.into())
        }
        EngineErrorKind::TooLong { .. } => Fault::data(kind.into()),
        EngineErrorKind::Remote { .. }
        | EngineErrorKind::RemoteUnavailable { .. }
        | EngineErrorKind::RemoteRefused { .. } => Fault::remote(kind.into()),
        _ => Fault::model(kind.into()),
    }
}
