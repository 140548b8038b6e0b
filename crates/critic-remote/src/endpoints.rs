use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest rest of a failing server.
const LONGEST_REST: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Endpoint {
    url: String,
    in_flight: usize,
    failures: u32,
    rests_until: Option<Instant>,
}

/// The servers: a call goes to the least loaded one that does not rest.
#[derive(Debug)]
pub(crate) struct Endpoints(Mutex<Vec<Endpoint>>);

impl Endpoints {
    pub(crate) fn new(base_urls: &[String], path: &str) -> Self {
        let endpoint = |base: &String| Endpoint {
            url: format!("{}/{path}", base.trim_end_matches('/')),
            in_flight: 0,
            failures: 0,
            rests_until: None,
        };
        Self(Mutex::new(base_urls.iter().map(endpoint).collect()))
    }

    /// The place and address of the server to use; when all rest, the one that wakes first.
    pub(crate) fn begin(&self, now: Instant) -> (usize, String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let order = |e: &Endpoint| (e.rests_until.filter(|&until| until > now), e.in_flight);
        let place = (0..all.len()).min_by_key(|&i| order(&all[i])).unwrap_or(0);
        all[place].in_flight += 1;
        (place, all[place].url.clone())
    }

    /// Notes how a call ended; a failing server rests, twice as long each time.
    pub(crate) fn end(&self, place: usize, is_well: bool, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = &mut all[place];
        endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        if is_well {
            endpoint.failures = 0;
            endpoint.rests_until = None;
        } else {
            endpoint.failures += 1;
            let rest = Duration::from_millis(500 << endpoint.failures.min(7)).min(LONGEST_REST);
            endpoint.rests_until = Some(now + rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_server_rests_and_load_is_spread() {
        let servers = Endpoints::new(&["http://a/v1/".into(), "http://b/v1".into()], "completions");
        let now = Instant::now();
        let (first, url) = servers.begin(now);
        assert_eq!((first, url.as_str()), (0, "http://a/v1/completions"));
        assert_eq!(servers.begin(now).0, 1);
        servers.end(0, false, now);
        assert_eq!(servers.begin(now).0, 1);
        assert_eq!(servers.begin(now + LONGEST_REST).0, 0);
    }
}
