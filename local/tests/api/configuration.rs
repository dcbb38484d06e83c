//! The configuration variables: the code, the template and the documentation agree with `shared::config::VARIABLES`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;
use shared::config::{DefaultValue, Source, VARIABLES, Variable};
use testkit::repository::{root, template};
use testkit::text;

/// Returns the table of `docs/configuration.md`.
fn table() -> String {
    let code = |text: &str| format!("`{text}`");
    let rows = VARIABLES.iter().map(|Variable { name, source, default, meaning }| {
        let source = match source {
            Source::Parameter(parameter) => code(parameter),
            Source::Secret(member) => format!("`{member}` in `VonageSecret`"),
            Source::Template => String::new(),
            Source::Lambda => "set by Lambda".to_owned(),
        };
        let default = match default {
            DefaultValue::Required => "required".to_owned(),
            DefaultValue::Value(value) => code(value),
            DefaultValue::Unset(meaning) => (*meaning).to_owned(),
        };
        format!("| `{name}` | {source} | {default} | {meaning} |\n")
    });
    "| variable | template parameter | default | meaning |\n|---|---|---|---|\n".to_owned() + &rows.collect::<String>()
}

#[test]
fn the_documented_variables_are_those_of_the_code() {
    let page = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let (_, rest) = page.split_once("<!-- begin: variables -->\n").unwrap();
    let (documented, _) = rest.split_once("<!-- end -->").unwrap();
    let table = table();
    assert!(documented.trim() == table.trim(), "docs/configuration.md needs this table:\n\n{table}");
}

/// Returns the environment variables that the template sets in its functions.
fn template_variables(template: &Value) -> Vec<(String, String)> {
    let resources = template["Resources"].as_object().unwrap().values();
    let functions = resources.filter(|resource| resource["Type"] == "AWS::Serverless::Function");
    functions
        .filter_map(|function| function["Properties"]["Environment"]["Variables"].as_object())
        .flatten()
        .map(|(name, value)| (name.clone(), value_where_needed(value).as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// Returns the value of a variable, or of an `!If` the value under its condition.
fn value_where_needed(value: &Value) -> &Value {
    value.as_array().map_or(value, |condition| &condition[1])
}

#[test]
fn the_template_sets_each_variable_from_its_own_source() {
    let template = template();
    let set = template_variables(&template);
    for (name, value) in &set {
        let variable = VARIABLES.iter().find(|variable| variable.name == name);
        let variable = variable.unwrap_or_else(|| panic!("{name} is not in VARIABLES"));
        match (variable.source, variable.default) {
            (Source::Parameter(parameter), _) => assert_eq!(value, parameter, "{name}"),
            (Source::Secret(member), _) => {
                assert!(value.starts_with("{{resolve:secretsmanager:${VonageSecret}:"), "{name}: {value}");
                assert!(value.contains(&format!(":SecretString:{member}:")), "{name}: {value}");
            }
            (Source::Template, DefaultValue::Value(default)) => assert_eq!(value, default, "{name}"),
            (Source::Template, _) => assert!(!value.is_empty(), "{name}"),
            (Source::Lambda, _) => panic!("Lambda sets {name}, not the template"),
        }
    }
    for Variable { name, source, .. } in VARIABLES {
        let needs_template = matches!(source, Source::Parameter(_) | Source::Secret(_));
        assert!(!needs_template || set.iter().any(|(set, _)| set == name), "the template does not set {name}");
    }
}

#[test]
fn the_template_parameters_repeat_defaults_and_meanings() {
    let template = template();
    for Variable { source, default, meaning, .. } in VARIABLES {
        let Source::Parameter(name) = source else { continue };
        let parameter = &template["Parameters"][name];
        let (value, description) = match default {
            DefaultValue::Required => (None, meaning.to_owned()),
            DefaultValue::Value(value) => (Some(value), meaning.to_owned()),
            DefaultValue::Unset(unset) => (Some(""), format!("{meaning}; empty means {unset}")),
        };
        let found = match &parameter["Default"] {
            Value::Null => None,
            Value::String(value) => Some(value.clone()),
            value => Some(value.to_string()),
        };
        assert_eq!(found.as_deref(), value, "default of {name}");
        assert_eq!(text(parameter, "/Description"), description, "description of {name}");
    }
}

/// Returns the files below `folder` that end in `.rs`.
fn sources(folder: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// Returns the names of the variables that this source text reads. Its test module does not count.
fn read_variables(source: &str) -> BTreeSet<String> {
    const READERS: [&str; 11] = [
        ".required(\"",
        ".is_on(\"",
        ".optional(\"",
        ".parsed::<Decimal>(\"",
        ".countries(\"",
        ".country_counts(\"",
        ".usage_limit(\"",
        "in_range(env, \"",
        "in_range(self, \"",
        "base_url(env, \"",
        "env::var(\"",
    ];
    let source = source.split("#[cfg(test)]").next().unwrap();
    let reads = READERS.iter().flat_map(|reader| source.split(reader).skip(1));
    reads.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn the_functions_read_exactly_the_documented_variables() {
    let mut files = sources(root().join("shared/src"));
    for function in local::gateway::FUNCTIONS {
        files.extend(sources(root().join("functions").join(function).join("src")));
    }
    let read: BTreeSet<String> =
        files.iter().flat_map(|file| read_variables(&std::fs::read_to_string(file).unwrap())).collect();
    let documented: BTreeSet<String> = VARIABLES.iter().map(|variable| variable.name.to_owned()).collect();
    assert_eq!(read, documented);
}
