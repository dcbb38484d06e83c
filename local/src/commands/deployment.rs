//! A deployment in AWS: its URL and the credentials of a profile, both by the program `aws`, which knows single sign-on, roles and
//! everything else that a profile may say.

use std::process::ExitStatus;

use serde::Deserialize;
use shared::aws_request::AwsSigner;
use shared::config::Environment;

use crate::aws_command::AwsCommand;

/// The name of API Gateway's data plane in hosts and signatures.
const SERVICE: &str = "execute-api";

/// The deployment, or the credentials for it, are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// The program cannot be run.
    #[error("the program aws cannot be run ({0}); install the AWS command line, version 2")]
    Program(#[from] std::io::Error),
    /// The program refused.
    #[error("{doing}: {says}")]
    Refused {
        /// The purpose of the run.
        doing: &'static str,
        /// The words of the program.
        says: String,
    },
    /// The stack has no output `ApiUrl`.
    #[error(
        "the stack {0} has no output ApiUrl, so it is none of Maskline; name another one by --stack, or the URL by --url"
    )]
    NoUrl(String),
    /// The stack has no output `EventLogName`.
    #[error("the stack {0} keeps no log of its events; deploy it with the parameter EventLogDays=1 or more")]
    NoEventLog(String),
    /// The program that follows the log has ended with a failure.
    #[error("aws has ended with {0}, and says the reason above")]
    Ended(ExitStatus),
    /// Nothing names a region.
    #[error("no region is known for the profile; give --region")]
    NoRegion,
    /// The output of the program makes no sense.
    #[error("aws printed no credentials; `aws configure export-credentials` needs version 2.9 or later")]
    NoCredentials,
}

/// The output of `aws configure export-credentials`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// Returns the URL of the API, which is an output of the CloudFormation stack.
pub(super) fn api_url(aws: &AwsCommand<'_>, stack: &str) -> Result<String, DeploymentError> {
    let url = output(aws, stack, "ApiUrl")?;
    if url.starts_with("https://") { Ok(url) } else { Err(DeploymentError::NoUrl(stack.to_owned())) }
}

/// Returns the name of the log that has the events, which is an output of the CloudFormation stack.
pub(super) fn event_log(aws: &AwsCommand<'_>, stack: &str) -> Result<String, DeploymentError> {
    let log = output(aws, stack, "EventLogName")?;
    // Every log of EventBridge begins like this.
    if log.starts_with("/aws/events/") { Ok(log) } else { Err(DeploymentError::NoEventLog(stack.to_owned())) }
}

/// Returns an output of the stack, or the text `None`.
fn output(aws: &AwsCommand<'_>, stack: &str, name: &str) -> Result<String, DeploymentError> {
    let query = format!("Stacks[0].Outputs[?OutputKey=='{name}'].OutputValue | [0]");
    let options = ["cloudformation", "describe-stacks", "--stack-name", stack, "--query", &query, "--output", "text"];
    run(aws, "the stack cannot be read", &options)
}

/// Returns the signer of requests to the API at `url`, with the profile's credentials.
pub(crate) fn signer(aws: &AwsCommand<'_>, url: &str) -> Result<AwsSigner, DeploymentError> {
    let region = match aws.region.or_else(|| region_of(url)) {
        Some(region) => region.to_owned(),
        None => run(aws, "the profile names no region", &["configure", "get", "region"])?,
    };
    // Its region is not asked for here, and this command would take none.
    let aws = AwsCommand { region: None, ..*aws };
    let options = ["configure", "export-credentials", "--format", "process"];
    let exported = run(&aws, "the profile has no credentials", &options)?;
    let exported: Exported = serde_json::from_str(&exported).map_err(|_| DeploymentError::NoCredentials)?;
    let mut variables = vec![
        ("AWS_REGION", region),
        ("AWS_ACCESS_KEY_ID", exported.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", exported.secret_access_key),
    ];
    variables.extend(exported.session_token.map(|token| ("AWS_SESSION_TOKEN", token)));
    let environment: Environment = variables.into_iter().collect();
    AwsSigner::new(&environment, SERVICE).map_err(|_| DeploymentError::NoRegion)
}

/// Returns the region in a URL of API Gateway; `None` for a domain of the company's own.
fn region_of(url: &str) -> Option<&str> {
    let (_, after) = url.split_once(".execute-api.")?;
    after.split_once(".amazonaws.com").map(|(region, _)| region)
}

fn run(aws: &AwsCommand<'_>, doing: &'static str, options: &[&str]) -> Result<String, DeploymentError> {
    let output = aws.run(options, "")?;
    let says = |text: String| DeploymentError::Refused { doing, says: text.trim().to_owned() };
    output.map(|text| text.trim().to_owned()).map_err(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_is_read_from_urls_of_api_gateway_only() {
        let of_aws = "https://abc123.execute-api.eu-west-2.amazonaws.com/t";
        assert_eq!([of_aws, "https://calls.company.example"].map(region_of), [Some("eu-west-2"), None]);
        assert_eq!(region_of("https://abc123.execute-api.cn-north-1.amazonaws.com.cn"), Some("cn-north-1"));
    }
}
