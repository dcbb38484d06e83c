//! The deployment's secret in AWS Secrets Manager, read and written by the program `aws`.

use serde::Serialize;
use serde_json::{Map, Value, json};

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

/// The secret as it is now.
#[derive(Default)]
pub(crate) struct Current {
    pub(crate) members: Map<String, Value>,
    pub(crate) version: String,
}

/// Puts the members into the secret `name`, and keeps its others. `signature_secret_2` is the first one, if there is none yet. Without
/// `apply` it only tells. Returns also the version that the secret has then, if there is one.
pub(super) fn store(
    aws: &AwsCommand<'_>,
    name: &str,
    members: &[(&'static str, String)],
    apply: bool,
) -> Result<(Stored, Option<String>), String> {
    let current = read(aws, name)?;
    let is_there = current.is_some();
    let Current { members: mut wanted, version } = current.unwrap_or_default();
    let version = is_there.then_some(version);
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
        return Ok((Stored::Unchanged, version));
    }
    if !apply {
        return Ok((Stored::WouldBe(changed), version));
    }
    let operation = if is_there { ["put-secret-value", "--secret-id"] } else { ["create-secret", "--name"] };
    let options = [operation[0], operation[1], name, "--secret-string", "file:///dev/stdin", "--output", "json"];
    let written = run(aws, &options, &Value::Object(wanted).to_string())?.map_err(|error| refused(&error))?;
    let written: Value = serde_json::from_str(&written).unwrap_or_default();
    let version = written["VersionId"].as_str().unwrap_or_default().to_owned();
    Ok((Stored::Written { members: changed, version: version.clone() }, Some(version)))
}

/// Returns the secret, or `None` if there is none of this name.
pub(crate) fn read(aws: &AwsCommand<'_>, name: &str) -> Result<Option<Current>, String> {
    let options = ["get-secret-value", "--secret-id", name, "--query", "[VersionId, SecretString]", "--output", "text"];
    match run(aws, &options, "")? {
        // As text the two have a tab between them.
        Ok(text) => match text.split_once('\t').map(|(version, members)| (version, serde_json::from_str(members))) {
            Some((version, Ok(members))) => Ok(Some(Current { members, version: version.to_owned() })),
            // The text of a parse error could quote a secret.
            _ => Err(format!("the secret {name} is not a JSON object; choose another name")),
        },
        Err(error) if error.contains("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &str) -> String {
    format!("AWS refused: {}", error.trim())
}

/// Runs `aws secretsmanager`. Returns its output, or what it says about a failure.
fn run(aws: &AwsCommand<'_>, options: &[&str], input: &str) -> Result<Result<String, String>, String> {
    let options: Vec<&str> = std::iter::once("secretsmanager").chain(options.iter().copied()).collect();
    aws.run(&options, input)
        .map_err(|error| format!("the program aws cannot be run ({error}); leave --secret out to see the commands"))
}
