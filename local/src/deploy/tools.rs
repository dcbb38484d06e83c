//! The programs, the credentials and the region that a deployment needs, checked all at once.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use shared::config::Environment;

use crate::aws_command::AwsCommand;

/// The oldest version of `aws` that shows credentials to other programs.
const AWS_VERSION: [u32; 2] = [2, 9];

/// The programs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Programs<'a> {
    pub(super) sam: &'a Path,
    pub(super) aws: AwsCommand<'a>,
    /// `None` if nothing is built.
    pub(super) cargo_lambda: Option<&'a Path>,
}

/// The account and the region of the deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) account: String,
    pub(super) region: String,
}

/// Something that is missing before the first step, and the way to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    what: &'static str,
    says: String,
    todo: &'static str,
}

impl Lack {
    pub(super) fn new(what: &'static str, says: impl Into<String>, todo: &'static str) -> Self {
        Self { what, says: says.into(), todo }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.what, self.says, self.todo)
    }
}

/// Checks everything, and returns where to deploy to, or all that is missing.
pub(super) fn check(programs: &Programs<'_>, environment: &Environment) -> Result<Place, Vec<Lack>> {
    let mut lacks = Vec::new();
    let aws_runs = match version(programs.aws.program, &["--version"]).and_then(|text| recent_aws(&text)) {
        Ok(()) => true,
        Err(says) => {
            let todo = "Install the AWS command line, version 2: https://docs.aws.amazon.com/cli/latest/userguide/";
            lacks.push(Lack::new("aws", says, todo));
            false
        }
    };
    if let Err(says) = version(programs.sam, &["--version"]) {
        lacks.push(Lack::new("sam", says, "Install the SAM CLI: pip install aws-sam-cli"));
    }
    if let Some(program) = programs.cargo_lambda
        && let Err(says) = version(program, &["lambda", "--version"])
    {
        let todo = "Install it: pip install cargo-lambda. Or deploy --archives, which need no build.";
        lacks.push(Lack::new("cargo-lambda", says, todo));
    }
    let (account, region) =
        if aws_runs { (account(&programs.aws), region(&programs.aws, environment)) } else { (Ok(String::new()), None) };
    if let Err(says) = &account {
        let todo = "Log in, by `aws configure` or `aws sso login`, or name a profile by --profile.";
        lacks.push(Lack::new("credentials", says, todo));
    }
    if aws_runs && region.is_none() {
        lacks.push(Lack::new("region", "none is known", "Give --region, such as eu-west-2, or set AWS_REGION."));
    }
    match (account, region) {
        (Ok(account), Some(region)) if lacks.is_empty() => Ok(Place { account, region }),
        _ => Err(lacks),
    }
}

/// Runs a program that tells its version. Returns its output, or the reason why there is none.
fn version(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("it cannot be run ({error})"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("it fails ({})", output.status))
    }
}

/// Reads `aws-cli/2.15.0 Python/3.11 …`.
fn recent_aws(text: &str) -> Result<(), String> {
    let version = text.trim().strip_prefix("aws-cli/").and_then(|rest| rest.split_whitespace().next());
    let version = version.ok_or_else(|| "it is another program, because it does not tell its version".to_owned())?;
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).take(2).collect();
    if parts >= AWS_VERSION.to_vec() { Ok(()) } else { Err(format!("version {version} is too old, 2.9 is needed")) }
}

/// Returns the account of the credentials.
fn account(aws: &AwsCommand<'_>) -> Result<String, String> {
    let said = aws.run(&["sts", "get-caller-identity", "--output", "json"], "");
    let said = said.map_err(|error| error.to_string())?.map_err(|error| error.trim().to_owned())?;
    let identity: Value = serde_json::from_str(&said).unwrap_or_default();
    identity["Account"].as_str().map(str::to_owned).ok_or_else(|| "aws names no account".to_owned())
}

/// Returns the region in the order in which `aws` itself looks for it.
fn region(aws: &AwsCommand<'_>, environment: &Environment) -> Option<String> {
    let given = aws.region.map(str::to_owned);
    let given = given.or_else(|| environment.optional("AWS_REGION"));
    given.or_else(|| environment.optional("AWS_DEFAULT_REGION")).or_else(|| {
        let configured = aws.run(&["configure", "get", "region"], "").ok()?.ok()?;
        let configured = configured.trim();
        (!configured.is_empty()).then(|| configured.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_is_recent_from_the_version_that_shows_credentials() {
        for (text, is_recent) in [
            ("aws-cli/2.9.0 Python/3.9", true),
            ("aws-cli/2.31.4 Python/3.13\n", true),
            ("aws-cli/3.0.0", true),
            ("aws-cli/2.8.13 Python/3.9", false),
            ("aws-cli/1.40.9 Python/3.11", false),
            ("Amazon something", false),
        ] {
            assert_eq!(recent_aws(text).is_ok(), is_recent, "{text}");
        }
    }
}
