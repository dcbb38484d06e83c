//! Compares the template's alarms and dashboard with the docs and with the functions' metrics.

use std::collections::{BTreeMap, BTreeSet};

use local::gateway;
use serde_json::{Map, Value, json};
use shared::edge::telemetry::{METRICS, NAMESPACE};
use testkit::repository::{root, template};
use testkit::text;

/// The writers of each metric that not every function writes.
const WRITERS: [(&str, &[&str]); 13] = [
    ("calls_routed", &["answer-webhook"]),
    ("calls_answered", &["event-webhook"]),
    ("talk_seconds", &["event-webhook"]),
    ("monthly_rent", &["provision-numbers"]),
    ("unknown_callers", &["answer-webhook"]),
    ("signatures_refused", &["answer-webhook", "event-webhook", "message-webhook"]),
    ("deliveries_failed", &["deliver-event"]),
    ("lost_numbers", &["provision-numbers"]),
    ("unhealthy_numbers", &["provision-numbers"]),
    ("application_foreign", &["provision-numbers"]),
    ("unsigned_webhooks", &["answer-webhook", "event-webhook", "message-webhook"]),
    ("schedule_failures", &["end-conversation", "keep-recordings", "provision-numbers"]),
    ("vonage_errors", &["create-conversation", "update-conversation", "end-conversation", "provision-numbers"]),
];

/// The metrics that only inform: no value of them is a fault.
const WITHOUT_ALARM: [&str; 5] = ["calls_answered", "talk_seconds", "monthly_rent", "call_cost", "text_cost"];

/// A metric that an alarm or the dashboard asks for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    namespace: String,
    metric: String,
    /// The dimensions with their values. A query for all values has `*`.
    dimensions: BTreeMap<String, String>,
}

fn resources<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let resources = template["Resources"].as_object().unwrap().iter();
    let of_kind = resources.filter(|(_, resource)| resource["Type"] == kind);
    of_kind.map(|(name, resource)| (name.as_str(), &resource["Properties"])).collect()
}

fn alarms(template: &Value) -> Vec<(&str, &Value)> {
    resources(template, "AWS::CloudWatch::Alarm")
}

fn dashboard(template: &Value) -> Value {
    let body = text(template, "/Resources/Dashboard/Properties/DashboardBody/0");
    let of_deliveries = text(template, "/Resources/Dashboard/Properties/DashboardBody/1/OfDeliveries/1");
    serde_json::from_str(&body.replace("${OfDeliveries}", of_deliveries)).unwrap()
}

/// Returns the metrics of an alarm.
fn asked_by_alarm(alarm: &Value) -> Vec<Asked> {
    let Some(metrics) = alarm["Metrics"].as_array() else { return vec![of_metric(alarm)] };
    metrics
        .iter()
        .filter_map(|metric| match metric.get("MetricStat") {
            Some(stat) => Some(of_metric(&stat["Metric"])),
            None => of_query(text(metric, "/Expression")),
        })
        .collect()
}

fn of_metric(metric: &Value) -> Asked {
    let dimensions = metric["Dimensions"].as_array().unwrap().iter();
    // Of an `!If`, the value under its condition.
    let value = |one: &Value| one["Value"].get(1).unwrap_or(&one["Value"]).as_str().unwrap().to_owned();
    let dimensions = dimensions.map(|one| (text(one, "/Name").to_owned(), value(one)));
    Asked {
        namespace: text(metric, "/Namespace").to_owned(),
        metric: text(metric, "/MetricName").to_owned(),
        dimensions: dimensions.collect(),
    }
}

/// Returns the metric of a Metrics Insights query; none if it is metric math.
fn of_query(query: &str) -> Option<Asked> {
    let (_, metric) = query.strip_prefix("SELECT ")?.split_once('(')?;
    let (metric, from) = metric.split_once(") FROM SCHEMA(").unwrap();
    let (namespace, dimension) = from.split_once(')').unwrap().0.split_once(", ").unwrap();
    Some(Asked {
        namespace: namespace.to_owned(),
        metric: metric.to_owned(),
        dimensions: BTreeMap::from([(dimension.trim_matches('"').to_owned(), "*".to_owned())]),
    })
}

fn asked_by_dashboard(dashboard: &Value) -> Vec<Asked> {
    let widgets = dashboard["widgets"].as_array().unwrap().iter();
    let lines = widgets.flat_map(|widget| widget["properties"]["metrics"].as_array().cloned().unwrap_or_default());
    lines
        .filter_map(|line| {
            let line = line.as_array().unwrap();
            let Some(expression) = line[0].get("expression") else {
                let words: Vec<_> = line.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                let dimensions = words[2..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
                return Some(Asked { namespace: words[0].clone(), metric: words[1].clone(), dimensions });
            };
            // Other expressions are about metrics that stand beside them.
            let query = expression.as_str().unwrap().strip_prefix("SEARCH('{")?;
            let (schema, rest) = query.split_once("} MetricName=\"").unwrap();
            let (namespace, dimension) = schema.split_once(',').unwrap();
            Some(Asked {
                namespace: namespace.to_owned(),
                metric: rest.split_once('"').unwrap().0.to_owned(),
                dimensions: BTreeMap::from([(dimension.to_owned(), "*".to_owned())]),
            })
        })
        .collect()
}

/// Returns the first column of the table with this heading in `docs/operations.md`.
fn table_in_the_docs(heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, table) = text.split_once(heading).unwrap_or_else(|| panic!("no table {heading}"));
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').nth(1).unwrap().trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn each_alarm_is_in_docs_and_on_dashboard() {
    let template = template();
    let names: BTreeSet<String> = alarms(&template).into_iter().map(|(name, _)| name.to_owned()).collect();
    let explained = table_in_the_docs("| alarm | it means | what to do |");
    assert_eq!(explained.len(), names.len(), "{explained:?}");
    assert_eq!(explained.into_iter().collect::<BTreeSet<_>>(), names);
    let dashboard = dashboard(&template);
    let shown = dashboard["widgets"][0]["properties"]["alarms"].as_array().unwrap().iter();
    let shown = shown.map(|arn| arn.as_str().unwrap().trim_start_matches("${").trim_end_matches(".Arn}").to_owned());
    assert_eq!(shown.collect::<BTreeSet<_>>(), names);
}

