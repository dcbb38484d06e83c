//! The work that is left for people, because no API of Vonage does it.

use serde::Serialize;

/// A piece of work for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ByHand {
    /// Its name.
    pub what: &'static str,
    /// The features that need it.
    pub needed_for: &'static str,
    /// The place and the steps.
    pub how: &'static str,
}

/// All such work. Source: the Application API v2 has no setting for any of it.
pub const BY_HAND: [ByHand; 6] = [
    ByHand {
        what: "signature_secret",
        needed_for: "all webhooks",
        how: "Dashboard, API settings: the account has one signature secret. Put it into the deployment's secret as \
              signature_secret, and again as signature_secret_2.",
    },
    ByHand {
        what: "default_sms",
        needed_for: "texts between participants",
        how: "Dashboard, API settings, \"Default SMS\": choose the Messages API. It holds for all numbers of the account.",
    },
    ByHand {
        what: "sms_signing",
        needed_for: "texts, only if the account has to keep the SMS API",
        how: "Ask Vonage's support to sign the webhooks of the SMS API, with HMAC SHA-256 or SHA-512.",
    },
    ByHand {
        what: "redact",
        needed_for: "erasure of calls and texts at Vonage",
        how: "Ask Vonage to switch the Redact API on for the account.",
    },
    ByHand {
        what: "calls_per_second",
        needed_for: "more than 3 new calls in a second",
        how: "Ask Vonage to raise the limit of the account, and deploy with MaxCallsPerSecond.",
    },
    ByHand {
        what: "10dlc",
        needed_for: "texts from numbers of 10 digits in the US",
        how: "Dashboard, Brands and campaigns: register a brand and a campaign, and link the numbers.",
    },
];
