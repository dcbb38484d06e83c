//! Configuration from environment variables.
//!
//! A function reads all its variables when it starts. A missing or malformed variable stops it with an error that names
//! the variable. [`VARIABLES`] lists them.

mod decisions;
mod event_delivery;
mod voice;
mod words;

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use rust_decimal::Decimal;

use crate::domain::call_handling::CallHandling;
use crate::domain::call_limits::CallLimits;
use crate::domain::channel::{BrandSenders, Channel};
use crate::domain::country::{Country, CountryCounts, NotCountryCounts};
use crate::domain::listing::ListKey;
use crate::domain::pace::Pace;
use crate::domain::phone::PhoneNumber;
use crate::domain::phone::dial_policy::DialPolicy;
use crate::domain::pin::PinKey;
use crate::domain::quiet_hours::UsualQuietHours;
use crate::domain::retention::Retention;
use crate::domain::support::SupportPhone;
use crate::domain::text_masking::TextMasking;
use crate::domain::usage::{MaxCount, MaxSpend, UsageLimits};

pub use decisions::{DecisionUrls, UrlNotAllowed};
pub use voice::VoiceConfig;

/// An environment variable that the functions read.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The name.
    pub name: &'static str,
    /// The part of the deployment that sets the variable.
    pub source: Source,
    /// The value of a variable that is not set or empty.
    pub default: DefaultValue,
    /// The meaning, with its unit and limits.
    pub meaning: &'static str,
}

