//! The test harness: a laptop stack for each test, with an HTTP client for it, and checks that many tests share.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod answer;
mod api_description;
mod event_schemas;
mod laptop;
mod leak_search;
pub mod repository;
mod table;
mod trace_collector;

use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use answer::{Answer, digits};
pub use api_description::{ApiDescription, Operation};
pub use event_schemas::{EVENT_SCHEMAS, check_event};
pub use laptop::{ACCESS_LOG, Builder, Laptop, signature};
pub use leak_search::LeakSearch;
pub use table::Table;
pub use trace_collector::TraceCollector;

/// The phone of the first participant of [`conversation`], in E.164 without "+".
pub const RIDER: &str = "447700900001";
/// The phone of the second participant of [`conversation`].
pub const DRIVER: &str = "447700900002";

/// Returns the body of a `POST /conversations` that pairs rider and driver.
pub fn conversation() -> Value {
    json!({"participants": [{"number": "+44 7700 900001", "label": "your rider"},
                            {"number": "07700 900002", "country": "GB", "label": "your driver"}]})
}

/// Returns the text at `pointer` in `value`, and fails if there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {value}"))
}

/// Returns the text that `value` is, and fails if it is something else.
pub fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Listens on a free port of this machine, and returns the listener with its URL.
pub async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Serves `router` on a free port of this machine until the test ends, and returns its URL.
pub async fn serve(router: axum::Router) -> String {
    let (listener, url) = listen().await;
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}
