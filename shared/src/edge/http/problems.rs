//! Conversion of errors into problems. No detail contains a real number or a secret.

use lambda_http::http::StatusCode;

use super::Problem;
use crate::store::StoreError;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (kind, title) = match &error {
            StoreError::Unreadable(..) => {
                let detail =
                    "What is asked for is stored in a form that this release does not read. The log has the cause.";
                let title = "Stored item unreadable";
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", title, detail).because(error);
            }
            StoreError::Contended(_) => ("contended", "Other requests are changing the same data"),
            StoreError::NoAnswer(_)
            | StoreError::Refused(_)
            | StoreError::Malformed(_)
            | StoreError::Unbuildable(_) => ("store-unavailable", "Table unavailable"),
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, "Try again shortly.").retry_after(1).because(error)
    }
}
impl From<crate::vonage::signature::SignatureError> for Problem {
    /// The answer says only if a signature was there, so that it gives no hint to an attacker who tries signatures.
    ///
    /// A webhook without any signature gets 503, because Vonage then sends it again with one.
    fn from(error: crate::vonage::signature::SignatureError) -> Self {
        let (status, title, detail) = match error {
            crate::vonage::signature::SignatureError::Missing => {
                (StatusCode::SERVICE_UNAVAILABLE, "Webhook not signed", "Send the webhook again, with a signature.")
            }
            _ => (
                StatusCode::UNAUTHORIZED,
                "Webhook signature not valid",
                "A webhook needs a valid signature of Vonage.",
            ),
        };
        Self::new(status, Self::NOT_SIGNED, title, detail).because(error)
    }
}
impl From<crate::service::hang_up::HangUpError> for Problem {
    fn from(error: crate::service::hang_up::HangUpError) -> Self {
        match error {
            crate::service::hang_up::HangUpError::Store(error) => error.into(),
            crate::service::hang_up::HangUpError::Vonage(error) => error.into(),
        }
    }
}
impl From<crate::service::write_text::WriteError> for Problem {
    fn from(error: crate::service::write_text::WriteError) -> Self {
        use crate::service::write_text::WriteError;
        match error {
            WriteError::Ended => Self::new(
                StatusCode::CONFLICT,
                "conversation-ended",
                "Conversation ended",
                "The conversation has ended, so nobody in it can be texted.",
            ),
            WriteError::OptedOut => Self::new(
                StatusCode::CONFLICT,
                "texts-stopped",
                "Texts stopped",
                "The participant wants no texts from the number that they dial in this conversation.",
            ),
            WriteError::Erased => super::no_conversation(),
            WriteError::OtherRequest => Self::idempotency_key_reused(),
            WriteError::UnderWay => {
                let detail = "Another run of this request is under way. Send the same request again.";
                Self::new(StatusCode::CONFLICT, "text-in-progress", "Text in progress", detail).retry_after(1)
            }
            WriteError::NotQuietHours(error) => Self::invalid("quiet_hours", format!("It is not valid: {error}.")),
            WriteError::Quiet(end) => {
                let detail = "The participant has quiet hours. Send the same request again when they are over.";
                let problem = Self::new(StatusCode::CONFLICT, "quiet-hours", "Quiet hours", detail);
                problem.with("earliest_at", serde_json::json!(end))
            }
            WriteError::Store(error) => error.into(),
            WriteError::Untold(error) => error.into(),
            WriteError::Vonage(error) => error.into(),
        }
    }
}
impl From<crate::service::text_events::TellError> for Problem {
    fn from(error: crate::service::text_events::TellError) -> Self {
        match error {
            crate::service::text_events::TellError::Store(error) => error.into(),
            crate::service::text_events::TellError::Bus(error) => {
                tracing::error!(cause = %error, "the bus did not take an event about a text");
                Self::internal()
            }
        }
    }
}
impl From<crate::service::relay_texts::RelayError> for Problem {
    fn from(error: crate::service::relay_texts::RelayError) -> Self {
        match error {
            crate::service::relay_texts::RelayError::Store(error) => error.into(),
            crate::service::relay_texts::RelayError::Carrier(error) => error.into(),
            crate::service::relay_texts::RelayError::Untold(error) => error.into(),
            // No failure: Vonage sends the webhook again, and by then it is settled.
            crate::service::relay_texts::RelayError::BeingSent => {
                let detail = "Another delivery of this text is being handled. Send the webhook again.";
                Self::new(StatusCode::CONFLICT, "text-in-progress", "Text in progress", detail)
            }
        }
    }
}
impl From<crate::service::setup::SetupError> for Problem {
    fn from(error: crate::service::setup::SetupError) -> Self {
        use crate::service::setup::SetupError;

        let (kind, title, detail) = match error {
            SetupError::Vonage(error) => return error.into(),
            SetupError::Contended => {
                let (title, detail) = ("Other requests are changing the same data", "Try again shortly.");
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "contended", title, detail).retry_after(60);
            }
            SetupError::KeyNeeded => {
                let detail = "Give the public half of a key pair of yours, for the application that is to be made.";
                return Self::invalid("public_key", detail);
            }
            SetupError::ServesAnother(_) => (
                "application-foreign",
                "Application of somebody else",
                "Its webhooks lead to another deployment or program. Give this deployment another application, or set \
                 take_over.",
            ),
            SetupError::OtherKey(_) => (
                "application-has-key",
                "Application has another public key",
                "Whoever signs with the private half of that key would be refused. Leave public_key out, or set replace_key.",
            ),
            SetupError::Ambiguous(_) => (
                "application-ambiguous",
                "Several applications have this name",
                "Give another name, or deploy with the id of the one that is meant.",
            ),
        };
        Self::new(StatusCode::CONFLICT, kind, title, detail).because(error)
    }
}
impl From<crate::service::speak::SpeakError> for Problem {
    fn from(error: crate::service::speak::SpeakError) -> Self {
        match error {
            crate::service::speak::SpeakError::Store(error) => error.into(),
            crate::service::speak::SpeakError::Vonage(error) => error.into(),
        }
    }
}
impl From<crate::vonage::VonageError> for Problem {
    fn from(error: crate::vonage::VonageError) -> Self {
        use crate::vonage::VonageError;

        let (status, detail) = match &error {
            VonageError::Unauthorized => (StatusCode::BAD_GATEWAY, "Vonage refused this deployment's credentials."),
            VonageError::Refused { .. } => (StatusCode::BAD_GATEWAY, "Vonage refused the request."),
            VonageError::NoVerdict { .. } => (StatusCode::BAD_GATEWAY, "Vonage did not look the number up."),
            VonageError::OtherNumber => (StatusCode::BAD_GATEWAY, "Vonage's answer is about another number."),
            VonageError::Withheld(_) => (StatusCode::BAD_GATEWAY, "The text message was not sent."),
            VonageError::NotSigned => (StatusCode::BAD_GATEWAY, "The request to Vonage could not be signed."),
            VonageError::NotUnderstood(_) => (StatusCode::BAD_GATEWAY, "Vonage's answer has an unknown form."),
            VonageError::Partial(_) => (StatusCode::BAD_GATEWAY, "Vonage carried out only a part of the request."),
            VonageError::RateLimited { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Vonage's rate limit is reached."),
            VonageError::Failed(_) => (StatusCode::SERVICE_UNAVAILABLE, "Vonage reported an internal error."),
            VonageError::Unreachable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Vonage cannot be reached."),
            VonageError::NoAnswer(_) => (StatusCode::SERVICE_UNAVAILABLE, "Vonage did not answer in time."),
        };
        let problem = Self::new(status, "carrier-failed", "Carrier request failed", detail);
        let seconds = |duration: std::time::Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let problem = match &error {
            VonageError::RateLimited { retry_after: Some(after) } => problem.retry_after(seconds(*after).max(2)),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => problem.retry_after(2),
            _ => problem,
        };
        problem.because(error)
    }
}
impl From<crate::service::place_call::PlaceError> for Problem {
    fn from(error: crate::service::place_call::PlaceError) -> Self {
        use crate::service::place_call::PlaceError;

        match error {
            PlaceError::NotConnected(outcome) => {
                let detail = "A call that this participant dialled would not be connected either.";
                let problem = Self::new(StatusCode::CONFLICT, "not-connected", "Call not connected", detail);
                problem.with("outcome", outcome.into())
            }
            PlaceError::OtherRequest => Self::idempotency_key_reused(),
            PlaceError::UnderWay => {
                let detail =
                    "The same request is being carried out. Send it again, and it tells what became of the call.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "contended", "Request under way", detail).retry_after(5)
            }
            PlaceError::TooManyCalls(seconds) => {
                let detail = "So many calls wait for their turn that this one was not placed. Try again later.";
                let title = "Too many calls";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-calls", title, detail).retry_after(seconds)
            }
            PlaceError::InDoubt(cause) => {
                let detail = "Vonage may have placed the call. The same Idempotency-Key finds it, or places it once.";
                let problem =
                    Self::new(StatusCode::SERVICE_UNAVAILABLE, "carrier-failed", "Carrier request failed", detail);
                problem.retry_after(5).because(cause)
            }
            PlaceError::Store(error) => error.into(),
            PlaceError::Vonage(error) => error.into(),
        }
    }
}
impl From<crate::service::provision::SettingsError> for Problem {
    fn from(error: crate::service::provision::SettingsError) -> Self {
        use crate::service::provision::{MOST_CHANGED_PHONES, SettingsError};

        match error {
            SettingsError::Unknown => crate::edge::http::no_number(),
            SettingsError::NotReady => {
                let detail = "A standing mask needs a number that is ready. This one is being rented or released.";
                Self::new(StatusCode::CONFLICT, "number-not-ready", "Number not ready", detail)
            }
            SettingsError::OwnNumber(position) => {
                let detail = "This is a virtual number of the pool, so a call to it would come back.";
                Self::invalid(format!("standing.phones[{position}].number"), detail)
            }
            SettingsError::TooManyPhones => {
                let detail =
                    format!("A request may add and remove at most {MOST_CHANGED_PHONES} phones. Change some first.");
                Self::invalid("standing", detail)
            }
            SettingsError::Store(error) => error.into(),
        }
    }
}
mod conversations {
    use serde_json::json;

