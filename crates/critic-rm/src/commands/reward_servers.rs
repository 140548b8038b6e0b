use crate::cli::{ServerArgs, named};
use crate::commands::score::model_path;
use crate::exit::Fault;
use crate::stages::load_model;
use anyhow::{Context, Result};
use critic_model::sources::read_renderer;
use critic_remote::{RewardServer, RewardSettings, RewardTemplate};
use critic_text::{ChatTemplate, Renderer};
use critic_types::{ContentHasher, ContentId, Role};
use std::path::Path;
use std::sync::Arc;

/// A reward server of the command line.
#[derive(Debug, Clone)]
pub(crate) struct NamedServer {
    pub(crate) name: Option<String>,
    settings: RewardSettings,
    template: Option<(RewardTemplate, String)>,
}

impl NamedServer {
    /// Those that are named.
    pub(crate) fn all(args: &ServerArgs) -> Result<Vec<Self>> {
        let given = |text: &Option<String>| text.clone().unwrap_or_default();
        let template = args.server_template.as_deref().map(template).transpose()?;
        let server = |text: &String| {
            let (name, url) = named(text);
            let settings = RewardSettings {
                url,
                api: args.server_api,
                model: given(&args.server_model),
                api_key_env: given(&args.server_key_env),
                max_concurrency: args.server_concurrency,
                retries: args.server_retries,
                timeout: args.server_timeout,
                ..RewardSettings::default()
            };
            let server = Self { name, settings, template: template.clone() };
            // What is wrong with the command line is told before anything is computed.
            server.connect()?;
            Ok(server)
        };
        args.server.iter().map(server).collect()
    }

    /// The server, of which nothing is asked yet.
    pub(crate) fn connect(&self) -> Result<RewardServer> {
        let template = self.template.as_ref().map(|(template, _)| template.clone());
        RewardServer::new(&self.settings, template).map_err(|error| Fault::config(error.into()))
    }

    pub(crate) fn url(&self) -> &str {
        &self.settings.url
    }

    /// What its rewards depend on as far as is known here: where it is, and how it is asked.
    pub(crate) fn address(&self) -> ContentId {
        let RewardSettings { url, api, model, .. } = &self.settings;
        let template = self.template.as_ref().map_or("messages", |(_, address)| address);
        let mut hasher = ContentHasher::new("reward server");
        hasher.text(url).text(api.map_or("found", |api| api.name())).text(model).text(template);
        hasher.finish()
    }
}

/// The chat template of a model, or the one in a file, with its address.
fn template(named: &str) -> Result<(RewardTemplate, String)> {
    let path = Path::new(named);
    if path.is_file() && path.extension().is_some_and(|ending| ending == "jinja") {
        let source = std::fs::read_to_string(path)
            .with_context(|| format!("could not read {named}"))
            .map_err(Fault::config)?;
        let template = ChatTemplate::new(&source, None, None)?;
        return Ok((of_template(template), source));
    }
    let folder = model_path(path).unwrap_or_else(|_| path.to_owned());
    let renderer =
        if folder.is_dir() { read_renderer(&folder)? } else { load_model(named)?.renderer };
    let address = renderer.digest().to_string();
    Ok((of_renderer(renderer)?, address))
}

/// A template alone: texts end where it ends, without blanks.
fn of_template(template: ChatTemplate) -> RewardTemplate {
    let render = move |conversation: &critic_types::Conversation| {
        let asks = conversation.messages().last().is_some_and(|turn| turn.role == Role::User);
        let text = template.render(conversation, asks).map_err(|error| error.to_string())?;
        Ok(if asks { text } else { text.trim_end().to_owned() })
    };
    RewardTemplate { render: Arc::new(render), bos: None }
}

/// A model's own: texts begin with its BOS where it has one, and end with the token that closes a turn.
fn of_renderer(renderer: Renderer) -> Result<RewardTemplate> {
    let token = |id: u32| renderer.tokenizer().token(id).context("a token of the model is unknown");
    let end = token(renderer.end_of_turn())?;
    let bos = renderer.bos().map(token).transpose()?;
    let (template, begins) = (renderer.template().clone(), bos.clone());
    let render = move |conversation: &critic_types::Conversation| {
        let asks = conversation.messages().last().is_some_and(|turn| turn.role == Role::User);
        let mut text = template.render(conversation, asks).map_err(|error| error.to_string())?;
        if let (false, Some(at)) = (asks, text.rfind(&end)) {
            text.truncate(at + end.len());
        }
        match &begins {
            Some(bos) if !text.starts_with(bos.as_str()) => Ok(format!("{bos}{text}")),
            _ => Ok(text),
        }
    };
    let bos = bos.or_else(|| renderer.template().bos_token().map(str::to_owned));
    Ok(RewardTemplate { render: Arc::new(render), bos })
}
