use crate::endpoints::{Ended, Endpoints};
use crate::failure::{Failure, WaysOut, failure, shortened};
use crate::journal::{Journal, address};
use crate::key::ApiKey;
use crate::limits::PerMinute;
use crate::retry_after::retry_after;
use crate::trust::root_certs;
use crate::usage::Counters;
use crate::wire::{Reply, read};
use crate::{Api, RemoteError, RemoteSettings};
use critic_engine::{CancelToken, RequestControl};
use critic_types::SeedTree;
use serde_json::{Map, Value};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use ureq::http::Response;
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, Error};

/// The longest sleep between two looks at a cancel token.
const TICK: Duration = Duration::from_millis(50);
/// The longest body that is read.
const MAX_BODY: u64 = 64 << 20;

/// What is sent.
#[derive(Debug)]
pub(crate) struct Call {
    /// Below an endpoint.
    pub(crate) path: &'static str,
    /// The body.
    pub(crate) text: String,
    /// What it counts against the tokens of a minute.
    pub(crate) units: f64,
}

/// Sends calls: limits, servers, tries again.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    key: ApiKey,
    endpoints: Endpoints,
    /// Where answers are asked for, below an endpoint.
    path: &'static str,
    ways_out: &'static WaysOut,
    journal: Option<Journal>,
    requests: PerMinute,
    tokens: PerMinute,
    retries: u32,
    max_backoff: Duration,
    total_timeout: Duration,
    pub(crate) counters: Counters,
}