/// The part of a deployment that sets a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This parameter of the template.
    Parameter(&'static str),
    /// This member of the secret that the template's parameter `VonageSecret` names.
    Secret(&'static str),
    /// The template itself, or nothing.
    Template,
    /// Lambda.
    Lambda,
}

/// The value of a variable that is not set or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// None: the function does not start.
    Required,
    /// This value.
    Value(&'static str),
    /// No value, with this meaning.
    Unset(&'static str),
}

/// All environment variables that the functions read. `docs/configuration.md` and the descriptions of the template's
/// parameters repeat this table, and a test compares them.
#[rustfmt::skip]
pub const VARIABLES: [Variable; 93] = {
    use DefaultValue::{Required, Unset, Value};
    use Source::{Lambda, Parameter, Secret, Template};

    const fn variable(name: &'static str, source: Source, default: DefaultValue, meaning: &'static str) -> Variable {
        Variable { name, source, default, meaning }
    }

    [
        variable("TABLE_NAME", Template, Required, "Name of the DynamoDB table"),
        variable("JOURNAL_TABLE_NAME", Template, Required,
            "Name of the DynamoDB table with the journal, which a restored table needs"),
        variable("AWS_ENDPOINT_URL_DYNAMODB", Template, Unset("the endpoint of the region"), "URL of DynamoDB"),
        variable("DYNAMODB_TIME_LIMIT_MS", Template, Unset("1800, and 700 in the answer webhook"),
            "Time limit of one operation on the table including its retries, in milliseconds, 100 to 60000"),
        variable("VONAGE_API_KEY", Parameter("VonageApiKey"), Required, "API key of the Vonage account"),
        variable("VONAGE_API_SECRET", Secret("api_secret"), Required, "API secret of the Vonage account"),
        variable("VONAGE_APPLICATION_ID", Parameter("VonageApplicationId"), Required,
            "Id of the Voice application that rented numbers are linked to"),
        variable("VONAGE_SIGNATURE_SECRET", Secret("signature_secret"), Required,
            "Secret with which Vonage signs its webhooks"),
        variable("VONAGE_SIGNATURE_SECRET_2", Secret("signature_secret_2"), Unset("no second secret"),
            "Second valid signature secret, for the time in which one secret replaces the other"),
        variable("VONAGE_SIGNATURE_MAX_AGE_SECONDS", Parameter("SignatureMaxAgeSeconds"), Value("300"),
            "Largest difference between the time of a webhook's signature and now, in seconds"),
        variable("VONAGE_API_URL", Template, Value("https://api.nexmo.com"), "URL of Vonage's API"),
        variable("VONAGE_REST_URL", Template, Value("https://rest.nexmo.com"), "URL of Vonage's older API"),
        variable("VONAGE_INSIGHTS_URL", Parameter("InsightsUrl"), Value("https://api-eu.vonage.com"),
            "URL of Vonage's Identity Insights API, whose host says where Vonage processes the numbers"),
        variable("CALL_CONTROL", Parameter("CallControl"), Value("off"),
            "Control of running calls: on lets requests list, end and place calls and speak into them, and needs `private_key` in \
             the secret; off does not"),
        variable("CONTROL_FUNCTION_NAME", Template, Unset("no call is ended by itself"),
            "Name of the function that other functions invoke to end calls"),
        variable("VONAGE_REGION", Parameter("VonageRegion"), Unset("VONAGE_API_URL is asked first"),
            "Region of the Voice application, which is asked about its calls first: na-east, na-west, eu-east, eu-west, apac-sng or \
             apac-australia"),
        variable("VONAGE_VOICE_URLS", Template,
            Value("https://api-us-3.vonage.com,https://api-us-4.vonage.com,https://api-eu-4.vonage.com,\
                   https://api-eu-3.vonage.com,https://api-ap-3.vonage.com,https://api-ap-4.vonage.com"),
            "URLs that are asked about calls after the first one, separated by commas"),
        variable("VONAGE_CALLS_INTERVAL_MS", Template, Value("1000"),
            "Pause between two attempts to end a call, in milliseconds, 0 to 10000"),
        variable("PUBLIC_URL", Parameter("PublicUrl"), Unset("the URL of API Gateway"),
            "URL at which Vonage reaches this deployment, such as https://calls.company.example, if a domain of yours is in \
             front of API Gateway"),
        variable("VONAGE_TIME_LIMIT_MS", Template, Value("5000"),
            "Time limit of one request to Vonage including its retries, in milliseconds, 50 to 20000. One attempt may \
             use three fifths of it, and its connection three tenths"),
        variable("VONAGE_NUMBERS_INTERVAL_MS", Template, Value("1000"),
            "Least time between two requests to Vonage's Numbers API, in milliseconds, 0 to 10000"),
        variable("MAX_CALL_SECONDS", Parameter("MaxCallSeconds"), Value("7200"),
            "Longest duration of a call including ringing, in seconds, 60 to 7200"),
        variable("QUARANTINE_SECONDS", Parameter("QuarantineSeconds"), Value("86400"),
            "Time after the end of a conversation in which its numbers are not given to the same callers again, in \
             seconds, MAX_CALL_SECONDS to 2592000"),
        variable("RETENTION_DAYS", Parameter("RetentionDays"), Value("30"),
            "Days after its quarantine for which a conversation can be read. Then it is erased, also at Vonage. 0 to 365"),
        variable("HASH_KEY", Template, Required,
            "Secret of at least 32 characters, with which idempotency keys, bodies, PINs and the references of lists are hashed and links to \
             contact cards are signed. A new one forgets the requests of the last day, all PINs, all such links and all lists by reference"),
        variable("LIST_CONVERSATIONS", Parameter("ListConversations"), Value("off"),
            "Lists of conversations without a phone: on lets requests list them by reference, by number and all of them, and makes \
             each creation write three or four items more; off does neither"),
        variable("DEFAULT_MAX_CALLS", Parameter("DefaultMaxCalls"), Unset("no limit"),
            "Most calls of a conversation that has no max_calls of its own, 1 to 1000000"),
        variable("DEFAULT_MAX_CALLS_PER_DAY", Parameter("DefaultMaxCallsPerDay"), Unset("no limit"),
            "Most calls in one day (UTC) of a conversation that has no max_calls_per_day of its own, 1 to 1000000"),
        variable("DEFAULT_MAX_MINUTES", Parameter("DefaultMaxMinutes"), Unset("no limit"),
            "Most minutes of all calls of a conversation that has no max_minutes of its own, 1 to 1000000"),
        variable("DEFAULT_MAX_SPEND_EUR", Parameter("DefaultMaxSpendEur"), Unset("no limit"),
            "Highest price of all calls of a conversation that has no max_spend of its own, in EUR, such as 5 or 2.50"),
        variable("DEFAULT_WARN_MINUTES", Parameter("DefaultWarnMinutes"), Value("0"),
            "Minutes before the end of a call's limit at which both people hear how much is left, in a conversation without \
             warn_minutes of its own, 0 to 5. 0 is no warning, and so is any with CALL_CONTROL=off"),
        variable("DEFAULT_GUARD", Parameter("DefaultGuard"), Value("none"),
            "Guard of a conversation that has no guard of its own: none, press_1 or detect"),
        variable("DEFAULT_MISSED_CALLS", Parameter("DefaultMissedCalls"), Unset("the call just ends"),
            "What is done about a call that nobody takes, in a conversation without missed_calls of its own: a list of say, \
             text, call_back and voicemail, such as say,text"),
        variable("DEFAULT_RECORDING", Parameter("DefaultRecording"), Value("off"),
            "Recording of the calls of a conversation that has no recording of its own: off, announce or consent"),
        variable("DEFAULT_SAFETY_KEY", Parameter("DefaultSafetyKey"), Value("off"),
            "on lets callers press *9 to block the other side, in a conversation without safety_key of its own; or off"),
        variable("DEFAULT_TEXT_MASKING", Parameter("DefaultTextMasking"), Value("off"),
            "Masking of phone numbers, e-mail addresses and links in the texts of a conversation that has no text_masking of its own: \
             off, redact or refuse"),
        variable("QUIET_HOURS", Parameter("QuietHours"), Unset("none"),
            "Hours in which your texts and the invitations of new conversations are not sent, such as 22:00-07:00 Europe/London. The \
             time zone is that of the hours of the participant's phone, or else this one"),
        variable("TEXTS_BY", Parameter("TextsBy"), Value("sms-api"),
            "Vonage's API that sends texts: sms-api, or messages-api, which needs `private_key` in the secret"),
        variable("WHATSAPP_SENDER", Parameter("WhatsAppSender"), Unset("no texts by WhatsApp"),
            "Your sender on WhatsApp, a phone number such as +442079460000, to which people may write; only with messages-api"),
        variable("RCS_SENDER", Parameter("RcsSender"), Unset("no texts by RCS"),
            "Your sender on RCS, a name such as Rides, to which people may write; only with messages-api"),
        variable("WHATSAPP_TEMPLATES", Parameter("WhatsAppTemplates"), Unset("no templates"),
            "Your templates on WhatsApp, a JSON object with the names of those for `text`, `invitation`, `notice` and `call`, and with \
             `locales` by language; only with a sender on WhatsApp"),
        variable("KEEP_TEXTS", Parameter("KeepTexts"), Value("off"),
            "on keeps the words of the texts that are passed on, as long as their conversation, and shows them to your backend; \
             off stores them nowhere"),
        variable("DEFAULT_LOST_PROPERTY", Parameter("DefaultLostProperty"), Value("off"),
            "on lets late callers press 1 because of lost property, in a conversation without lost_property of its own; or off"),
        variable("RECORDING_DAYS", Parameter("RecordingDays"), Value("0"),
            "Days for which recordings are kept, 0 to 365; 0 means that nothing is recorded. Recordings need the private key of \
             the Voice application"),
        variable("RECORDINGS_BUCKET", Template, Unset("no recordings"), "Name of the S3 bucket with the files of recordings"),
        variable("AWS_ENDPOINT_URL_S3", Template, Unset("the endpoint of the region"), "URL of S3, for that bucket"),
        variable("KEEP_RECORDINGS_FUNCTION_NAME", Template, Unset("only the schedule fetches recordings"),
            "Name of the function that the event webhook invokes to fetch a recording"),
        variable("VONAGE_RECORDING_DOMAINS", Template, Value("nexmo.com,vonage.com"),
            "Domains at whose hosts recordings may be. The application's token is sent nowhere else"),
        variable("DEFAULT_LANGUAGE", Parameter("DefaultLanguage"), Value("en"),
            "Language of calls and text messages for people whose language is neither given nor guessed, such as en or pt-BR"),
        variable("BRAND", Parameter("Brand"), Unset("no name"),
            "Your name for {brand} in your own sentences, at most 40 characters"),
        variable("WORDS_FILE", Template, Unset("the sentences and voices that are built in"),
            "Path of a JSON file with sentences and voices of your own"),
        variable("SUPPORT_PHONE", Parameter("SupportPhone"), Unset("they hear words"),
            "Phone that callers without a conversation and late callers of an ended one reach, such as +442079460000"),
        variable("SUPPORT_PHONE_FOR_HIDDEN", Parameter("SupportPhoneForHidden"), Value("off"),
            "Fate of callers whose number is withheld or cannot be read: on lets them reach SUPPORT_PHONE too, off does not"),
        variable("PINS", Parameter("Pins"), Value("off"),
            "PINs for callers from other phones: on asks callers who are not known for one and lets conversations have them, off \
             does not"),
        variable("DECISIONS", Parameter("Decisions"), Value("off"),
            "Decisions of your backend about calls: on lets conversations name a decision URL, all also asks the first of \
             `decision_urls` about strangers and late callers, off does neither. Both need `decision_urls` and `decision_secret` \
             in the secret"),
        variable("DECISION_URLS", Secret("decision_urls"), Unset("required unless `DECISIONS=off`"),
            "URLs that conversations may name, separated by commas, such as https://backend.example/decide; one that ends with a \
             slash allows all below it"),
        variable("DECISION_SECRET", Secret("decision_secret"), Unset("required unless `DECISIONS=off`"),
            "Secret that signs the questions to your backend, whsec_ and 24 to 64 bytes in base64; two with a comma between them, \
             while one replaces the other"),
        variable("DECISION_TIME_LIMIT_MS", Template, Value("1000"),
            "Time for your backend's answer, with the connection, in milliseconds, 50 to 3000"),
        variable("WEBHOOK_URL", Parameter("WebhookUrl"), Unset("no event is sent by HTTP"),
            "URL of your backend to which every event is sent, such as https://backend.example/events. It needs `webhook_secret` \
             in the secret"),
        variable("WEBHOOK_SECRET", Secret("webhook_secret"), Unset("required if `WEBHOOK_URL` is set"),
            "Secret that signs the events, whsec_ and 24 to 64 bytes in base64; two with a comma between them, while one replaces \
             the other"),
        variable("WEBHOOK_TIME_LIMIT_MS", Template, Value("15000"),
            "Time for your backend to take an event, with the connection, in milliseconds, 50 to 20000"),
        variable("DELIVERY_QUEUE_URL", Template, Unset("required if `WEBHOOK_URL` is set"),
            "URL of the SQS queue with the events that are to be sent"),
        variable("GIVEN_UP_QUEUE_URL", Template, Unset("required if `WEBHOOK_URL` is set"),
            "URL of the SQS queue with the events that were given up"),
        variable("AWS_ENDPOINT_URL_SQS", Template, Unset("the endpoint of the region"), "URL of SQS"),
        variable("EVENT_BUS_ARN", Template, Unset("required if `WEBHOOK_URL` is set"), "ARN of the event bus"),
        variable("EVENT_ARCHIVE_ARN", Template, Unset("required if `WEBHOOK_URL` is set"),
            "ARN of the archive from which events are replayed"),
        variable("WEBHOOK_RULE_ARN", Template, Unset("required if `WEBHOOK_URL` is set"),
            "ARN of the rule that brings events to that queue"),
        variable("MAX_CALLS_PER_SECOND", Parameter("MaxCallsPerSecond"), Value("0"),
            "Most phones that are called in a second, 1 to 500; callers above it wait, and 0 lets nobody wait. Vonage refuses more than \
             3 in a second unless it has raised the limit of your account"),
        variable("NUMBER_LOOKUP", Parameter("NumberLookup"), Value("numbering-plan"),
            "Judge of participants' phone numbers: identity-insights, number-insight (until 4 February 2027) or \
             numbering-plan, which asks nobody"),
        variable("LOOKUP_CARRIER", Parameter("LookupCarrier"), Value("off"),
            "Carriers of participants' phones: on asks Identity Insights for them, at a price, so that the health of numbers is \
             known for each carrier"),
        variable("WHEN_LOOKUP_FAILS", Parameter("WhenLookupFails"), Value("accept"),
            "Fate of a phone number about which Vonage gives no verdict: accept takes it if the numbering plan holds it \
             valid, refuse refuses it"),
        variable("VONAGE_PRIVATE_KEY", Secret("private_key"), Unset("required with `NUMBER_LOOKUP=identity-insights`, `CALL_CONTROL=on`, `RECORDING_DAYS` and `TEXTS_BY=messages-api`"),
            "Private key of the Voice application, RSA in PEM, which signs the requests to Identity Insights and the Messages API, about \
             running calls and for recordings"),
        variable("CALLABLE_COUNTRIES", Parameter("CallableCountries"), Unset("the countries of the pool's calling codes"),
            "Countries whose phone numbers participants may have, such as GB,US; * allows all countries, at any price"),
        variable("FALLBACK_COUNTRIES", Parameter("FallbackCountries"), Unset("no other country"),
            "Countries whose numbers participants of any country get if neither their country nor another one with \
             its calling code has a free number, in this order, such as GB,US"),
        variable("AUTO_RENT_MAX", Parameter("AutoRentMax"), Unset("no renting without an order"),
            "Largest number of numbers per country up to which numbers are rented without an order, such as \
             GB=20,US=5"),
        variable("PROVISION_FUNCTION_NAME", Template, Unset("required with `AUTO_RENT_MAX`"),
            "Name of the function that `POST /conversations` invokes to rent without an order, and to check a number from \
             which Vonage refuses text messages"),
        variable("AWS_ENDPOINT_URL_LAMBDA", Template, Unset("the endpoint of the region"),
            "URL of Lambda's API, for those invocations"),
        variable("HEADROOM", Parameter("Headroom"), Unset("no headroom"),
            "Ready numbers per country that the schedule keeps beyond the peak usage of one caller, such as GB=2"),
        variable("HEAL_LOST_NUMBERS", Parameter("HealLostNumbers"), Value("on"),
            "Fate of live conversations on a number that Vonage took away: on gives their participants another number and \
             texts it to them, off only reports them"),
        variable("ROTATE_UNHEALTHY", Parameter("RotateUnhealthy"), Value("off"),
            "Fate of a number whose calls far fewer people answer than those of the other numbers: on rotates it, off only \
             reports it"),
        variable("TENANT_CLAIM", Parameter("TenantClaim"), Unset("each token reaches all tenants"),
            "Claim of a token that names the tenant under whose path /t/ it may be used; * is the deployment itself, and a token \
             without the claim is refused"),
        variable("REVEAL_NUMBERS", Parameter("RevealNumbers"), Value("all"),
            "Callers of the API who see real numbers in answers: all, or permitted, which are tokens with the scope maskline/reveal and \
             REVEAL_ROLES; all others see the calling code and the last digits"),
        variable("REVEAL_ROLES", Parameter("RevealRoles"), Unset("no role"),
            "Roles and users of IAM who see real numbers with REVEAL_NUMBERS=permitted, ARNs such as \
             arn:aws:iam::111122223333:role/support-lead, separated by commas"),
        variable("EVENT_BUS_NAME", Template, Unset("events about lost numbers are only logged"),
            "Name of the EventBridge bus for events about lost numbers"),
        variable("AWS_ENDPOINT_URL_EVENTBRIDGE", Template, Unset("the endpoint of the region"),
            "URL of EventBridge's API, for those events"),
        variable("MONTHLY_BUDGET_EUR", Parameter("MonthlyBudgetEur"), Unset("no limit"),
            "Largest monthly rent of all numbers, in EUR, such as 100 or 12.50"),
        variable("SSL_CERT_FILE", Template,
            Unset("Amazon's authorities for the table and Mozilla's list for Vonage, both built in"),
            "Path of a file with PEM certificates of the authorities that TLS trusts, for example that of a \
             company's proxy"),
        variable("AWS_REGION", Lambda, Required, "AWS region"),
        variable("AWS_ACCESS_KEY_ID", Lambda, Required, "Credentials of the function's role"),
        variable("AWS_SECRET_ACCESS_KEY", Lambda, Required, "Credentials of the function's role"),
        variable("AWS_SESSION_TOKEN", Lambda, Unset("no session token"), "Credentials of the function's role"),
        variable("AWS_LAMBDA_LOG_LEVEL", Lambda, Value("INFO"),
            "Lowest level that is logged. No level below INFO is compiled in. Above INFO most metrics are missing, \
             because they are part of the log line of a request"),
        variable("AWS_XRAY_DAEMON_ADDRESS", Lambda, Unset("no traces"),
            "Address of X-Ray's daemon, which gets the traces that are sampled. One that cannot be read is no error: then there are \
             no traces"),
    ]
};

/// Returns the default value of the variable `name`.
fn default_value(name: &str) -> Option<&'static str> {
    let variable = VARIABLES.iter().find(|variable| variable.name == name)?;
    match variable.default {
        DefaultValue::Value(value) => Some(value),
        DefaultValue::Required | DefaultValue::Unset(_) => None,
    }
}

/// Environment variables: those of this process, or those that the local stack or a test sets.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

/// The error of a missing or malformed variable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The variable is required and not set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// The value does not have the expected form. The error does not contain the value, because it may be a secret.
    #[error("the environment variable {name} is malformed: {expected}")]
    Malformed {
        /// The variable.
        name: &'static str,
        /// The expected form, such as "must be from 1 to 5 seconds".
        expected: String,
    },
}

