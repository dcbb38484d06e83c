//! A simulator of Vonage in one process: the HTTP APIs that a masked-calling backend uses, on one port, with state.
//!
//! It has three roles. As Vonage's API it rents numbers, looks up numbers, sends text messages and stores the applications of the
//! account. As the telephone network it places calls: it asks the application's answer URL, performs the NCCO
//! and sends the events of each leg, in simulated time, and passes on the texts of phones. For tests it injects faults. It serves
//! the paths of all of Vonage's hosts, such as `api.nexmo.com` and `rest.nexmo.com`, so Vonage's client libraries work with its
//! address.

mod account;
mod applications;
mod auto_replies;
mod call;
mod call_order;
mod calls;
mod channels;
mod control;
mod countries;
mod gsm;
mod identity;
mod insight;
mod inventory;
mod leg;
mod message_webhook;
mod messages;
mod ncco;
mod numbers;
mod phones;
mod problem;
mod receipts;
mod recordings;
mod redact;
mod report;
mod request;
mod rest;
mod sms;
mod texts;
mod token;
mod webhook;

pub use channels::Channel;
pub use webhook::{USER_AGENT, sign_webhook};

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::routing::{delete, get, post, put};
use rlibphonenumber::PHONE_NUMBER_UTIL;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::clock::SharedClock;
use tokio::net::TcpListener;

use crate::connection;
use crate::faults::Faults;
use crate::trace::Trace;
use crate::traffic::Traffic;
use account::Account;
use auto_replies::AutoReplies;
use call::WithheldEvent;
use calls::Calls;
use channels::Channels;
use ncco::NccoReader;
use phones::Inboxes;
use problem::Problem;
use receipts::Receipts;
use recordings::Recordings;
use redact::Records;
use request::RequestLog;
use texts::InboundText;
use webhook::Deliverer;

/// The simulated account: its credentials, its Voice application and its money.
#[derive(Clone)]
pub struct Settings {
    /// API key. Vonage's have eight characters.
    pub api_key: String,
    /// API secret, for HTTP Basic or the legacy parameter `api_secret`.
    pub api_secret: String,
    /// Signature secret of the account: the HS256 key of signed webhooks, as raw UTF-8 text.
    pub signature_secret: String,
    /// The Voice application that the account has at first.
    pub application: Application,
    /// Initial balance in EUR.
    pub balance: Decimal,
    /// Numbers that the account rents from the start. They are linked to the application.
    pub linked_numbers: Vec<String>,
    /// Senders of the account on channels.
    pub senders: Vec<(Channel, String)>,
    /// Clock of webhooks, calls and text messages.
    pub clock: SharedClock,
    /// Fault rules, also those for DynamoDB, which clients add at the simulator.
    pub faults: Faults,
    /// Counter of the requests to Vonage's API.
    pub traffic: Traffic,
    /// The file to which each NCCO is appended, a line each; none records nothing.
    pub ncco_log: Option<PathBuf>,
    /// The trace of requests and calls.
    pub trace: Trace,
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
    /// Application ID. Vonage's are UUIDs.
    pub id: String,
    /// The key in PEM (`BEGIN PUBLIC KEY`) that verifies the application's tokens.
    pub public_key: String,
    /// `answer_url`: returns the NCCO of each inbound call.
    pub answer: Webhook,
    /// `fallback_answer_url`: asked if the answer URL fails.
    pub fallback_answer: Option<Webhook>,
    /// `event_url`: receives the events of each leg.
    pub event: Webhook,
    /// `inbound_url` of the Messages capability: receives texts. None: the application has no such capability.
    pub inbound: Option<Webhook>,
    /// `status_url` of the Messages capability: receives the receipts of texts.
    pub status: Option<Webhook>,
}

/// Address and method of one webhook of an application.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// An absolute URL.
    pub address: String,
    /// The method, which decides the format of the parameters.
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

/// Serves the simulator on `listener` until `stop` resolves, and then aborts open requests.
///
/// # Errors
/// Fails if the HTTP client for the webhooks cannot be built, or if the listener fails.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    connection::serve(listener, router(Arc::new(Simulator::new(settings)?)), stop).await
}

/// The state of the simulator.
struct Simulator {
    api_key: String,
    api_secret: String,
    account: Mutex<Account>,
    inboxes: Mutex<Inboxes>,
    /// Texts from phones, by their ids.
    texts: Mutex<HashMap<String, InboundText>>,
    channels: Mutex<Channels>,
    auto_replies: Mutex<AutoReplies>,
    receipts: Mutex<Receipts>,
    records: Mutex<Records>,
    recordings: Mutex<Recordings>,
    calls: Mutex<Calls>,
    faults: Faults,
    traffic: Traffic,
    trace: Trace,
    nccos: NccoReader,
    /// Events that wait for `POST /simulator/release`.
    withheld: Mutex<Vec<WithheldEvent>>,
    requests: Mutex<RequestLog>,
    deliverer: Deliverer,
    clock: SharedClock,
}

