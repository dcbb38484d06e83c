//! The laptop stack: starts all services on any ports, and stops them cleanly.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::{self, SharedClock};
use shared::config::{ConfigError, Environment};
use shared::domain::channel::Channel;
use shared::domain::pool::PoolNumber;
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::service::provision::ORDERS_SOURCE;
use shared::store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::console;
use crate::dynamodb::{self, AccessLog, Changes, Dynamodb, DynamodbError};
use crate::faults::Faults;
use crate::gateway::bus::{self, Bus};
use crate::gateway::invoke::{self, BackgroundRuns};
use crate::gateway::objects::{self, Bucket};
use crate::gateway::pipe::{self, PipeError};
use crate::gateway::queue::{self, Deliveries, Queue};
use crate::gateway::{
    self, CallControl, DeliveryFunction, ErasureSchedule, NumbersSchedule, RecordingsSchedule, Schedule, event_stream,
};
use crate::reference;
use crate::settings::Settings;
use crate::simulator::{self, Application, HttpMethod, Webhook};
use crate::trace::Trace;
use crate::traffic::Traffic;

/// The laptop's Vonage account, unless its environment names another. These are no secrets: they open the simulator only.
pub mod account {
    /// Vonage's API key.
    pub const API_KEY: &str = "1a2b3c4d";
    /// Vonage's API secret.
    pub const API_SECRET: &str = "laptop-api-secret";
    /// The secret that signs webhooks.
    pub const SIGNATURE_SECRET: &str = "laptop-signature-secret";
    /// The Voice application.
    pub const APPLICATION_ID: &str = "00000000-0000-4000-8000-000000000001";
    /// The secret that signs events for the backend.
    pub const WEBHOOK_SECRET: &str = "whsec_bGFwdG9wLXdlYmhvb2stc2VjcmV0LW9mLTMyLWJ5";
    /// The secret with which idempotency keys are hashed.
    pub const HASH_KEY: &str = "laptop-hash-key-of-32-characters";
    /// The application's private key, in PEM.
    pub const PRIVATE_KEY: &str = include_str!("account/private_key.pem");
    /// The key that verifies what the private key signs, in PEM.
    pub const PUBLIC_KEY: &str = include_str!("account/public_key.pem");
}

/// Options of a stack.
pub struct Options {
    /// The address to listen on.
    pub listen: IpAddr,
    /// The gateway's port; 0 takes a free one.
    pub port: u16,
    /// DynamoDB's port; 0 takes a free one.
    pub dynamodb_port: u16,
    /// The Vonage simulator's port; 0 takes a free one.
    pub vonage_port: u16,
    /// The file that stores the table; none stores it in memory.
    pub data: Option<PathBuf>,
    /// Another DynamoDB instead of the embedded one. The stack reaches it through its own port, where faults can be
    /// injected.
    pub dynamodb_url: Option<String>,
    /// The file to which it is appended what each function asks of DynamoDB; none records nothing.
    pub access_log: Option<PathBuf>,
    /// The file to which each NCCO is appended that the simulated Vonage gets; none records nothing.
    pub ncco_log: Option<PathBuf>,
    /// The table's name.
    pub table: String,
    /// The journal's name.
    pub journal: String,
    /// The HTTP method by which the simulated Vonage calls the answer webhook.
    pub answer_method: HttpMethod,
    /// Settings of the functions and of the simulated account, from the environment of whoever starts the laptop.
    pub settings: Settings,
    /// Variables of the functions that differ from the laptop's own and from the settings.
    pub environment: Vec<(String, String)>,
    /// The functions' clock.
    pub clock: SharedClock,
    /// The interval of the schedules; none runs them only by [`Stack::run_schedule`] and
    /// [`Stack::run_erasure_schedule`].
    pub schedule: Option<Duration>,
    /// True: the pipes of the template read the embedded table, and put their events on the bus.
    pub pipes: bool,
    /// True: the console is served, and what it shows is recorded.
    pub console: bool,
}

impl Default for Options {
    /// Free ports on loopback, in memory, by the machine's clock.
    fn default() -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            dynamodb_port: 0,
            vonage_port: 0,
            data: None,
            dynamodb_url: None,
            access_log: None,
            ncco_log: None,
            table: "maskline".to_owned(),
            journal: "maskline-journal".to_owned(),
            answer_method: HttpMethod::Post,
            settings: Settings::default(),
            environment: Vec::new(),
            clock: clock::system(),
            schedule: None,
            pipes: false,
            console: false,
        }
    }
}

