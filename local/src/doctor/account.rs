//! The account: clock, credentials, balance, application, numbers and redaction.

use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use shared::config::Environment;
use shared::domain::call::Direction;
use shared::domain::carrier_record::{CarrierRecord, Product};
use shared::vonage::application::Application;
use shared::vonage::applications::ApplicationsApi;
use shared::vonage::numbers::{ListedNumber, NumbersApi};
use shared::vonage::redact::{RedactApi, RedactError};
use shared::vonage::{Vonage, VonageError};

use super::Finding;

/// Largest harmless difference between the clocks, in seconds. Source: a token of the application may not be from the future.
const HARMLESS_SKEW: i64 = 20;
/// Difference above which signatures are refused, in seconds: half of the usual SignatureMaxAgeSeconds.
const WORST_SKEW: i64 = 150;

/// Balance below which somebody should look, in EUR. Vonage cancels numbers when it reaches zero.
const LOW_BALANCE: Decimal = Decimal::from_parts(10, 0, 0, false, 0);

/// Most pages of numbers that are read: 2000 numbers.
const MOST_PAGES: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// Compares this machine's clock with that of Vonage.
pub(super) async fn clock(environment: &Environment, now: Timestamp) -> Finding {
    const CHECK: &str = "clock";
    let url = environment.required("VONAGE_API_URL").unwrap_or_default();
    let client = client(&url);
    let answer = match client.get(&url).timeout(5 * SECOND).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let says = format!("Vonage cannot be reached: {}", error.without_url());
            return Finding::error(CHECK, says, "Check the network, a proxy, and VONAGE_API_URL.");
        }
    };
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
        return Finding::warning(
            CHECK,
            "Vonage's answer has no date",
            "Compare this machine's clock with another one.",
        );
    };
    let skew = now.as_second() - date.timestamp().as_second();
    let says = format!("it differs by {} s from Vonage's", skew.abs());
    if skew.abs() <= HARMLESS_SKEW {
        Finding::ok(CHECK, says)
    } else if skew.abs() <= WORST_SKEW {
        Finding::warning(CHECK, says, "Let this machine set its clock by NTP.")
    } else {
        Finding::error(CHECK, says, "Let this machine set its clock by NTP: signatures and tokens are refused.")
    }
}

/// Returns a client that reaches `url`: what is on this machine, without a proxy.
pub(super) fn client(url: &str) -> reqwest::Client {
    if url.starts_with("http://") {
        return crate::loopback_client();
    }
    shared::vonage::http_client(None).build().expect("the settings of the client go together")
}

/// Checks the credentials and the balance. False if Vonage takes no request of the account.
pub(super) async fn credentials(vonage: &Vonage, findings: &mut Vec<Finding>) -> bool {
    let balance = match NumbersApi::new(vonage.clone(), Duration::ZERO).balance().await {
        Ok(balance) => balance,
        Err(VonageError::Unauthorized) => {
            let todo = "Compare VONAGE_API_KEY and VONAGE_API_SECRET with the Dashboard, under \"API settings\".";
            findings.push(Finding::error("credentials", "Vonage refuses the API key or its secret", todo));
            return false;
        }
        Err(error) => {
            findings.push(unanswered("credentials", &error));
            return false;
        }
    };
    findings.push(Finding::ok("credentials", "Vonage takes the API key and its secret"));
    let says = format!("{balance} EUR");
    findings.push(if balance <= Decimal::ZERO {
        Finding::error(
            "balance",
            says,
            "Pay in: without credit Vonage refuses calls and texts, and takes numbers away.",
        )
    } else if balance < LOW_BALANCE {
        Finding::warning("balance", says, "Pay in, or let the Dashboard reload the balance by itself.")
    } else {
        Finding::ok("balance", says)
    });
    true
}

fn unanswered(check: &'static str, error: &VonageError) -> Finding {
    Finding::error(check, error.to_string(), "Run it again. If it stays, see Vonage's status page.")
}

/// Reads the application.
pub(super) async fn application(vonage: &Vonage, id: &str, findings: &mut Vec<Finding>) -> Option<Application> {
    match ApplicationsApi(vonage.clone()).find(id).await {
        Ok(Some(application)) => {
            findings.push(Finding::ok("application", format!("\"{}\" ({id})", application.name())));
            Some(application)
        }
        Ok(None) => {
            let says = format!("the account has no application {id}");
            let todo = "Run maskline setup, and deploy with the VonageApplicationId that it shows.";
            findings.push(Finding::error("application", says, todo));
            None
        }
        Err(error) => {
            findings.push(unanswered("application", &error));
            None
        }
    }
}

/// Checks that the account has numbers, and that calls to them reach the application.
pub(super) async fn numbers(vonage: &Vonage, pace: Duration, id: &str, findings: &mut Vec<Finding>) {
    const CHECK: &str = "numbers";
    let api = NumbersApi::new(vonage.clone(), pace);
    let mut owned: Vec<ListedNumber> = Vec::new();
    let mut cut = false;
    for page in 1..=MOST_PAGES {
        match api.list("", page).await {
            Ok(listed) => {
                owned.extend(listed.numbers);
                cut = listed.more;
                if !listed.more {
                    break;
                }
            }
            Err(error) => return findings.push(unanswered(CHECK, &error)),
        }
    }
    let linked: Vec<_> = owned.iter().filter(|number| number.settings.is_linked_to(id)).collect();
    let forwarded = linked.iter().filter(|number| !number.settings.reaches(id)).count();
    let unlinked = owned.iter().filter(|number| number.settings.may_link_to(id)).count() - linked.len();
    let says = format!("{} of {}{} numbers are linked", linked.len(), if cut { "the first " } else { "" }, owned.len());
    if forwarded > 0 {
        let says = format!("{says}, and calls to {forwarded} of them go elsewhere");
        let todo = "Remove the forwarding of these numbers in the Dashboard: it wins over the application.";
        findings.push(Finding::error(CHECK, says, todo));
    } else if linked.is_empty() {
        findings.push(Finding::warning(CHECK, says, "Order numbers: POST /numbers."));
    } else if unlinked > 0 {
        let says = format!("{says}, and {unlinked} have no application");
        let todo = "Link these numbers to the application, or cancel them: they cost rent.";
        findings.push(Finding::warning(CHECK, says, todo));
    } else {
        findings.push(Finding::ok(CHECK, says));
    }
}

/// Checks that Vonage redacts for this account, by a record that does not exist.
pub(super) async fn redaction(vonage: Vonage, findings: &mut Vec<Finding>) {
    const CHECK: &str = "redaction";
    let nothing = CarrierRecord {
        id: uuid::Uuid::new_v4().to_string(),
        product: Product::Voice,
        direction: Direction::Inbound,
        channel: None,
    };
    findings.push(match RedactApi::new(vonage).redact(&nothing).await {
        Err(RedactError::NotProvisioned) => {
            let todo = "Ask Vonage to switch the Redact API on for the account; until then erased records stay there.";
            Finding::warning(CHECK, "it is not switched on for the account", todo)
        }
        Ok(()) | Err(RedactError::TooEarly | RedactError::Refused { .. }) => Finding::ok(CHECK, "it is switched on"),
        Err(RedactError::Vonage(error)) => unanswered(CHECK, &error),
    });
}
