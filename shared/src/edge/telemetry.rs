//! Logs and metrics: JSON lines on standard output.
//!
//! Each line has an RFC 3339 time, because Lambda treats a line without a time as INFO. A field that is listed in
//! [`METRICS`] is also a CloudWatch metric, in the embedded metric format, so that logs and metrics always agree.
//! Source: Amazon CloudWatch User Guide, "Embedded metric format specification".

use std::fmt;
use std::io::Write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{ConfigError, Environment};
use crate::xray;

/// The log fields that are metrics.
pub const METRICS: [Metric; 19] = [
    Metric { name: "duration_ms", unit: "Milliseconds", dimension: "function" },
    Metric { name: "failures", unit: "Count", dimension: "function" },
    Metric { name: "calls_routed", unit: "Count", dimension: "function" },
    Metric { name: "calls_answered", unit: "Count", dimension: "function" },
    Metric { name: "talk_seconds", unit: "Seconds", dimension: "function" },
    Metric { name: "unknown_callers", unit: "Count", dimension: "function" },
    Metric { name: "signatures_refused", unit: "Count", dimension: "function" },
    Metric { name: "unsigned_webhooks", unit: "Count", dimension: "function" },
    Metric { name: "vonage_errors", unit: "Count", dimension: "function" },
    Metric { name: "schedule_failures", unit: "Count", dimension: "function" },
    Metric { name: "deliveries_failed", unit: "Count", dimension: "function" },
    Metric { name: "application_foreign", unit: "Count", dimension: "function" },
    Metric { name: "lost_numbers", unit: "Count", dimension: "function" },
    Metric { name: "unhealthy_numbers", unit: "Count", dimension: "function" },
    Metric { name: "unreadable_items", unit: "Count", dimension: "function" },
    Metric { name: "pool_headroom", unit: "Count", dimension: "country" },
    // In EUR: CloudWatch has no unit for money.
    Metric { name: "monthly_rent", unit: "None", dimension: "function" },
    Metric { name: "call_cost", unit: "None", dimension: "country" },
    Metric { name: "text_cost", unit: "None", dimension: "country" },
];

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Maskline";

/// A log field that is a CloudWatch metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name of the field and of the metric.
    pub name: &'static str,
    /// CloudWatch's name of the unit.
    pub unit: &'static str,
    /// Name of the field that is the dimension of the metric.
    pub dimension: &'static str,
}

/// Reads `AWS_LAMBDA_LOG_LEVEL`. Nothing here is logged as FATAL, so that level is ERROR.
///
/// Source: AWS Lambda Developer Guide, "Log-level filtering".
pub fn level(env: &Environment) -> Result<LevelFilter, ConfigError> {
    match env.required("AWS_LAMBDA_LOG_LEVEL")?.to_ascii_uppercase().as_str() {
        "TRACE" => Ok(LevelFilter::TRACE),
        "DEBUG" => Ok(LevelFilter::DEBUG),
        "INFO" => Ok(LevelFilter::INFO),
        "WARN" => Ok(LevelFilter::WARN),
        "ERROR" | "FATAL" => Ok(LevelFilter::ERROR),
        _ => {
            let expected = "must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL".to_owned();
            Err(ConfigError::Malformed { name: "AWS_LAMBDA_LOG_LEVEL", expected })
        }
    }
}

/// Writes the logs of `function` to standard output, from `level` upwards.
pub fn init(function: &'static str, level: LevelFilter) {
    let filter = filter(&[function], level, LevelFilter::INFO);
    let to_standard_output = |line: String| {
        // A failure of standard output cannot be reported anywhere.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    };
    tracing_subscriber::registry().with(JsonLines::new(function, to_standard_output)).with(filter).init();
    // The message of a panic may contain a phone number, so only the location is logged.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(location = panic.location().map(tracing::field::display), "function panicked");
    }));
}

/// Returns a filter with `level` for the crates of `functions` and this crate, and with `others` for all other crates.
///
/// Other crates never log below INFO: there the AWS SDK and HTTP clients log whole requests, which contain phone numbers.
pub fn filter(functions: &[&str], level: LevelFilter, others: LevelFilter) -> Targets {
    let own = functions.iter().map(|name| (name.replace('-', "_"), level));
    Targets::new().with_default(level.min(others).min(LevelFilter::INFO)).with_target("shared", level).with_targets(own)
}

/// Writes each event as a line of JSON.
pub struct JsonLines<W> {
    function: &'static str,
    write: W,
}

impl<W: Fn(String)> JsonLines<W> {
    /// Creates the layer of `function`. `write` receives each line with its line break.
    pub fn new(function: &'static str, write: W) -> Self {
        Self { function, write }
    }
}

impl<S: Subscriber, W: Fn(String) + 'static> Layer<S> for JsonLines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let now = Timestamp::now();
        let mut line = Line(Map::new());
        event.record(&mut line);
        let Line(mut line) = line;
        line.entry("function").or_insert_with(|| self.function.into());
        if let Some(id) = xray::trace_id() {
            line.insert("trace_id".to_owned(), id.into());
        }
        line.insert("timestamp".to_owned(), format!("{now:.3}").into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        if let Some(metrics) = embedded_metrics(&line, now) {
            line.insert("_aws".to_owned(), metrics);
        }
        (self.write)(format!("{}\n", Value::Object(line)));
    }
}

