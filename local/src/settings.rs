//! The settings of the functions in the environment of whoever starts the laptop.

use shared::config::{Environment, Source, VARIABLES, Variable};

use crate::stack::account;

/// The variables that the laptop itself sets: the addresses of its services, as its ports say, the names of its own functions, bus,
/// queues and bucket, and the key of its own application. The key of a real application stays where it is.
const OF_LAPTOP: [&str; 20] = [
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_EVENTBRIDGE",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SQS",
    "CONTROL_FUNCTION_NAME",
    "DELIVERY_QUEUE_URL",
    "EVENT_ARCHIVE_ARN",
    "EVENT_BUS_ARN",
    "EVENT_BUS_NAME",
    "GIVEN_UP_QUEUE_URL",
    "KEEP_RECORDINGS_FUNCTION_NAME",
    "RECORDINGS_BUCKET",
    "VONAGE_API_URL",
    "VONAGE_INSIGHTS_URL",
    "VONAGE_PRIVATE_KEY",
    "VONAGE_REST_URL",
    "VONAGE_VOICE_URLS",
    "PROVISION_FUNCTION_NAME",
    "WEBHOOK_RULE_ARN",
];

/// The variables that Lambda sets, and here the laptop. The credentials of a real account stay where they are.
const OF_LAMBDA: [&str; 4] = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// The variables of [`VARIABLES`] that the laptop takes from its environment.
#[derive(Clone, Default)]
pub struct Settings {
    taken: Environment,
    unused: Vec<&'static str>,
}

impl Settings {
    /// Takes the settings from `environment`. An empty variable counts as not set, as in the functions.
    pub fn of(environment: &Environment) -> Self {
        let given = VARIABLES.iter().filter_map(|variable| Some((variable.name, environment.optional(variable.name)?)));
        let given: Vec<_> = given.filter(|(name, _)| !OF_LAMBDA.contains(name)).collect();
        let (unused, taken): (Vec<_>, Vec<_>) = given.into_iter().partition(|(name, _)| OF_LAPTOP.contains(name));
        Self { taken: taken.into_iter().collect(), unused: unused.into_iter().map(|(name, _)| name).collect() }
    }

    /// Sets a variable that the functions read.
    pub fn with(self, name: &str, value: &str) -> Self {
        Self { taken: self.taken.with([(name.to_owned(), value.to_owned())]), ..self }
    }

    /// Returns the variables that are set and have no effect, because the laptop's options decide.
    pub fn unused(&self) -> &[&'static str] {
        &self.unused
    }

    /// Returns the variables that have an effect.
    pub fn taken(&self) -> &Environment {
        &self.taken
    }

    /// Returns the Vonage account's API key.
    pub fn api_key(&self) -> String {
        self.or("VONAGE_API_KEY", account::API_KEY)
    }

    /// Returns the Vonage account's API secret.
    pub fn api_secret(&self) -> String {
        self.or("VONAGE_API_SECRET", account::API_SECRET)
    }

    /// Returns the secret with which the simulated Vonage signs webhooks.
    pub fn signature_secret(&self) -> String {
        self.or("VONAGE_SIGNATURE_SECRET", account::SIGNATURE_SECRET)
    }

    /// Returns the id of the Voice application.
    pub fn application_id(&self) -> String {
        self.or("VONAGE_APPLICATION_ID", account::APPLICATION_ID)
    }

    /// Returns the texts that nothing on the laptop may show: what opens the account, signs for it, or keeps hashes from being
    /// tried out.
    pub fn secrets(&self) -> Vec<String> {
        let own = [account::API_SECRET, account::SIGNATURE_SECRET, account::HASH_KEY, account::PRIVATE_KEY];
        let is_secret =
            |variable: &&Variable| matches!(variable.source, Source::Secret(_)) || variable.name == "HASH_KEY";
        let taken = VARIABLES.iter().filter(is_secret).filter_map(|variable| self.taken.optional(variable.name));
        own.map(str::to_owned).into_iter().chain(taken).collect()
    }

    fn or(&self, name: &str, own: &str) -> String {
        self.taken.optional(name).unwrap_or_else(|| own.to_owned())
    }
}
