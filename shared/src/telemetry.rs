//! Logs: one JSON object a line on standard output, with an RFC 3339 time (Lambda counts a line without one as INFO,
//! whatever its level).

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sends the logs of `function` to standard output, from the level in `AWS_LAMBDA_LOG_LEVEL` on, or INFO.
pub fn init(function: &str) {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.parse().ok());
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    let own = [function.replace('-', "_"), "shared".to_owned()];
    tracing_subscriber::registry().with(lines).with(filter(level.unwrap_or(LevelFilter::INFO), own)).init();
}

/// `level` for `own` crates. Others go no further than INFO: below that, the AWS SDK and HTTP clients write out whole
/// requests, and with them phone numbers.
pub fn filter(level: LevelFilter, own: impl IntoIterator<Item = String>) -> Targets {
    own.into_iter()
        .fold(Targets::new().with_default(level.min(LevelFilter::INFO)), |filter, own| filter.with_target(own, level))
}