impl Simulator {
    fn new(settings: Settings) -> io::Result<Self> {
        // Decodes libphonenumber's metadata now, not during the first request, which may have a short time limit.
        LazyLock::force(&PHONE_NUMBER_UTIL);
        let deliverer = Deliverer::new(&settings.api_key, &settings.signature_secret, settings.clock.clone())?;
        Ok(Self {
            api_key: settings.api_key,
            api_secret: settings.api_secret,
            account: Mutex::new(Account::new(settings.balance, &settings.application, &settings.linked_numbers)),
            inboxes: Mutex::default(),
            texts: Mutex::default(),
            channels: Mutex::new(Channels::new(settings.senders)),
            auto_replies: Mutex::default(),
            receipts: Mutex::default(),
            records: Mutex::default(),
            recordings: Mutex::default(),
            calls: Mutex::default(),
            faults: settings.faults,
            traffic: settings.traffic,
            trace: settings.trace,
            nccos: NccoReader::new(settings.ncco_log),
            withheld: Mutex::default(),
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

    fn channels(&self) -> MutexGuard<'_, Channels> {
        lock(&self.channels)
    }

    fn texts(&self) -> MutexGuard<'_, HashMap<String, InboundText>> {
        lock(&self.texts)
    }

    fn auto_replies(&self) -> MutexGuard<'_, AutoReplies> {
        lock(&self.auto_replies)
    }

    fn receipts(&self) -> MutexGuard<'_, Receipts> {
        lock(&self.receipts)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    fn recordings(&self) -> MutexGuard<'_, Recordings> {
        lock(&self.recordings)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        lock(&self.calls)
    }

    fn withheld(&self) -> MutexGuard<'_, Vec<WithheldEvent>> {
        lock(&self.withheld)
    }

    fn requests(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.requests)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it has a lock of the simulator")
}

fn router(simulator: Arc<Simulator>) -> Router {
    let vonage = Router::new()
        .route("/number/search", get(numbers::search))
        .route("/number/buy", post(numbers::buy))
        .route("/number/update", post(numbers::update))
        .route("/number/cancel", post(numbers::cancel))
        .route("/account/numbers", get(numbers::owned))
        .route("/account/get-balance", get(numbers::balance))
        .route("/identity-insights/v1/requests", post(identity::requests))
        .route("/ni/basic/json", get(insight::basic).post(insight::basic))
        .route("/sms/json", post(sms::send))
        .route("/v1/messages", post(messages::send))
        .route("/v1/calls", get(rest::list).post(rest::create))
        .route("/v1/calls/{uuid}", get(rest::read).put(rest::modify))
        .route("/v1/calls/{uuid}/talk", put(rest::talk).delete(rest::stop_talk))
        .route("/v1/calls/{uuid}/stream", put(rest::stream).delete(rest::stop_stream))
        .route("/v1/files/{id}", get(recordings::read))
        .route("/v1/redact/transaction", post(redact::transaction))
        .route("/v2/applications", get(applications::list).post(applications::make))
        .route("/v2/applications/{id}", get(applications::read).put(applications::replace).delete(applications::remove))
        .route_layer(middleware::from_fn_with_state(simulator.clone(), request::receive));
    Router::new()
        .route("/simulator/calls", post(control::place_call))
        .route("/simulator/calls/{conversation_uuid}", get(control::call_report))
        .route("/simulator/calls/{conversation_uuid}/hang-up", post(control::hang_up))
        .route("/simulator/calls/{conversation_uuid}/answer", post(control::answer))
        .route("/simulator/calls/{conversation_uuid}/press", post(control::press))
        .route("/simulator/created-calls", put(control::script_created_calls))
        .route("/simulator/messages", get(control::messages))
        .route("/simulator/texts", post(texts::send))
        .route("/simulator/texts/{id}/deliver", post(texts::deliver_again))
        .route("/simulator/receipts", post(receipts::release))
        .route("/simulator/auto-replies", put(auto_replies::set))
        .route("/simulator/opt-outs", put(receipts::opt_out))
        .route("/simulator/channels", put(channels::set))
        .route("/simulator/account", get(control::account).put(control::set_account))
        .route("/simulator/faults", get(control::faults).post(control::add_fault).delete(control::clear_faults))
        .route("/simulator/numbers", post(control::add_numbers))
        .route("/simulator/numbers/{number}", delete(control::take_number_away))
        .route("/simulator/release", post(control::release))
        .route("/simulator/requests", get(control::requests).delete(control::clear_requests))
        .merge(vonage)
        .fallback(async || Problem::not_found("This path does not exist."))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(simulator)
}

type Shared = State<Arc<Simulator>>;