impl Environment {
    /// Returns the variables of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Iterates over names and values, to pass them to another process.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Replaces and adds variables.
    pub fn with(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.0.extend(variables);
        self
    }

    /// Returns the variable `name`. An empty variable counts as not set, because a template cannot omit a variable.
    pub fn optional(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// Returns the variable `name`, or its default value from [`VARIABLES`].
    pub fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.optional(name).or_else(|| default_value(name).map(str::to_owned)).ok_or(ConfigError::Missing(name))
    }

    fn parsed<T: FromStr>(&self, name: &'static str, expected: &str) -> Result<Option<T>, ConfigError> {
        let malformed = |_| ConfigError::Malformed { name, expected: expected.to_owned() };
        self.optional(name).map(|value| value.parse().map_err(malformed)).transpose()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Vonage's API that sends texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextsBy {
    /// The SMS API, with the credentials of the account.
    SmsApi,
    /// The Messages API, with the application's key.
    MessagesApi,
}

/// Durations of calls and quarantines that apply unless a conversation has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durations {
    /// Longest duration of a call, from its first announcement to its end, in seconds.
    pub max_call_seconds: u32,
    /// Time after the end of a conversation in which its route keys are not used again, in seconds.
    pub quarantine_seconds: u32,
    /// Minutes before the end of a call's limit at which both people hear how much is left; 0 is no warning. `None` if this
    /// deployment does not control calls.
    pub warn_minutes: Option<u8>,
}

