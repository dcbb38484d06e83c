//! A simulator of Vonage in one process: the HTTP that a masked-calling backend uses, on one port, with state.
//!
//! It plays three parts. As Vonage's API it rents numbers, looks numbers up, sends text messages and keeps the one
//! Voice application of the account. As the telephone network it places calls: it asks the application's answer URL,
//! follows the NCCO and sends each leg's events, with time simulated. And for tests it can misbehave on demand.
//! Vonage's own hosts `api.nexmo.com` and `rest.nexmo.com` are both served here, so Vonage's own client libraries work
//! against it once they are pointed at the port.

mod account;
mod applications;
mod call;
mod control;
mod countries;
mod gsm;
mod insight;
mod inventory;
mod leg;
mod ncco;
mod numbers;
mod phones;
mod problem;
mod redact;
mod report;
mod request;
mod sms;
mod webhook;

pub use webhook::sign_webhook;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::routing::{get, post};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::clock::SharedClock;
use tokio::net::TcpListener;

use crate::connection;
use crate::faults::Faults;
use crate::traffic::Traffic;
use account::Account;
use call::HeldEvent;
use phones::Inboxes;
use problem::Problem;
use redact::Records;
use request::RequestLog;
use webhook::Deliverer;

/// The simulated account: its credentials, its one Voice application and its money.
#[derive(Clone)]
pub struct Settings {
    /// The API key, eight characters at Vonage.
    pub api_key: String,
    /// The API secret that goes with the key, for HTTP Basic or the legacy `api_secret` parameter.
    pub api_secret: String,
    /// The account's signature secret: the HS256 key of signed webhooks, as raw UTF-8 text.
    pub signature_secret: String,
    /// The one Voice application of the account.
    pub application: Application,
    /// The balance to start with, in EUR.
    pub balance: Decimal,
    /// Numbers that the account rents from the start, linked to the application.
    pub linked_numbers: Vec<String>,
    /// The time of webhooks, calls and texts.
    pub clock: SharedClock,
    /// What goes wrong, and may be ordered at the simulator for others too.
    pub faults: Faults,
    /// Counts what Vonage's API is asked.
    pub traffic: Traffic,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("api_key", &self.api_key)
            .field("application", &self.application)
            .field("balance", &self.balance)
            .finish_non_exhaustive()
    }
}

/// A Vonage application with the Voice capability.
#[derive(Clone, Debug)]
pub struct Application {
    /// The application id, a UUID at Vonage.
    pub id: String,
    /// `answer_url`: asked for the NCCO of each inbound call.
    pub answer: Webhook,
    /// `fallback_answer_url`: asked when the answer URL cannot be used.
    pub fallback_answer: Option<Webhook>,
    /// `event_url`: told of each leg's progress.
    pub event: Webhook,
}

/// Where and how Vonage reaches one webhook of an application.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// An absolute URL.
    pub address: String,
    /// How the parameters travel: in the query string, or as a JSON body.
    pub http_method: HttpMethod,
}

/// The method of a webhook, `http_method` in the Application API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Parameters in the query string.
    Get,
    /// Parameters as a JSON body.
    Post,
}

/// Serves the simulator on `listener` until `stop` resolves; requests that are then still open are cut short.
///
/// # Errors
/// When no HTTP client for the webhooks can be built, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    connection::serve(listener, router(Arc::new(Simulator::new(settings)?)), stop).await
}

/// Everything that the simulator remembers.
struct Simulator {
    api_key: String,
    api_secret: String,
    account: Mutex<Account>,
    inboxes: Mutex<Inboxes>,
    records: Mutex<Records>,
    faults: Faults,
    traffic: Traffic,
    /// Events that wait for their release.
    held: Mutex<Vec<HeldEvent>>,
    requests: Mutex<RequestLog>,
    deliverer: Deliverer,
    clock: SharedClock,
}

impl Simulator {
    fn new(settings: Settings) -> io::Result<Self> {
        let deliverer = Deliverer::new(&settings.api_key, &settings.signature_secret, settings.clock.clone())?;
        Ok(Self {
            api_key: settings.api_key,
            api_secret: settings.api_secret,
            account: Mutex::new(Account::new(settings.balance, &settings.application, &settings.linked_numbers)),
            inboxes: Mutex::default(),
            records: Mutex::default(),
            faults: settings.faults,
            traffic: settings.traffic,
            held: Mutex::default(),
            requests: Mutex::default(),
            deliverer,
            clock: settings.clock,
        })
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    fn inboxes(&self) -> MutexGuard<'_, Inboxes> {
        lock(&self.inboxes)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    fn held(&self) -> MutexGuard<'_, Vec<HeldEvent>> {
        lock(&self.held)
    }

    fn requests(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.requests)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds a lock of the simulator")
}

fn router(simulator: Arc<Simulator>) -> Router {
    let vonage = Router::new()
        .route("/number/search", get(numbers::search))
        .route("/number/buy", post(numbers::buy))
        .route("/number/update", post(numbers::update))
        .route("/number/cancel", post(numbers::cancel))
        .route("/account/numbers", get(numbers::owned))
        .route("/ni/basic/json", get(insight::basic).post(insight::basic))
        .route("/sms/json", post(sms::send))
        .route("/v1/redact/transaction", post(redact::transaction))
        .route("/v2/applications/{id}", get(applications::read).put(applications::replace))
        .route_layer(middleware::from_fn_with_state(simulator.clone(), request::receive));
    Router::new()
        .route("/simulator/calls", post(control::place_call))
        .route("/simulator/messages", get(control::messages))
        .route("/simulator/account", get(control::account).put(control::set_account))
        .route("/simulator/faults", post(control::add_fault).delete(control::clear_faults))
        .route("/simulator/release", post(control::release))
        .route("/simulator/requests", get(control::requests).delete(control::clear_requests))
        .merge(vonage)
        .fallback(async || Problem::not_found("There is nothing at this path."))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(simulator)
}

type Shared = State<Arc<Simulator>>;
