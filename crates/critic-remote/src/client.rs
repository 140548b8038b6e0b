use crate::endpoints::Endpoints;
use crate::failure::{Failure, failure, shortened};
use crate::key::ApiKey;
use crate::limits::PerMinute;
use crate::retry_after::retry_after;
use crate::usage::Counters;
use crate::wire::{Reply, read};
use crate::{Api, RemoteError, RemoteSettings};
use critic_engine::RequestControl;
use critic_types::SeedTree;
use serde_json::{Map, Value};
use std::fs;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};

/// The longest sleep between two looks at a cancel token.
const TICK: Duration = Duration::from_millis(50);
/// The longest body that is read.
const MAX_BODY: u64 = 64 << 20;

/// Sends calls: limits, servers, tries again.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    key: ApiKey,
    endpoints: Endpoints,
    requests: PerMinute,
    tokens: PerMinute,
    retries: u32,
    max_backoff: Duration,
    total_timeout: Duration,
    pub(crate) counters: Counters,
}

impl Client {
    pub(crate) fn new(settings: &RemoteSettings) -> Result<Self, RemoteError> {
        settings.validate()?;
        let key = ApiKey::from_env(&settings.api_key_env)?;
        let seconds = |s: f64| Some(Duration::from_secs_f64(s));
        let mut tls = TlsConfig::builder();
        if let Some(path) = &settings.ca_file {
            let bad = |reason: String| RemoteError::CaFile { path: path.clone(), reason };
            let pem = fs::read(path).map_err(|error| bad(error.to_string()))?;
            let mut certificates: Vec<Certificate<'static>> = Vec::new();
            for item in parse_pem(&pem) {
                if let PemItem::Certificate(certificate) =
                    item.map_err(|error| bad(error.to_string()))?
                {
                    certificates.push(certificate);
                }
            }
            if certificates.is_empty() {
                return Err(bad("it holds no certificate".to_owned()));
            }
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(settings.max_concurrency)
            .max_idle_connections_per_host(settings.max_concurrency)
            .timeout_connect(seconds(settings.connect_timeout))
            .timeout_recv_response(seconds(settings.read_timeout))
            .timeout_per_read(seconds(settings.read_timeout))
            .timeout_per_write(seconds(settings.read_timeout))
            .user_agent(concat!("critic-rm/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build();
        let path = match settings.api {
            Api::Chat => "chat/completions",
            Api::Completions => "completions",
        };
        Ok(Self {
            agent: config.new_agent(),
            key,
            endpoints: Endpoints::new(&settings.base_urls, path),
            requests: PerMinute::new(settings.requests_per_minute),
            tokens: PerMinute::new(settings.tokens_per_minute),
            retries: settings.retries,
            max_backoff: Duration::from_secs_f64(settings.max_backoff),
            total_timeout: Duration::from_secs_f64(settings.total_timeout),
            counters: Counters::default(),
        })
    }

    /// Sends a call until it works, cannot work, or was tried often enough.
    ///
    /// Pauses have full jitter: uniform between 0 and a bound that doubles from half a second.
    pub(crate) fn call(
        &self,
        body: &Map<String, Value>,
        control: &RequestControl,
        jitter: &SeedTree,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Reply, Failure> {
        let text = Value::Object(body.clone()).to_string();
        let n_new = body.get("max_tokens").and_then(Value::as_u64).unwrap_or(0);
        let n_answers = body.get("n").and_then(Value::as_u64).unwrap_or(1);
        let units = text.len() as f64 / 4.0 + (n_new * n_answers) as f64;
        let mut attempt = 0;
        loop {
            let now = Instant::now();
            let start = self.requests.take(1.0, now).max(self.tokens.take(units, now));
            wait_until(start, control, stopped)?;
            self.counters.calls.fetch_add(1, Relaxed);
            let result = self.once(&text, control);
            let Err(Failure::Again { reason, after }) = result else { return result };
            if attempt >= self.retries {
                return Err(Failure::Item(format!("{reason} (tried {} times)", attempt + 1)));
            }
            if after.is_some_and(|after| after > self.max_backoff) {
                return Err(Failure::Item(format!(
                    "{reason}; the server asks to wait longer than engine.remote.max_backoff allows"
                )));
            }
            let bound = (0.5 * 2f64.powi(attempt.min(20).cast_signed()))
                .min(self.max_backoff.as_secs_f64());
            let drawn = jitter.index(u64::from(attempt)).uniform() * bound;
            let pause = after.unwrap_or_default() + Duration::from_secs_f64(drawn);
            attempt += 1;
            self.counters.retries.fetch_add(1, Relaxed);
            wait_until(Instant::now() + pause, control, stopped)?;
        }
    }

    fn once(&self, text: &str, control: &RequestControl) -> Result<Reply, Failure> {
        let now = Instant::now();
        let left = control.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let timeout = left.map_or(self.total_timeout, |left| left.min(self.total_timeout));
        let (place, url) = self.endpoints.begin(now);
        let result = self.post(&url, text, timeout);
        let is_well = !matches!(result, Err(Failure::Again { .. }));
        self.endpoints.end(place, is_well, Instant::now());
        let passed = control.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        match result {
            Ok(reply) => {
                self.counters.prompt.fetch_add(reply.prompt_tokens, Relaxed);
                self.counters.completion.fetch_add(reply.completion_tokens, Relaxed);
                Ok(reply)
            }
            Err(_) if passed => Err(Failure::Deadline),
            Err(failure) => Err(failure),
        }
    }

    fn post(&self, url: &str, text: &str, timeout: Duration) -> Result<Reply, Failure> {
        let mut request = self
            .agent
            .post(url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json");
        if let Some(header) = self.key.header() {
            request = request.header("Authorization", header);
        }
        let request = request.config().timeout_global(Some(timeout)).build();
        let mut response = request.send(text).map_err(|error| self.broken(&error))?;
        let status = response.status().as_u16();
        let after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, SystemTime::now()));
        let body =
            response.body_mut().with_config().limit(MAX_BODY).lossy_utf8(true).read_to_string();
        if status == 200 {
            let body = body.map_err(|error| self.broken(&error))?;
            return read(&body).map_err(|failure| self.clean(failure));
        }
        Err(failure(status, after, &self.key.redact(&body.unwrap_or_default())))
    }

    fn clean(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Again { reason, after } => {
                Failure::Again { reason: self.key.redact(&reason), after }
            }
            other => other,
        }
    }

    /// What a call means that got no reply.
    fn broken(&self, error: &Error) -> Failure {
        let said = self.key.redact(&shortened(&error.to_string()));
        match error {
            Error::Tls(_) | Error::Pem(_) | Error::Rustls(_) => Failure::Everything(format!(
                "no secure connection: {said}; name the server's certificate authority in engine.remote.ca_file"
            )),
            Error::BadUri(_) | Error::Http(_) | Error::InvalidProxyUrl => Failure::Everything(
                format!("{said}; check engine.remote.base_urls and the environment's proxies"),
            ),
            _ => Failure::again(format!("no whole reply: {said}")),
        }
    }
}

/// Sleeps, and wakes early when the call is not wanted any more.
fn wait_until(
    moment: Instant,
    control: &RequestControl,
    stopped: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    loop {
        if stopped() || control.cancel.as_ref().is_some_and(|token| token.is_cancelled()) {
            return Err(Failure::Cancelled);
        }
        let now = Instant::now();
        if control.deadline.is_some_and(|deadline| now >= deadline) {
            return Err(Failure::Deadline);
        }
        if now >= moment {
            return Ok(());
        }
        thread::sleep((moment - now).min(TICK));
    }
}
