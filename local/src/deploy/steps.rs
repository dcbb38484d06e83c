//! The work of each step.

use std::path::PathBuf;

use serde_json::Value;
use shared::clock::SharedClock;
use shared::config::Environment;
use shared::domain::country::Country;

use super::numbers::NumbersError;
use super::plan::{Plan, Step};
use super::report::{Outcome, State};
use super::stack::Stack;
use super::template::Template;
use super::terminal::Terminal;
use super::tools::{Place, Programs};
use super::wishes::Wishes;
use super::{Arguments, DeployError, first_call, numbers, sam};
use crate::commands::TOKEN;
use crate::commands::api::{Access, Api};
use crate::commands::deployment;
use crate::{doctor, setup};

/// The usual way on after a failure.
const AGAIN: &str = "What is done stays: run the same command again.";

/// A deployment in the middle of its steps.
pub(super) struct Steps<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) programs: Programs<'a>,
    pub(super) place: &'a Place,
    pub(super) template: &'a Template,
    pub(super) secret: &'a str,
    pub(super) wishes: &'a Wishes,
    pub(super) plan: &'a Plan,
    pub(super) terminal: Terminal,
    pub(super) clock: SharedClock,
    pub(super) stack: Option<Stack>,
    /// The results of the first step: the application's id, and the secret's version.
    pub(super) set_up: Option<(String, Option<String>)>,
    pub(super) conversation: Option<Value>,
}

/// A step failed: the reason, and what to do.
pub(super) struct Failed(String, String);

impl Failed {
    fn again(reason: impl ToString) -> Self {
        Self(reason.to_string(), AGAIN.to_owned())
    }

    /// Turns it into the error of the command.
    pub(super) fn in_step(self, step: &'static str) -> DeployError {
        DeployError::Step { step, reason: self.0.trim_end().to_owned(), todo: self.1 }
    }
}

