//! `maskline deploy`: from an AWS account and a Vonage account to the first masked call.
//!
//! It runs the programs `sam` and `aws`, as docs/deploying.md does by hand, and the code of `setup`, of `doctor` and of the commands
//! for the API. Each step looks first. So the same command goes on after an interruption, and changes nothing that is right already.

mod first_call;
mod numbers;
mod plan;
mod questions;
mod report;
mod sam;
mod stack;
mod steps;
mod template;
mod terminal;
mod tools;
mod wishes;

use std::fmt;
use std::io;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use shared::clock::SharedClock;
use shared::config::Environment;
use shared::domain::country::Country;

use crate::aws_command::AwsCommand;
use crate::commands::USUAL_STACK;
use crate::commands::fields::seconds;
use crate::output::show;
use crate::setup;
use plan::{Plan, Planned, Step};
use questions::Question;
use report::{Outcome, Report, State};
use stack::{Stack, StackError};
use steps::Steps;
use template::Template;
use terminal::Terminal;
use tools::{Lack, Programs};
use wishes::Wishes;

/// The options of the command.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Make the changes; without it they are shown, and on a terminal asked about
    #[arg(long)]
    pub apply: bool,
    /// Rent the numbers without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Print the result as JSON, and ask nothing
    #[arg(long)]
    pub json: bool,
    /// Name of the CloudFormation stack
    #[arg(long, value_name = "NAME", default_value = USUAL_STACK)]
    pub stack: String,
    /// AWS profile; by default that of the environment
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// AWS region; by default that of the environment or of the profile
    #[arg(long)]
    pub region: Option<String>,
    /// The template; by default template.yaml of this folder or of one above
    #[arg(long, value_name = "FILE", conflicts_with = "archives")]
    pub template: Option<PathBuf>,
    /// Folder with archives of the functions, as `just archives` makes them: nothing is built
    #[arg(long, value_name = "FOLDER")]
    pub archives: Option<PathBuf>,
    /// Parameter of the template, such as MonthlyBudgetEur=50; may be given several times. Those of the last deployment stay
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parameter, action = ArgAction::Append)]
    pub parameters: Vec<(String, String)>,
    /// Ready numbers that the country is to have; 0 rents none
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub numbers: u32,
    /// Country of the numbers, such as GB; by default that of the first phone of --call
    #[arg(long, value_parser = country)]
    pub country: Option<Country>,
    /// Phones of two people, as +44…: the first conversation is theirs, and both get a text message
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"])]
    pub call: Vec<String>,
    /// Time to wait for the first call, such as 10m
    #[arg(long, value_name = "TIME", requires = "call", value_parser = seconds)]
    pub wait: Option<i64>,
    /// Name of the Voice application if it has to be found or made; by default Maskline, and the stack's name if that is another
    #[arg(long)]
    pub name: Option<String>,
    /// File with the application's private key; by default the stack's name and -private.pem. It is made if the application is made
    #[arg(long, value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// Replace another public key of the application, as of `setup`
    #[arg(long)]
    pub replace_key: bool,
    /// Take the application over from another deployment or program, as of `setup`
    #[arg(long)]
    pub take_over: bool,
    /// Name of the secret in AWS Secrets Manager; by default that of the stack, or its name and /vonage
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// The program `aws`
    #[arg(long, value_name = "PROGRAM", default_value = "aws", hide = true)]
    pub aws: PathBuf,
    /// The program `sam`
    #[arg(long, value_name = "PROGRAM", default_value = "sam", hide = true)]
    pub sam: PathBuf,
    /// The program `cargo-lambda`
    #[arg(long, value_name = "PROGRAM", default_value = "cargo-lambda", hide = true)]
    pub cargo_lambda: PathBuf,
}

/// The examples of the help.
pub const EXAMPLES: &str = "\
It asks on a terminal for what is missing, shows what it would do, and asks before it does that and before it rents numbers.
Elsewhere --apply and --yes say so. Secrets are taken from VONAGE_API_SECRET and VONAGE_SIGNATURE_SECRET in the environment, from the
secret in AWS, or from a question, because every process can read arguments.

