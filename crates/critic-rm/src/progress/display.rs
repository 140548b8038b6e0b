use super::News;
use super::plain::Plain;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

/// A way of showing what the program does: lines and bars, or the whole screen.
pub(crate) trait Display: Debug + Send + Sync {
    /// A line for the person.
    fn say(&self, line: &str);

    /// A line of results.
    fn answer(&self, line: &str);

    /// What logs write, in whole lines.
    fn log(&self, text: &[u8]);

    /// Shows a stage that stands at `done` of `total`.
    fn gauge(&self, name: &str, total: u64, done: u64) -> Box<dyn Gauge>;

    /// What is more than lines and bars; a display that shows no more does not ask for it.
    fn tell(&self, _news: &dyn Fn() -> News) {}

    /// Whether bars of others may be drawn beside it.
    fn is_plain(&self) -> bool {
        false
    }

    /// Gives the terminal back before the program ends at once.
    fn abandon(&self) {}
}

/// One stage on a display.
pub(crate) trait Gauge: Debug {
    /// One item is done.
    fn advance(&mut self, message: String);

    /// The stage is over.
    fn finish(self: Box<Self>);
}

static DISPLAY: RwLock<Option<Arc<dyn Display>>> = RwLock::new(None);

/// Shows everything on `display` from here on; on none, as lines and bars.
pub(crate) fn set_display(display: Option<Arc<dyn Display>>) {
    *DISPLAY.write().unwrap_or_else(PoisonError::into_inner) = display;
}

pub(super) fn current() -> Arc<dyn Display> {
    let set = DISPLAY.read().unwrap_or_else(PoisonError::into_inner).clone();
    set.unwrap_or_else(|| Arc::new(Plain))
}