impl Durations {
    /// Longest quarantine: 30 days.
    const MAX_QUARANTINE_SECONDS: u32 = 30 * 86_400;

    /// Returns the range of quarantines for calls with these limits, in seconds. A quarantine is never shorter than the
    /// longest call, so that the last event of a call still finds its conversation.
    pub fn allowed_quarantines(limits: CallLimits) -> RangeInclusive<u32> {
        limits.max_call_seconds..=Self::MAX_QUARANTINE_SECONDS
    }

    /// Returns the range of a conversation's own longest call, in seconds.
    pub fn allowed_max_call_seconds(self) -> RangeInclusive<u32> {
        CallLimits::MIN_CALL_SECONDS..=self.max_call_seconds
    }

    /// Reads `MAX_CALL_SECONDS`, `QUARANTINE_SECONDS`, `DEFAULT_WARN_MINUTES` and `CALL_CONTROL`.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        let calls = CallLimits::MIN_CALL_SECONDS..=CallLimits::MAX_CALL_SECONDS;
        let max_call_seconds = in_range(env, "MAX_CALL_SECONDS", calls, "seconds")?;
        let quarantines = max_call_seconds..=Self::MAX_QUARANTINE_SECONDS;
        let quarantine_seconds = in_range(env, "QUARANTINE_SECONDS", quarantines, "seconds")?;
        let minutes = in_range(env, "DEFAULT_WARN_MINUTES", 0..=CallLimits::MAX_WARN_MINUTES.into(), "minutes")?;
        let warn_minutes = if env.controls_calls()? { u8::try_from(minutes).ok() } else { None };
        Ok(Self { max_call_seconds, quarantine_seconds, warn_minutes })
    }
}