/// Returns the member `_aws`, by which CloudWatch finds the metrics of `line`. `None` if it has no metric.
fn embedded_metrics(line: &Map<String, Value>, now: Timestamp) -> Option<Value> {
    let present = METRICS.iter().filter(|metric| line.contains_key(metric.name) && line.contains_key(metric.dimension));
    let metrics: Vec<Value> = present
        .map(|metric| {
            json!({"Namespace": NAMESPACE, "Dimensions": [[metric.dimension]],
                   "Metrics": [{"Name": metric.name, "Unit": metric.unit}]})
        })
        .collect();
    (!metrics.is_empty()).then(|| json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": metrics}))
}

/// Collects the fields of an event as members of an object.
struct Line(Map<String, Value>);

impl Line {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Level;

    use super::*;

    /// Returns the lines that the function `answer-webhook` writes during `log`.
    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(String::new()));
        let sink = written.clone();
        let layer = JsonLines::new("answer-webhook", move |line: String| sink.lock().unwrap().push_str(&line));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let written = written.lock().unwrap();
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn log_level_is_one_of_lambdas() {
        let level_of = |level: &str| level_of_text(level).map_err(|error| error.to_string());
        assert_eq!(level_of(""), Ok(LevelFilter::INFO));
        assert_eq!(level_of("DEBUG"), Ok(LevelFilter::DEBUG));
        assert_eq!(level_of("FATAL"), Ok(LevelFilter::ERROR));
        assert!(level_of("LOUD").unwrap_err().contains("AWS_LAMBDA_LOG_LEVEL"));
    }

    fn level_of_text(level: &str) -> Result<LevelFilter, ConfigError> {
        super::level(&[("AWS_LAMBDA_LOG_LEVEL", level)].into_iter().collect())
    }

    #[test]
    fn an_event_is_one_line_with_its_time_level_and_fields() {
        let lines = lines(|| {
            tracing::warn!(cause = %"a\nb", attempts = 3u64, gone = true, nothing = None::<u64>, "it failed");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(line["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
        let expected = json!({"timestamp": line["timestamp"], "level": "WARN", "target": "shared::edge::telemetry::tests",
                              "function": "answer-webhook", "message": "it failed", "cause": "a\nb", "attempts": 3, "gone": true});
        assert_eq!(*line, expected);
    }

    #[tokio::test]
    async fn each_line_of_an_invocation_has_the_id_of_its_trace() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";
        let work = async { lines(|| tracing::warn!("it failed")) };
        let lines_in_trace = crate::xray::Tracer::default().follow("answer-webhook", Some(header), work).await;
        assert_eq!(lines_in_trace[0]["trace_id"], "1-5759e988-bd862e3fe1be46a994272793");
        assert_eq!(lines(|| tracing::warn!("it failed"))[0].get("trace_id"), None);
    }

    #[test]
    fn a_metric_field_is_a_metric_with_its_dimension() {
        let lines = lines(|| {
            tracing::info!(duration_ms = 4u64, calls_routed = 1u64, "request answered");
            tracing::info!(country = "GB", pool_headroom = -1i64, "headroom");
        });
        let metric = |name: &str, unit: &str, dimension: &str| json!({"Namespace": "Maskline", "Dimensions": [[dimension]], "Metrics": [{"Name": name, "Unit": unit}]});
        assert!(lines[0]["_aws"]["Timestamp"].is_i64());
        assert_eq!(
            lines[0]["_aws"]["CloudWatchMetrics"],
            json!([metric("duration_ms", "Milliseconds", "function"), metric("calls_routed", "Count", "function")])
        );
        assert_eq!(lines[1]["_aws"]["CloudWatchMetrics"], json!([metric("pool_headroom", "Count", "country")]));
        assert_eq!(lines[1]["pool_headroom"], -1);
    }

    #[test]
    fn only_own_crates_log_below_info() {
        let filter = filter(&["answer-webhook"], LevelFilter::TRACE, LevelFilter::TRACE);
        for own in ["answer_webhook", "shared::store"] {
            assert!(filter.would_enable(own, &Level::TRACE), "{own}");
        }
        assert!(filter.would_enable("aws_smithy_runtime", &Level::INFO));
        assert!(!filter.would_enable("aws_smithy_runtime", &Level::DEBUG));
    }

    #[test]
    fn a_level_above_info_applies_to_all_crates() {
        let filter = filter(&["answer-webhook"], LevelFilter::WARN, LevelFilter::INFO);
        for target in ["answer_webhook", "aws_smithy_runtime"] {
            assert!(
                filter.would_enable(target, &Level::WARN) && !filter.would_enable(target, &Level::INFO),
                "{target}"
            );
        }
    }
}
