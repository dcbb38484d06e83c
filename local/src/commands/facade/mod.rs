//! `maskline facade`: the API of another masking service, for that service's own clients. Each of its requests becomes requests to
//! the API of a stack.
//!
//! A request that has no counterpart here is refused in the form of the service. None is half done.

mod chime;
mod scope;
mod twilio;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::Value;
use shared::config::Environment;
use shared::domain::lifetime::Lifetime;
use shared::domain::phone::{PhoneNumber, dial_policy, parse};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{CommandError, Group, connect};

/// The variable with the password that clients have to send. It is not an option: every process can read arguments.
const TOKEN: &str = "MASKLINE_FACADE_TOKEN";

/// The shortest conversation in seconds.
const SHORTEST: i64 = 60;

/// A service whose API is served.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API of Twilio Proxy (version 1)
    TwilioProxy(twilio::Options),
    /// Serve the proxy sessions of the Amazon Chime SDK (voice namespace), on this machine only
    Chime(chime::Options),
}

pub(super) const EXAMPLES: &str = "\
Examples:
  maskline facade twilio-proxy --service KS0123456789abcdef0123456789abcdef --data proxy.db
  maskline facade chime --voice-connector abcdef1ghij2klmno3pqr4 --profile production

In the backend, before it makes requests:
  client.proxy.base_url = \"http://127.0.0.1:3200\"                              # twilio for Python; proxy.baseUrl for Node
  boto3.client(\"chime-sdk-voice\", endpoint_url=\"http://127.0.0.1:3200\")

docs/migrating.md says what becomes of each request. It runs until Ctrl-C.";

/// A façade that runs.
#[derive(Debug)]
pub struct Facade {
    /// The base URL for clients.
    pub url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Facade {
    /// Takes no more requests, and waits for the end of those under way.
    pub async fn stop(self) {
        // Either it waits for this, or it has ended by itself.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }

    async fn until_it_fails(self) -> Result<(), CommandError> {
        let Self { stop, task, .. } = self;
        let ended = task.await;
        drop(stop);
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(CommandError::Value(format!("the façade takes no more requests: {error}"))),
            Err(error) => Err(CommandError::Value(format!("the façade has failed: {error}"))),
        }
    }
}

/// Starts a façade. It runs until it is stopped.
///
/// # Errors
/// The address is taken or not safe, the data file cannot be used, or the stack cannot be found.
pub async fn start(group: &Group<Command>, environment: &Environment) -> Result<Facade, CommandError> {
    let api = connect(&group.target, environment)?;
    let token = environment.optional(TOKEN);
    let (address, router) = match &group.command {
        Command::TwilioProxy(options) => {
            let address = SocketAddr::new(options.listen, options.port);
            if !options.listen.is_loopback() && token.is_none() {
                return Err(CommandError::Value(format!(
                    "on {} others could send requests too: set {TOKEN}, which clients then send as the auth token",
                    options.listen
                )));
            }
            (address, twilio::router(options, api, token)?)
        }
        Command::Chime(options) => {
            (SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), options.port), chime::router(options, api))
        }
    };
    let unusable = |error: io::Error| CommandError::Value(format!("{address} cannot be listened on: {error}"));
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let url = format!("http://{}", listener.local_addr().map_err(unusable)?);
    let (stop, stopped) = oneshot::channel();
    let router = router.layer(middleware::from_fn(noted));
    let serve = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    Ok(Facade { url, stop, task: tokio::spawn(serve.into_future()) })
}

/// Serves until the process ends.
pub(super) async fn run(group: &Group<Command>, environment: &Environment) -> Result<(), CommandError> {
    let facade = start(group, environment).await?;
    crate::output::show(&format!("{} façade {}\n", group.command.name(), facade.url))?;
    facade.until_it_fails().await
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::TwilioProxy(_) => "Twilio Proxy",
            Self::Chime(_) => "Amazon Chime SDK",
        }
    }
}

/// The reason of a refusal, for the log.
#[derive(Clone)]
struct Reason(String);

/// Writes a line for each request. Ids and names of the path are left out, and so are the query and the body.
async fn noted(request: Request, next: Next) -> Response {
    let (method, begun) = (request.method().clone(), Instant::now());
    let resource = resource(request.uri().path());
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis());
    match response.extensions().get::<Reason>() {
        Some(Reason(reason)) => tracing::warn!(%method, resource, status, %ms, reason, "refused"),
        None => tracing::info!(%method, resource, status, %ms, "answered"),
    }
    response
}

/// Returns the words in a path that the services have in theirs. Everything else may name somebody.
fn resource(path: &str) -> String {
    const WORDS: [&str; 8] = [
        "Services",
        "Sessions",
        "Participants",
        "Interactions",
        "MessageInteractions",
        "voice-connectors",
        "proxy-sessions",
        "v1",
    ];
    let words = path.split('/').skip(1).map(|part| if WORDS.contains(&part) { part } else { "…" });
    words.collect::<Vec<_>>().join("/")
}

/// Reads a participant's phone, which has to be in international form.
///
/// # Errors
/// Says why it is none, without a digit of it.
fn phone(written: &str) -> Result<PhoneNumber, String> {
    // In the name of a messenger, the digits would be read as somebody's phone.
    if !written.starts_with('+') || written.contains(|c: char| c == ':' || c.is_alphabetic()) {
        return Err(
            "it is not a phone number in international form, which begins with + and the calling code".to_owned()
        );
    }
    let number = parse::read(written, None).map_err(|error| error.to_string())?;
    dial_policy::check_kind(&number).map_err(|error| error.to_string())?;
    Ok(number)
}

/// Returns true if two phones are the same one, whatever their spelling.
fn is_same_phone(one: &str, other: &str) -> bool {
    let read = |written: &str| parse::read(written, None).map(|number| number.canonical().into_owned());
    matches!((read(one), read(other)), (Ok(one), Ok(other)) if one == other)
}

/// Returns a time of the API's answer.
fn time(value: &Value, name: &str) -> Option<Timestamp> {
    value[name].as_str()?.parse().ok()
}

/// Returns the longest lifetime of a conversation in seconds.
fn longest() -> i64 {
    Lifetime::LONGEST.duration().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_has_the_words_of_a_path_and_nothing_that_names_somebody() {
        for (path, expected) in [
            ("/v1/Services/KS01/Sessions/+447700900001/Participants", "v1/Services/…/Sessions/…/Participants"),
            ("/voice-connectors/abc/proxy-sessions", "voice-connectors/…/proxy-sessions"),
            ("/447700900001", "…"),
        ] {
            assert_eq!(resource(path), expected);
        }
    }

    #[test]
    fn phone_is_taken_in_international_form_only() {
        assert_eq!(phone("+44 7700 900001").unwrap().expose(), "447700900001");
        for wrong in ["07700 900001", "messenger:4829103752", "+44messenger7700900001", "", "+449090123456"] {
            let reason = phone(wrong).unwrap_err();
            assert!(!reason.contains("9090") && !reason.contains("4829"), "{reason}");
        }
        assert!(is_same_phone("+447700900001", "+44 (0)7700 900001") && !is_same_phone("+447700900001", "none"));
    }
}
