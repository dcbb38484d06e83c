//! `docs/openapi.yaml` agrees with the code: its routes, its errors, its examples, and what requests may contain.
//!
//! That each answer is as described is checked by all tests, for every answer that they get: see [`testkit::ApiDescription`].

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::repository::root;
use testkit::{Answer, ApiDescription, Laptop, Operation};

use local::gateway;

/// A name that no field, word and parameter has.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzz";

/// A place in the body of a request.
#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    First,
}

#[tokio::test]
async fn described_operations_are_the_routes_of_the_api() {
    let laptop = Laptop::start().await;
    let routes = gateway::routes(&laptop.stack.environment, shared::clock::system()).unwrap();
    let routes = routes.into_iter().map(|route| route.key).filter(|key| !key.contains(" /webhooks/"));
    let description = ApiDescription::get();
    let described = description.operations().flat_map(|Operation { method, path, .. }| {
        let method = method.to_uppercase();
        let of_tenants = description.is_for_tenants(path).then(|| format!("{method} /t/{{tenant}}{path}"));
        [Some(format!("{method} {path}")), of_tenants].into_iter().flatten()
    });
    assert_eq!(described.collect::<BTreeSet<_>>(), routes.collect());
}

#[test]
fn described_errors_are_those_of_the_table_and_of_the_code() {
    const URN: &str = "urn:maskline:problem:";
    let text = std::fs::read_to_string(root().join("docs/openapi.yaml")).unwrap();
    let kind =
        |rest: &str| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default().to_owned();
    let described: BTreeSet<String> = text.split(URN).skip(1).map(kind).collect();
    let page = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    let table = page.split("## Errors").nth(1).and_then(|rest| rest.split("API Gateway answers").next()).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| 4") || line.starts_with("| 5"));
    let named = rows.flat_map(|row| row.split('|').nth(2).unwrap_or_default().split('`').skip(1).step_by(2));
    // Only webhooks meet it.
    let named: BTreeSet<String> = named.filter(|kind| *kind != "not-signed").map(str::to_owned).collect();
    assert_eq!(described, named);
    let code: String =
        ["shared/src/edge", "functions"].into_iter().flat_map(|folder| sources(&root().join(folder))).collect();
    for kind in described {
        assert!(code.contains(&format!("\"{kind}\"")), "no code has {kind}");
    }
}

fn sources(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: std::path::PathBuf| match path.is_dir() {
        true => sources(&path),
        false => std::fs::read_to_string(&path)
            .ok()
            .filter(|_| path.extension().is_some_and(|it| it == "rs"))
            .into_iter()
            .collect(),
    };
    entries.flat_map(text).collect()
}

#[test]
fn examples_are_as_described() {
    let description = ApiDescription::get();
    let mut count = 0;
    let mut check = |schema: &Value, example: Option<&Value>, at: &str| {
        if let Some(example) = example {
            count += 1;
            assert_eq!(description.check_value(schema, example, ""), Ok(()), "{at}");
        }
    };
    for Operation { path, method, described } in description.operations() {
        let responses =
            described["responses"].as_object().unwrap().values().map(|response| description.resolve(response));
        for message in responses.chain(described.get("requestBody")) {
            for content in message["content"].as_object().into_iter().flat_map(|content| content.values()) {
                check(&content["schema"], content.get("example"), &format!("{method} {path}"));
            }
        }
        assert!(
            described
                .get("requestBody")
                .is_none_or(|body| body.pointer("/content/application~1json/example").is_some())
        );
    }
    for (name, schema) in description.schemas() {
        check(schema, schema.get("example"), name);
    }
    assert!(count > 30, "{count}");
}

/// Sends a request with a body, and returns the answer.
async fn send(laptop: &Laptop, operation: Operation<'_>, body: &Value) -> Answer {
    let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap();
    let request = laptop.request(method, &path(operation)).header("Idempotency-Key", UNKNOWN).body(body.to_string());
    laptop.answer(request).await
}

/// Returns the path of an operation, of things that nobody has.
fn path(operation: Operation<'_>) -> String {
    let ids = [
        ("{id}", "01M8ACSMTAXPHVTR1PTSRAB7D9"),
        ("{call}", "CON-1"),
        ("{number}", "+447451000001"),
        ("{tenant}", "acme"),
        ("{recording}", "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"),
    ];
    ids.into_iter().fold(operation.path.to_owned(), |path, (name, id)| path.replace(name, id))
}

/// The bodies of requests.
struct Bodies<'a> {
    description: &'a ApiDescription,
    operation: Operation<'a>,
    schema: &'a Value,
}

