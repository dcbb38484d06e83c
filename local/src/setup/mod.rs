//! `maskline setup`: sets a Vonage account up for a deployment, before there is one, and again after it.
//!
//! It does not start the laptop stack. The requests go to the account of the environment, which may be the simulator's.

mod key;
mod report;
pub(crate) mod secret;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use shared::config::{Environment, VonageConfig};
use shared::service::setup::{BY_HAND, Done, Setup, SetupError, USUAL_NAME};
use shared::vonage::Vonage;
use shared::vonage::application::Wanted;
use shared::vonage::applications::ApplicationsApi;
use shared::vonage::public_key::PublicKey;

use crate::aws_command::AwsCommand;
use key::KeyState;
pub(crate) use report::Fate;
pub use report::Report;
use secret::Stored;

/// The options of the command.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Make the changes; without it they are only shown
    #[arg(long)]
    pub apply: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Name of the application if VONAGE_APPLICATION_ID names none: it is found by it, or made
    #[arg(long, default_value = USUAL_NAME)]
    pub name: String,
    /// URL of the deployment (its output ApiUrl), for the webhooks; before the first deployment there is none. Or PUBLIC_URL
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Region that is to hold the calls, such as eu-west. Or VONAGE_REGION
    #[arg(long)]
    pub region: Option<String>,
    /// File with the application's private key; it is made if the application is made
    #[arg(long, value_name = "FILE", default_value = "maskline-private.pem")]
    pub private_key: PathBuf,
    /// Replace another public key of the application; whoever signs with its private half is refused from then on
    #[arg(long)]
    pub replace_key: bool,
    /// Take the application over from another deployment or program
    #[arg(long)]
    pub take_over: bool,
    /// Put the secrets into this secret of AWS Secrets Manager, by the program `aws` and its credentials; its other members stay
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// AWS profile for --secret; by default that of the environment
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// AWS region for --secret; by default that of the profile
    #[arg(long, value_name = "REGION")]
    pub aws_region: Option<String>,
    /// The program `aws`
    #[arg(long, value_name = "PROGRAM", default_value = "aws", hide = true)]
    pub aws: PathBuf,
}

/// Sets the account of `environment` up, or shows what that would change.
///
/// # Errors
/// Returns what is missing or was refused, and what to do about it. What was done before stays, and the next run goes on.
pub async fn run(arguments: &Arguments, environment: &Environment) -> Result<Report, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let given = [("PUBLIC_URL", &arguments.public_url), ("VONAGE_REGION", &arguments.region)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    let environment = environment.clone().with(given);
    let api = VonageConfig::from_environment(&environment).map_err(|error| {
        format!("{error}; VONAGE_API_KEY and VONAGE_API_SECRET are in Vonage's Dashboard, under \"API settings\"")
    })?;
    let api = ApplicationsApi(Vonage::new(api));
    let id = environment.optional("VONAGE_APPLICATION_ID");
    let public_url = environment.public_url().map_err(|error| text(&error))?;
    let region = environment.vonage_region().map_err(|error| text(&error))?;
    let mut key = key::read(&arguments.private_key)?;
    let mut key_state = if key.is_some() { KeyState::Kept } else { KeyState::NotNeeded };
    if key.is_none() && arguments.replace_key {
        (key, key_state) = key::make(&arguments.private_key, arguments.apply)?;
    }
    let public = key.as_deref().map(public_half).transpose()?;
    let setup = Setup {
        id: id.as_deref(),
        name: &arguments.name,
        wanted: Wanted {
            public_url: public_url.as_deref(),
            timeouts: true,
            region: region.as_deref(),
            public_key: public.as_ref(),
        },
        other_url: None,
        take_over: arguments.take_over,
        replace_key: arguments.replace_key,
        dry_run: !arguments.apply,
        now: jiff::Timestamp::now(),
    };
    let mut done = setup.run(&api).await;
    if matches!(done, Err(SetupError::KeyNeeded)) {
        // Only now is it sure that an application is made. The key is kept first, so that no application has one that is lost.
        (key, key_state) = key::make(&arguments.private_key, arguments.apply)?;
        let public = key.as_deref().map(public_half).transpose()?;
        let wanted = Wanted { public_key: public.as_ref(), ..setup.wanted };
        done = Setup { wanted, ..setup }.run(&api).await;
    }
    let mut done = done.map_err(|error| explained(&error))?;
    if key_state == KeyState::WouldBeMade {
        hide_key(&mut done);
    }
    let (stored, secret_version) = match &arguments.secret {
        Some(name) => {
            let (profile, region) = (arguments.profile.as_deref(), arguments.aws_region.as_deref());
            let aws = AwsCommand { program: &arguments.aws, profile, region };
            secret::store(&aws, name, &members(&environment, key.as_deref()), arguments.apply)?
        }
        None => (Stored::Not, None),
    };
    Ok(Report {
        application: done,
        api_key: environment.required("VONAGE_API_KEY").map_err(|error| text(&error))?,
        dry_run: !arguments.apply,
        key_file: arguments.private_key.clone(),
        key: key_state,
        secret_name: arguments.secret.clone(),
        secret: stored,
        secret_version,
        has_url: public_url.is_some(),
        by_hand: &BY_HAND,
    })
}

fn public_half(private_key: &str) -> Result<PublicKey, String> {
    PublicKey::of_private_key(private_key)
        .ok_or_else(|| "the private key must be an RSA key of 2048 to 4096 bits in PEM (PKCS#8 or PKCS#1)".to_owned())
}

/// Shows no key that is thrown away after a dry run.
fn hide_key(done: &mut Done) {
    for change in done.changes.iter_mut().filter(|change| change.what == "public_key") {
        change.now = json!("of a new key pair");
    }
}

/// Returns the members of the deployment's secret that are known here.
fn members(environment: &Environment, private_key: Option<&str>) -> Vec<(&'static str, String)> {
    let signature = environment.optional("VONAGE_SIGNATURE_SECRET");
    let known = [
        ("api_secret", environment.optional("VONAGE_API_SECRET")),
        ("signature_secret", signature),
        ("private_key", private_key.map(str::to_owned)),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Returns an error with the way out of it.
fn explained(error: &SetupError) -> String {
    let todo = match error {
        SetupError::ServesAnother(_) => {
            "if that is meant, give --take-over; if its URL leads to this deployment, give that as --public-url; or else \
             choose another --name"
        }
        SetupError::OtherKey(_) => {
            "give the file of its private half as --private-key, or --replace-key, which ends the other key at once"
        }
        SetupError::Ambiguous(_) => "set VONAGE_APPLICATION_ID to the one that is meant, or choose another --name",
        SetupError::Contended => "run it again in a minute, in which what a crash left behind is given up",
        SetupError::Vonage(shared::vonage::VonageError::Unauthorized) => "check VONAGE_API_KEY and VONAGE_API_SECRET",
        SetupError::KeyNeeded | SetupError::Vonage(_) => "run it again; what is done stays",
    };
    format!("{error}; {todo}")
}