Examples:
  maskline deploy --call +447700900001 +447700900002 --wait 10m
  maskline deploy --stack calls --profile production --set AlarmEmail=oncall@company.example --set MonthlyBudgetEur=50
  maskline deploy --archives target/archives --country GB --apply --yes --json

Exits with 0 if it is done or shown, with 1 if something is missing or was refused, and with 2 if an option is wrong. What is done
stays, and the same command goes on with the rest.";

/// The deployment was not made, or not finished.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// Programs, credentials or files are missing.
    #[error("nothing was done, because something is missing\n{}", Lines(.0))]
    Lacking(Vec<Lack>),
    /// Nothing says these, and there is no terminal to ask on.
    #[error("nothing was done, because nothing says\n{}", Lines(&.0.iter().map(|one| one.option()).collect::<Vec<_>>()))]
    Unsaid(Vec<Question>),
    /// A value makes no sense.
    #[error("nothing was done: {0}")]
    Value(String),
    /// A person said no.
    #[error("nothing was done")]
    Declined,
    /// A step failed.
    #[error("{step}: {reason}\n{todo}")]
    Step {
        /// The step.
        step: &'static str,
        /// The reason.
        reason: String,
        /// The way on.
        todo: String,
    },
    /// The result cannot be printed.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Things one below the other.
struct Lines<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Lines<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.len().saturating_sub(1);
        let line = |(nth, line)| if nth == last { write!(f, "  {line}") } else { writeln!(f, "  {line}") };
        self.0.iter().enumerate().try_for_each(line)
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a parameter is NAME=VALUE, such as MonthlyBudgetEur=50")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn country(text: &str) -> Result<Country, String> {
    Country::try_from(text).map_err(|error| error.to_string())
}

/// Deploys, or shows what that would do.
///
/// # Errors
/// Says what is missing or was refused, and what to do about it. What was done before stays.
pub async fn run(arguments: &Arguments, environment: &Environment, clock: SharedClock) -> Result<(), DeployError> {
    let terminal = Terminal::of_process(arguments.json);
    let Arguments { profile, region, .. } = arguments;
    let aws = AwsCommand { program: &arguments.aws, profile: profile.as_deref(), region: region.as_deref() };
    let cargo_lambda = arguments.archives.is_none().then_some(arguments.cargo_lambda.as_path());
    let programs = Programs { sam: &arguments.sam, aws, cargo_lambda };
    let folder = std::env::current_dir().map_err(|error| DeployError::Value(format!("the current folder: {error}")))?;
    let template = Template::find(arguments.template.as_deref(), arguments.archives.as_deref(), &folder);
    let (place, template) = match (tools::check(&programs, environment), template) {
        (Ok(place), Ok(template)) => (place, template),
        (place, template) => {
            return Err(DeployError::Lacking(place.err().into_iter().flatten().chain(template.err()).collect()));
        }
    };
    let aws = AwsCommand { region: Some(&place.region), ..aws };
    let programs = Programs { aws, ..programs };
    let stack = Stack::read(&aws, &arguments.stack, |says| eprintln!("{says}")).map_err(|error| in_stack(&error))?;
    let secret_name = secret_name(arguments, stack.as_ref());
    let secret = setup::secret::read(&aws, &secret_name)
        .map_err(|reason| DeployError::Value(format!("the secret {secret_name}: {reason}")))?;
    let mut wishes = Wishes::new(environment, stack.as_ref(), secret.as_ref());
    complete(&mut wishes, arguments, &template, terminal)?;
    let plan = Plan::new(&wishes, &secret_name, arguments.archives.is_none(), !arguments.call.is_empty());
    let steps = Steps {
        arguments,
        programs,
        place: &place,
        template: &template,
        secret: &secret_name,
        wishes: &wishes,
        plan: &plan,
        terminal,
        clock,
        stack,
        set_up: None,
        conversation: None,
    };
    deploy(steps, terminal).await
}

