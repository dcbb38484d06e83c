//! Twilio Proxy (version 1): Services, Sessions, Participants, Interactions and MessageInteractions.
//!
//! Source: Twilio, "Proxy: Session Resource", "Participant Resource", "Interaction Resource", "Message Interaction Resource", and its
//! error pages.

mod answers;
mod client;
mod interactions;
mod records;
mod refusal;
mod requests;
mod sessions;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Args;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::super::CommandError;
use super::super::api::Api;
use super::super::import::progress;
use super::scope::Scope;
use client::Client;
use records::Records;
use refusal::Refusal;
use requests::{Change, NewSession};
use sessions::Turns;

/// The time between two rounds that finish what was begun.
const ROUND: Duration = Duration::from_secs(600);

/// The number of conversations that are read at the same time for a list.
const AT_ONCE: usize = 8;

/// The options of `facade twilio-proxy`.
#[derive(Debug, Args)]
pub struct Options {
    /// A Service that your backend names, and with =TENANT the tenant that it stands for. May be given several times
    #[arg(long = "service", value_name = "KS…[=TENANT]", value_parser = service, required = true)]
    services: Vec<Scope>,
    /// File that remembers the Sessions. It is made if it is not there, and has the phones of those that wait for their second Participant
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// File that `maskline import` has made (FILE.imported): Sessions keep the ids that they had at Twilio
    #[arg(long, value_name = "FILE")]
    imported: Option<PathBuf>,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 3200)]
    pub(super) port: u16,
    /// Address to listen on. Any other than this machine's own needs MASKLINE_FACADE_TOKEN, which clients send as the auth token
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(super) listen: IpAddr,
}

/// The façade.
pub(super) struct Proxy {
    api: Api,
    services: Vec<Scope>,
    token: Option<String>,
    records: Records,
    /// The turns of Sessions, and of names that Sessions are to have.
    sessions: Turns,
    names: Turns,
}

type Shared = State<Arc<Proxy>>;
type Answer = Result<Json<Value>, Refusal>;
type Created = Result<(StatusCode, Json<Value>), Refusal>;

fn service(text: &str) -> Result<Scope, String> {
    let scope = Scope::read(text)?;
    if is_sid(&scope.id, "KS") {
        Ok(scope)
    } else {
        Err("a Service has an id such as KS and 32 hexadecimal digits".to_owned())
    }
}

