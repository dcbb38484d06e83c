//! The program `sam`, which builds and deploys. Its output goes to standard error as it comes.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `sam` in `folder`.
pub(super) fn run(program: &Path, folder: &Path, arguments: &[String]) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(io::stderr()).stderr(Stdio::inherit());
    let status = command.status().map_err(|error| format!("sam cannot be run ({error})"))?;
    if status.success() { Ok(()) } else { Err(format!("sam ended with {status}; its reason is above")) }
}

/// Returns the arguments of `sam build`.
pub(super) fn build(template: &Path, architecture: Option<&str>) -> Vec<String> {
    let mut arguments = vec!["build".to_owned(), "--template-file".to_owned(), template.display().to_string()];
    if let Some(architecture) = architecture {
        arguments.extend(overrides(&BTreeMap::from([("Architecture".to_owned(), architecture.to_owned())])));
    }
    arguments
}

/// The target of `sam deploy`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) template: &'a Path,
    pub(super) stack: &'a str,
    pub(super) region: &'a str,
    pub(super) profile: Option<&'a str>,
}

/// Returns the arguments of `sam deploy`. They name everything that a `samconfig.toml` may set too, because they win against it.
pub(super) fn deploy(target: Target<'_>, parameters: &BTreeMap<String, String>) -> Vec<String> {
    let Target { template, stack, region, profile } = target;
    let template = template.display().to_string();
    let mut arguments: Vec<String> = [
        "deploy",
        "--template-file",
        &template,
        "--stack-name",
        stack,
        "--region",
        region,
        "--capabilities",
        "CAPABILITY_IAM",
        "--resolve-s3",
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
    ]
    .map(str::to_owned)
    .into();
    arguments.extend(profile.into_iter().flat_map(|profile| ["--profile".to_owned(), profile.to_owned()]));
    arguments.extend(overrides(parameters));
    arguments
}

/// Returns the option with the parameters. `sam` splits an argument at blanks, unless they are in quotes.
fn overrides(parameters: &BTreeMap<String, String>) -> Vec<String> {
    let quoted = |(name, value): (&String, &String)| format!("{name}=\"{}\"", value.replace('"', "\\\""));
    std::iter::once("--parameter-overrides".to_owned()).chain(parameters.iter().map(quoted)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CfnParameterOverridesType` of the SAM CLI reads these as they are meant.
    #[test]
    fn values_are_quoted_as_sam_reads_them() {
        let parameters =
            [("QuietHours", "22:00-07:00 Europe/London"), ("WhatsAppTemplates", r#"{"text": "t"}"#), ("Brand", "")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = [
            "--parameter-overrides",
            r#"Brand="""#,
            r#"QuietHours="22:00-07:00 Europe/London""#,
            r#"WhatsAppTemplates="{\"text\": \"t\"}""#,
        ];
        assert_eq!(overrides(&parameters.into()), expected);
    }

    #[test]
    fn deployment_asks_nothing_and_takes_no_change_for_success() {
        let target = Target { template: Path::new("/t.yaml"), stack: "calls", region: "eu-west-2", profile: Some("p") };
        let arguments = deploy(target, &BTreeMap::new()).join(" ");
        for expected in ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--stack-name calls", "--profile p"]
        {
            assert!(arguments.contains(expected), "{arguments}");
        }
        assert_eq!(build(Path::new("/t.yaml"), Some("x86_64")).last().unwrap(), "Architecture=\"x86_64\"");
    }
}
