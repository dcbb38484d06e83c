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
    let filter = filter(&[function], level.unwrap_or(LevelFilter::INFO), LevelFilter::INFO);
    tracing_subscriber::registry().with(lines).with(filter).init();
}

/// `level` for the crates of `functions` and this one. Others go no further than `others`, which is at most INFO: below
/// that, the AWS SDK and HTTP clients write out whole requests, and with them phone numbers.
pub fn filter(functions: &[&str], level: LevelFilter, others: LevelFilter) -> Targets {
    let own = functions.iter().map(|name| (name.replace('-', "_"), level));
    Targets::new().with_default(level.min(others).min(LevelFilter::INFO)).with_target("shared", level).with_targets(own)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn only_our_own_crates_ever_log_below_info() {
        let filter = filter(&["answer-webhook"], LevelFilter::TRACE, LevelFilter::TRACE);
        for own in ["answer_webhook", "shared::store"] {
            assert!(filter.would_enable(own, &Level::TRACE), "{own}");
        }
        assert!(filter.would_enable("aws_smithy_runtime", &Level::INFO));
        assert!(!filter.would_enable("aws_smithy_runtime", &Level::DEBUG));
    }

    #[test]
    fn a_higher_level_holds_for_all() {
        let filter = filter(&["answer-webhook"], LevelFilter::WARN, LevelFilter::INFO);
        for target in ["answer_webhook", "aws_smithy_runtime"] {
            assert!(
                filter.would_enable(target, &Level::WARN) && !filter.would_enable(target, &Level::INFO),
                "{target}"
            );
        }
    }
}