/// A stack could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is not available.
    #[error("{service} cannot listen on {address} ({source}); choose another port with {flag}")]
    Port {
        /// The service.
        service: &'static str,
        /// The address to listen on.
        address: SocketAddr,
        /// The flag that sets its port.
        flag: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Dynamodb(#[from] DynamodbError),
    /// A pipe of the template cannot be read.
    #[error(transparent)]
    Pipe(#[from] &'static PipeError),
    /// A function cannot start.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The table cannot be used.
    #[error("the table cannot be used: {0}")]
    Table(#[from] StoreError),
}

/// A running stack. Dropping it stops it; [`Stack::stop`] also waits until it has stopped.
pub struct Stack {
    /// `http://…` of the gateway.
    pub gateway_url: String,
    /// `http://…` of DynamoDB.
    pub dynamodb_url: String,
    /// `http://…` of the Vonage simulator.
    pub vonage_url: String,
    /// The environment in which the functions run.
    pub environment: Environment,
    /// The faults to inject, as set by `POST /simulator/faults`.
    pub faults: Faults,
    /// The requests to DynamoDB and to Vonage.
    pub traffic: Traffic,
    /// The embedded DynamoDB, unless another one is used.
    pub database: Option<Dynamodb>,
    /// The bus with the events that functions put there. The pipes, which read the table's stream, are not part of it.
    pub bus: Bus,
    /// The bucket with the files of recordings: in a folder beside the table's file, or in memory.
    pub bucket: Bucket,
    numbers: Arc<NumbersSchedule>,
    erasures: Arc<ErasureSchedule>,
    control: Arc<CallControl>,
    recordings: Arc<RecordingsSchedule>,
    deliveries: Option<Arc<Deliveries>>,
    runs: BackgroundRuns,
    stop: watch::Sender<bool>,
    services: JoinSet<()>,
}

impl Stack {
    /// Starts the services, and returns when they answer.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        for variable in options.settings.unused() {
            tracing::warn!(variable, "variable of the environment without effect: the laptop sets it");
        }
        let gateway = bind("the gateway", options.listen, options.port, "--port").await?;
        let dynamodb = bind("DynamoDB", options.listen, options.dynamodb_port, "--dynamodb-port").await?;
        let vonage = bind("the Vonage simulator", options.listen, options.vonage_port, "--vonage-port").await?;
        let gateway_url = url(&gateway);
        let vonage_url = url(&vonage);
        let dynamodb_url = url(&dynamodb);

        let (stop, stopped) = watch::channel(false);
        let mut services = JoinSet::new();
        let folder = options.data.as_ref().map(|file| file.with_extension("recordings"));
        let bucket = folder.map_or_else(Bucket::default, Bucket::in_folder);
        let (behind, database) = match options.dynamodb_url {
            Some(elsewhere) => (elsewhere, None),
            None => {
                let database = Dynamodb::open(options.data.as_deref())?;
                let listener = bind("the embedded DynamoDB", Ipv4Addr::LOCALHOST.into(), 0, "--dynamodb-port").await?;
                let (url, until, served) = (url(&listener), stopping(stopped.clone()), database.clone());
                services.spawn(async move { report("DynamoDB", served.serve(listener, until).await) });
                (url, Some(database))
            }
        };
        let tables = [options.table.as_str(), options.journal.as_str()];
        let own = with_settings(environment(tables, &dynamodb_url, &vonage_url, &gateway_url), &options.settings);
        let environment = own.clone().with(options.environment);
        let queue = environment.optional("WEBHOOK_URL").map(|_| Queue::new(options.clock.clone()));
        let bus = Bus::new(options.clock.clone(), queue.clone());
        let (faults, traffic) = (Faults::default(), Traffic::default());
        let trace = if options.console { Trace::without(options.settings.secrets()) } else { Trace::default() };
        let changes = match database.clone().filter(|_| options.pipes) {
            Some(database) => {
                let (changes, records) = Changes::new(database, options.table.clone(), pipe::KINDS);
                services.spawn(pipe::run(pipe::pipes()?, records, bus.clone(), stopped.clone()));
                Some(Arc::new(changes))
            }
            None => None,
        };
        let until = stopping(stopped.clone());
        let proxy = dynamodb::Proxy {
            target: behind,
            embedded: database.clone(),
            http: crate::loopback_client(),
            faults: faults.clone(),
            traffic: traffic.clone(),
            trace: trace.clone(),
            access_log: options.access_log.map(|file| Arc::new(AccessLog::new(file))),
            changes,
        };
        let proxy = dynamodb::serve_proxy(dynamodb, proxy, until);
        services.spawn(async move { report("the proxy of DynamoDB", proxy.await) });
        let store = Store::connect(&own)?.with_journal(&own)?;
        store.create_table().await?;

        let rented = rented(&store).await?;
        let settings = simulator::Settings {
            senders: senders(&environment)?,
            faults: faults.clone(),
            traffic: traffic.clone(),
            ncco_log: options.ncco_log,
            trace: trace.clone(),
            ..simulator_settings(&options.settings, &gateway_url, options.answer_method, rented, options.clock.clone())
        };
        let until = stopping(stopped.clone());
        services.spawn(async move { report("the Vonage simulator", simulator::serve(vonage, settings, until).await) });

        let clock = || options.clock.clone();
        let event = json!({"source": "aws.events", "public_url": gateway_url});
        let numbers = Arc::new(NumbersSchedule::new(&environment, clock(), event)?);
        let erasures = Arc::new(ErasureSchedule::new(&environment, clock(), json!({"source": "aws.events"}))?);
        let control = Arc::new(CallControl::new(&environment, clock(), json!({"source": "aws.events"}))?);
        let recordings = Arc::new(RecordingsSchedule::new(&environment, clock(), json!({"source": "aws.events"}))?);
        let deliveries = match queue.clone() {
            Some(queue) => {
                let function = DeliveryFunction::new(&environment, clock(), Value::Null)?;
                Some(Arc::new(Deliveries::new(queue, function)))
            }
            None => None,
        };
        if let Some(interval) = options.schedule {
            if let Some(deliveries) = deliveries.clone() {
                services.spawn(deliver(deliveries, stopped.clone()));
            }
            services.spawn(run_every(interval, numbers.clone(), stopped.clone()));
            let orders = Arc::new(NumbersSchedule::new(&environment, clock(), orders_event())?);
            services.spawn(run_every(interval, orders, stopped.clone()));
            services.spawn(run_every(interval, erasures.clone(), stopped.clone()));
            services.spawn(run_every(interval, recordings.clone(), stopped.clone()));
            services.spawn(run_every(interval, control.clone(), stopped.clone()));
        }
        let routes = gateway::routes(&environment, options.clock)?;
        let runs = BackgroundRuns::new(stopped.clone());
        let invocations = invoke::router(numbers.clone(), control.clone(), recordings.clone(), runs.clone());
        let router = gateway::router(routes, &trace).merge(invocations);
        let router = router.merge(bus::router(bus.clone())).merge(objects::router(bucket.clone()));
        let router = queue.into_iter().fold(router, |router, queue| router.merge(queue::router(queue)));
        let router = router.merge(event_stream::router(bus.clone(), stopped.clone())).merge(reference::router());
        let router =
            if options.console { router.merge(console::router(trace, &vonage_url, stopped.clone())) } else { router };
        let until = stopping(stopped);
        services.spawn(async move {
            let server = axum::serve(gateway, router).with_graceful_shutdown(until);
            report("the gateway", server.await);
        });
        Ok(Self {
            gateway_url,
            dynamodb_url,
            vonage_url,
            environment,
            faults,
            traffic,
            database,
            bus,
            bucket,
            numbers,
            erasures,
            control,
            recordings,
            deliveries,
            runs,
            stop,
            services,
        })
    }

    /// Runs the schedule of the numbers once, and returns its report.
    pub async fn run_schedule(&self) -> Result<Value, lambda_http::Error> {
        self.numbers.tick().await
    }

    /// Runs the schedule of orders once, and returns its report.
    pub async fn run_orders(&self) -> Result<Value, lambda_http::Error> {
        self.numbers.run(&orders_event()).await
    }

    /// Runs `provision-numbers` with `event`, as an invocation by another function does, and returns its report.
    pub async fn run_invocation(&self, event: &Value) -> Result<Value, lambda_http::Error> {
        self.numbers.run(event).await
    }

    /// Runs the schedule of warnings in calls once, and returns its report.
    pub async fn run_warnings(&self) -> Result<Value, lambda_http::Error> {
        self.control.tick().await
    }

    /// Runs `control-call` with `event`, as an invocation by another function does, and returns its report.
    pub async fn run_control(&self, event: &Value) -> Result<Value, lambda_http::Error> {
        self.control.run(event).await
    }

    /// Runs the schedule of erasures once, and returns its report.
    pub async fn run_erasure_schedule(&self) -> Result<Value, lambda_http::Error> {
        self.erasures.tick().await
    }

    /// Runs the schedule of recordings once, and returns its report.
    pub async fn run_recordings_schedule(&self) -> Result<Value, lambda_http::Error> {
        self.recordings.tick().await
    }

    /// Delivers the events whose time it is to the backend, each once.
    pub async fn run_deliveries(&self) -> Result<(), lambda_http::Error> {
        match &self.deliveries {
            Some(deliveries) => deliveries.run().await,
            None => Ok(()),
        }
    }

    /// Returns the queue with the events for the backend, if they are delivered.
    pub fn delivery_queue(&self) -> Option<&Queue> {
        self.deliveries.as_ref().map(|deliveries| deliveries.queue())
    }

    /// Waits until no function runs in the background. When a function has answered, its invocations have started.
    pub async fn background_runs_finished(&self) {
        self.runs.finished().await;
    }

    /// Waits for running requests and background runs, and stops.
    pub async fn stop(mut self) {
        self.runs.finished().await;
        self.stop.send_replace(true);
        while self.services.join_next().await.is_some() {}
    }
}

/// Returns the event of the schedule that goes on with open orders.
fn orders_event() -> Value {
    json!({"source": ORDERS_SOURCE})
}

async fn bind(service: &'static str, listen: IpAddr, port: u16, flag: &'static str) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(listen, port);
    TcpListener::bind(address).await.map_err(|source| StartError::Port { service, address, flag, source })
}