/// Returns true if a text is an id of Twilio with this prefix.
fn is_sid(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns 32 hexadecimal digits for a text.
fn hex(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the id of the participant at a place of a Session. It says nothing about the person.
fn participant_sid(session: &str, place: usize) -> String {
    format!("KP{}", hex(&format!("{session} {place}")))
}

/// Opens the data file, and returns the routes.
pub(super) fn router(options: &Options, api: Api, token: Option<String>) -> Result<Router, CommandError> {
    let records = Records::open(&options.data).map_err(CommandError::Value)?;
    if let Some(file) = &options.imported {
        let imported = progress::read(file).map_err(CommandError::Value)?;
        let adopted = records.adopt(&imported);
        adopted.map_err(|error| CommandError::Value(format!("{}: {error}", options.data.display())))?;
    }
    let services = options.services.clone();
    let proxy = Proxy { api, services, token, records, sessions: Turns::default(), names: Turns::default() };
    let proxy = Arc::new(proxy);
    tokio::spawn(tidy(Arc::downgrade(&proxy)));
    let session = "/v1/Services/{service}/Sessions/{session}";
    let participant = format!("{session}/Participants/{{participant}}");
    let router = Router::new()
        .route("/v1/Services", get(list_services))
        .route("/v1/Services/{service}", get(fetch_service))
        .route("/v1/Services/{service}/Sessions", get(list_sessions).post(create_session))
        .route(session, get(fetch_session).post(update_session).delete(delete_session))
        .route(&format!("{session}/Participants"), get(list_participants).post(add_participant))
        .route(&participant, get(fetch_participant).delete(remove_participant))
        .route(&format!("{participant}/MessageInteractions"), post(write_message).get(list_messages))
        .route(&format!("{participant}/MessageInteractions/{{interaction}}"), get(fetch_message))
        .route(&format!("{session}/Interactions"), get(list_interactions))
        .route(&format!("{session}/Interactions/{{interaction}}"), get(fetch_interaction))
        .method_not_allowed_fallback(async || Refusal::not_here("this method of this resource"))
        .fallback(unknown);
    Ok(router.with_state(proxy))
}

/// Finishes what was begun, from time to time, as long as the façade runs.
async fn tidy(proxy: Weak<Proxy>) {
    while let Some(proxy) = proxy.upgrade() {
        if let Err(refusal) = proxy.tidy().await {
            tracing::warn!(?refusal, "Sessions that wait cannot be tidied");
        }
        drop(proxy);
        tokio::time::sleep(ROUND).await;
    }
}

async fn unknown(uri: Uri) -> Refusal {
    let what = if uri.path().starts_with("/v1/Services/") { "this resource of a Service" } else { "this path" };
    Refusal::not_found(&format!("({what}, which Maskline's façade does not have)"))
}

impl Proxy {
    fn scope(&self, service: &str) -> Result<&Scope, Refusal> {
        let scope = self.services.iter().find(|scope| scope.id == service);
        scope.ok_or_else(|| Refusal::not_found(&format!("/Services/{service}")))
    }
}

/// Reads a form. A client that has nothing to say may send none.
fn form(text: &str) -> Result<requests::Form, Refusal> {
    serde_urlencoded::from_str(text).map_err(|_| Refusal::parameter("body", "Send the parameters as a form"))
}

async fn list_services(State(proxy): Shared, client: Client) -> Json<Value> {
    let services = proxy.services.iter().map(|scope| answers::service(&client, scope)).collect();
    Json(client.list("services", services, None))
}

async fn fetch_service(State(proxy): Shared, client: Client, Path(service): Path<String>) -> Answer {
    Ok(Json(answers::service(&client, proxy.scope(&service)?)))
}

/// Lists the Sessions that began here or were imported, the latest first. Those that have been erased are not shown.
async fn list_sessions(State(proxy): Shared, client: Client, Path(service): Path<String>) -> Answer {
    let scope = proxy.scope(&service)?;
    let before = client.page().token.as_ref().and_then(|token| token.parse().ok()).unwrap_or(i64::MAX);
    let page = proxy.records.page(&scope.id, before, client.page().size)?;
    let last = page.last().map(|record| record.place.to_string());
    let next = last.filter(|_| page.len() == client.page().size);
    let proxy = &proxy;
    let read = stream::iter(page).map(|record| proxy.current(scope, record)).buffered(AT_ONCE);
    let read: Vec<_> = read.collect().await;
    let mut sessions = Vec::new();
    for session in read {
        match session {
            Ok(session) => sessions.push(answers::session(&client, scope, &session)),
            Err(refusal) if refusal.is_not_found() => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(Json(client.list("sessions", sessions, next)))
}

async fn create_session(State(proxy): Shared, client: Client, Path(service): Path<String>, fields: String) -> Created {
    let scope = proxy.scope(&service)?;
    let session = proxy.create(scope, NewSession::read(&form(&fields)?, Timestamp::now())?).await?;
    Ok((StatusCode::CREATED, Json(answers::session(&client, scope, &session))))
}

type OfSession = Path<(String, String)>;
type OfParticipant = Path<(String, String, String)>;

async fn fetch_session(State(proxy): Shared, client: Client, Path((service, name)): OfSession) -> Answer {
    let scope = proxy.scope(&service)?;
    Ok(Json(answers::session(&client, scope, &proxy.find(scope, &name).await?)))
}

async fn update_session(
    State(proxy): Shared,
    client: Client,
    Path((service, name)): OfSession,
    fields: String,
) -> Answer {
    let scope = proxy.scope(&service)?;
    let session = proxy.change(scope, &name, Change::read(&form(&fields)?, Timestamp::now())?).await?;
    Ok(Json(answers::session(&client, scope, &session)))
}

async fn delete_session(
    State(proxy): Shared,
    _: Client,
    Path((service, name)): OfSession,
) -> Result<StatusCode, Refusal> {
    proxy.delete(proxy.scope(&service)?, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_participants(State(proxy): Shared, client: Client, Path((service, name)): OfSession) -> Answer {
    let scope = proxy.scope(&service)?;
    let session = proxy.find(scope, &name).await?;
    let places = 0..session.identifiers().len();
    let participants = places.map(|place| answers::participant(&client, scope, &session, place)).collect();
    Ok(Json(client.list("participants", participants, None)))
}

async fn add_participant(
    State(proxy): Shared,
    client: Client,
    Path((service, name)): OfSession,
    fields: String,
) -> Created {
    let scope = proxy.scope(&service)?;
    let (session, place) = proxy.add(scope, &name, requests::participant(&form(&fields)?)?).await?;
    Ok((StatusCode::CREATED, Json(answers::participant(&client, scope, &session, place))))
}

async fn fetch_participant(
    State(proxy): Shared,
    client: Client,
    Path((service, name, participant)): OfParticipant,
) -> Answer {
    let scope = proxy.scope(&service)?;
    let session = proxy.find(scope, &name).await?;
    Ok(Json(answers::participant(&client, scope, &session, session.place(&participant)?)))
}

async fn remove_participant(
    State(proxy): Shared,
    _: Client,
    Path((service, name, participant)): OfParticipant,
) -> Result<StatusCode, Refusal> {
    proxy.leave(proxy.scope(&service)?, &name, &participant).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_interactions(State(proxy): Shared, client: Client, Path((service, name)): OfSession) -> Answer {
    let scope = proxy.scope(&service)?;
    let session = proxy.find(scope, &name).await?;
    let interactions = proxy.interactions(&client, scope, &session).await?;
    Ok(Json(page_of(&client, interactions)))
}

async fn fetch_interaction(State(proxy): Shared, client: Client, Path((service, name, sid)): OfParticipant) -> Answer {
    let scope = proxy.scope(&service)?;
    let session = proxy.find(scope, &name).await?;
    one(proxy.interactions(&client, scope, &session).await?, &sid)
}

async fn write_message(
    State(proxy): Shared,
    client: Client,
    Path((service, name, participant)): OfParticipant,
    fields: String,
) -> Created {
    let scope = proxy.scope(&service)?;
    let words = requests::message(&form(&fields)?)?;
    let session = proxy.find(scope, &name).await?;
    let message = proxy.write(&client, scope, &session, &participant, &words).await?;
    Ok((StatusCode::CREATED, Json(message)))
}

async fn list_messages(
    State(proxy): Shared,
    client: Client,
    Path((service, name, participant)): OfParticipant,
) -> Answer {
    let messages = proxy.messages(&client, &service, &name, &participant).await?;
    Ok(Json(page_of(&client, messages)))
}

async fn fetch_message(
    State(proxy): Shared,
    client: Client,
    Path((service, name, participant, sid)): Path<(String, String, String, String)>,
) -> Answer {
    one(proxy.messages(&client, &service, &name, &participant).await?, &sid)
}

impl Proxy {
    /// Returns the messages of the backend to a participant.
    async fn messages(
        &self,
        client: &Client,
        service: &str,
        name: &str,
        participant: &str,
    ) -> Result<Vec<Value>, Refusal> {
        let scope = self.scope(service)?;
        let session = self.find(scope, name).await?;
        session.place(participant)?;
        let all = self.interactions(client, scope, &session).await?.into_iter();
        let own = all.filter(|one| interactions::is_message_to(one, participant));
        Ok(own.map(|one| interactions::as_message(one, participant)).collect())
    }
}

fn one(interactions: Vec<Value>, sid: &str) -> Answer {
    let found = interactions.into_iter().find(|interaction| interaction["sid"] == sid);
    found.map(Json).ok_or_else(|| Refusal::not_found(&format!("/Interactions/{sid}")))
}

/// Returns a page of a list whose entries are all there. Its token is the number of entries before it.
fn page_of(client: &Client, all: Vec<Value>) -> Value {
    let (size, total) = (client.page().size, all.len());
    let before: usize = client.page().token.as_ref().and_then(|token| token.parse().ok()).unwrap_or(0);
    let after = before.saturating_add(size);
    let entries = all.into_iter().skip(before).take(size).collect();
    client.list("interactions", entries, (after < total).then(|| after.to_string()))
}