fn in_stack(error: &StackError) -> DeployError {
    let todo = "Nothing was done.".to_owned();
    DeployError::Step { step: "stack", reason: error.to_string(), todo }
}

/// Returns the name of the deployment's secret.
fn secret_name(arguments: &Arguments, stack: Option<&Stack>) -> String {
    let deployed = stack.and_then(|stack| stack.parameters.get("VonageSecret")).filter(|name| !name.is_empty());
    let given = arguments.secret.as_ref().or(deployed);
    given.cloned().unwrap_or_else(|| format!("{}/vonage", arguments.stack))
}

/// Completes the wishes by the options, and by the answers of a person.
fn complete(
    wishes: &mut Wishes,
    arguments: &Arguments,
    template: &Template,
    terminal: Terminal,
) -> Result<(), DeployError> {
    wishes.set(&arguments.parameters, &template.parameters).map_err(DeployError::Value)?;
    wishes.rent(arguments.numbers, arguments.country, &arguments.call).map_err(DeployError::Value)?;
    wishes.may_rent = arguments.yes;
    let missing = wishes.missing();
    if terminal.is_there() {
        let asked = questions::ask(&missing, wishes, |question, is_secret| terminal.ask(question, is_secret));
        return asked.map_err(|error| DeployError::Value(format!("no answer: {error}")));
    }
    let needed: Vec<_> = missing.into_iter().filter(|question| question.is_needed()).collect();
    if needed.is_empty() { Ok(()) } else { Err(DeployError::Unsaid(needed)) }
}

/// Shows the plan, asks for a yes, and takes the steps.
async fn deploy(mut steps: Steps<'_>, terminal: Terminal) -> Result<(), DeployError> {
    let Arguments { apply, json, .. } = *steps.arguments;
    let says = |outcome: &Outcome| if json { Ok(()) } else { show(&outcome.to_string()) };
    if !apply {
        let planned = planned(&steps).await?;
        planned.iter().try_for_each(says)?;
        if !terminal.is_there() {
            return finish(&steps, &planned, true);
        }
        if !terminal.agrees("Do all this?") {
            return Err(DeployError::Declined);
        }
    }
    let mut outcomes = Vec::new();
    for step in &steps.plan.steps {
        let outcome = steps.take(step).await.map_err(|failed| failed.in_step(step.name()))?;
        says(&outcome)?;
        outcomes.push(outcome);
    }
    finish(&steps, &outcomes, false)
}

/// Returns what each step would do. Only Vonage and the secret are asked for it.
async fn planned(steps: &Steps<'_>) -> Result<Vec<Outcome>, DeployError> {
    let (plan, stack, is_first) = (steps.plan, steps.arguments.stack.as_str(), steps.wishes.is_first);
    let mut outcomes = Vec::new();
    for step in &plan.steps {
        let mut says = Planned { step, plan, stack, is_first }.to_string();
        let mut state = State::Planned;
        if *step == Step::SetUp {
            let report = steps.application(true, None, Some(steps.secret)).await;
            let report = report.map_err(|failed| failed.in_step(step.name()))?;
            (state, says) =
                (if report.is_unchanged() { State::Unchanged } else { state }, setup::Fate(&report).to_string());
        }
        outcomes.push(Outcome { step: step.name(), state, says });
    }
    Ok(outcomes)
}

/// Prints what is left to say after the last step.
fn finish(steps: &Steps<'_>, outcomes: &[Outcome], dry_run: bool) -> Result<(), DeployError> {
    if !steps.arguments.json {
        let next = if dry_run { "\nNothing was changed. Run it again with --apply to do this.\n" } else { "\nDone.\n" };
        return Ok(show(next)?);
    }
    let report = Report {
        dry_run,
        account: &steps.place.account,
        region: &steps.place.region,
        stack: &steps.arguments.stack,
        api_url: steps.stack.as_ref().and_then(|stack| stack.outputs.get("ApiUrl")).map(String::as_str),
        steps: outcomes,
        conversation: steps.conversation.as_ref(),
    };
    Ok(show(&format!("{:#}\n", report.json()))?)
}