/// Returns the URL at which this machine reaches a listener.
fn url(listener: &TcpListener) -> String {
    let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
    match listener.local_addr() {
        Ok(address) if !address.ip().is_unspecified() => format!("http://{address}"),
        _ => format!("http://127.0.0.1:{port}"),
    }
}

async fn stopping(mut stopped: watch::Receiver<bool>) {
    // An error means that the stack was dropped.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn run_every<F: ScheduledFunction>(
    interval: Duration,
    schedule: Arc<Schedule<F>>,
    stopped: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stopping(stopped.clone()) => return,
        }
        report("the schedule", schedule.tick().await.map(drop));
    }
}

/// Delivers each event as soon as it is on the bus, and again when its time comes.
async fn deliver(deliveries: Arc<Deliveries>, stopped: watch::Receiver<bool>) {
    let mut arrivals = deliveries.queue().arrivals();
    loop {
        let step = async {
            report("the delivery of events", deliveries.run().await);
            tokio::select! {
                _ = arrivals.changed() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        };
        tokio::select! {
            () = step => {}
            () = stopping(stopped.clone()) => return,
        }
    }
}

fn report<E: std::fmt::Display>(service: &str, result: Result<(), E>) {
    if let Err(error) = result {
        tracing::error!(cause = %error, "{service} failed");
    }
}

/// Returns the rented numbers of a stored table: the simulated account owns them from the start.
async fn rented(store: &Store) -> Result<Vec<String>, StoreError> {
    let pool = store.whole_pool().await?.into_iter();
    Ok(pool.filter(PoolNumber::is_rented).map(|number| number.number.to_string()).collect())
}

fn simulator_settings(
    settings: &Settings,
    gateway_url: &str,
    answer_method: HttpMethod,
    linked_numbers: Vec<String>,
    clock: SharedClock,
) -> simulator::Settings {
    let webhook = |path: &str, http_method| Webhook { address: format!("{gateway_url}/webhooks/{path}"), http_method };
    simulator::Settings {
        api_key: settings.api_key(),
        api_secret: settings.api_secret(),
        signature_secret: settings.signature_secret(),
        application: Application {
            id: settings.application_id(),
            public_key: account::PUBLIC_KEY.to_owned(),
            answer: webhook("answer", answer_method),
            fallback_answer: Some(webhook("fallback", answer_method)),
            event: webhook("event", HttpMethod::Post),
            inbound: Some(webhook("message", HttpMethod::Post)),
            status: Some(webhook("message-status", HttpMethod::Post)),
        },
        balance: rust_decimal::Decimal::from(1000),
        linked_numbers,
        senders: Vec::new(),
        clock,
        faults: Faults::default(),
        traffic: Traffic::default(),
        ncco_log: None,
        trace: Trace::default(),
    }
}

/// Returns the senders of the simulated account on channels: those that the functions know.
fn senders(environment: &Environment) -> Result<Vec<(simulator::Channel, String)>, ConfigError> {
    let senders = environment.brand_senders()?;
    let channels =
        [(Channel::WhatsApp, simulator::Channel::WhatsApp), (Channel::Rcs, simulator::Channel::Rcs)].into_iter();
    Ok(channels.filter_map(|(channel, simulated)| Some((simulated, senders.of(channel)?.to_owned()))).collect())
}

fn with_settings(own: Environment, settings: &Settings) -> Environment {
    // The simulator does not limit the rate of requests.
    let no_interval = [("VONAGE_NUMBERS_INTERVAL_MS".to_owned(), "0".to_owned())];
    let taken = settings.taken().iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    own.with(no_interval).with(taken)
}

/// Returns the variables of functions on the laptop, with the names of the table and the journal, and the URLs of DynamoDB, of
/// Vonage, and of Lambda, EventBridge and S3.
pub fn environment([table, journal]: [&str; 2], dynamodb_url: &str, vonage_url: &str, aws_url: &str) -> Environment {
    let s3_url = format!("{aws_url}{}", objects::PATH);
    let sqs_url = format!("{aws_url}{}", queue::PATH);
    [
        ("TABLE_NAME", table),
        ("JOURNAL_TABLE_NAME", journal),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url),
        ("AWS_ENDPOINT_URL_LAMBDA", aws_url),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", aws_url),
        ("EVENT_BUS_NAME", bus::NAME),
        ("EVENT_BUS_ARN", bus::ARN),
        ("EVENT_ARCHIVE_ARN", bus::ARCHIVE_ARN),
        ("WEBHOOK_RULE_ARN", bus::RULE_ARN),
        ("AWS_ENDPOINT_URL_SQS", &sqs_url),
        ("DELIVERY_QUEUE_URL", queue::URL),
        ("GIVEN_UP_QUEUE_URL", queue::DEAD_LETTERS_URL),
        ("WEBHOOK_SECRET", account::WEBHOOK_SECRET),
        ("PROVISION_FUNCTION_NAME", provision_numbers::ProvisionNumbers::NAME),
        ("CALL_CONTROL", "on"),
        ("CONTROL_FUNCTION_NAME", control_call::ControlCall::NAME),
        ("KEEP_RECORDINGS_FUNCTION_NAME", keep_recordings::KeepRecordings::NAME),
        ("RECORDING_DAYS", "30"),
        ("RECORDINGS_BUCKET", objects::BUCKET),
        ("AWS_ENDPOINT_URL_S3", &s3_url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "laptop"),
        ("AWS_SECRET_ACCESS_KEY", "laptop"),
        ("VONAGE_API_KEY", account::API_KEY),
        ("VONAGE_API_SECRET", account::API_SECRET),
        ("VONAGE_SIGNATURE_SECRET", account::SIGNATURE_SECRET),
        ("VONAGE_APPLICATION_ID", account::APPLICATION_ID),
        ("VONAGE_PRIVATE_KEY", account::PRIVATE_KEY),
        ("HASH_KEY", account::HASH_KEY),
        ("VONAGE_API_URL", vonage_url),
        ("VONAGE_VOICE_URLS", vonage_url),
        ("VONAGE_INSIGHTS_URL", vonage_url),
        ("VONAGE_REST_URL", vonage_url),
    ]
    .into_iter()
    .collect()
}