    use super::{Problem, StatusCode};
    use crate::domain::choice::NoFreeNumber;
    use crate::domain::judge::Judge;
    use crate::domain::phone::parse::UnreadableNumber;
    use crate::domain::side::Side;
    use crate::edge::http::body::sentence;
    use crate::service::create::{CreationError, NotifyError};
    use crate::service::demand::Renting;
    use crate::service::update::UpdateError;
    use crate::service::verify_number::ParticipantNumberError;

    impl From<CreationError> for Problem {
        fn from(error: CreationError) -> Self {
            match error {
                CreationError::Number(side, error) => not_usable(side, error),
                CreationError::FurtherNumber(side, position, error) => {
                    Self { field: Some(further(side, position)), ..not_usable(side, error) }
                }
                CreationError::SameNumber => same_number(Side::B),
                CreationError::SameFurtherNumber(side, position) => {
                    Self::invalid(further(side, position), "This phone is in the conversation already.")
                }
                CreationError::NoneFree(none_free, renting) => no_number_free(none_free, renting),
                CreationError::Contended => {
                    contended("Too many conversations of these participants are being created at once")
                }
                CreationError::OtherRequest => Self::idempotency_key_reused(),
                CreationError::Erased => Self::new(
                    StatusCode::GONE,
                    "conversation-erased",
                    "Conversation erased",
                    "The conversation that this request created has been erased. Use a new key to create another one.",
                )
                .at("Idempotency-Key"),
                CreationError::Store(error) => error.into(),
            }
        }
    }

