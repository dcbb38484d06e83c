//! The deployment's secret in AWS Secrets Manager, read and written by the program `aws`.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Arguments;
use crate::aws_command::AwsCommand;

/// The fate of the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// Nobody asked for it.
    Not,
    /// It has all members already.
    Unchanged,
    /// These members would be written.
    WouldBe(Vec<&'static str>),
    /// These members were written.
    Written {
        /// Their names.
        members: Vec<&'static str>,
        /// The secret's version, for the parameter `VonageSecretVersion`.
        version: String,
    },
}

/// Puts the members into the secret `name`, and keeps its others. `signature_secret_2` is the first one, if there is none yet.
pub(super) fn store(name: &str, members: &[(&'static str, String)], arguments: &Arguments) -> Result<Stored, String> {
    let current = read(&arguments.aws, name)?;
    let mut wanted = current.clone().unwrap_or_default();
    let mut changed = Vec::new();
    for (member, value) in members {
        if wanted.insert((*member).to_owned(), json!(value)) != Some(json!(value)) {
            changed.push(*member);
        }
    }
    if let Some(first) = wanted.get("signature_secret").cloned()
        && !wanted.contains_key("signature_secret_2")
    {
        wanted.insert("signature_secret_2".to_owned(), first);
        changed.push("signature_secret_2");
    }
    if changed.is_empty() {
        return Ok(Stored::Unchanged);
    }
    if !arguments.apply {
        return Ok(Stored::WouldBe(changed));
    }
    let operation = if current.is_some() { ["put-secret-value", "--secret-id"] } else { ["create-secret", "--name"] };
    let options = [operation[0], operation[1], name, "--secret-string", "file:///dev/stdin", "--output", "json"];
    let written =
        aws(&arguments.aws, &options, &Value::Object(wanted).to_string())?.map_err(|error| refused(&error))?;
    let written: Value = serde_json::from_str(&written).unwrap_or_default();
    let version = written["VersionId"].as_str().unwrap_or_default().to_owned();
    Ok(Stored::Written { members: changed, version })
}

/// Returns the members of the secret, or `None` if there is no such secret.
fn read(program: &Path, name: &str) -> Result<Option<Map<String, Value>>, String> {
    let options = ["get-secret-value", "--secret-id", name, "--query", "SecretString", "--output", "text"];
    match aws(program, &options, "")? {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(members) => Ok(Some(members)),
            // The text of a parse error could quote a secret.
            Err(_) => Err(format!("the secret {name} is not a JSON object; choose another name")),
        },
        Err(error) if error.contains("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &str) -> String {
    format!("AWS refused: {}", error.trim())
}

/// Runs `aws secretsmanager`. Returns its output, or what it says about a failure.
fn aws(program: &Path, options: &[&str], input: &str) -> Result<Result<String, String>, String> {
    let aws = AwsCommand { program, profile: None, region: None };
    let options: Vec<&str> = std::iter::once("secretsmanager").chain(options.iter().copied()).collect();
    aws.run(&options, input)
        .map_err(|error| format!("the program aws cannot be run ({error}); leave --secret out to see the commands"))
}
