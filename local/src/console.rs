//! The console: a page of the laptop stack that shows phones, conversations, calls, the pool and faults.
//!
//! Its sources are in `local/console`. What Vite makes of them is checked in, so that nobody needs Node to run it.

use std::convert::Infallible;
use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{OriginalUri, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Redirect, Response, Sse};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures_util::stream::Stream;
use tokio::sync::watch;

use crate::feed::From;
use crate::load::Sample;
use crate::trace::Trace;

/// Path of the page.
pub const PATH: &str = "/console";

/// The files of the page, each with its media type.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("", "text/html; charset=utf-8", include_bytes!("../console/dist/index.html")),
    ("/console.js", "text/javascript; charset=utf-8", include_bytes!("../console/dist/console.js")),
    ("/console.css", "text/css; charset=utf-8", include_bytes!("../console/dist/console.css")),
    ("/icon.svg", "image/svg+xml", include_bytes!("../console/dist/icon.svg")),
];

/// The page talks to its own origin only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Clone)]
struct Simulator {
    http: reqwest::Client,
    url: Arc<str>,
}

/// Opens a URL in the user's browser.
///
/// # Errors
/// If the program that opens URLs on this system is not there.
pub fn open(url: &str) -> io::Result<()> {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    Command::new(opener).arg(url).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
}

/// Serves the page, the trace that it follows, and the simulator at `vonage_url` under the page's own origin.
pub fn router(trace: Trace, vonage_url: &str, stopped: watch::Receiver<bool>) -> Router {
    let simulator = Simulator { http: crate::loopback_client(), url: vonage_url.into() };
    let mut router = Router::new()
        .route(&format!("{PATH}/"), get(async || Redirect::permanent(PATH)))
        .route(&format!("{PATH}/load"), post(show_load).with_state(trace.clone()))
        .route(&format!("{PATH}/trace"), get(follow).with_state((trace, stopped)))
        .route(&format!("{PATH}/simulator/{{*path}}"), any(forward).with_state(simulator));
    for (name, media_type, contents) in FILES {
        router = router.route(&format!("{PATH}{name}"), get(async move || file(media_type, contents)));
    }
    router
}

pub(crate) fn file(media_type: &'static str, contents: &'static [u8]) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The next build has the same names.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, contents)
}

/// Handles `GET /console/trace`.
async fn follow(
    State((trace, stopped)): State<(Trace, watch::Receiver<bool>)>,
    headers: HeaderMap,
    Query(from): Query<From>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    let feed = trace.watch().ok_or(StatusCode::NOT_FOUND)?;
    Ok(feed.follow(from, &headers, stopped, |entry| entry.to_string()))
}

/// Handles `POST /console/load`: `maskline load` tells how it goes.
async fn show_load(State(trace): State<Trace>, Json(sample): Json<Sample>) -> StatusCode {
    trace.load(&sample);
    StatusCode::NO_CONTENT
}

/// Passes a request on to the simulator's own endpoints. It reaches no API that needs the account's credentials.
async fn forward(
    State(simulator): State<Simulator>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    body: Bytes,
) -> Result<Response, StatusCode> {
    let path = uri.path_and_query().and_then(|path| path.as_str().strip_prefix(PATH)).ok_or(StatusCode::NOT_FOUND)?;
    let request = simulator.http.request(method, format!("{}{path}", simulator.url)).body(body);
    let answer = request.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let (status, media_type) = (answer.status(), answer.headers().get(header::CONTENT_TYPE).cloned());
    let bytes = answer.bytes().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let media_type = media_type.unwrap_or(HeaderValue::from_static("application/json"));
    Ok((status, [(header::CONTENT_TYPE, media_type)], bytes).into_response())
}
