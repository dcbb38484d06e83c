//! Sessions, which wait until they have two participants and are conversations from then on.
//!
//! The creation of a conversation is written down before it is asked for, with its idempotency key. So after a lost answer or a
//! restart the same request is sent again, and nothing is created twice.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::text::Reference;
use tokio::sync::{Mutex, MutexGuard};
use ulid::Ulid;

use super::super::is_same_phone;
use super::super::scope::Scope;
use super::records::{Attempt, Content, Paired, Person, Record, Waiting};
use super::refusal::Refusal;
use super::requests::{Change, End, NewSession};
use super::{Proxy, is_sid, participant_sid};
use crate::commands::api::ApiError;

/// Requests that can change the same thing, one after the other.
pub(super) struct Turns([Mutex<()>; 64]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Turns {
    /// Waits for the turn of whatever has this name.
    async fn of(&self, name: &str) -> MutexGuard<'_, ()> {
        let sum = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        self.0[sum % self.0.len()].lock().await
    }
}

/// A Session as it is now.
pub(super) struct Session {
    pub(super) sid: String,
    pub(super) unique_name: Option<String>,
    pub(super) state: State,
}

/// The two kinds of Session, as they are now. It has no `Debug`, because it has real phones.
pub(super) enum State {
    Waiting(Waiting),
    /// A conversation, as the API shows it.
    Paired(Paired, Value),
}

impl Session {
    /// Returns the phones of its participants.
    pub(super) fn identifiers(&self) -> Vec<String> {
        match &self.state {
            State::Waiting(waiting) => waiting.people.iter().map(|person| person.identifier.clone()).collect(),
            State::Paired(_, conversation) => {
                let people = conversation["participants"].as_array().into_iter().flatten();
                people.map(|person| person["number"].as_str().unwrap_or_default().to_owned()).collect()
            }
        }
    }

    /// Returns the place of the participant with this phone.
    fn place_of(&self, phone: &str) -> Option<usize> {
        self.identifiers().iter().position(|identifier| is_same_phone(identifier, phone))
    }

    /// Returns the place of the participant with this id.
    pub(super) fn place(&self, participant: &str) -> Result<usize, Refusal> {
        let place = (0..self.identifiers().len()).find(|place| participant_sid(&self.sid, *place) == participant);
        place.ok_or_else(|| Refusal::not_found(&format!("/Sessions/{}/Participants/{participant}", self.sid)))
    }

    /// Returns true if it is over.
    pub(super) fn is_closed(&self) -> bool {
        match &self.state {
            State::Waiting(waiting) => waiting.closed_at.is_some(),
            State::Paired(_, conversation) => conversation["state"] != "active",
        }
    }

    /// Returns true if this is what a repeated creation asks for.
    fn answers(&self, wish: &NewSession) -> bool {
        let phones = self.identifiers();
        let same = phones.iter().zip(&wish.people).all(|(phone, person)| is_same_phone(phone, &person.identifier));
        !self.is_closed() && phones.len() == wish.people.len() && same
    }
}

impl Proxy {
    /// Creates a Session. One that is there already is what a request that was sent again meant.
    pub(super) async fn create(&self, scope: &Scope, wish: NewSession) -> Result<Session, Refusal> {
        let _turn = match &wish.unique_name {
            Some(name) => Some(self.names.of(name).await),
            None => None,
        };
        if let Some(name) = &wish.unique_name
            && let Some(record) = self.records.by_name(&scope.id, name)?
        {
            let sid = record.sid.clone();
            match self.current(scope, record).await {
                Ok(session) if session.answers(&wish) => return Ok(session),
                Ok(_) => return Err(Refusal::name_taken()),
                // It was erased, or waited too long.
                Err(refusal) if refusal.is_not_found() => self.records.remove(&sid)?,
                Err(refusal) => return Err(refusal),
            }
        }
        let sid = format!("KC{}", uuid::Uuid::new_v4().simple());
        let NewSession { unique_name, end: End { date_expiry, ttl }, people } = wish;
        let waiting = Waiting { people, date_expiry, ttl, ..Waiting::new(Timestamp::now()) };
        self.records.add(&sid, &scope.id, unique_name.as_deref(), &waiting)?;
        let state = if waiting.people.len() < 2 {
            State::Waiting(waiting)
        } else {
            let _turn = self.sessions.of(&sid).await;
            self.pair(scope, &sid, unique_name.as_deref(), waiting).await.or_else(|refusal| {
                // Without an answer it stays: the conversation may be there.
                if self.records.by_sid(&sid)?.is_none_or(|record| !record.is_begun()) {
                    self.records.remove(&sid)?;
                }
                Err(refusal)
            })?
        };
        Ok(Session { sid, unique_name, state })
    }

