//! Settings of the application and of the deployment, compared with what they should be.

use jiff::Timestamp;
use jiff::civil::date;
use serde_json::Value;
use shared::config::{ConfigError, Environment};
use shared::vonage::application::{Application, Wanted};
use shared::vonage::public_key::PublicKey;

use super::{Finding, public_key};

/// Days before its end at which an API that ends becomes an error.
const SOON: i32 = 14;

/// New calls in a second that Vonage allows an account unless it has raised the limit.
const USUAL_CALLS: u32 = 3;

const RUN_SETUP: &str = "Run maskline setup --public-url with the deployment's URL, or POST /setup.";

/// Compares the application with what a set-up makes of it.
pub(super) fn application(
    environment: &Environment,
    application: &Application,
    findings: &mut Vec<Finding>,
) -> Result<(), ConfigError> {
    let (public_url, region) = (environment.public_url()?, environment.vonage_region()?);
    let wanted = Wanted { public_url: public_url.as_deref(), region: region.as_deref(), ..Wanted::default() };
    let differing: Vec<_> = application.clone().configure(wanted).into_iter().map(|change| change.what).collect();
    let of =
        |names: &[&str]| differing.iter().copied().filter(|what| names.contains(what)).collect::<Vec<_>>().join(", ");
    let calls = of(&["answer_url", "fallback_answer_url", "event_url"]);
    findings.push(match calls.is_empty() {
        true => Finding::ok("webhooks_of_calls", "they lead to the deployment"),
        false => Finding::error("webhooks_of_calls", format!("other than they should be: {calls}"), RUN_SETUP),
    });
    let texts = of(&["messages_version", "inbound_url", "status_url"]);
    findings.push(match texts.is_empty() {
        true => Finding::ok("webhooks_of_texts", "they lead to the deployment, if \"Default SMS\" is the Messages API"),
        false => Finding::warning("webhooks_of_texts", format!("other than they should be: {texts}"), RUN_SETUP),
    });
    let is_signed = application.at("/capabilities/voice/signed_callbacks") == Some(&Value::Bool(true));
    findings.push(match is_signed {
        true => Finding::ok("signed_webhooks", "Vonage signs the webhooks"),
        false => Finding::error("signed_webhooks", "Vonage does not sign the webhooks, so all are refused", RUN_SETUP),
    });
    findings.push(match differing.contains(&"improve_ai") {
        false => Finding::ok("improve_ai", "off"),
        true => Finding::warning("improve_ai", "Vonage may use what people say for its products", RUN_SETUP),
    });
    findings.push(match differing.contains(&"region") {
        false => Finding::ok("region", region.as_deref().unwrap_or("none is wanted")),
        true => Finding::warning("region", "the application has another region than VONAGE_REGION", RUN_SETUP),
    });
    findings.push(private_key(environment, application));
    Ok(())
}

/// Compares the private key with the application's public one.
fn private_key(environment: &Environment, application: &Application) -> Finding {
    const CHECK: &str = "private_key";
    let Some(pem) = environment.optional("VONAGE_PRIVATE_KEY") else {
        let needs = needs_key(environment);
        return match needs {
            None => Finding::ok(CHECK, "none is needed"),
            Some(why) => {
                let todo = "Make a key pair by maskline setup, and put the private half into the secret.";
                Finding::error(CHECK, format!("{why} needs one"), todo)
            }
        };
    };
    let Some(public) = PublicKey::of_private_key(&pem) else {
        return Finding::error(CHECK, "it cannot be read", "It must be RSA in PEM, of 2048 to 4096 bits.");
    };
    match public_key(application) {
        Some(pem) if public.is(pem) => Finding::ok(CHECK, "it is that of the application"),
        _ => {
            let todo = "Run maskline setup with --private-key and, if nobody else uses the other one, --replace-key.";
            Finding::error(CHECK, "the application has another public key, so Vonage refuses our tokens", todo)
        }
    }
}

/// Returns a setting that needs the private key.
fn needs_key(environment: &Environment) -> Option<&'static str> {
    let is = |name: &str, value: &str| environment.optional(name).as_deref() == Some(value);
    let records = environment.optional("RECORDING_DAYS").is_some_and(|days| days != "0");
    match () {
        () if is("CALL_CONTROL", "on") => Some("CALL_CONTROL=on"),
        () if is("NUMBER_LOOKUP", "identity-insights") => Some("NUMBER_LOOKUP=identity-insights"),
        () if is("TEXTS_BY", "messages-api") => Some("TEXTS_BY=messages-api"),
        () if records => Some("RECORDING_DAYS"),
        () => None,
    }
}

/// Checks settings of the deployment that depend on Vonage.
pub(super) fn deployment(
    environment: &Environment,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Result<(), ConfigError> {
    findings.push(lookup(environment, now)?);
    let calls = environment.required("MAX_CALLS_PER_SECOND")?;
    findings.push(match calls.parse::<u32>() {
        Ok(0) => Finding::ok("quotas", "nobody waits for a turn; Vonage refuses more than 3 new calls in a second"),
        Ok(calls) if calls > USUAL_CALLS => Finding::warning(
            "quotas",
            format!("{calls} new calls in a second are more than Vonage allows an account"),
            "Be sure that Vonage has raised the limit of the account.",
        ),
        _ => Finding::ok("quotas", format!("{calls} new calls in a second")),
    });
    Ok(())
}

/// Checks that the lookup of numbers does not end.
///
/// Source: Vonage, "Number Insight API", which ends on 4 February 2027.
fn lookup(environment: &Environment, now: Timestamp) -> Result<Finding, ConfigError> {
    const CHECK: &str = "lookup";
    let judge = environment.required("NUMBER_LOOKUP")?;
    if judge != "number-insight" {
        return Ok(Finding::ok(CHECK, format!("NUMBER_LOOKUP={judge}")));
    }
    let end = date(2027, 2, 4);
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let left = today.until(end).map_or(0, |left| left.get_days());
    let todo = "Deploy with NumberLookup=numbering-plan or identity-insights.";
    let ends = format!("Number Insight ends on 2027-02-04, in {left} days");
    Ok(if left <= 0 {
        Finding::error(CHECK, "Number Insight has ended on 2027-02-04", todo)
    } else if left <= SOON {
        Finding::error(CHECK, ends, todo)
    } else {
        Finding::warning(CHECK, ends, todo)
    })
}
