use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most so many units a minute: each taker gets the moment from which it may go on.
#[derive(Debug)]
pub(crate) struct PerMinute {
    rate: f64,
    free_at: Mutex<Instant>,
}

impl PerMinute {
    /// `per_minute` 0 is no limit.
    pub(crate) fn new(per_minute: f64) -> Self {
        Self { rate: per_minute / 60.0, free_at: Mutex::new(Instant::now()) }
    }

    /// Takes `units`; the caller waits until the moment returned. Takers are spread evenly, so no
    /// minute sees more than the limit and one call beside it.
    pub(crate) fn take(&self, units: f64, now: Instant) -> Instant {
        if self.rate <= 0.0 {
            return now;
        }
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*free_at).max(now);
        let seconds = (units / self.rate).min(86_400.0);
        *free_at = start + Duration::from_secs_f64(seconds);
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takers_are_spread_over_the_minute() {
        let limit = PerMinute::new(120.0);
        let now = Instant::now() + Duration::from_secs(1);
        let starts: Vec<f64> = (0..3).map(|_| (limit.take(1.0, now) - now).as_secs_f64()).collect();
        assert_eq!(starts, [0.0, 0.5, 1.0]);
        assert_eq!(PerMinute::new(0.0).take(1e9, now), now);
    }
}
