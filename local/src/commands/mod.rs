//! The commands that use the API of a stack: `maskline conversations`, `numbers`, `events`, `calls`, `decide`,
//! `import` and `facade`.
//!
//! They are for people; a program uses the API. They do nothing that the API does not do.

pub(crate) mod api;
mod calls;
pub(crate) mod conversations;
mod decide;
pub(crate) mod deployment;
mod events;
pub mod facade;
pub(crate) mod fields;
mod import;
pub(crate) mod numbers;
pub(crate) mod table;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;
use shared::config::Environment;

use crate::aws_command::AwsCommand;
use crate::output::show;
use api::{Access, Api, ApiError};

/// A command for the API.
#[derive(Debug, Subcommand)]
pub enum ApiCommand {
    /// Create, read, change and end conversations, call and text the people in them
    #[command(visible_alias = "conversation", after_help = conversations::EXAMPLES)]
    Conversations(Group<conversations::Command>),
    /// Order, list and release the virtual numbers
    #[command(visible_alias = "number", after_help = numbers::EXAMPLES)]
    Numbers(Group<numbers::Command>),
    /// Follow the events, and have events delivered once more
    #[command(visible_alias = "event", after_help = events::EXAMPLES)]
    Events(Group<events::Command>),
    /// Follow the calls
    #[command(visible_alias = "call", after_help = calls::EXAMPLES)]
    Calls(Group<calls::Command>),
    /// Tell what a call from a phone to a virtual number meets, and why. Calls nobody
    Decide(Decide),
    /// Carry the open sessions of another masking service over: first a report, and with --create the conversations
    #[command(after_help = import::EXAMPLES)]
    Import(Import),
    /// Serve the API of another masking service, for a backend that keeps the client of that service
    #[command(after_help = facade::EXAMPLES)]
    Facade(Group<facade::Command>),
}

/// The command `import`.
#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    options: import::Options,
}

/// Commands of one kind, and the stack that they talk to.
#[derive(Debug, Args)]
pub struct Group<C: Subcommand> {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: C,
}

/// The command `decide`.
#[derive(Debug, Args)]
pub struct Decide {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    question: decide::Question,
}

/// The stack that a command talks to.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// URL of the API; by default that of the laptop stack, or of the deployment of --profile or --stack
    #[arg(long, value_name = "URL", global = true, help_heading = "Which stack")]
    url: Option<String>,
    /// AWS profile that signs the requests; as for the command `aws`, which has to be installed
    #[arg(long, value_name = "NAME", global = true, help_heading = "Which stack")]
    profile: Option<String>,
    /// CloudFormation stack of the deployment, whose output ApiUrl is the URL; `maskline` if only --profile is given
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "url", help_heading = "Which stack")]
    stack: Option<String>,
    /// AWS region of the deployment; by default that of the profile
    #[arg(long, global = true, help_heading = "Which stack")]
    region: Option<String>,
    /// Print the API's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    /// The program `aws`
    #[arg(long, value_name = "PROGRAM", default_value = "aws", hide = true, global = true)]
    aws: PathBuf,
}

impl Target {
    /// Returns the program `aws` for a deployment; `None` if no option names one.
    fn aws(&self) -> Option<AwsCommand<'_>> {
        let (profile, region) = (self.profile.as_deref(), self.region.as_deref());
        (profile.is_some() || self.stack.is_some()).then_some(AwsCommand { program: &self.aws, profile, region })
    }

    /// Returns the name of the deployment's CloudFormation stack.
    fn stack(&self) -> &str {
        self.stack.as_deref().unwrap_or(USUAL_STACK)
    }
}

/// The variable with the token of a deployment with a JWT authorizer. It is not an option: every process can read arguments.
pub(crate) const TOKEN: &str = "MASKLINE_TOKEN";

/// The name of the CloudFormation stack that `samconfig.toml` and the documentation have.
pub(crate) const USUAL_STACK: &str = "maskline";

/// The laptop stack, as `maskline` starts it without options.
pub(crate) const LAPTOP: &str = "http://127.0.0.1:3000";

/// A command did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The API refused the request, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The deployment or its credentials were not found.
    #[error(transparent)]
    Deployment(#[from] deployment::DeploymentError),
    /// A value on the command line makes no sense, or a file cannot be read.
    #[error("{0}")]
    Value(String),
    /// The result cannot be printed.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    /// A part of the work is left.
    #[error("something is left to do; see above")]
    Incomplete,
    /// Nobody agreed to what cannot be undone.
    #[error("nothing was done; this cannot be undone, so it needs a yes, or the option --yes")]
    NotConfirmed,
}

/// Carries a command out, and prints its result.
///
/// # Errors
/// Says what was refused, and what to do about it.
pub async fn run(command: &ApiCommand, environment: &Environment) -> Result<(), CommandError> {
    match command {
        ApiCommand::Events(Group { target, command }) => {
            events::run(command, target, || connect(target, environment)).await
        }
        ApiCommand::Calls(Group { target, command }) => {
            calls::run(command, target, || connect(target, environment)).await
        }
        ApiCommand::Import(Import { target, options }) => {
            let outcome = import::run(options, &connect(target, environment)?, target.json).await?;
            show(&outcome.text)?;
            if outcome.is_complete { Ok(()) } else { Err(CommandError::Incomplete) }
        }
        ApiCommand::Facade(group) => facade::run(group, environment).await,
        _ => Ok(show(&answer(command, environment).await?)?),
    }
}

/// Carries a command out. Returns what to print; nothing for one that prints as it goes.
///
/// # Errors
/// As of [`run`].
pub async fn answer(command: &ApiCommand, environment: &Environment) -> Result<String, CommandError> {
    let api = |target| connect(target, environment);
    match command {
        ApiCommand::Conversations(Group { target, command }) => {
            conversations::run(command, &api(target)?, target.json).await
        }
        ApiCommand::Numbers(Group { target, command }) => numbers::run(command, &api(target)?, target.json).await,
        ApiCommand::Import(Import { target, options }) => {
            Ok(import::run(options, &api(target)?, target.json).await?.text)
        }
        ApiCommand::Decide(Decide { target, question }) => decide::run(question, &api(target)?, target.json).await,
        ApiCommand::Events(_) | ApiCommand::Calls(_) | ApiCommand::Facade(_) => Ok(String::new()),
    }
}

/// Finds the API and what its requests are signed with. Sends nothing to it.
fn connect(target: &Target, environment: &Environment) -> Result<Api, CommandError> {
    let Some(aws) = target.aws() else {
        let access = environment.optional(TOKEN).map_or(Access::Open, Access::Token);
        let url = target.url.as_deref().unwrap_or(LAPTOP);
        return Ok(Api::new(url, target.url.is_none(), access)?);
    };
    let url = match &target.url {
        Some(url) => url.clone(),
        None => deployment::api_url(&aws, target.stack())?,
    };
    Ok(Api::new(&url, false, Access::Signed(deployment::signer(&aws, &url)?))?)
}

/// Returns the answer as JSON if that is asked for, and else as people read it.
fn printed(answer: &Value, as_json: bool, to_people: impl FnOnce(&Value) -> String) -> String {
    if as_json { format!("{answer:#}\n") } else { to_people(answer) }
}

/// Asks on a terminal before something that cannot be undone. Without a terminal only `--yes` agrees.
fn confirm(question: &str, yes: bool) -> Result<(), CommandError> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(CommandError::NotConfirmed);
    }
    eprint!("{question} [y/N] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    let agreed = read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if agreed { Ok(()) } else { Err(CommandError::NotConfirmed) }
}