    /// Returns the Session with this id, or with this name.
    pub(super) async fn find(&self, scope: &Scope, name: &str) -> Result<Session, Refusal> {
        match self.record(scope, name)? {
            Some(record) => self.current(scope, record).await,
            None => self.elsewhere(scope, name).await,
        }
    }

    fn record(&self, scope: &Scope, name: &str) -> Result<Option<Record>, Refusal> {
        let record =
            if is_sid(name, "KC") { self.records.by_sid(name)? } else { self.records.by_name(&scope.id, name)? };
        Ok(record.filter(|record| record.service.as_ref().is_none_or(|service| *service == scope.id)))
    }

    /// Returns a conversation that did not begin here. The 128 bits of its id are those of the Session's.
    async fn elsewhere(&self, scope: &Scope, sid: &str) -> Result<Session, Refusal> {
        let bits = is_sid(sid, "KC").then(|| u128::from_str_radix(&sid[2..], 16).ok()).flatten();
        let id = bits.map(|bits| Ulid(bits).to_string()).ok_or_else(|| not_found(scope, sid))?;
        let conversation = self.conversation(scope, &id, sid).await?;
        let paired = Paired { conversation: id, ..Paired::default() };
        Ok(Session { sid: sid.to_owned(), unique_name: None, state: State::Paired(paired, conversation) })
    }

    /// Returns a Session as it is now. What was begun for it is finished before.
    pub(super) async fn current(&self, scope: &Scope, record: Record) -> Result<Session, Refusal> {
        if record.is_begun() {
            let _turn = self.sessions.of(&record.sid).await;
            self.settle(scope, &record.sid).await?;
            return self.shown(scope, self.recorded(scope, &record.sid)?).await;
        }
        self.shown(scope, record).await
    }

    /// Returns a Session as it is now, with its turn: nobody else changes it meanwhile.
    async fn held(&self, scope: &Scope, name: &str) -> Result<(Session, MutexGuard<'_, ()>), Refusal> {
        let sid = self.record(scope, name)?.map_or_else(|| name.to_owned(), |record| record.sid);
        let turn = self.sessions.of(&sid).await;
        self.settle(scope, &sid).await?;
        let session = match self.record(scope, &sid)? {
            Some(record) => self.shown(scope, record).await?,
            None => self.elsewhere(scope, &sid).await?,
        };
        Ok((session, turn))
    }

    async fn shown(&self, scope: &Scope, record: Record) -> Result<Session, Refusal> {
        let Record { sid, unique_name, content, .. } = record;
        let state = match content {
            Content::Waiting(waiting) if waiting.is_forgotten(Timestamp::now()) => return Err(not_found(scope, &sid)),
            Content::Waiting(waiting) => State::Waiting(waiting),
            Content::Paired(paired) => {
                let conversation = self.conversation(scope, &paired.conversation, &sid).await?;
                State::Paired(paired, conversation)
            }
        };
        Ok(Session { sid, unique_name, state })
    }

    fn recorded(&self, scope: &Scope, sid: &str) -> Result<Record, Refusal> {
        self.records.by_sid(sid)?.ok_or_else(|| not_found(scope, sid))
    }

    /// Returns the conversation of a Session.
    async fn conversation(&self, scope: &Scope, id: &str, sid: &str) -> Result<Value, Refusal> {
        let call = scope.call(Method::GET, &["conversations", id]).query("calls_limit", Some(100));
        self.api.send(call).await.map_err(|error| match Refusal::from(error) {
            refusal if refusal.is_not_found() => not_found(scope, sid),
            refusal => refusal,
        })
    }

