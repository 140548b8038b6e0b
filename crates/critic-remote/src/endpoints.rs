use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest rest of a failing server.
const LONGEST_REST: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Endpoint {
    base: String,
    in_flight: usize,
    failures: u32,
    /// Avoided until then where others do not fail.
    rests_until: Option<Instant>,
    /// Not asked before then: the server said so.
    closed_until: Option<Instant>,
}

/// The servers: a call goes to the least loaded one that is open and does not rest.
#[derive(Debug)]
pub(crate) struct Endpoints(Mutex<Vec<Endpoint>>);

impl Endpoints {
    pub(crate) fn new(bases: &[String]) -> Self {
        let endpoint = |base: &String| Endpoint {
            base: base.trim_end_matches('/').to_owned(),
            in_flight: 0,
            failures: 0,
            rests_until: None,
            closed_until: None,
        };
        Self(Mutex::new(bases.iter().map(endpoint).collect()))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Endpoint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the first server may be asked.
    pub(crate) fn opens(&self, now: Instant) -> Instant {
        let opens = self.all().iter().map(|e| e.closed_until.unwrap_or(now)).min();
        opens.unwrap_or(now).max(now)
    }

    /// The place and address of the server to use; when all are closed or rest, the first to wake.
    pub(crate) fn begin(&self, now: Instant) -> (usize, String) {
        let mut all = self.all();
        let later = |moment: Option<Instant>| moment.filter(|&until| until > now);
        let order = |e: &Endpoint| (later(e.closed_until), later(e.rests_until), e.in_flight);
        let place = (0..all.len()).min_by_key(|&i| order(&all[i])).unwrap_or(0);
        all[place].in_flight += 1;
        (place, all[place].base.clone())
    }

    /// Notes how a call ended; a failing server rests, twice as long each time, and stays closed for
    /// as long as it asks.
    pub(crate) fn end(&self, place: usize, how: Ended, now: Instant) {
        let endpoint = &mut self.all()[place];
        endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        match how {
            Ended::Well => {
                endpoint.failures = 0;
                endpoint.rests_until = None;
            }
            Ended::Failed { closed } => {
                endpoint.failures += 1;
                let rest = Duration::from_millis(500 << endpoint.failures.min(7)).min(LONGEST_REST);
                endpoint.rests_until = Some(now + rest);
                let closed = closed.and_then(|closed| now.checked_add(closed));
                endpoint.closed_until = endpoint.closed_until.max(closed);
            }
        }
    }
}

/// How a call to a server ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    /// With an answer, or a refusal that is the call's own fault.
    Well,
    /// In a way that another try may mend; the server asked not to be called for a while.
    Failed { closed: Option<Duration> },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_server_rests_and_load_is_spread() {
        let servers = Endpoints::new(&["http://a/v1/".into(), "http://b/v1".into()]);
        let now = Instant::now();
        let (first, base) = servers.begin(now);
        assert_eq!((first, base.as_str()), (0, "http://a/v1"));
        assert_eq!(servers.begin(now).0, 1);
        servers.end(0, Ended::Failed { closed: None }, now);
        assert_eq!(servers.begin(now).0, 1);
        assert_eq!(servers.begin(now + LONGEST_REST).0, 0);
    }

    #[test]
    fn a_server_is_not_asked_before_it_says_so() {
        let servers = Endpoints::new(&["http://a".into(), "http://b".into()]);
        let now = Instant::now();
        let seconds = Duration::from_secs;
        servers.end(0, Ended::Failed { closed: Some(seconds(90)) }, now);
        assert_eq!(servers.opens(now), now);
        servers.end(1, Ended::Failed { closed: Some(seconds(60)) }, now);
        assert_eq!(servers.opens(now), now + seconds(60));
        assert_eq!(servers.begin(now + seconds(60)).0, 1);
        assert_eq!(servers.opens(now + seconds(95)), now + seconds(95));
    }
}
