//! The CloudFormation stack, read by the program `aws`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::aws_command::AwsCommand;

/// The stack as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stack {
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) outputs: BTreeMap<String, String>,
    /// Time of its last change, as AWS writes it.
    pub(super) changed_at: String,
}

/// The meaning of a stack's status for somebody who wants to deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// A deployment can begin.
    Ready,
    /// There is nothing yet, but for an idea of a stack.
    Nothing,
    /// It changes. `aws cloudformation wait` has a command with this name that ends when it is done.
    Changes(&'static str),
    /// Somebody has to do something first.
    Stuck(&'static str),
}

/// The stack cannot be read, or cannot be deployed to.
#[derive(Debug, thiserror::Error)]
pub(super) enum StackError {
    /// The program cannot be run, or refuses.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It is in the middle of something that does not end by itself.
    #[error("it is {status}; {todo}")]
    Stuck {
        /// Its status.
        status: String,
        /// The way out.
        todo: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    stacks: Vec<DescribedStack>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribedStack {
    stack_status: String,
    #[serde(default)]
    creation_time: String,
    last_updated_time: Option<String>,
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    parameter_key: String,
    #[serde(default)]
    parameter_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    output_key: String,
    output_value: String,
}

/// The most changes of a stack that are waited for, such as a failed update and the way back from it.
const MOST_WAITS: usize = 3;

impl Stack {
    /// Reads the stack. `None` if there is none. If it is being changed, as after an interrupted run, waits for the end.
    pub(super) fn read(
        aws: &AwsCommand<'_>,
        name: &str,
        mut tell: impl FnMut(&str),
    ) -> Result<Option<Self>, StackError> {
        for _ in 0..MOST_WAITS {
            let Some(described) = describe(aws, name)? else { return Ok(None) };
            match readiness(&described.stack_status) {
                Readiness::Ready => return Ok(Some(described.into())),
                Readiness::Nothing => return Ok(None),
                Readiness::Changes(wait) => {
                    tell(&format!("The stack {name} is {}; waiting for the end of that.", described.stack_status));
                    // It fails if the change failed, which the status says then.
                    let _ = run(aws, &["wait", wait, "--stack-name", name])?;
                }
                Readiness::Stuck(todo) => return Err(StackError::Stuck { status: described.stack_status, todo }),
            }
        }
        let todo = "run this again when it is done";
        Err(StackError::Stuck { status: "still being changed".to_owned(), todo })
    }
}

impl From<DescribedStack> for Stack {
    fn from(described: DescribedStack) -> Self {
        let parameters = described.parameters.into_iter().map(|one| (one.parameter_key, one.parameter_value));
        let outputs = described.outputs.into_iter().map(|one| (one.output_key, one.output_value));
        Self {
            parameters: parameters.collect(),
            outputs: outputs.collect(),
            changed_at: described.last_updated_time.unwrap_or(described.creation_time),
        }
    }
}

fn describe(aws: &AwsCommand<'_>, name: &str) -> Result<Option<DescribedStack>, StackError> {
    let text = match run(aws, &["describe-stacks", "--stack-name", name, "--output", "json"])? {
        Ok(text) => text,
        Err(error) if error.contains("does not exist") => return Ok(None),
        Err(error) => return Err(StackError::Unreadable(error.trim().to_owned())),
    };
    let described: Described = serde_json::from_str(&text)
        .map_err(|error| StackError::Unreadable(format!("aws said something else: {error}")))?;
    Ok(described.stacks.into_iter().next())
}

fn run(aws: &AwsCommand<'_>, options: &[&str]) -> Result<Result<String, String>, StackError> {
    let options: Vec<&str> = std::iter::once("cloudformation").chain(options.iter().copied()).collect();
    aws.run(&options, "").map_err(|error| StackError::Unreadable(error.to_string()))
}

/// Source: AWS CloudFormation User Guide, "Stack status codes".
fn readiness(status: &str) -> Readiness {
    match status {
        // What is left of a change set that nobody executed.
        "REVIEW_IN_PROGRESS" => Readiness::Nothing,
        "CREATE_COMPLETE"
        | "UPDATE_COMPLETE"
        | "UPDATE_ROLLBACK_COMPLETE"
        | "IMPORT_COMPLETE"
        | "IMPORT_ROLLBACK_COMPLETE" => Readiness::Ready,
        "CREATE_IN_PROGRESS" => Readiness::Changes("stack-create-complete"),
        "UPDATE_IN_PROGRESS" | "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => Readiness::Changes("stack-update-complete"),
        "UPDATE_ROLLBACK_IN_PROGRESS" | "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => {
            Readiness::Changes("stack-rollback-complete")
        }
        "DELETE_IN_PROGRESS" => Readiness::Changes("stack-delete-complete"),
        "UPDATE_ROLLBACK_FAILED" => {
            Readiness::Stuck("see its events, and continue by `aws cloudformation continue-update-rollback`")
        }
        status if status.ends_with("_IN_PROGRESS") => Readiness::Stuck("run this again when that is done"),
        // A stack whose creation failed cannot be updated.
        _ => Readiness::Stuck(
            "see its events for the reason, delete it by `aws cloudformation delete-stack`, and run this again",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_says_what_a_deployment_can_do() {
        for (status, expected) in [
            ("CREATE_COMPLETE", "Ready"),
            ("UPDATE_ROLLBACK_COMPLETE", "Ready"),
            ("REVIEW_IN_PROGRESS", "Nothing"),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "Changes(\"stack-update-complete\")"),
            ("ROLLBACK_IN_PROGRESS", "Stuck(\"run this again"),
            ("ROLLBACK_COMPLETE", "Stuck(\"see its events for the reason, delete it"),
            ("UPDATE_ROLLBACK_FAILED", "Stuck(\"see its events, and continue"),
        ] {
            let readiness = format!("{:?}", readiness(status));
            assert!(readiness.starts_with(expected), "{status}: {readiness}");
        }
    }
}
