use crate::failure::Failure;
use critic_engine::{CancelToken, EngineError, EngineErrorKind, RequestControl, Sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How often cancel tokens and deadlines are looked at.
const TICK: Duration = Duration::from_millis(50);

/// What names an item, and when it ends before its time.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) control: RequestControl,
}

impl Item {
    /// Whether the item ends now, before its time.
    fn ends(&self, now: Instant) -> Option<Failure> {
        let Self { control, .. } = self;
        if control.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Some(Failure::Cancelled);
        }
        control.deadline.is_some_and(|deadline| now >= deadline).then_some(Failure::Deadline)
    }
}

/// The error of an item.
fn error(id: &str, failure: Failure) -> EngineError {
    let kind = match failure {
        Failure::Item(reason) => EngineErrorKind::Remote { reason },
        Failure::Again { reason, .. } => EngineErrorKind::RemoteUnavailable { reason },
        Failure::Everything(reason) => EngineErrorKind::RemoteRefused { reason },
        Failure::Cancelled => EngineErrorKind::Cancelled,
        Failure::Deadline => EngineErrorKind::Deadline,
    };
    EngineError::new(id, kind)
}

/// Works on the items in `n_threads` threads and hands each result over as it comes.
///
/// After [`Failure::Everything`] no item is begun; those under way end with their call, and the rest
/// fail with it. After a break of `sink` the calls under way are waited for, so that their replies can
/// be kept. A thread whose item was cancelled is not waited for: it ends when its server answers or its
/// timeout passes.
pub(crate) fn dispatch<T: Send + 'static>(
    items: &[Item],
    n_threads: usize,
    work: impl Fn(usize, &dyn Fn() -> bool) -> Result<T, Failure> + Send + Sync + 'static,
    sink: &mut Sink<'_, T>,
) {
    let work = Arc::new(work);
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicUsize::new(0));
    let n_items = items.len();
    let (sender, receiver) = mpsc::channel();
    for _ in 0..n_threads.min(n_items) {
        let (work, stop, next, sender) = (work.clone(), stop.clone(), next.clone(), sender.clone());
        thread::spawn(move || {
            let stopped = || stop.load(Ordering::SeqCst);
            while !stopped() {
                let place = next.fetch_add(1, Ordering::SeqCst);
                if place >= n_items {
                    return;
                }
                let result = work(place, &stopped);
                if matches!(result, Err(Failure::Everything(_))) {
                    stop.store(true, Ordering::SeqCst);
                }
                if sender.send((place, result)).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let has_end = |item: &Item| item.control.cancel.is_some() || item.control.deadline.is_some();
    let watched: Vec<usize> = (0..n_items).filter(|&place| has_end(&items[place])).collect();
    let mut is_open = vec![true; n_items];
    let mut n_open = n_items;
    let mut refused: Option<Failure> = None;
    let mut looked = Instant::now();
    let mut results = Vec::new();
    while n_open > 0 {
        match receiver.recv_timeout(TICK) {
            Ok((place, result)) => {
                let result = match (result, &refused) {
                    (Err(Failure::Cancelled), Some(failure)) => Err(failure.clone()),
                    (result, _) => result,
                };
                if let Err(failure @ Failure::Everything(_)) = &result {
                    refused.get_or_insert(failure.clone());
                }
                results.push((place, result));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let early = || Failure::Item("a worker thread ended early".to_owned());
                let failure = refused.clone().unwrap_or_else(early);
                let open = (0..n_items).filter(|&place| is_open[place]);
                results.extend(open.map(|place| (place, Err(failure.clone()))));
            }
        }
        let now = Instant::now();
        if now >= looked + TICK {
            looked = now;
            for &place in watched.iter().filter(|&&place| is_open[place]) {
                results.extend(items[place].ends(now).map(|failure| (place, Err(failure))));
            }
        }
        for (place, result) in results.drain(..) {
            if !std::mem::replace(&mut is_open[place], false) {
                continue;
            }
            n_open -= 1;
            let result = result.map_err(|failure| error(&items[place].id, failure));
            if sink(place, result).is_break() {
                stop.store(true, Ordering::SeqCst);
                while receiver.recv().is_ok() {}
                return;
            }
        }
    }
}