    /// Finishes the creation of a Session's conversation, if that was begun. It needs the Session's turn.
    pub(super) async fn settle(&self, scope: &Scope, sid: &str) -> Result<(), Refusal> {
        let Some(Record { content: Content::Waiting(waiting), .. }) = self.records.by_sid(sid)? else { return Ok(()) };
        let Some(attempt) = waiting.attempt.clone() else { return Ok(()) };
        if attempt.is_stale(Timestamp::now()) {
            return Ok(self.records.remove(sid)?);
        }
        match self.finish(scope, sid, waiting, attempt).await {
            // It was refused, so the Session is what it was before.
            Err(_) if !self.recorded(scope, sid)?.is_begun() => Ok(()),
            finished => finished.map(|_| ()),
        }
    }

    /// Makes a conversation of a Session with two participants. It needs the Session's turn.
    async fn pair(
        &self,
        scope: &Scope,
        sid: &str,
        unique_name: Option<&str>,
        mut waiting: Waiting,
    ) -> Result<State, Refusal> {
        let end = End { date_expiry: waiting.date_expiry, ttl: waiting.ttl };
        let (expires_in, extend_on_use) = end.lifetime(Timestamp::now())?;
        let reference = unique_name.filter(|name| Reference::try_from((*name).to_owned()).is_ok()).unwrap_or(sid);
        let people: Vec<Value> = waiting.people.iter().map(|person| json!({"number": person.identifier})).collect();
        let mut body =
            json!({"participants": people, "reference": reference, "expires_in": expires_in, "notify": false});
        if let Some(seconds) = extend_on_use {
            body["extend_on_use"] = json!(seconds);
        }
        let attempt = Attempt { key: format!("facade-{}", uuid::Uuid::new_v4()), body, begun_at: Timestamp::now() };
        waiting.attempt = Some(attempt.clone());
        self.records.keep_waiting(sid, &waiting)?;
        self.finish(scope, sid, waiting, attempt).await
    }

    /// Sends the creation that is written down. If it is refused, the participant who came last is not in the Session.
    async fn finish(
        &self,
        scope: &Scope,
        sid: &str,
        mut waiting: Waiting,
        Attempt { key, body, .. }: Attempt,
    ) -> Result<State, Refusal> {
        let call = scope.call(Method::POST, &["conversations"]).body(&body).idempotency_key(&key);
        match self.api.send(call).await {
            Ok(conversation) => {
                let mut names = waiting.people.into_iter().map(|person| person.friendly_name);
                let friendly_names = [names.next().flatten(), names.next().flatten()];
                let id = conversation["id"].as_str().unwrap_or_default().to_owned();
                let paired = Paired { conversation: id, friendly_names, ttl: waiting.ttl };
                self.records.keep_paired(sid, &paired)?;
                Ok(State::Paired(paired, conversation))
            }
            Err(error) => {
                if is_certain(&error) {
                    waiting.attempt = None;
                    waiting.people.pop();
                    self.records.keep_waiting(sid, &waiting)?;
                }
                Err(error.into())
            }
        }
    }

    /// Adds a participant, and returns the Session with the participant's place. One who is in it already is what a request that was
    /// sent again meant.
    pub(super) async fn add(&self, scope: &Scope, name: &str, person: Person) -> Result<(Session, usize), Refusal> {
        let (session, _turn) = self.held(scope, name).await?;
        if session.is_closed() {
            return Err(Refusal::closed());
        }
        if let Some(place) = session.place_of(&person.identifier) {
            return Ok((session, place));
        }
        let Session { sid, unique_name, state } = session;
        let State::Waiting(mut waiting) = state else { return Err(Refusal::too_many_participants()) };
        waiting.people.push(person);
        let place = waiting.people.len() - 1;
        let state = if waiting.people.len() < 2 {
            self.records.keep_waiting(&sid, &waiting)?;
            State::Waiting(waiting)
        } else {
            self.pair(scope, &sid, unique_name.as_deref(), waiting).await?
        };
        Ok((Session { sid, unique_name, state }, place))
    }