impl Environment {
    /// Reads a count per country, from `AUTO_RENT_MAX` or `HEADROOM`.
    pub fn country_counts(&self, name: &'static str) -> Result<CountryCounts, ConfigError> {
        let Some(list) = self.optional(name) else { return Ok(CountryCounts::default()) };
        list.parse().map_err(|error: NotCountryCounts| ConfigError::Malformed { name, expected: error.to_string() })
    }

    /// Reads `CALLABLE_COUNTRIES`, and `AUTO_RENT_MAX` if it is not set.
    pub fn dial_policy(&self) -> Result<DialPolicy, ConfigError> {
        match self.optional("CALLABLE_COUNTRIES").as_deref().map(str::trim) {
            Some("*") => Ok(DialPolicy::All),
            Some(_) => self.countries("CALLABLE_COUNTRIES").map(DialPolicy::Named),
            None => {
                let counts = self.country_counts("AUTO_RENT_MAX")?;
                let may_rent = counts.iter().filter(|(_, count)| *count > 0).map(|(country, _)| country).collect();
                Ok(DialPolicy::OfPool { may_rent })
            }
        }
    }

    /// Reads a list of countries, from `FALLBACK_COUNTRIES` or `CALLABLE_COUNTRIES`.
    pub fn countries(&self, name: &'static str) -> Result<Vec<Country>, ConfigError> {
        let malformed = |error| ConfigError::Malformed {
            name,
            expected: format!("must be a list such as GB,US, and an entry is {error}"),
        };
        let list = self.optional(name).unwrap_or_default();
        let codes = list.split(',').map(str::trim).filter(|code| !code.is_empty());
        codes.map(|code| Country::try_from(code).map_err(malformed)).collect()
    }

    /// Reads `AWS_XRAY_DAEMON_ADDRESS`, the address of X-Ray's daemon.
    pub fn xray_daemon(&self) -> Option<String> {
        self.optional("AWS_XRAY_DAEMON_ADDRESS")
    }

    /// Reads `PUBLIC_URL`, without a slash at its end.
    pub fn public_url(&self) -> Result<Option<String>, ConfigError> {
        self.optional("PUBLIC_URL").map(|_| base_url(self, "PUBLIC_URL")).transpose()
    }

    /// Reads `HEAL_LOST_NUMBERS`. True if it is on.
    pub fn heals_lost_numbers(&self) -> Result<bool, ConfigError> {
        self.is_on("HEAL_LOST_NUMBERS")
    }

    /// Reads `LOOKUP_CARRIER`. True if it is on.
    pub fn asks_carrier(&self) -> Result<bool, ConfigError> {
        self.is_on("LOOKUP_CARRIER")
    }

    /// Reads `ROTATE_UNHEALTHY`. True if it is on.
    pub fn rotates_unhealthy_numbers(&self) -> Result<bool, ConfigError> {
        self.is_on("ROTATE_UNHEALTHY")
    }

    /// Reads `PINS`. True if they are on.
    pub fn has_pins(&self) -> Result<bool, ConfigError> {
        self.is_on("PINS")
    }

    /// Reads `PINS` and, if they are on, their secret, which is derived from `HASH_KEY`.
    pub fn pin_key(&self) -> Result<Option<PinKey>, ConfigError> {
        Ok(if self.has_pins()? { Some(PinKey::new(&self.hash_key()?.0)) } else { None })
    }

    /// Reads `LIST_CONVERSATIONS` and, if it is on, the secret of the lists, which is derived from `HASH_KEY`.
    pub fn list_key(&self) -> Result<Option<ListKey>, ConfigError> {
        Ok(if self.is_on("LIST_CONVERSATIONS")? { Some(ListKey::new(&self.hash_key()?.0)) } else { None })
    }

    /// Reads `MAX_CALLS_PER_SECOND`. `None` if nobody waits.
    pub fn pace(&self) -> Result<Option<Pace>, ConfigError> {
        let calls = in_range(self, "MAX_CALLS_PER_SECOND", 0..=Pace::MOST.into(), "calls")?;
        Ok(u16::try_from(calls).ok().and_then(Pace::of))
    }

    /// Reads `SUPPORT_PHONE`, `SUPPORT_PHONE_FOR_HIDDEN` and `MAX_CALL_SECONDS`.
    pub fn support_phone(&self) -> Result<Option<SupportPhone>, ConfigError> {
        let malformed = |name, expected: &str| ConfigError::Malformed { name, expected: expected.to_owned() };
        let for_hidden = self.is_on("SUPPORT_PHONE_FOR_HIDDEN")?;
        let Some(written) = self.optional("SUPPORT_PHONE") else { return Ok(None) };
        let digits = written.strip_prefix('+').unwrap_or(&written);
        let phone = PhoneNumber::try_from(digits);
        let phone = phone.map_err(|_| malformed("SUPPORT_PHONE", "must be a phone number such as +442079460000"))?;
        Ok(Some(SupportPhone { phone: phone.into(), for_hidden, limits: self.limits_without_conversation()? }))
    }

