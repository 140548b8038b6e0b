use super::super::harmless::one_line;
use crate::progress::Planned;
use critic_report::StageRecord;
use std::time::Duration;

/// One line of the list of stages.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) name: String,
    /// How long it may take, in seconds.
    pub(crate) expected: Option<f64>,
    /// How long it took, in seconds, and what came of it; absent until it is over.
    pub(crate) outcome: Option<(f64, String)>,
}

/// What is counted at the moment.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) name: String,
    pub(crate) total: u64,
    pub(crate) done: u64,
    pub(crate) message: String,
    pub(crate) began: Duration,
    /// What was done when it began.
    start: u64,
}

impl Work {
    pub(crate) fn new(name: String, total: u64, done: u64, now: Duration) -> Self {
        Self { name, total, done, message: String::new(), began: now, start: done }
    }

    /// Seconds left at the pace so far.
    pub(crate) fn left(&self, now: Duration) -> Option<f64> {
        let n_done = self.done.saturating_sub(self.start);
        let spent = now.saturating_sub(self.began).as_secs_f64();
        let n_left = self.total.saturating_sub(self.done) as f64;
        (n_done > 0).then(|| spent / n_done as f64 * n_left)
    }
}

/// The stages of the run in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stages {
    pub(crate) list: Vec<Stage>,
    pub(crate) work: Option<Work>,
}

impl Stages {
    pub(crate) fn planned(stages: Vec<Planned>) -> Self {
        let stage = |one: Planned| Stage {
            name: one_line(&one.name),
            expected: one.seconds,
            outcome: None,
        };
        Self { list: stages.into_iter().map(stage).collect(), work: None }
    }

    pub(crate) fn advance(&mut self, message: String) {
        if let Some(work) = &mut self.work {
            work.done += 1;
            work.message = message;
        }
    }

    /// A stage is over; one that was not planned takes its place before those to come.
    pub(crate) fn finish(&mut self, record: StageRecord) {
        let name = one_line(&record.name);
        let facts: Vec<String> =
            record.summary.iter().map(|fact| format!("{} {}", fact.value, fact.label)).collect();
        let outcome = Some((record.seconds, one_line(&facts.join(" · "))));
        let open = self.list.iter_mut().find(|one| one.name == name && one.outcome.is_none());
        match open {
            Some(stage) => stage.outcome = outcome,
            None => {
                let place = self.running();
                self.list.insert(place, Stage { name, expected: None, outcome });
            }
        }
        self.work = None;
    }

    /// The place of the stage that runs; the length of the list when all are over.
    pub(crate) fn running(&self) -> usize {
        let last_over = self.list.iter().rposition(|one| one.outcome.is_some());
        last_over.map_or(0, |place| place + 1)
    }

    /// Seconds that the run still takes, as far as the stages to come were estimated.
    pub(crate) fn left(&self, now: Duration) -> Option<f64> {
        let running = self.running();
        let current = match &self.work {
            Some(work) => work.left(now)?,
            None => self.list.get(running)?.expected.unwrap_or(0.0),
        };
        let to_come = self.list.iter().skip(running + 1).filter_map(|one| one.expected);
        Some(current + to_come.sum::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(names: &[&str]) -> Stages {
        let stage = |name: &&str| Planned { name: (*name).to_owned(), seconds: Some(10.0) };
        Stages::planned(names.iter().map(stage).collect())
    }

    fn record(name: &str) -> StageRecord {
        StageRecord { name: name.to_owned(), seconds: 1.0, summary: Vec::new(), resumed: false }
    }

    #[test]
    fn a_stage_that_nobody_planned_stands_before_those_to_come() {
        let mut stages = planned(&["critique", "filter"]);
        stages.finish(record("critique"));
        stages.finish(record("audit"));
        let names: Vec<&str> = stages.list.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["critique", "audit", "filter"]);
        assert_eq!(stages.running(), 2);
        stages.finish(record("filter"));
        assert_eq!(stages.running(), 3);
        assert_eq!(stages.left(Duration::ZERO), None);
    }

    #[test]
    fn what_is_left_counts_this_sittings_pace_alone() {
        let mut stages = planned(&["critique", "train"]);
        stages.work = Some(Work::new("writing".to_owned(), 10, 4, Duration::from_secs(100)));
        assert_eq!(stages.left(Duration::from_secs(102)), None);
        stages.advance(String::new());
        stages.advance(String::new());
        assert_eq!(stages.left(Duration::from_secs(104)), Some(8.0 + 10.0));
    }
}