#[test]
fn each_alarm_notifies_at_start_and_end() {
    for (name, alarm) in alarms(&template()) {
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(alarm[actions].to_string(), r#"[["HasOwnAlarmTopic","AlarmTopic","AlarmTopicArn"]]"#, "{name}");
        }
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}: a metric that did not happen is absent");
        assert!(!text(alarm, "/AlarmDescription").is_empty());
    }
}

#[test]
fn watched_metrics_are_written_by_functions() {
    let template = template();
    let mut asked: Vec<Asked> = alarms(&template).into_iter().flat_map(|(_, alarm)| asked_by_alarm(alarm)).collect();
    let by_alarms: BTreeSet<String> = asked.iter().map(|asked| asked.metric.clone()).collect();
    asked.extend(asked_by_dashboard(&dashboard(&template)));
    for asked in asked.iter().filter(|asked| asked.namespace == NAMESPACE) {
        let written = METRICS.iter().find(|written| written.name == asked.metric);
        let written = written.unwrap_or_else(|| panic!("{asked:?} is never written"));
        let [(dimension, value)] = Vec::from_iter(&asked.dimensions).try_into().unwrap();
        assert_eq!(dimension, written.dimension, "{asked:?}");
        let writers = WRITERS.iter().find(|(metric, _)| *metric == written.name);
        let writers = writers.map_or(&gateway::FUNCTIONS[..], |(_, functions)| functions);
        assert!(value == "*" || writers.contains(&value.as_str()), "{asked:?} is never written");
    }
    for metric in METRICS.map(|metric| metric.name) {
        assert!(asked.iter().any(|asked| asked.namespace == NAMESPACE && asked.metric == metric), "{metric}");
        assert_ne!(WITHOUT_ALARM.contains(&metric), by_alarms.contains(metric), "alarms about {metric}");
    }
}

#[test]
fn alarms_cover_every_function_and_both_pipes() {
    let template = template();
    let asked: BTreeSet<Asked> = alarms(&template).into_iter().flat_map(|(_, alarm)| asked_by_alarm(alarm)).collect();
    let watched = |namespace: &str, metric: &str, dimension: &str, resource: &str| {
        let named = |one: &&Asked| one.namespace == namespace && one.metric == metric;
        asked.iter().filter(named).any(|one| one.dimensions.get(dimension).is_some_and(|value| value == resource))
    };
    for (function, _) in resources(&template, "AWS::Serverless::Function") {
        for metric in ["Errors", "Throttles"] {
            assert!(watched("AWS/Lambda", metric, "FunctionName", function), "{metric} of {function}");
        }
    }
    for (pipe, _) in resources(&template, "AWS::Pipes::Pipe") {
        assert!(watched("AWS/EventBridge/Pipes", "ExecutionFailed", "PipeName", pipe), "{pipe}");
    }
    for operation in ["GetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "Scan"] {
        assert!(watched("AWS/DynamoDB", "SystemErrors", "Operation", operation), "{operation}");
    }
    assert!(watched("AWS/ApiGateway", "5xx", "ApiId", "Api"));
}

#[test]
fn both_pipes_keep_failed_records_and_log_no_item() {
    let template = template();
    let pipes = resources(&template, "AWS::Pipes::Pipe");
    assert_eq!(pipes.len(), 2);
    for (name, pipe) in pipes {
        let source = &pipe["SourceParameters"]["DynamoDBStreamParameters"];
        assert_eq!(pipe["Source"], json!(["MakesTable", "Table.StreamArn", "ExistingTableStreamArn"]), "{name}");
        assert_eq!(
            text(source, "/StartingPosition"),
            "TRIM_HORIZON",
            "{name}: records from before the pipe are events too"
        );
        assert_eq!(text(source, "/DeadLetterConfig/Arn"), "UndeliveredEvents.Arn", "{name}");
        assert_eq!(text(source, "/OnPartialBatchItemFailure"), "AUTOMATIC_BISECT", "{name}");
        assert_eq!(source["BatchSize"], 10, "{name}: what PutEvents takes at once");
        assert!(source["MaximumRecordAgeInSeconds"].as_i64().is_some_and(|age| (60..86_400).contains(&age)), "{name}");
        assert_eq!(text(pipe, "/LogConfiguration/Level"), "ERROR", "{name}");
        assert_eq!(pipe["LogConfiguration"].get("IncludeExecutionData"), None, "{name}: it would be real numbers");
    }
    let role = &template["Resources"]["PipeRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
    let mut allowed = Map::new();
    for statement in role.as_array().unwrap() {
        let resource = statement["Resource"].get(1).unwrap_or(&statement["Resource"]);
        allowed.insert(resource.as_str().unwrap().to_owned(), statement["Action"].clone());
    }
    assert_eq!(allowed.len(), 3);
    assert_eq!(allowed["Events.Arn"], "events:PutEvents");
    assert_eq!(allowed["UndeliveredEvents.Arn"], "sqs:SendMessage");
    let reads = ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"];
    assert_eq!(allowed["Table.StreamArn"], json!(reads.map(|action| format!("dynamodb:{action}"))));
}
