//! A pipe of the template, as EventBridge Pipes applies it to a stream record. It knows only the syntax that is used
//! there; anything else fails the test.
//!
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html> leaves some points open,
//! so the worst is assumed: a path that leads nowhere leaves nothing at all, and no value is escaped. A template that gives
//! valid JSON here does so under any reading.

use serde_json::{Map, Value, json};
use testkit::text;

pub struct Pipe {
    filters: Vec<Value>,
    source: String,
    detail_type: String,
    input_template: String,
}

impl Pipe {
    /// Reads the pipe of this name from the template.
    pub fn of(template: &Value, name: &str) -> Self {
        let properties = &template["Resources"][name]["Properties"];
        let filters = properties["SourceParameters"]["FilterCriteria"]["Filters"].as_array().unwrap();
        let bus = &properties["TargetParameters"]["EventBridgeEventBusParameters"];
        Self {
            filters: filters.iter().map(|filter| pattern(text(filter, "/Pattern"))).collect(),
            source: text(bus, "/Source").to_owned(),
            detail_type: text(bus, "/DetailType").to_owned(),
            input_template: text(properties, "/TargetParameters/InputTemplate").to_owned(),
        }
    }

    /// Returns the event that the pipe puts on the bus for a record; none if no filter lets it pass.
    pub fn event(&self, record: &Value) -> Option<Value> {
        let passes = self.filters.iter().any(|filter| matches(filter.as_object().unwrap(), Some(record)));
        passes.then(|| {
            let detail = render(&self.input_template, record);
            let detail: Value = serde_json::from_str(&detail).unwrap_or_else(|error| panic!("{error}: {detail}"));
            json!({"source": self.source, "detail-type": self.detail_type, "detail": detail})
        })
    }
}

fn pattern(text: &str) -> Value {
    assert!(text.len() <= 4096, "the pattern has {} characters", text.len());
    let pattern: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    // AWS does not document if a field counts as missing when the whole image is missing.
    let asks_for_absence = text.replace(' ', "").contains(r#""exists":false"#);
    assert!(!asks_for_absence || pattern["eventName"] == json!(["MODIFY"]), "{text}");
    pattern
}

/// True if all fields of a pattern match.
fn matches(pattern: &Map<String, Value>, event: Option<&Value>) -> bool {
    pattern.iter().all(|(name, rule)| {
        let field = event.and_then(|event| event.get(name));
        match rule {
            Value::Array(alternatives) if name == "$or" => {
                alternatives.iter().any(|alternative| matches(alternative.as_object().unwrap(), event))
            }
            Value::Array(alternatives) => alternatives.iter().any(|alternative| matches_leaf(alternative, field)),
            Value::Object(inner) => matches(inner, field),
            other => panic!("{other} is no pattern"),
        }
    })
}

fn matches_leaf(rule: &Value, field: Option<&Value>) -> bool {
    assert!(field.is_none_or(Value::is_string), "{rule} is asked of {field:?}, which is no leaf");
    let field = field.and_then(Value::as_str);
    match rule {
        Value::String(expected) => field == Some(expected),
        Value::Object(operator) if operator.len() == 1 => match operator.iter().next().unwrap() {
            (name, Value::Bool(expected)) if name == "exists" => field.is_some() == *expected,
            (name, Value::String(prefix)) if name == "prefix" => field.is_some_and(|field| field.starts_with(prefix)),
            _ => panic!("no operator that is known here: {rule}"),
        },
        _ => panic!("no rule that is known here: {rule}"),
    }
}

/// Returns the template with the values of its paths.
fn render(template: &str, record: &Value) -> String {
    let (mut rendered, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('<') {
        let (path, after) = after.split_once('>').unwrap_or_else(|| panic!("unclosed: {after}"));
        rendered.push_str(before);
        assert!(rendered.matches('"').count() % 2 == 1, "{path} stands outside of quotes");
        rendered.push_str(value(path, record));
        rest = after;
    }
    rendered + rest
}

fn value<'a>(path: &str, record: &'a Value) -> &'a str {
    let steps = path.strip_prefix("$.").unwrap_or_else(|| panic!("{path} is no path into the record"));
    let mut found = Some(record);
    for step in steps.split('.') {
        let (name, position) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
            Some((name, position)) => (name, Some(position.parse::<usize>().unwrap())),
            None => (step, None),
        };
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{path}");
        found = found.and_then(|value| value.get(name));
        if let Some(position) = position {
            found = found.and_then(|value| value.get(position));
        }
    }
    let Some(found) = found else { return "" };
    let text = found.as_str().unwrap_or_else(|| panic!("{path} is not a text: {found}"));
    let harmless = |character: char| !matches!(character, '"' | '\\') && !character.is_control();
    assert!(text.chars().all(harmless), "{path} would have to be escaped: {text}");
    text
}