impl Client {
    /// A client that keeps replies in the file `replies`, where one is named.
    pub(crate) fn new(
        settings: &RemoteSettings,
        replies: Option<&Path>,
        ways_out: &'static WaysOut,
    ) -> Result<Self, RemoteError> {
        settings.validate()?;
        let key = ApiKey::from_env(&settings.api_key_env)?;
        let counters = Counters::default();
        let journal = replies.map(|path| Journal::open(path, &counters)).transpose()?;
        let seconds = |s: f64| Some(Duration::from_secs_f64(s));
        let mut tls = TlsConfig::builder();
        if let Some(roots) = root_certs(&settings.ca_file)? {
            tls = tls.root_certs(roots);
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
            endpoints: Endpoints::new(&settings.endpoints),
            path,
            ways_out,
            journal,
            requests: PerMinute::new(settings.requests_per_minute),
            tokens: PerMinute::new(settings.tokens_per_minute),
            retries: settings.retries,
            max_backoff: Duration::from_secs_f64(settings.max_backoff),
            total_timeout: Duration::from_secs_f64(settings.total_timeout),
            counters,
        })
    }

    /// The reply to a call for answers: the kept one, or the one that [`exchange`](Self::exchange) gives.
    pub(crate) fn call(
        &self,
        body: &Map<String, Value>,
        keeps_log_probs: bool,
        control: &RequestControl,
        jitter: &SeedTree,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Reply, Failure> {
        let text = Value::Object(body.clone()).to_string();
        let call = address(&text);
        if let Some(reply) = self.journal.as_ref().and_then(|journal| journal.get(&call)) {
            return Ok(reply);
        }
        let number = |field: &str| body.get(field).and_then(Value::as_u64);
        let n_new = number("max_tokens").or(number("max_completion_tokens")).unwrap_or(0);
        let calling = Call {
            path: self.path,
            units: text.len() as f64 / 4.0 + (n_new * number("n").unwrap_or(1)) as f64,
            text,
        };
        let reading = |body: &str| read(body, keeps_log_probs);
        let reply = self.exchange(&calling, &reading, control, jitter, stopped)?;
        reply.count(&self.counters);
        if let Some(journal) = &self.journal {
            let kept = journal.put(call, &reply);
            kept.map_err(|error| Failure::Everything(error.to_string()))?;
        }
        Ok(reply)
    }

    /// What `read` makes of the body that a call gets. It is tried until it works, cannot work, or was
    /// tried often enough.
    ///
    /// Pauses have full jitter: uniform between 0 and a bound that doubles from half a second, after
    /// what the server asks for.
    pub(crate) fn exchange<T>(
        &self,
        call: &Call,
        read: &dyn Fn(&str) -> Result<T, Failure>,
        control: &RequestControl,
        jitter: &SeedTree,
        stopped: &dyn Fn() -> bool,
    ) -> Result<T, Failure> {
        let mut attempt = 0;
        loop {
            let now = Instant::now();
            let start = self.requests.take(1.0, now).max(self.tokens.take(call.units, now));
            wait_until(start.max(self.endpoints.opens(now)), control, stopped)?;
            self.counters.calls.fetch_add(1, Relaxed);
            let reason = match self.once(call, read, control) {
                Ok(reply) => return Ok(reply),
                Err(Failure::Again { reason, .. }) => reason,
                Err(failure) => return Err(failure),
            };
            if attempt >= self.retries {
                return Err(Failure::again(format!("{reason} (tried {} times)", attempt + 1)));
            }
            let now = Instant::now();
            let opens = self.endpoints.opens(now);
            if opens > now + self.max_backoff {
                return Err(Failure::again(format!(
                    "{reason}; the server asks to wait longer than {} allows",
                    self.ways_out.pause
                )));
            }
            let bound = (0.5 * 2f64.powi(attempt.min(20).cast_signed()))
                .min(self.max_backoff.as_secs_f64());
            let drawn = jitter.index(u64::from(attempt)).uniform() * bound;
            attempt += 1;
            self.counters.retries.fetch_add(1, Relaxed);
            wait_until(opens + Duration::from_secs_f64(drawn), control, stopped)?;
        }
    }

    fn once<T>(
        &self,
        call: &Call,
        read: &dyn Fn(&str) -> Result<T, Failure>,
        control: &RequestControl,
    ) -> Result<T, Failure> {
        let now = Instant::now();
        let left = control.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let timeout = left.map_or(self.total_timeout, |left| left.min(self.total_timeout));
        let (place, base) = self.endpoints.begin(now);
        let response = self.post(&format!("{base}/{}", call.path), &call.text, timeout);
        let result = self
            .body_of(response)
            .and_then(|body| read(&body).map_err(|failure| self.clean(failure)));
        let ended = match &result {
            Err(Failure::Again { after, .. }) => Ended::Failed { closed: *after },
            _ => Ended::Well,
        };
        self.endpoints.end(place, ended, Instant::now());
        let passed = control.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if result.is_err() && passed { Err(Failure::Deadline) } else { result }
    }

    /// The status and the body of a call that is sent once, whatever the status means.
    pub(crate) fn look(&self, path: &str, text: &str) -> Result<(u16, String), Failure> {
        let (place, base) = self.endpoints.begin(Instant::now());
        self.counters.calls.fetch_add(1, Relaxed);
        let response = self.post(&format!("{base}/{path}"), text, self.total_timeout);
        let found = response.map_err(|error| self.broken(&error)).and_then(|mut response| {
            let status = response.status().as_u16();
            Ok((status, self.key.redact(&self.text_of(&mut response)?)))
        });
        self.endpoints.end(place, Ended::Well, Instant::now());
        found
    }

    fn post(&self, url: &str, text: &str, timeout: Duration) -> Result<Response<Body>, Error> {
        let mut request = self
            .agent
            .post(url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json");
        if let Some(header) = self.key.header() {
            request = request.header("Authorization", header);
        }
        request.config().timeout_global(Some(timeout)).build().send(text)
    }

    /// What the first server has under `path`.
    pub(crate) fn get(&self, path: &str) -> Result<String, Failure> {
        let (place, base) = self.endpoints.begin(Instant::now());
        let mut request = self.agent.get(format!("{base}/{path}"));
        if let Some(header) = self.key.header() {
            request = request.header("Authorization", header);
        }
        let request = request.config().timeout_global(Some(self.total_timeout)).build();
        let body = self.body_of(request.call());
        self.endpoints.end(place, Ended::Well, Instant::now());
        body
    }

    /// The body of a success.
    fn body_of(&self, response: Result<Response<Body>, Error>) -> Result<String, Failure> {
        let mut response = response.map_err(|error| self.broken(&error))?;
        let status = response.status().as_u16();
        let after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, wall_clock()));
        let body = self.text_of(&mut response);
        if status == 200 {
            return body;
        }
        let said = self.key.redact(&body.unwrap_or_default());
        Err(failure(status, after, &said, self.ways_out))
    }

    fn text_of(&self, response: &mut Response<Body>) -> Result<String, Failure> {
        let body = response.body_mut().with_config().limit(MAX_BODY).lossy_utf8(true);
        body.read_to_string().map_err(|error| self.broken(&error))
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
        // rustls says what is wrong with a certificate inside an I/O error.
        let is_distrusted = matches!(error, Error::Io(error) if error.kind() == ErrorKind::InvalidData)
            && said.contains("certificate");
        match error {
            _ if is_distrusted => Failure::Everything(self.insecure(&said)),
            Error::Tls(_) | Error::Pem(_) | Error::Rustls(_) => {
                Failure::Everything(self.insecure(&said))
            }
            Error::BadUri(_) | Error::Http(_) | Error::InvalidProxyUrl => {
                Failure::Everything(format!("{said}; {}", self.ways_out.url))
            }
            _ => Failure::again(format!("no whole reply: {said}")),
        }
    }

    fn insecure(&self, said: &str) -> String {
        format!("no secure connection: {said}; {}", self.ways_out.certificates)
    }
}

/// What `Retry-After` dates are held against.
#[expect(clippy::disallowed_methods, reason = "bears on when a call is sent, on no result")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Sleeps, and wakes early when the call is not wanted any more.
fn wait_until(
    moment: Instant,
    control: &RequestControl,
    stopped: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    loop {
        if stopped() || control.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
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