    /// Reads `MAX_CALL_SECONDS`, for calls that belong to no conversation.
    pub fn limits_without_conversation(&self) -> Result<CallLimits, ConfigError> {
        let calls = CallLimits::MIN_CALL_SECONDS..=CallLimits::MAX_CALL_SECONDS;
        Ok(CallLimits::with_max_call(in_range(self, "MAX_CALL_SECONDS", calls, "seconds")?))
    }

    /// Reads `CALL_CONTROL`. True if it is on.
    pub fn controls_calls(&self) -> Result<bool, ConfigError> {
        self.is_on("CALL_CONTROL")
    }

    /// Reads `DEFAULT_LOST_PROPERTY`. True if it is on.
    pub fn cares_for_lost_property(&self) -> Result<bool, ConfigError> {
        self.is_on("DEFAULT_LOST_PROPERTY")
    }

    /// Reads `TEXTS_BY`.
    pub fn texts_by(&self) -> Result<TextsBy, ConfigError> {
        match self.required("TEXTS_BY")?.as_str() {
            "sms-api" => Ok(TextsBy::SmsApi),
            "messages-api" => Ok(TextsBy::MessagesApi),
            _ => {
                Err(ConfigError::Malformed { name: "TEXTS_BY", expected: "must be sms-api or messages-api".to_owned() })
            }
        }
    }

    /// Reads `WHATSAPP_SENDER`, `WHATSAPP_TEMPLATES` and `RCS_SENDER`.
    pub fn brand_senders(&self) -> Result<BrandSenders, ConfigError> {
        let mut senders = BrandSenders::default();
        let whatsapp = ("WHATSAPP_SENDER", Channel::WhatsApp, self.optional("WHATSAPP_SENDER"));
        let rcs = ("RCS_SENDER", Channel::Rcs, self.optional("RCS_SENDER"));
        for (name, channel, written) in [whatsapp, rcs] {
            let Some(written) = written else { continue };
            let malformed = |expected: String| ConfigError::Malformed { name, expected };
            senders.set(channel, &written).map_err(|error| malformed(error.to_string()))?;
            if self.texts_by()? != TextsBy::MessagesApi {
                return Err(malformed("needs TEXTS_BY=messages-api".to_owned()));
            }
        }
        if let Some(written) = self.optional("WHATSAPP_TEMPLATES") {
            let malformed = |expected: String| ConfigError::Malformed { name: "WHATSAPP_TEMPLATES", expected };
            if senders.of(Channel::WhatsApp).is_none() {
                return Err(malformed("needs WHATSAPP_SENDER".to_owned()));
            }
            let example = r#"must be a JSON object such as {"text": "ride_text", "locales": {"en": "en_GB"}}"#;
            senders.set_templates(serde_json::from_str(&written).map_err(|_| malformed(example.to_owned()))?);
        }
        Ok(senders)
    }

    /// Reads `KEEP_TEXTS`. True if it is on.
    pub fn keeps_texts(&self) -> Result<bool, ConfigError> {
        self.is_on("KEEP_TEXTS")
    }

    /// Reads `QUIET_HOURS`.
    pub fn quiet_hours(&self) -> Result<Option<UsualQuietHours>, ConfigError> {
        let Some(written) = self.optional("QUIET_HOURS") else { return Ok(None) };
        let malformed = |_| {
            let expected = "must be two times and a time zone, such as 22:00-07:00 Europe/London".to_owned();
            ConfigError::Malformed { name: "QUIET_HOURS", expected }
        };
        UsualQuietHours::try_from(&*written).map(Some).map_err(malformed)
    }

    /// Reads `DEFAULT_TEXT_MASKING`.
    pub fn text_masking(&self) -> Result<TextMasking, ConfigError> {
        let malformed =
            |expected: &str| ConfigError::Malformed { name: "DEFAULT_TEXT_MASKING", expected: expected.to_owned() };
        serde_json::from_value(self.required("DEFAULT_TEXT_MASKING")?.into())
            .map_err(|_| malformed("must be off, redact or refuse"))
    }

    /// Reads a variable that is on or off.
    fn is_on(&self, name: &'static str) -> Result<bool, ConfigError> {
        match self.required(name)?.as_str() {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(ConfigError::Malformed { name, expected: "must be on or off".to_owned() }),
        }
    }

    /// Reads `MONTHLY_BUDGET_EUR`.
    pub fn monthly_budget(&self) -> Result<Option<Decimal>, ConfigError> {
        const EXPECTED: &str = "must be an amount in EUR that is not negative, such as 100 or 12.50";
        match self.parsed::<Decimal>("MONTHLY_BUDGET_EUR", EXPECTED)? {
            Some(budget) if budget.is_sign_negative() => {
                Err(ConfigError::Malformed { name: "MONTHLY_BUDGET_EUR", expected: EXPECTED.to_owned() })
            }
            budget => Ok(budget),
        }
    }

    /// Reads `DEFAULT_MAX_CALLS`, `DEFAULT_MAX_CALLS_PER_DAY`, `DEFAULT_MAX_MINUTES` and `DEFAULT_MAX_SPEND_EUR`.
    pub fn usage_limits(&self) -> Result<UsageLimits, ConfigError> {
        let count = |count: u64| MaxCount::try_from(count).map_err(|error| error.to_string());
        let spend = |amount: Decimal| MaxSpend::try_from(amount).map_err(|error| error.to_string());
        Ok(UsageLimits {
            max_calls: self.usage_limit("DEFAULT_MAX_CALLS", count)?,
            max_calls_per_day: self.usage_limit("DEFAULT_MAX_CALLS_PER_DAY", count)?,
            max_minutes: self.usage_limit("DEFAULT_MAX_MINUTES", count)?,
            max_spend: self.usage_limit("DEFAULT_MAX_SPEND_EUR", spend)?,
        })
    }

