//! Capture of the log, without durations.

use std::cell::RefCell;
use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

thread_local! {
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `act`. Returns its result and the log lines of all levels that it writes.
pub(crate) fn logged<T>(act: impl FnOnce() -> T) -> (T, String) {
    LINES.with_borrow_mut(String::clear);
    let result = act();
    (result, LINES.with_borrow_mut(std::mem::take))
}

/// Returns a subscriber that collects the lines of each thread.
pub(crate) fn subscriber() -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(Lines)
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        !metadata.target().starts_with("aws_") && !metadata.target().starts_with("hyper")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        LINES.with_borrow_mut(|lines| {
            event.record(&mut Line(lines));
            lines.push('\n');
        });
    }
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a `String` cannot fail.
        let _ = write!(self.0, "{field}={value:?} ");
    }

    /// Ignores the field: only durations are floating-point numbers.
    fn record_f64(&mut self, _: &Field, _: f64) {}
}