    impl From<NotifyError> for Problem {
        fn from(error: NotifyError) -> Self {
            match error {
                NotifyError::Unknown => crate::edge::http::no_conversation(),
                NotifyError::Ended => Self::new(
                    StatusCode::CONFLICT,
                    "conversation-ended",
                    "Conversation ended",
                    "Nobody is texted about a conversation that has ended.",
                ),
                NotifyError::Store(error) => error.into(),
            }
        }
    }

    impl From<UpdateError> for Problem {
        fn from(error: UpdateError) -> Self {
            match error {
                UpdateError::Unknown => crate::edge::http::no_conversation(),
                UpdateError::Ended => Self::new(
                    StatusCode::CONFLICT,
                    "conversation-ended",
                    "Conversation ended",
                    "An ended conversation cannot be changed. Create a new one.",
                ),
                UpdateError::OtherRevision => Self::new(
                    StatusCode::PRECONDITION_FAILED,
                    "conversation-changed",
                    "Conversation changed",
                    "The conversation has changed since the answer with this ETag. Read it again.",
                )
                .at("If-Match"),
                UpdateError::Number(side, error) => not_usable(side, error),
                UpdateError::FurtherNumber(side, position, error) => {
                    Self { field: Some(further(side, position)), ..not_usable(side, error) }
                }
                UpdateError::SameNumber(side) => same_number(side),
                UpdateError::SameFurtherNumber(side, position) => {
                    Self::invalid(further(side, position), "This phone is in the conversation already.")
                }
                UpdateError::TooManyPhones(side) => Self::invalid(
                    field(side, "phones"),
                    "Too many phones have joined and left. Create a new conversation.",
                ),
                UpdateError::VoicemailAdded => {
                    Self::invalid("missed_calls", "voicemail can only be chosen when a conversation is created.")
                }
                UpdateError::NothingSlides => {
                    Self::invalid("latest_end", "Needs extend_on_use: the end of this conversation does not slide.")
                }
                UpdateError::CallsTooShort(least) => {
                    let detail = format!("This needs a max_call_seconds of at least {least}, which cannot be changed.");
                    Self::invalid("", detail)
                }
                UpdateError::MaskTaken { side, further: position, free_at } => {
                    let problem = Self::new(
                        StatusCode::CONFLICT,
                        "number-not-free",
                        "Number not free for the new phone",
                        "The new phone uses the same virtual number in another conversation, which is live or in quarantine.",
                    );
                    let at = position.map_or_else(|| field(side, "number"), |position| further(side, position));
                    match free_at {
                        Some(free_at) => problem.at(at).with("next_free_at", json!(free_at)),
                        None => problem.at(at),
                    }
                }
                UpdateError::Contended => contended("The conversation is being changed by other requests"),
                UpdateError::Store(error) => error.into(),
            }
        }
    }