    /// Reads `RECORDING_DAYS`: the time for which recordings are kept, or `None` if nothing is recorded.
    pub fn recordings_kept_for(&self) -> Result<Option<SignedDuration>, ConfigError> {
        let days = in_range(self, "RECORDING_DAYS", 0..=365, "days")?;
        Ok((days > 0).then(|| SignedDuration::from_hours(24 * i64::from(days))))
    }

    /// Reads `DEFAULT_GUARD`, `DEFAULT_MISSED_CALLS`, `DEFAULT_RECORDING`, `DEFAULT_SAFETY_KEY` and `RECORDING_DAYS`.
    pub fn call_handling(&self) -> Result<CallHandling, ConfigError> {
        let guard = self.required("DEFAULT_GUARD")?;
        let missed = self.optional("DEFAULT_MISSED_CALLS").unwrap_or_default();
        let missed: Vec<_> = missed.split(',').map(str::trim).filter(|measure| !measure.is_empty()).collect();
        let malformed = |name, expected: &str| ConfigError::Malformed { name, expected: expected.to_owned() };
        let handling = CallHandling {
            guard: serde_json::from_value(guard.into())
                .map_err(|_| malformed("DEFAULT_GUARD", "must be none, press_1 or detect"))?,
            missed_calls: serde_json::from_value(missed.into()).map_err(|_| {
                malformed("DEFAULT_MISSED_CALLS", "must be a list of say, text, call_back and voicemail")
            })?,
            recording: serde_json::from_value(self.required("DEFAULT_RECORDING")?.into())
                .map_err(|_| malformed("DEFAULT_RECORDING", "must be off, announce or consent"))?,
            safety_key: self.is_on("DEFAULT_SAFETY_KEY")?,
            ..CallHandling::default()
        };
        match self.recordings_kept_for()? {
            None if !handling.recording.is_off() => {
                Err(malformed("DEFAULT_RECORDING", "must be off while RECORDING_DAYS is 0"))
            }
            None if handling.records() => {
                Err(malformed("DEFAULT_MISSED_CALLS", "must not have voicemail while RECORDING_DAYS is 0"))
            }
            _ => Ok(handling),
        }
    }

    fn usage_limit<N: FromStr, T>(
        &self,
        name: &'static str,
        limit: impl Fn(N) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let limit = self.parsed(name, "must be a number")?.map(limit).transpose();
        limit.map_err(|expected| ConfigError::Malformed { name, expected })
    }

    /// Reads `RETENTION_DAYS`.
    pub fn retention(&self) -> Result<Retention, ConfigError> {
        let days = in_range(self, "RETENTION_DAYS", 0..=Retention::MAX_DAYS.into(), "days")?;
        Ok(Retention::of_days(u16::try_from(days).unwrap_or(Retention::MAX_DAYS)))
    }

    /// Reads `HASH_KEY`.
    pub fn hash_key(&self) -> Result<Secret, ConfigError> {
        const SHORTEST: usize = 32;
        let key = self.required("HASH_KEY")?;
        if key.len() < SHORTEST {
            let expected = format!("must have at least {SHORTEST} characters");
            return Err(ConfigError::Malformed { name: "HASH_KEY", expected });
        }
        Ok(Secret(key))
    }

    /// Reads `DYNAMODB_TIME_LIMIT_MS`. `None` if it is not set.
    pub fn dynamodb_time_limit(&self) -> Result<Option<Duration>, ConfigError> {
        if self.optional("DYNAMODB_TIME_LIMIT_MS").is_none() {
            return Ok(None);
        }
        let limit = in_range(self, "DYNAMODB_TIME_LIMIT_MS", 100..=60_000, "milliseconds")?;
        Ok(Some(Duration::from_millis(limit.into())))
    }

    /// Reads `VONAGE_CALLS_INTERVAL_MS`.
    pub fn calls_interval(&self) -> Result<Duration, ConfigError> {
        let interval = in_range(self, "VONAGE_CALLS_INTERVAL_MS", 0..=10_000, "milliseconds")?;
        Ok(Duration::from_millis(interval.into()))
    }

    /// Reads `VONAGE_NUMBERS_INTERVAL_MS`.
    pub fn numbers_interval(&self) -> Result<Duration, ConfigError> {
        let interval = in_range(self, "VONAGE_NUMBERS_INTERVAL_MS", 0..=10_000, "milliseconds")?;
        Ok(Duration::from_millis(interval.into()))
    }
}

/// Reads a whole number that must be in `range`.
fn in_range(env: &Environment, name: &'static str, range: RangeInclusive<u32>, unit: &str) -> Result<u32, ConfigError> {
    let value = env.required(name)?.parse().ok().filter(|value| range.contains(value));
    value.ok_or_else(|| ConfigError::Malformed {
        name,
        expected: format!("must be from {} to {} {unit}", range.start(), range.end()),
    })
}

/// Configuration of the verification of Vonage's webhooks.
#[derive(Debug, Clone)]
pub struct SignatureConfig {
    /// The account's signature secrets. Two are valid while one replaces the other.
    pub secrets: Vec<Secret>,
    /// Largest difference between the time of a signature and now, in seconds.
    pub max_age_seconds: u32,
    /// API key of the account.
    pub api_key: String,
    /// Id of the Voice application.
    pub application_id: String,
}

impl SignatureConfig {
    /// Reads `VONAGE_SIGNATURE_SECRET`, `VONAGE_SIGNATURE_SECRET_2`, `VONAGE_SIGNATURE_MAX_AGE_SECONDS`,
    /// `VONAGE_API_KEY` and `VONAGE_APPLICATION_ID`.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        let first = env.required("VONAGE_SIGNATURE_SECRET")?;
        let second = env.optional("VONAGE_SIGNATURE_SECRET_2");
        Ok(Self {
            secrets: [first].into_iter().chain(second).map(Secret).collect(),
            max_age_seconds: in_range(env, "VONAGE_SIGNATURE_MAX_AGE_SECONDS", 1..=u32::MAX, "seconds")?,
            api_key: env.required("VONAGE_API_KEY")?,
            application_id: env.required("VONAGE_APPLICATION_ID")?,
        })
    }
}

