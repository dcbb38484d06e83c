//! The description of the API, `docs/openapi.yaml`, with which every answer to a test is compared.
//!
//! A validator of JSON Schema would accept a member that no schema names, as clients have to. Here it is a fault: somebody forgot to
//! describe it.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::Answer;
use crate::repository::root;

/// The description of the API.
pub struct ApiDescription(Value);

/// An operation of the API.
#[derive(Clone, Copy)]
pub struct Operation<'a> {
    /// Its path, with parameters: `/conversations/{id}`.
    pub path: &'a str,
    /// Its method, in lower case.
    pub method: &'a str,
    /// Its description.
    pub described: &'a Value,
}

const METHODS: [&str; 5] = ["get", "post", "patch", "put", "delete"];

impl ApiDescription {
    /// Reads the description, once.
    pub fn get() -> &'static Self {
        static DESCRIPTION: LazyLock<ApiDescription> = LazyLock::new(|| {
            let text = std::fs::read_to_string(root().join("docs/openapi.yaml")).unwrap();
            ApiDescription(serde_saphyr::from_str(&text).unwrap())
        });
        &DESCRIPTION
    }

    /// Returns all operations.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            METHODS.iter().filter_map(move |method| Some(Operation { path, method, described: item.get(*method)? }))
        })
    }

    /// True if a path exists for what tenants have too.
    pub fn is_for_tenants(&self, path: &str) -> bool {
        self.0["paths"][path].get("servers").is_none()
    }

    /// Returns all schemas with a name.
    pub fn schemas(&self) -> &Map<String, Value> {
        self.0["components"]["schemas"].as_object().unwrap()
    }

    /// Returns what a `$ref` stands for, or the value itself.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref") {
            Some(at) => self.resolve(self.0.pointer(at.as_str().unwrap().strip_prefix('#').unwrap()).unwrap()),
            None => value,
        }
    }

    /// Fails unless an answer to a request is described. A request that no operation has is not for the API.
    pub(crate) fn check(&self, method: &str, path: &str, answer: &Answer) {
        let Some(operation) = self.operation(&method.to_lowercase(), path) else { return };
        let checked = self.answer(operation, answer);
        assert_eq!(checked, Ok(()), "docs/openapi.yaml and {method} {}: {answer:?}", operation.path);
    }

    /// Returns the operation of a request.
    fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let path = path.strip_prefix("/t/").and_then(|rest| Some(&rest[rest.find('/')?..])).unwrap_or(path);
        let fits = |described: &str| {
            let (mut asked, mut described) = (path.split('/'), described.split('/'));
            let same = |(one, other): (&str, &str)| one == other || other.starts_with('{');
            path.split('/').count() == described.clone().count() && asked.by_ref().zip(described.by_ref()).all(same)
        };
        let fitting = self.operations().filter(|operation| operation.method == method && fits(operation.path));
        // A path without parameters comes first.
        fitting.min_by_key(|operation| operation.path.matches('{').count())
    }

    fn answer(&self, operation: Operation<'_>, answer: &Answer) -> Result<(), String> {
        let status = answer.status.to_string();
        let response = operation.described["responses"].get(&status).ok_or("the status is not described")?;
        let response = self.resolve(response);
        let media_type = answer.content_type();
        match (response.get("content"), answer.body.is_null()) {
            (None, true) => return Ok(()),
            (None, false) => return Err("no body is described".to_owned()),
            _ => {}
        }
        let content = response["content"].get(media_type).ok_or(format!("{media_type} is not described"))?;
        if answer.retry_after().is_some() && response["headers"].get("Retry-After").is_none() {
            return Err("Retry-After is not described".to_owned());
        }
        self.check_value(&content["schema"], &answer.body, "")
    }

    /// Returns the schemas that hold for a value: what `$ref` and `allOf` combine, and the alternative that fits.
    fn parts<'a>(&'a self, schema: &'a Value, value: &Value, at: &str) -> Result<Vec<&'a Value>, String> {
        let mut parts = vec![schema];
        if schema.get("$ref").is_some() {
            parts.extend(self.parts(self.resolve(schema), value, at)?);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            parts.extend(self.parts(part, value, at)?);
        }
        if let Some(alternatives) = schema["oneOf"].as_array() {
            let mut faults = Vec::new();
            let fitting = alternatives.iter().find(|one| match self.check_value(one, value, at) {
                Ok(()) => true,
                Err(fault) => {
                    faults.push(fault);
                    false
                }
            });
            parts.extend(self.parts(fitting.ok_or_else(|| faults.join("; or "))?, value, at)?);
        }
        Ok(parts)
    }

    /// Compares a value with a schema. Says where it differs, if it does.
    pub fn check_value(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let parts = self.parts(schema, value, at)?;
        for part in &parts {
            let types: Vec<&str> = match &part["type"] {
                Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
                one => one.as_str().into_iter().collect(),
            };
            if !types.is_empty() && !types.iter().any(|name| is_a(value, name)) {
                return Err(format!("{at} is no {}: {value}", types.join(" or ")));
            }
            let is_one_of = |allowed: &Vec<Value>| allowed.contains(value);
            if part["enum"].as_array().is_some_and(|allowed| !is_one_of(allowed)) {
                return Err(format!("{at} is none of {}: {value}", part["enum"]));
            }
            if part.get("const").is_some_and(|only| only != value) {
                return Err(format!("{at} is not {}: {value}", part["const"]));
            }
            let required = part["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            if let (Some(missing), true) =
                (required.into_iter().find(|name| value.get(name).is_none()), value.is_object())
            {
                return Err(format!("{at}.{missing} is missing"));
            }
            if let (Some(items), Some(values)) = (part.get("items"), value.as_array()) {
                values
                    .iter()
                    .enumerate()
                    .try_for_each(|(nth, value)| self.check_value(items, value, &format!("{at}[{nth}]")))?;
            }
        }
        // Without a word about members, it may have any.
        let has_members = |part: &&Value| part.get("properties").or(part.get("additionalProperties")).is_some();
        let members = value.as_object().filter(|_| parts.iter().any(has_members));
        for (name, member) in members.into_iter().flatten() {
            let at = format!("{at}.{name}");
            let named: Vec<_> = parts.iter().filter_map(|part| part["properties"].get(name)).collect();
            let other =
                parts.iter().find_map(|part| part.get("additionalProperties")).filter(|other| other.is_object());
            let schemas = if named.is_empty() { other.into_iter().collect() } else { named };
            if schemas.is_empty() {
                return Err(format!("{at} is not described"));
            }
            schemas.into_iter().try_for_each(|schema| self.check_value(schema, member, &at))?;
        }
        Ok(())
    }
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => value.is_null(),
    }
}
