//! Logs: one JSON object a line on standard output, with an RFC 3339 time (Lambda counts a line without one as INFO,
//! whatever its level).

use tracing_subscriber::EnvFilter;

/// Sends this process's logs to standard output, from level INFO on unless `AWS_LAMBDA_LOG_LEVEL` says otherwise.
pub fn init() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_else(|_| "info".to_owned());
    // A second call, in a process that runs several functions, changes nothing.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info")))
        .try_init();
}