/// Credentials of the Vonage account, and the location of Vonage's API.
#[derive(Debug, Clone)]
pub struct VonageConfig {
    /// API key of the account.
    pub api_key: String,
    /// API secret of the account.
    pub api_secret: Secret,
    /// URL of Vonage's API, without a slash at the end: `https://api.nexmo.com`.
    pub api_url: String,
    /// URL of Vonage's older API, without a slash at the end: `https://rest.nexmo.com`.
    pub rest_url: String,
    /// URL of Vonage's Identity Insights API, without a slash at the end: `https://api-eu.vonage.com`.
    pub insights_url: String,
    /// Time limit of one request including its retries. One attempt may use three fifths of it.
    pub time_limit: Duration,
    /// PEM certificates of the authorities that TLS trusts. `None` trusts Mozilla's list, which is built in.
    pub authorities: Option<Vec<u8>>,
}

impl VonageConfig {
    /// Reads `VONAGE_API_KEY`, `VONAGE_API_SECRET`, `VONAGE_API_URL`, `VONAGE_REST_URL`, `VONAGE_INSIGHTS_URL` and
    /// `VONAGE_TIME_LIMIT_MS`, and the file that `SSL_CERT_FILE` names.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        let api_key = env.required("VONAGE_API_KEY")?;
        let api_secret = Secret(env.required("VONAGE_API_SECRET")?);
        Ok(Self { api_key, api_secret, ..Self::of_application(env)? })
    }

    /// Reads the same without the credentials of the account, for a function that only sends requests of the application.
    pub fn of_application(env: &Environment) -> Result<Self, ConfigError> {
        Ok(Self {
            api_key: String::new(),
            api_secret: Secret(String::new()),
            api_url: base_url(env, "VONAGE_API_URL")?,
            rest_url: base_url(env, "VONAGE_REST_URL")?,
            insights_url: base_url(env, "VONAGE_INSIGHTS_URL")?,
            time_limit: Duration::from_millis(
                in_range(env, "VONAGE_TIME_LIMIT_MS", 50..=20_000, "milliseconds")?.into(),
            ),
            authorities: authorities(env)?,
        })
    }
}

/// Reads the PEM certificates in the file that `SSL_CERT_FILE` names, if it is set.
pub(crate) fn authorities(env: &Environment) -> Result<Option<Vec<u8>>, ConfigError> {
    let unreadable = |error| ConfigError::Malformed {
        name: "SSL_CERT_FILE",
        expected: format!("must be the path of a readable file ({error})"),
    };
    env.optional("SSL_CERT_FILE").map(std::fs::read).transpose().map_err(unreadable)
}

fn base_url(env: &Environment, name: &'static str) -> Result<String, ConfigError> {
    let url = env.required(name)?;
    if is_base_url(&url) {
        Ok(url.trim_end_matches('/').to_owned())
    } else {
        Err(ConfigError::Malformed { name, expected: "must be an http or https URL".to_owned() })
    }
}

fn is_base_url(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// A secret. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(variables: &[(&str, &str)]) -> Result<Durations, String> {
        Durations::from_environment(&variables.iter().copied().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn quarantine_shorter_than_the_longest_call_is_refused() {
        let usual = Durations { max_call_seconds: 7200, quarantine_seconds: 86_400, warn_minutes: None };
        assert_eq!(durations(&[]), Ok(usual));
        let warning = durations(&[("DEFAULT_WARN_MINUTES", "2"), ("CALL_CONTROL", "on")]);
        assert_eq!(warning, Ok(Durations { warn_minutes: Some(2), ..usual }));
        assert!(durations(&[("DEFAULT_WARN_MINUTES", "6")]).unwrap_err().contains("0 to 5 minutes"));
        assert!(durations(&[("QUARANTINE_SECONDS", "7199")]).unwrap_err().contains("QUARANTINE_SECONDS"));
        assert!(durations(&[("QUARANTINE_SECONDS", "60"), ("MAX_CALL_SECONDS", "60")]).is_ok());
        assert!(durations(&[("MAX_CALL_SECONDS", "59")]).unwrap_err().contains("MAX_CALL_SECONDS"));
        assert!(durations(&[("QUARANTINE_SECONDS", "a day")]).unwrap_err().contains("QUARANTINE_SECONDS"));
    }

    #[test]
    fn errors_name_a_missing_variable_and_debug_hides_a_secret() {
        let nothing = Environment::default();
        assert!(VonageConfig::from_environment(&nothing).unwrap_err().to_string().contains("VONAGE_API_KEY"));
        let some =
            [("VONAGE_API_KEY", "key"), ("VONAGE_API_SECRET", "hush"), ("VONAGE_API_URL", "http://localhost:1/")];
        let config = VonageConfig::from_environment(&some.into_iter().collect()).unwrap();
        assert_eq!(config.api_url, "http://localhost:1");
        assert_eq!(config.rest_url, "https://rest.nexmo.com");
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn retention_is_up_to_a_year_and_a_hash_key_is_long() {
        let days = |days: &str| Environment::from_iter([("RETENTION_DAYS", days)]).retention();
        assert_eq!(days("").unwrap(), Retention::of_days(30));
        assert_eq!((days("0").unwrap(), days("365").unwrap()), (Retention::of_days(0), Retention::LONGEST));
        for wrong in ["-1", "366", "30.5", "a month"] {
            assert!(days(wrong).unwrap_err().to_string().contains("RETENTION_DAYS"), "{wrong}");
        }
        let key = |length| Environment::from_iter([("HASH_KEY", "k".repeat(length))]).hash_key();
        assert!(key(32).is_ok() && matches!(key(0), Err(ConfigError::Missing("HASH_KEY"))));
        assert!(matches!(key(31), Err(ConfigError::Malformed { name: "HASH_KEY", .. })));
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let env: Environment = [("TABLE_NAME", "")].into_iter().collect();
        assert!(matches!(env.required("TABLE_NAME"), Err(ConfigError::Missing("TABLE_NAME"))));
    }
}