impl Steps<'_> {
    /// Carries a step out.
    pub(super) async fn take(&mut self, step: &Step) -> Result<Outcome, Failed> {
        let (state, says) = match step {
            Step::SetUp => self.set_up().await?,
            Step::Build => self.build()?,
            Step::Deploy => self.deploy()?,
            Step::Webhooks => self.webhooks().await?,
            Step::Examine => self.examine().await?,
            Step::Numbers(country, count) => self.numbers(*country, *count).await?,
            Step::FirstCall => self.first_call().await?,
        };
        Ok(Outcome { step: step.name(), state, says })
    }

    /// Sets the application up, or with `dry_run` tells what that would change.
    pub(super) async fn application(
        &self,
        dry_run: bool,
        public_url: Option<&str>,
        secret: Option<&str>,
    ) -> Result<setup::Report, Failed> {
        let Arguments { stack, name, private_key, replace_key, take_over, profile, aws, .. } = self.arguments;
        let arguments = setup::Arguments {
            apply: !dry_run,
            json: false,
            name: name.clone().unwrap_or_else(|| application_name(stack)),
            public_url: public_url.map(str::to_owned),
            region: self.wishes.parameter("VonageRegion").map(str::to_owned),
            private_key: private_key.clone().unwrap_or_else(|| PathBuf::from(format!("{stack}-private.pem"))),
            replace_key: *replace_key,
            take_over: *take_over,
            secret: secret.map(str::to_owned),
            profile: profile.clone(),
            aws_region: Some(self.place.region.clone()),
            aws: aws.clone(),
        };
        // The URL of another deployment, for which this shell may be set up.
        let mut variables = vec![("PUBLIC_URL".to_owned(), String::new())];
        variables.extend(self.set_up.as_ref().map(|(id, _)| ("VONAGE_APPLICATION_ID".to_owned(), id.clone())));
        let environment = self.wishes.environment.clone().with(variables);
        setup::run(&arguments, &environment).await.map_err(Failed::again)
    }

    async fn set_up(&mut self) -> Result<(State, String), Failed> {
        let report = self.application(false, None, Some(self.secret)).await?;
        let id = report.application.id.clone().ok_or_else(|| Failed::again("Vonage named no application"))?;
        self.set_up = Some((id, report.secret_version.clone().filter(|version| !version.is_empty())));
        Ok((state_of(&report), setup::Fate(&report).to_string()))
    }

    fn build(&self) -> Result<(State, String), Failed> {
        let Template { file, .. } = self.template;
        let arguments = sam::build(file, self.wishes.parameter("Architecture"));
        sam::run(self.programs.sam, self.template.folder(), &arguments).map_err(|reason| {
            let todo = "If this machine cannot build for arm64, add --set Architecture=x86_64, or give --archives.";
            Failed(reason, format!("{todo} {AGAIN}"))
        })?;
        Ok((State::Done, "the functions are built; what has not changed is built once".to_owned()))
    }

    fn deploy(&mut self) -> Result<(State, String), Failed> {
        let name = self.arguments.stack.as_str();
        let mut parameters = self.plan.parameters.clone();
        if let Some((id, version)) = &self.set_up {
            parameters.insert("VonageApplicationId".to_owned(), id.clone());
            parameters.extend(version.iter().map(|version| ("VonageSecretVersion".to_owned(), version.clone())));
        }
        let template = match self.plan.steps.contains(&Step::Build) {
            true => self.template.folder().join(".aws-sam/build/template.yaml"),
            false => self.template.file.clone(),
        };
        let (region, profile) = (self.place.region.as_str(), self.arguments.profile.as_deref());
        let target = sam::Target { template: &template, stack: name, region, profile };
        let arguments = sam::deploy(target, &parameters);
        let stack = |tell: &mut dyn FnMut(&str)| Stack::read(&self.programs.aws, name, tell);
        sam::run(self.programs.sam, self.template.folder(), &arguments).map_err(|reason| {
            let events = format!("More is in: aws cloudformation describe-stack-events --stack-name {name}.");
            Failed(reason, format!("{events} {AGAIN}"))
        })?;
        let before = self.stack.as_ref().map(|stack| stack.changed_at.clone());
        let after = stack(&mut |says| eprintln!("{says}")).map_err(Failed::again)?;
        let after = after.ok_or_else(|| Failed::again(format!("there is no stack {name} in {region}")))?;
        let is_unchanged = before.as_ref() == Some(&after.changed_at);
        self.stack = Some(after);
        let url = self.api_url()?;
        let says = format!("the stack {name} serves {url}");
        Ok((if is_unchanged { State::Unchanged } else { State::Done }, says))
    }

    fn api_url(&self) -> Result<&str, Failed> {
        let url = self.stack.as_ref().and_then(|stack| stack.outputs.get("ApiUrl"));
        let none = || Failed("the stack has no output ApiUrl".to_owned(), "Choose another --stack.".to_owned());
        url.map(String::as_str).ok_or_else(none)
    }

    /// Returns the URL at which Vonage reaches the deployment.
    fn public_url(&self) -> Result<&str, Failed> {
        let own = self.stack.as_ref().and_then(|stack| stack.parameters.get("PublicUrl"));
        own.map(String::as_str).filter(|url| !url.is_empty()).map_or_else(|| self.api_url(), Ok)
    }

    async fn webhooks(&self) -> Result<(State, String), Failed> {
        let report = self.application(false, Some(self.public_url()?), None).await?;
        Ok((state_of(&report), setup::Fate(&report).to_string()))
    }

    async fn examine(&self) -> Result<(State, String), Failed> {
        let stack = self.stack.clone().unwrap_or_default();
        let environment = self.wishes.deployed_environment(&stack, self.public_url()?);
        let environment = self.with_key(environment).map_err(Failed::again)?;
        let findings = doctor::examine(&environment, self.clock.clone()).await.map_err(Failed::again)?;
        let says = findings.to_string();
        if findings.is_healthy() { Ok((State::Done, format!("no error\n{says}"))) } else { Err(Failed::again(says)) }
    }

    /// Adds the private key, which the secret has since the first step.
    fn with_key(&self, environment: Environment) -> Result<Environment, String> {
        let secret = setup::secret::read(&self.programs.aws, self.secret)?;
        let key = secret.and_then(|secret| secret.members.get("private_key")?.as_str().map(str::to_owned));
        Ok(environment.with(key.map(|key| ("VONAGE_PRIVATE_KEY".to_owned(), key))))
    }

    fn api(&self) -> Result<Api, Failed> {
        let url = self.api_url()?;
        let takes_tokens = self.wishes.parameter("JwtIssuer").is_some();
        let access = match self.wishes.environment.optional(TOKEN).filter(|_| takes_tokens) {
            Some(token) => Access::Token(token),
            None => Access::Signed(deployment::signer(&self.programs.aws, url).map_err(Failed::again)?),
        };
        Api::new(url, false, access).map_err(Failed::again)
    }

    async fn numbers(&self, country: Country, count: u32) -> Result<(State, String), Failed> {
        let agrees = |cost: &str| {
            eprint!("{}", if self.wishes.may_rent { "" } else { cost });
            self.wishes.may_rent || self.terminal.agrees("Rent them?")
        };
        numbers::order(&self.api()?, country, count, agrees).await.map_err(|error| match error {
            NumbersError::NotAgreed(_) => {
                Failed(error.to_string(), "Add --yes to rent them, or --numbers 0 for none.".to_owned())
            }
            NumbersError::None(_) => {
                let todo = "docs/numbers.md says what to do about each reason. Then run the same command again.";
                Failed(error.to_string(), todo.to_owned())
            }
            NumbersError::Api(_) => Failed::again(error),
        })
    }

    async fn first_call(&mut self) -> Result<(State, String), Failed> {
        let [first, second] = self.arguments.call.as_slice() else {
            return Err(Failed::again("--call needs two phones"));
        };
        let api = self.api()?;
        let (state, conversation) = first_call::conversation(&api, [first, second]).await.map_err(Failed::again)?;
        let invitation = first_call::invitation(&conversation);
        let id = conversation["id"].as_str().unwrap_or_default().to_owned();
        self.conversation = Some(conversation);
        let Some(seconds) = self.arguments.wait else { return Ok((state, invitation)) };
        if !self.arguments.json {
            eprintln!("{invitation}\nWaiting for the call.");
        }
        let seconds = u64::try_from(seconds).unwrap_or_default();
        match first_call::wait(&api, &id, seconds).await.map_err(Failed::again)? {
            Some(call) => Ok((state, format!("{invitation}\n{}", first_call::connected(&call)))),
            None => Err(Failed::again(format!("{invitation}\nNo call was connected within {seconds} s"))),
        }
    }
}

fn state_of(report: &setup::Report) -> State {
    if report.is_unchanged() { State::Unchanged } else { State::Done }
}

/// Returns the name of a stack's application. Each deployment of an account needs one of its own.
pub(super) fn application_name(stack: &str) -> String {
    use crate::commands::USUAL_STACK;
    use shared::service::setup::USUAL_NAME;

    if stack == USUAL_STACK { USUAL_NAME.to_owned() } else { format!("{USUAL_NAME} {stack}") }
}
