//! `cargo run -- demo`.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::sync::{Arc, Mutex};

use local::demo::Story;
use local::settings::Settings;
use testkit::check_event;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The events on the bus, as the laptop logs them.
#[derive(Clone, Default)]
struct OnTheBus(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for OnTheBus {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "local::gateway::bus" {
            event.record(&mut self.clone());
        }
    }
}

impl Visit for OnTheBus {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "event" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

#[tokio::test]
async fn demo_runs_to_its_end() {
    let on_the_bus = OnTheBus::default();
    tracing_subscriber::registry().with(on_the_bus.clone()).init();
    local::demo::run(Settings::default(), Story::Full).await.expect("every step is as it should be");
    let events = on_the_bus.0.lock().unwrap();
    assert!(!events.is_empty(), "the demo shows no event");
    for event in events.iter() {
        check_event(&serde_json::from_str(event).expect("the log has the event in JSON"));
    }
}

#[tokio::test]
async fn demo_with_a_sender_on_whatsapp_runs_to_its_end() {
    let settings = Settings::default().with("TEXTS_BY", "messages-api").with("WHATSAPP_SENDER", "447700900099");
    local::demo::run(settings, Story::Full).await.expect("every step is as it should be");
}
