//! What API Gateway writes down of each request.

use serde_json::Value;

/// The variables of an access log that hold nothing that a caller wrote: no query, header, body, or path with its values.
/// Source: API Gateway Developer Guide, "Customize HTTP API access logs".
const HARMLESS: [&str; 29] = [
    "accountId",
    "apiId",
    "awsEndpointRequestId",
    "dataProcessed",
    "domainName",
    "domainPrefix",
    "error.responseType",
    "extendedRequestId",
    "httpMethod",
    "identity.accountId",
    "identity.caller",
    "identity.sourceIp",
    "identity.user",
    "identity.userArn",
    "integration.latency",
    "integration.requestId",
    "integration.status",
    "integrationErrorMessage",
    "integrationLatency",
    "integrationStatus",
    "protocol",
    "requestId",
    "requestTime",
    "requestTimeEpoch",
    "responseLatency",
    "responseLength",
    "routeKey",
    "stage",
    "status",
];

/// The variables of a format that could hold what a caller wrote.
fn harmful(format: &str) -> Vec<String> {
    variables(format).into_iter().filter(|variable| !HARMLESS.contains(&variable.as_str())).collect()
}

/// The variables in a format: `$context.requestId` is `requestId`.
fn variables(format: &str) -> Vec<String> {
    let part_of_a_name = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let names = format.split('$').skip(1).map(|rest| rest.chars().take_while(part_of_a_name).collect::<String>());
    names.map(|name| name.strip_prefix("context.").map_or(format!("${name}"), str::to_owned)).collect()
}

/// Every access log's format in the template, wherever it is.
fn formats(value: &Value, found: &mut Vec<String>) {
    if let Some(settings) = value.get("AccessLogSettings") {
        found.push(settings["Format"].as_str().unwrap_or_else(|| panic!("{settings}")).to_owned());
    }
    match value {
        Value::Object(members) => members.values().for_each(|value| formats(value, found)),
        Value::Array(items) => items.iter().for_each(|value| formats(value, found)),
        _ => {}
    }
}

#[test]
fn access_log_contains_no_input_of_callers() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let template: Value = serde_saphyr::from_str(&text).unwrap();
    let mut found = Vec::new();
    formats(&template, &mut found);
    assert_eq!(found.len(), text.matches("AccessLogSettings").count());
    for format in found {
        assert_eq!(harmful(&format), Vec::<String>::new(), "{format}");
    }
}

#[test]
fn variable_with_input_of_caller_is_found() {
    let format = r#"{"id": "$context.requestId", "path": "$context.path", "to": "$request.querystring.to"}"#;
    assert_eq!(harmful(format), ["path", "$request.querystring.to"]);
    let template = serde_json::json!({"Resources": {"Api": {"Properties": {"AccessLogSettings": {"Format": format}}}}});
    let mut found = Vec::new();
    formats(&template, &mut found);
    assert_eq!(found, [format]);
}
