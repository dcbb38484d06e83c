//! The pipes of the template, as EventBridge Pipes applies them to a stream record. They know only the syntax that the template
//! uses; anything else is an error.
//!
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html> leaves some points open, so the
//! worst is assumed: a path that leads nowhere leaves nothing at all, and no value is escaped. A template that gives valid JSON
//! here does so under any reading.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

use super::bus::Bus;

/// The template, without CloudFormation's tags: `!Ref x` is `x`.
const TEMPLATE: &str = include_str!("../../../template.yaml");

/// Sort keys of the items that pipes look at begin with one of these.
pub const KINDS: &[&str] = &["CONVERSATION", "LEG#"];

/// A pipe cannot be read, or cannot make an event of a record.
#[derive(Debug, thiserror::Error)]
#[error("a pipe of the template: {0}")]
pub struct PipeError(String);

/// The filters of a pipe, and the event that it makes.
#[derive(Debug)]
pub struct Pipe {
    filters: Vec<Map<String, Value>>,
    source: String,
    detail_type: String,
    input_template: String,
}

/// Returns the pipes of the template.
///
/// # Errors
/// One of them uses syntax that is not known here.
pub fn pipes() -> Result<&'static [Pipe], &'static PipeError> {
    static PIPES: LazyLock<Result<Vec<Pipe>, PipeError>> = LazyLock::new(|| {
        let template: Value = serde_saphyr::from_str(TEMPLATE).map_err(|error| PipeError(error.to_string()))?;
        let resources = template["Resources"].as_object().into_iter().flat_map(Map::values);
        let pipes = resources.filter(|resource| resource["Type"] == "AWS::Pipes::Pipe");
        pipes.map(|pipe| Pipe::of(&pipe["Properties"])).collect()
    });
    PIPES.as_deref().map_err(|_| PIPES.as_ref().expect_err("it has just been one"))
}

/// Puts the events of the records on the bus, until the stack stops.
pub async fn run(
    pipes: &'static [Pipe],
    mut records: mpsc::UnboundedReceiver<Value>,
    bus: Bus,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let record = tokio::select! {
            record = records.recv() => record,
            _ = stopped.wait_for(|stopped| *stopped) => None,
        };
        let Some(record) = record else { return };
        for pipe in pipes {
            match pipe.event(&record) {
                Ok(Some(event)) => bus.put(event),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "a change became no event"),
            }
        }
    }
}

impl Pipe {
    fn of(properties: &Value) -> Result<Self, PipeError> {
        let filters = properties["SourceParameters"]["FilterCriteria"]["Filters"].as_array().into_iter().flatten();
        let bus = &properties["TargetParameters"]["EventBridgeEventBusParameters"];
        Ok(Self {
            filters: filters.map(|filter| pattern(text(filter, "Pattern")?)).collect::<Result<_, _>>()?,
            source: text(bus, "Source")?.to_owned(),
            detail_type: text(bus, "DetailType")?.to_owned(),
            input_template: text(&properties["TargetParameters"], "InputTemplate")?.to_owned(),
        })
    }

    /// Returns the event that the pipe puts on the bus for a record; none if no filter lets it pass.
    ///
    /// # Errors
    /// The filter or the input template meets a value that it cannot handle.
    pub fn event(&self, record: &Value) -> Result<Option<Value>, PipeError> {
        let mut passes = false;
        for filter in &self.filters {
            passes |= matches(filter, Some(record))?;
        }
        if !passes {
            return Ok(None);
        }
        let detail = render(&self.input_template, record)?;
        let detail: Value = serde_json::from_str(&detail).map_err(|error| PipeError(format!("{error}: {detail}")))?;
        Ok(Some(json!({"source": self.source, "detail-type": self.detail_type, "detail": detail})))
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, PipeError> {
    value[name].as_str().ok_or_else(|| PipeError(format!("it has no {name}")))
}

fn pattern(text: &str) -> Result<Map<String, Value>, PipeError> {
    if text.len() > 4096 {
        return Err(PipeError(format!("the pattern has {} characters", text.len())));
    }
    let pattern: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| PipeError(format!("{error}: {text}")))?;
    // AWS does not document if a field counts as missing when the whole image is missing.
    let asks_for_absence = text.replace(' ', "").contains(r#""exists":false"#);
    if asks_for_absence && pattern["eventName"] != json!(["MODIFY"]) {
        return Err(PipeError(format!("it asks for absence in records without an image: {text}")));
    }
    Ok(pattern)
}

/// True if all fields of a pattern match.
fn matches(pattern: &Map<String, Value>, event: Option<&Value>) -> Result<bool, PipeError> {
    for (name, rule) in pattern {
        let field = event.and_then(|event| event.get(name));
        let mut holds = false;
        match rule {
            Value::Array(alternatives) if name == "$or" => {
                for alternative in alternatives {
                    let alternative = alternative.as_object().ok_or_else(|| unknown(alternative))?;
                    holds |= matches(alternative, event)?;
                }
            }
            Value::Array(alternatives) => {
                for alternative in alternatives {
                    holds |= matches_leaf(alternative, field)?;
                }
            }
            Value::Object(inner) => holds = matches(inner, field)?,
            other => return Err(unknown(other)),
        }
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn unknown(rule: &Value) -> PipeError {
    PipeError(format!("no rule that is known here: {rule}"))
}

fn matches_leaf(rule: &Value, field: Option<&Value>) -> Result<bool, PipeError> {
    if field.is_some_and(|field| !field.is_string()) {
        return Err(PipeError(format!("{rule} is asked of what is no leaf")));
    }
    let field = field.and_then(Value::as_str);
    let operator = rule.as_object().filter(|operator| operator.len() == 1).and_then(|operator| operator.iter().next());
    match (rule, operator) {
        (Value::String(expected), _) => Ok(field == Some(expected)),
        (_, Some((name, Value::Bool(expected)))) if name == "exists" => Ok(field.is_some() == *expected),
        (_, Some((name, Value::String(prefix)))) if name == "prefix" => {
            Ok(field.is_some_and(|field| field.starts_with(prefix)))
        }
        _ => Err(unknown(rule)),
    }
}

/// Returns the template with the values of its paths.
fn render(template: &str, record: &Value) -> Result<String, PipeError> {
    let (mut rendered, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('<') {
        let (path, after) = after.split_once('>').ok_or_else(|| PipeError("a path does not end".to_owned()))?;
        rendered.push_str(before);
        if rendered.matches('"').count() % 2 == 0 {
            return Err(PipeError(format!("{path} stands outside of quotes")));
        }
        rendered.push_str(value(path, record)?);
        rest = after;
    }
    Ok(rendered + rest)
}

fn value<'a>(path: &str, record: &'a Value) -> Result<&'a str, PipeError> {
    let wrong = || PipeError(format!("{path} is no path into the record"));
    let mut found = Some(record);
    for step in path.strip_prefix("$.").ok_or_else(wrong)?.split('.') {
        let (name, position) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
            Some((name, position)) => (name, Some(position.parse::<usize>().map_err(|_| wrong())?)),
            None => (step, None),
        };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(wrong());
        }
        found = found.and_then(|value| value.get(name));
        if let Some(position) = position {
            found = found.and_then(|value| value.get(position));
        }
    }
    let Some(found) = found else { return Ok("") };
    let text = found.as_str().ok_or_else(|| PipeError(format!("{path} is not a text")))?;
    let is_harmless = |character: char| !matches!(character, '"' | '\\') && !character.is_control();
    if text.chars().all(is_harmless) { Ok(text) } else { Err(PipeError(format!("{path} would have to be escaped"))) }
}