    /// Removes a participant from a Session that waits.
    pub(super) async fn leave(&self, scope: &Scope, name: &str, participant: &str) -> Result<(), Refusal> {
        let (session, _turn) = self.held(scope, name).await?;
        let place = session.place(participant)?;
        let State::Waiting(mut waiting) = session.state else {
            return Err(Refusal::not_here(
                "remove a Participant from a Session of two; close it, and create another one",
            ));
        };
        waiting.people.remove(place);
        Ok(self.records.keep_waiting(&session.sid, &waiting)?)
    }

    /// Changes the end of a Session, or closes it.
    pub(super) async fn change(&self, scope: &Scope, name: &str, change: Change) -> Result<Session, Refusal> {
        let (session, _turn) = self.held(scope, name).await?;
        if session.is_closed() {
            // Closed again, it stays as it is.
            return if change == Change::Close { Ok(session) } else { Err(Refusal::closed()) };
        }
        let Session { sid, unique_name, state } = session;
        let state = match (change, state) {
            (Change::Nothing, state) => state,
            (Change::Close, State::Waiting(waiting)) => {
                let closed = Waiting { closed_at: Some(Timestamp::now()), people: Vec::new(), ..waiting };
                self.records.keep_waiting(&sid, &closed)?;
                State::Waiting(closed)
            }
            (Change::Close, State::Paired(paired, _)) => {
                let call = scope.call(Method::DELETE, &["conversations", &paired.conversation]);
                self.api.send(call).await?;
                let conversation = self.conversation(scope, &paired.conversation, &sid).await?;
                State::Paired(paired, conversation)
            }
            (Change::End(End { date_expiry, ttl }), State::Waiting(waiting)) => {
                let changed = Waiting { date_expiry, ttl: ttl.or(waiting.ttl), ..waiting };
                self.records.keep_waiting(&sid, &changed)?;
                State::Waiting(changed)
            }
            (Change::End(end), State::Paired(mut paired, _)) => {
                let (expires_in, extend_on_use) = end.lifetime(Timestamp::now())?;
                let body = json!({"expires_in": expires_in, "extend_on_use": extend_on_use});
                let call = scope.call(Method::PATCH, &["conversations", &paired.conversation]).body(&body);
                self.api.send(call).await?;
                paired.ttl = end.ttl.or(paired.ttl);
                self.records.keep_paired(&sid, &paired)?;
                let conversation = self.conversation(scope, &paired.conversation, &sid).await?;
                State::Paired(paired, conversation)
            }
        };
        Ok(Session { sid, unique_name, state })
    }

    /// Erases a Session with its calls and texts.
    pub(super) async fn delete(&self, scope: &Scope, name: &str) -> Result<(), Refusal> {
        let (session, _turn) = self.held(scope, name).await?;
        if let State::Paired(paired, _) = session.state {
            let call = scope.call(Method::DELETE, &["conversations", &paired.conversation]).query("erase", Some(true));
            self.api.send(call).await?;
        }
        Ok(self.records.remove(&session.sid)?)
    }

    /// Finishes what was begun, and forgets Sessions that have waited too long. Failures are left for the next time.
    pub(super) async fn tidy(&self) -> Result<(), Refusal> {
        for record in self.records.waiting()? {
            let scope = self.services.iter().find(|scope| record.service.as_ref() == Some(&scope.id));
            let _turn = self.sessions.of(&record.sid).await;
            let settled = match scope {
                Some(scope) => self.settle(scope, &record.sid).await,
                None => Ok(()),
            };
            let now = Timestamp::now();
            match self.records.by_sid(&record.sid)?.map(|record| record.content) {
                Some(Content::Waiting(waiting)) if settled.is_ok() && waiting.is_forgotten(now) => {
                    self.records.remove(&record.sid)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Returns true if an error says that nothing was created.
fn is_certain(error: &ApiError) -> bool {
    error.problem().is_some_and(|problem| !problem.may_pass() || problem.kind() == "no-number-free")
}

fn not_found(scope: &Scope, sid: &str) -> Refusal {
    Refusal::not_found(&format!("/Services/{}/Sessions/{sid}", scope.id))
}