impl<'a> Bodies<'a> {
    /// Returns those of all operations that have one.
    fn all(description: &'a ApiDescription) -> impl Iterator<Item = Self> {
        description.operations().filter_map(move |operation| {
            let schema = operation.described.pointer("/requestBody/content/application~1json/schema")?;
            Some(Self { description, operation, schema })
        })
    }

    /// Returns the schema of a value that is not null.
    fn given(&self, schema: &'a Value) -> &'a Value {
        let alternatives = self.description.resolve(schema)["oneOf"].as_array();
        let not_null = alternatives.and_then(|all| all.iter().find(|one| one["type"] != "null"));
        self.description.resolve(not_null.unwrap_or(schema))
    }

    /// Returns each place in a body with its schema.
    fn places(&self) -> Vec<(Vec<Step<'a>>, &'a Value)> {
        let (mut places, mut open) = (Vec::new(), vec![(Vec::new(), self.schema)]);
        while let Some((steps, schema)) = open.pop() {
            let schema = self.given(schema);
            for (name, member) in schema["properties"].as_object().into_iter().flatten() {
                open.push(([&steps[..], &[Step::Member(name)]].concat(), member));
            }
            if let Some(items) = schema.get("items") {
                open.push(([&steps[..], &[Step::First]].concat(), items));
            }
            places.push((steps, schema));
        }
        places
    }

    /// Returns the example with another value at a place. What is missing on the way there is made.
    fn with(&self, steps: &[Step<'_>], value: Value) -> Value {
        let mut body =
            self.operation.described.pointer("/requestBody/content/application~1json/example").unwrap().clone();
        if self.operation.path == "/numbers" {
            body["dry_run"] = json!(true);
        }
        let (mut at, mut schema) = (&mut body, self.schema);
        for step in steps {
            schema = self.given(schema);
            (at, schema) = match step {
                Step::Member(name) => (&mut at[*name], schema["properties"].get(*name).unwrap_or(&Value::Null)),
                Step::First => (&mut at[0], &schema["items"]),
            };
            if at.is_null() {
                *at = self.sample(schema, 0);
            }
        }
        *at = value;
        body
    }

    /// Returns the `nth` value of a schema; all are different if there can be several.
    fn sample(&self, schema: &'a Value, nth: usize) -> Value {
        let schema = self.given(schema);
        let number = || json!(format!("+447700900{:03}", 100 + nth));
        let is_number = [&self.description.schemas()["PhoneNumber"], &self.description.schemas()["WrittenNumber"]];
        match (&schema["type"], schema.get("example")) {
            _ if is_number.contains(&schema) => number(),
            (_, Some(example)) => {
                let mut example = example.clone();
                if example.get("number").is_some() {
                    example["number"] = number();
                }
                example
            }
            (Value::String(kind), _) if kind == "array" => {
                json!([self.sample(&schema["items"], nth)])
            }
            _ if schema.get("enum").is_some() => schema["enum"][0].clone(),
            (Value::String(kind), _) if kind == "string" => json!((nth + 1).to_string()),
            _ => json!({}),
        }
    }

    /// Returns values beyond the bounds of a schema, and values at them.
    fn bounds(&self, schema: &'a Value) -> (Vec<Value>, Vec<Value>) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
        let letter = if schema.get("pattern").is_some() { "1" } else { "x" };
        let text = |length: i64| json!(letter.repeat(usize::try_from(length).unwrap()));
        let list = |length: i64| {
            (0..usize::try_from(length).unwrap()).map(|nth| self.sample(&schema["items"], nth)).collect::<Value>()
        };
        let whole = |value: i64| json!(value);
        let (mut beyond, mut within) = (Vec::new(), Vec::new());
        let makers: [&dyn Fn(i64) -> Value; 3] = [&whole, &text, &list];
        let names = [("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")];
        for ((least, most), value) in names.into_iter().zip(makers) {
            beyond.extend(bound(least).filter(|least| *least > 0).map(|least| value(least - 1)));
            beyond.extend(bound(most).map(|most| value(most + 1)));
            within.extend(bound(least).into_iter().chain(bound(most)).map(value));
        }
        (beyond, within)
    }
}

/// Returns the names after "Expected one of" or "Expected some of" in the detail of a problem.
fn expected(answer: &Answer) -> Option<BTreeSet<String>> {
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    let names = detail.split("Expected one of ").nth(1).or_else(|| detail.split("Expected some of ").nth(1))?;
    Some(names.trim_end_matches('.').split(", ").map(str::to_owned).collect())
}

/// Returns a place as a problem names it.
fn field(steps: &[Step<'_>]) -> String {
    steps.iter().fold(String::new(), |field, step| match step {
        Step::Member(name) if field.is_empty() => (*name).to_owned(),
        Step::Member(name) => format!("{field}.{name}"),
        Step::First => format!("{field}[0]"),
    })
}

#[tokio::test]
async fn bodies_have_the_fields_and_words_that_decoders_name() {
    let laptop = Laptop::start().await;
    let mut compared = 0;
    for bodies in Bodies::all(ApiDescription::get()) {
        let Operation { method, path, .. } = bodies.operation;
        for (steps, schema) in bodies.places() {
            let at = format!("{method} {path} {}", field(&steps));
            if let Some(properties) = schema["properties"].as_object() {
                let body = bodies.with(&[&steps[..], &[Step::Member(UNKNOWN)]].concat(), json!(1));
                let fields = expected(&send(&laptop, bodies.operation, &body).await);
                assert_eq!(fields, Some(properties.keys().cloned().collect()), "{at}");
                compared += 1;
            }
            if let Some(words) = schema["enum"].as_array() {
                let answer = send(&laptop, bodies.operation, &bodies.with(&steps, json!(UNKNOWN))).await;
                assert_eq!(
                    (answer.status, answer.body["field"].as_str()),
                    (422, Some(&*field(&steps))),
                    "{at}: {answer:?}"
                );
                let words: BTreeSet<_> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                assert!(expected(&answer).is_none_or(|expected| expected == words), "{at}: {answer:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 40, "{compared}");
}

#[tokio::test]
async fn bodies_have_the_limits_of_the_decoders() {
    let laptop = Laptop::builder().env(&[("MONTHLY_BUDGET_EUR", "1000")]).numbers("GB", 1).start().await;
    let (mut compared, mut differing) = (0, Vec::new());
    for bodies in Bodies::all(ApiDescription::get()) {
        for (steps, schema) in bodies.places() {
            let (beyond, within) = bodies.bounds(schema);
            let both =
                beyond.into_iter().zip(std::iter::repeat(true)).chain(within.into_iter().zip(std::iter::repeat(false)));
            for (value, is_beyond) in both {
                let (field, answer) =
                    (field(&steps), send(&laptop, bodies.operation, &bodies.with(&steps, value.clone())).await);
                let at_fault = answer.body["field"].as_str().filter(|_| answer.status == 422).unwrap_or(UNKNOWN);
                // Some are refused with the object that they are in.
                let is_refused = if is_beyond { field.starts_with(at_fault) } else { field == at_fault };
                if is_refused != is_beyond || answer.status == 400 {
                    differing.push(format!("{} {field}: {value}: {}", bodies.operation.path, answer.body));
                }
                compared += 1;
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(compared > 100, "{compared}");
}

#[tokio::test]
async fn queries_have_the_parameters_and_limits_of_the_code() {
    // Then no parameter of a list is required.
    let laptop = Laptop::builder().env(&[("LIST_CONVERSATIONS", "on")]).start().await;
    let description = ApiDescription::get();
    for operation in description.operations() {
        // A link takes whatever is added to it.
        if operation.described["security"].as_array().is_some_and(Vec::is_empty) {
            continue;
        }
        let at = format!("{} {}", operation.method, operation.path);
        let parameters = operation.described["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<_> =
            parameters.map(|one| description.resolve(one)).filter(|one| one["in"] == "query").collect();
        let names = parameters.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        let asked = |name: &str, value: &str| {
            let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap();
            let required = parameters.iter().filter(|one| one["required"] == true && one["name"] != name);
            let others = required.map(|one| (one["name"].as_str().unwrap(), one["example"].as_str().unwrap()));
            let query: Vec<_> = others.chain([(name, value)]).collect();
            let body = operation.described.pointer("/requestBody/content/application~1json/example");
            let request = laptop.request(method, &path(operation)).query(&query).header("Idempotency-Key", UNKNOWN);
            laptop.answer(request.body(body.map(ToString::to_string).unwrap_or_default()))
        };
        let unknown = asked(UNKNOWN, "1").await;
        assert_eq!((unknown.status, expected(&unknown).unwrap_or_default()), (422, names), "{at}");
        for parameter in &parameters {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            for (bound, beyond) in [("minimum", -1), ("maximum", 1)] {
                let Some(bound) = schema.get(bound).and_then(Value::as_i64) else { continue };
                let (within, beyond) =
                    (asked(name, &bound.to_string()).await, asked(name, &(bound + beyond).to_string()).await);
                assert!(within.status == 200 || within.status == 404, "{at} {name}: {within:?}");
                assert_eq!((beyond.status, beyond.body["field"].as_str()), (422, Some(name)), "{at}");
            }
        }
    }
}
