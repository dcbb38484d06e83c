//! The creation of the conversations of an import, one after the other, and its rehearsal.
//!
//! A session becomes one conversation, however often and from wherever the import runs. The progress file says what is done. Without it,
//! a conversation of the same phone with the same reference is the one; and for a day, which is longer than a list may take to show it,
//! the idempotency key refuses another one.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::phone::PhoneNumber;

use super::super::CommandError;
use super::super::api::{Api, ApiError, Call};
use super::Source;
use super::plan::{Entry, Plan, Wish};
use super::progress::Progress;
use crate::output::progress;

/// Number of failures in a row after which the import gives up: the next requests would fail too.
const MOST_FAILURES: usize = 3;

/// The result of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It cannot be carried over, for the reason in the plan.
    LeftOut,
    /// It would be created.
    WouldBeCreated,
    /// It is created, with this id.
    Created(String),
    /// An earlier import has created it, with this id if it is known.
    CreatedEarlier(Option<String>),
    /// No number is free for it: the pool needs more.
    NeedsNumbers,
    /// The API refuses it, for this reason.
    Refused(String),
    /// It was not created, for this reason, and the next run tries it again.
    Later(String),
}

/// Asks the API what each creation would meet. Nothing is created.
pub(super) async fn rehearse(plan: &Plan, api: &Api) -> Result<Vec<Outcome>, CommandError> {
    let bar = progress(plan.entries.len() as u64);
    let mut outcomes = Vec::new();
    for entry in bar.wrap_iter(plan.entries.iter()) {
        let Ok(wish) = &entry.wish else {
            outcomes.push(Outcome::LeftOut);
            continue;
        };
        let mut request = wish.request(false);
        request["dry_run"] = json!(true);
        let answer = api.send(Call::new(Method::POST, &["conversations"]).body(&request)).await;
        outcomes.push(match answer {
            Ok(_) => Outcome::WouldBeCreated,
            Err(error) => refused(error)?,
        });
    }
    Ok(outcomes)
}

/// Returns the outcome of a request that was refused.
fn refused(error: ApiError) -> Result<Outcome, CommandError> {
    match error.problem() {
        Some(problem) if problem.kind() == "no-number-free" => Ok(Outcome::NeedsNumbers),
        Some(problem) if !problem.may_pass() && !problem.kind().is_empty() => Ok(Outcome::Refused(problem.to_string())),
        // Neither the service nor API Gateway judged the request.
        _ => Err(error.into()),
    }
}

/// A creation of conversations.
pub(super) struct Creation<'a> {
    pub(super) api: &'a Api,
    pub(super) source: Source,
    pub(super) notify: bool,
}

