//! The pages that requests ask for.

use lambda_http::Request;
use shared::domain::conversation::{ConversationId, State};
use shared::domain::phone::RealNumber;
use shared::edge::http::{Problem, Query};
use shared::store::CallsQuery;

/// Number of calls in an answer if none is asked for.
const CALLS: u16 = 50;

/// Number of conversations in an answer if none is asked for.
const CONVERSATIONS: u16 = 20;

/// Largest number of calls or conversations in an answer.
const MOST: u16 = 100;

/// Length of the longest id of a call that can be a cursor, in bytes. The ids of Vonage have 40.
const MOST_CURSOR_BYTES: usize = 200;

/// The page of a conversation's calls that a request asks for.
pub(crate) struct CallsParameters {
    limit: u16,
    after: Option<String>,
}

impl CallsParameters {
    /// Reads the parameters `calls_limit` and `calls_cursor`.
    pub(crate) fn read(request: &Request) -> Result<Self, Problem> {
        let query = Query::read(request, &["calls_limit", "calls_cursor"])?;
        let limit = query.number("calls_limit", 1..=MOST, CALLS)?;
        let after = query.value("calls_cursor");
        if after.is_some_and(|after| !(1..=MOST_CURSOR_BYTES).contains(&after.len())) {
            return Err(Problem::invalid("calls_cursor", "Must be the `calls_next` of an answer."));
        }
        Ok(Self { limit, after: after.map(str::to_owned) })
    }

    pub(crate) fn query(&self) -> CallsQuery<'_> {
        CallsQuery { limit: self.limit, after: self.after.as_deref() }
    }
}

/// The page of a phone's conversations that a request asks for.
pub(crate) struct ListQuery {
    pub(crate) phone: RealNumber,
    pub(crate) limit: u16,
    /// The page has conversations that are older than this one. It tells nothing about the phone.
    pub(crate) before: Option<ConversationId>,
    /// The page has conversations in this state only, if there is one.
    pub(crate) state: Option<State>,
}

impl ListQuery {
    /// Reads the parameters `number`, `country`, `state`, `limit` and `cursor`.
    pub(crate) fn read(request: &Request) -> Result<Self, Problem> {
        let query = Query::read(request, &["number", "country", "state", "limit", "cursor"])?;
        let phone = query.phone_number()?.into();
        let limit = query.number("limit", 1..=MOST, CONVERSATIONS)?;
        let before = query.value("cursor").map(ConversationId::try_from).transpose();
        let before = before.map_err(|_| Problem::invalid("cursor", "Must be the `next` of an answer."))?;
        let state = match query.value("state") {
            None => None,
            Some("active") => Some(State::Active),
            Some("ended") => Some(State::Ended),
            Some("expired") => Some(State::Expired),
            Some(_) => return Err(Problem::invalid("state", "Must be active, ended or expired.")),
        };
        Ok(Self { phone, limit, before, state })
    }
}
