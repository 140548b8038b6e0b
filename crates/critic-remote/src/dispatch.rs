use crate::failure::Failure;
use critic_engine::{EngineError, EngineErrorKind, RequestControl, Sink};
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

/// The error of an item.
fn error(id: &str, failure: Failure) -> EngineError {
    let kind = match failure {
        Failure::Again { reason, .. } | Failure::Item(reason) => EngineErrorKind::Remote { reason },
        Failure::Everything(reason) => EngineErrorKind::RemoteRefused { reason },
        Failure::Cancelled => EngineErrorKind::Cancelled,
        Failure::Deadline => EngineErrorKind::Deadline,
    };
    EngineError::new(id, kind)
}

/// Works on the items in `n_threads` threads and hands each result over as it comes.
///
/// The threads are not waited for: a thread whose item was cancelled ends when its server answers or
/// its timeout passes, and what it brings is not looked at. After [`Failure::Everything`] nothing more
/// is sent, and every item that is open fails with it.
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
                if place >= n_items || sender.send((place, work(place, &stopped))).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut is_open = vec![true; n_items];
    let mut n_open = n_items;
    let mut refused: Option<Failure> = None;
    while n_open > 0 {
        let mut results = Vec::new();
        match receiver.recv_timeout(TICK) {
            Ok((place, result)) => {
                if let Err(failure @ Failure::Everything(_)) = &result {
                    stop.store(true, Ordering::SeqCst);
                    refused = Some(failure.clone());
                }
                results.push((place, result));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let reason = "a worker thread ended early".to_owned();
                refused.get_or_insert(Failure::Everything(reason));
            }
        }
        let now = Instant::now();
        for (place, Item { control, .. }) in items.iter().enumerate() {
            if !is_open[place] || results.iter().any(|(done, _)| *done == place) {
                continue;
            }
            if let Some(failure) = &refused {
                results.push((place, Err(failure.clone())));
            } else if control.cancel.as_ref().is_some_and(|token| token.is_cancelled()) {
                results.push((place, Err(Failure::Cancelled)));
            } else if control.deadline.is_some_and(|deadline| now >= deadline) {
                results.push((place, Err(Failure::Deadline)));
            }
        }
        for (place, result) in results {
            if !std::mem::replace(&mut is_open[place], false) {
                continue;
            }
            n_open -= 1;
            let result = result.map_err(|failure| error(&items[place].id, failure));
            if sink(place, result).is_break() {
                stop.store(true, Ordering::SeqCst);
                return;
            }
        }
    }
}