    /// The usual time until a number is rented, linked and ready.
    const RENTING_SECONDS: u32 = 5;

    fn no_number_free(none_free: NoFreeNumber, renting: Renting) -> Problem {
        let NoFreeNumber { side, country, countries, ready, in_use, next_free_at } = none_free;
        let next = match next_free_at {
            _ if renting == Renting::Requested => "A number is being rented, so try again in some seconds".to_owned(),
            Some(time) => format!("The next number becomes free at {time}"),
            None => "No number becomes free by itself".to_owned(),
        };
        let numbers = if ready == 1 { "1 ready number".to_owned() } else { format!("{ready} ready numbers") };
        let detail = format!(
            "{country} has {numbers}. This participant uses {} in live conversations and {} in quarantine. {next}.",
            in_use.live, in_use.quarantined
        );
        let title = "No virtual number is free for a participant";
        // Waiting helps only while a number is being rented. Otherwise the pool is too small, which is no fault of the server.
        let status = match renting {
            Renting::Requested => StatusCode::SERVICE_UNAVAILABLE,
            Renting::Failed(_) | Renting::Off => StatusCode::CONFLICT,
        };
        let problem = Problem::new(status, Problem::NO_NUMBER_FREE, title, detail)
            .at(field(side, "number"))
            .with("country", json!(country))
            .with("countries", json!(countries))
            .with("ready", json!(ready))
            .with("live", json!(in_use.live))
            .with("quarantined", json!(in_use.quarantined))
            .with("next_free_at", json!(next_free_at));
        match renting {
            Renting::Requested => problem.retry_after(RENTING_SECONDS),
            Renting::Failed(reason) => problem.with("renting_failed", json!(reason)),
            Renting::Off => problem,
        }
    }

    fn contended(title: &'static str) -> Problem {
        let detail = "Nothing was changed. Try again.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "contended", title, detail).retry_after(1)
    }

    fn not_usable(side: Side, error: ParticipantNumberError) -> Problem {
        let number = || field(side, "number");
        match error {
            ParticipantNumberError::Unreadable(reason) => unreadable(side, reason),
            ParticipantNumberError::NotValid(Judge::NumberingPlan) => {
                Problem::invalid(number(), "Its country's numbering plan has no such phone number.")
            }
            ParticipantNumberError::NotValid(_) => {
                Problem::invalid(number(), "The carrier does not know this as a valid phone number.")
            }
            ParticipantNumberError::NotCallable(reason) => {
                let title = "Number not callable";
                let (status, detail) = (StatusCode::UNPROCESSABLE_ENTITY, sentence(&reason.to_string()));
                Problem::new(status, "number-not-callable", title, detail).at(number())
            }
            ParticipantNumberError::Virtual => {
                let detail = "This is a virtual number of the pool. A participant needs a number of their own.";
                Problem::invalid(number(), detail)
            }
            ParticipantNumberError::Lookup(error) => error.into(),
        }
    }

    /// A number that is not a participant's.
    impl From<UnreadableNumber> for Problem {
        fn from(reason: UnreadableNumber) -> Self {
            Self::invalid(at_fault(reason), sentence(&reason.to_string()))
        }
    }

    fn unreadable(side: Side, reason: UnreadableNumber) -> Problem {
        Problem::invalid(field(side, at_fault(reason)), sentence(&reason.to_string()))
    }

    fn at_fault(reason: UnreadableNumber) -> &'static str {
        match reason {
            UnreadableNumber::NeedsCountry | UnreadableNumber::OtherCountry => "country",
            UnreadableNumber::NotANumber | UnreadableNumber::Unclear | UnreadableNumber::Masked => "number",
        }
    }

    fn same_number(side: Side) -> Problem {
        Problem::invalid(field(side, "number"), "Both participants have the same number.")
    }

    fn further(side: Side, position: usize) -> String {
        field(side, &format!("phones[{position}].number"))
    }

    fn field(side: Side, name: &str) -> String {
        format!("participants[{}].{name}", side.index())
    }
}
