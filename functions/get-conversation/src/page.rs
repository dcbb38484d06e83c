//! The pages that requests ask for.

use jiff::Timestamp;
use lambda_http::Request;
use shared::domain::conversation::{Conversation, ConversationId, State};
use shared::domain::listing::ListKey;
use shared::domain::phone::{PhoneNumber, VirtualNumber};
use shared::domain::text::Reference;
use shared::edge::http::{Problem, Query, with_plus};
use shared::store::{CallsQuery, WantedList, WantedPage};

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

/// The page of a list of conversations that a request asks for.
pub(crate) struct ListQuery {
    pub(crate) list: WantedList,
    /// Its cursor is the id of a conversation, or a time: it tells nothing about a phone or a reference.
    pub(crate) page: WantedPage,
    pub(crate) only: Only,
}

/// The conversations of a page that are shown. They are chosen after it is read, so a page may be empty.
pub(crate) struct Only {
    state: Option<State>,
    reference: Option<Reference>,
    masked_by: Option<VirtualNumber>,
}

impl Only {
    /// True if it is shown.
    pub(crate) fn has(&self, conversation: &Conversation, now: Timestamp) -> bool {
        let mut seen = conversation.participants.iter().flat_map(|participant| participant.all_seen());
        self.state.is_none_or(|state| conversation.state(now) == state)
            && (self.reference.is_none() || self.reference == conversation.reference)
            && self.masked_by.as_ref().is_none_or(|number| seen.any(|seen| seen == number))
    }
}

impl ListQuery {
    /// Reads all parameters. `lists` is the secret of the lists without a phone, if the deployment has them.
    pub(crate) fn read(request: &Request, lists: Option<&ListKey>) -> Result<Self, Problem> {
        let known = [
            "number",
            "country",
            "reference",
            "masked_by",
            "state",
            "created_from",
            "created_until",
            "limit",
            "cursor",
        ];
        let query = Query::read(request, &known)?;
        let only = Only { state: state(&query)?, reference: reference(&query)?, masked_by: masked_by(&query)? };
        let list = match (query.value("number"), lists) {
            (Some(_), _) => WantedList::Phone(query.phone_number()?.into()),
            (None, Some(lists)) => {
                if query.value("country").is_some() {
                    return Err(Problem::invalid("country", "Needs number."));
                }
                match (&only.reference, &only.masked_by) {
                    (Some(reference), _) => WantedList::Reference(lists.hash(reference)),
                    (None, Some(number)) => WantedList::MaskedBy(number.clone()),
                    (None, None) => WantedList::All,
                }
            }
            (None, None) => {
                let detail = "This parameter is required, unless LIST_CONVERSATIONS is on: this deployment lists the \
                              conversations of a phone only.";
                return Err(Problem::invalid("number", detail));
            }
        };
        let before = query.value("cursor").map(ConversationId::try_from).transpose();
        let page = WantedPage {
            limit: query.number("limit", 1..=MOST, CONVERSATIONS)?,
            before: before.map_err(|_| Problem::invalid("cursor", "Must be the `next` of an answer."))?,
            created_from: time(&query, "created_from")?,
            created_until: time(&query, "created_until")?,
        };
        if let (Some(from), Some(until)) = (page.created_from, page.created_until)
            && until <= from
        {
            return Err(Problem::invalid("created_until", "Must be after created_from."));
        }
        Ok(Self { list, page, only })
    }
}

fn state(query: &Query<'_>) -> Result<Option<State>, Problem> {
    match query.value("state") {
        None => Ok(None),
        Some("active") => Ok(Some(State::Active)),
        Some("ended") => Ok(Some(State::Ended)),
        Some("expired") => Ok(Some(State::Expired)),
        Some(_) => Err(Problem::invalid("state", "Must be active, ended or expired.")),
    }
}

fn reference(query: &Query<'_>) -> Result<Option<Reference>, Problem> {
    let reference = query.value("reference").map(|text| Reference::try_from(text.to_owned())).transpose();
    reference.map_err(|error| Problem::invalid("reference", format!("It {error}.")))
}

/// Returns the virtual number whose conversations are asked for.
fn masked_by(query: &Query<'_>) -> Result<Option<VirtualNumber>, Problem> {
    let Some(written) = query.value("masked_by").map(with_plus) else { return Ok(None) };
    let number = written.strip_prefix('+').and_then(|digits| PhoneNumber::try_from(digits).ok());
    let malformed = || Problem::invalid("masked_by", "Must be a virtual number in E.164, such as +447451000001.");
    number.map(VirtualNumber::from).map(Some).ok_or_else(malformed)
}

fn time(query: &Query<'_>, name: &'static str) -> Result<Option<Timestamp>, Problem> {
    let time = query.value(name).map(str::parse).transpose();
    time.map_err(|_| Problem::invalid(name, "Must be a time as in RFC 3339, such as 2026-11-25T22:21:37Z."))
}