impl Creation<'_> {
    /// Creates what is not there yet. Failures that may pass end it early, and the next run goes on.
    pub(super) async fn run(&self, plan: &Plan, mut done: Progress) -> Result<Vec<Outcome>, CommandError> {
        let bar = progress(plan.entries.len() as u64);
        let (mut outcomes, mut failures, mut listed) = (Vec::new(), 0, Listed::default());
        for entry in bar.wrap_iter(plan.entries.iter()) {
            let outcome = match &entry.wish {
                Err(_) => Outcome::LeftOut,
                Ok(_) if failures == MOST_FAILURES => Outcome::Later("the requests before it failed".to_owned()),
                Ok(wish) => match done.of(&entry.id) {
                    Some(id) => Outcome::CreatedEarlier(id.map(str::to_owned)),
                    None => self.create(entry, wish, &mut listed, plan).await?,
                },
            };
            let id = match &outcome {
                Outcome::Created(id) => Some(Some(id.as_str())),
                Outcome::CreatedEarlier(id) if done.of(&entry.id).is_none() => Some(id.as_deref()),
                _ => None,
            };
            if let Some(id) = id {
                done.add(&entry.id, id).map_err(CommandError::Value)?;
            }
            match outcome {
                Outcome::Later(_) if failures < MOST_FAILURES => failures += 1,
                Outcome::Later(_) | Outcome::LeftOut => {}
                _ => failures = 0,
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    async fn create(
        &self,
        entry: &Entry,
        wish: &Wish,
        listed: &mut Listed,
        plan: &Plan,
    ) -> Result<Outcome, CommandError> {
        match listed.find(self.api, wish, plan).await {
            Ok(Some(id)) => return Ok(Outcome::CreatedEarlier(Some(id))),
            Ok(None) => {}
            Err(error) => return later(error),
        }
        let (request, key) = (wish.request(self.notify), format!("import-{}-{}", self.source.key(), entry.id));
        let call = Call::new(Method::POST, &["conversations"]).body(&request).idempotency_key(&key);
        match self.api.send(call).await {
            Ok(conversation) => Ok(Outcome::Created(conversation["id"].as_str().unwrap_or_default().to_owned())),
            Err(error) => match error.problem().map(|problem| problem.kind()) {
                // Another import has sent it within a day, with another rest of its time, and the list did not show it yet. Or it was
                // erased since: whoever erased it does not want it back.
                Some("idempotency-key-reused" | "conversation-erased") => Ok(Outcome::CreatedEarlier(None)),
                _ => refused(error).or_else(|error| match error {
                    CommandError::Api(error) => later(error),
                    other => Err(other),
                }),
            },
        }
    }
}

/// Returns the outcome of a request whose answer says nothing about the session. Wrong credentials end the import.
fn later(error: ApiError) -> Result<Outcome, CommandError> {
    match &error {
        ApiError::Refused(problem) if problem.may_pass() => Ok(Outcome::Later(problem.to_string())),
        ApiError::NoAnswer(_) => Ok(Outcome::Later("no answer came".to_owned())),
        _ => Err(error.into()),
    }
}

/// The conversations of phones, as they were before the import.
#[derive(Default)]
struct Listed(BTreeMap<PhoneNumber, Vec<(String, String)>>);

impl Listed {
    /// Returns the id of the conversation with the reference of `wish`, in whatever state it is.
    async fn find(&mut self, api: &Api, wish: &Wish, plan: &Plan) -> Result<Option<String>, ApiError> {
        // The phone with fewer conversations has the shorter list.
        let [first, second] = &wish.phones;
        let count = |phone| plan.of_phone.get(phone).copied().unwrap_or(0);
        let phone = if count(first) <= count(second) { first } else { second };
        if !self.0.contains_key(phone) {
            let list = list(api, phone).await?;
            self.0.insert(phone.clone(), list);
        }
        let found = self.0.get(phone).into_iter().flatten().find(|(reference, _)| *reference == wish.reference);
        Ok(found.map(|(_, id)| id.clone()))
    }
}

/// Returns the references and ids of all conversations of a phone.
async fn list(api: &Api, phone: &PhoneNumber) -> Result<Vec<(String, String)>, ApiError> {
    let (mut all, mut cursor, number) = (Vec::new(), None, format!("+{}", phone.expose()));
    loop {
        let call = Call::new(Method::GET, &["conversations"]).query("number", Some(&number));
        let answer = api.send(call.query("limit", Some(100)).query("cursor", cursor.as_ref())).await?;
        for conversation in answer["conversations"].as_array().into_iter().flatten() {
            let [reference, id] = ["reference", "id"].map(|name| conversation[name].as_str().map(str::to_owned));
            all.extend(reference.zip(id));
        }
        match answer["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(all),
        }
    }
}

/// Returns the outcome as a word and an explanation, for the report.
pub(super) fn told(outcome: &Outcome, entry: &Entry) -> (&'static str, Value) {
    match outcome {
        Outcome::LeftOut => ("left_out", json!(entry.wish.as_ref().err())),
        Outcome::WouldBeCreated => ("would_be_created", Value::Null),
        Outcome::Created(_) => ("created", Value::Null),
        Outcome::CreatedEarlier(_) => ("created_earlier", Value::Null),
        Outcome::NeedsNumbers => ("needs_numbers", json!("no number is free for it; order numbers, and run it again")),
        Outcome::Refused(reason) => ("refused", json!(reason)),
        Outcome::Later(reason) => ("later", json!(reason)),
    }
}
