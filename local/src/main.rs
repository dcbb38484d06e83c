//! `cargo run` starts masked calling on a laptop. `cargo run -- demo` runs one conversation and checks every step.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use local::settings::Settings;
use local::stack::{Options, Stack, StartError};
use local::{demo, doctor, gateway, restore, setup, words};
use shared::clock;
use shared::config::Environment;
use shared::edge::telemetry;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Masked calling on a laptop: the Lambda functions behind a gateway, DynamoDB and a Vonage simulator, in one process.
#[derive(Parser)]
#[command(name = "maskline", version)]
struct Arguments {
    /// Port of the gateway; 0 takes a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of DynamoDB; 0 takes a free one
    #[arg(long, default_value_t = 8000)]
    dynamodb_port: u16,
    /// Port of the Vonage simulator; 0 takes a free one
    #[arg(long, default_value_t = 4000)]
    vonage_port: u16,
    /// Address to listen on; 0.0.0.0 also lets containers in
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// File to keep the table in; without it the table is in memory
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run one conversation on free ports, check every step, and exit with 1 if one fails
    Demo {
        /// Show every feature of a call as well
        #[arg(long)]
        full: bool,
    },
    /// Repair the restored table TABLE_NAME by the journal JOURNAL_TABLE_NAME, and exit with 1 if something is left to do. Run it
    /// before the table is deployed; docs/operations.md has the whole procedure. With --data, first restore a copy of that file
    Restore {
        /// Copy of the data file, made at the time to go back to
        #[arg(long, value_name = "FILE")]
        copy: Option<PathBuf>,
        /// Name of the table that the copy is restored to
        #[arg(long, default_value = "maskline-restored", value_name = "NAME")]
        table: String,
    },
    /// Print a webhook's API Gateway event from events/ with the signature that the laptop's Vonage would give it
    Sign {
        /// The event, in payload format 2.0
        file: PathBuf,
    },
    /// Set a Vonage account up: make or update the Voice application, its key pair and the secret of the deployment
    #[command(after_help = SETUP_EXAMPLE)]
    Setup(setup::Arguments),
    /// Examine an account and a deployment, say what to do about each finding, and exit with 1 if one is an error
    #[command(after_help = DOCTOR_EXAMPLE)]
    Doctor(doctor::Arguments),
    /// Check a file of words of your own as WORDS_FILE, with the BRAND of the environment, and exit with 1 if something is wrong
    Words {
        /// The file
        file: PathBuf,
    },
}

const SETUP_EXAMPLE: &str = "\
The account is that of VONAGE_API_KEY and VONAGE_API_SECRET. VONAGE_SIGNATURE_SECRET is stored too, if it is set.
Secrets are taken from the environment only, because every process can read arguments.

Example, from an account without an application to a deployment that takes calls:
  export VONAGE_API_KEY=… VONAGE_API_SECRET=… VONAGE_SIGNATURE_SECRET=…
  maskline setup                                           # shows what it would do
  maskline setup --apply --secret maskline/vonage          # does it
  sam build && sam deploy --guided                         # with the VonageApplicationId that it shows
  maskline setup --apply --public-url https://….execute-api.eu-west-2.amazonaws.com
  maskline doctor --public-url https://….execute-api.eu-west-2.amazonaws.com

Exits with 0 if it is done or shown, with 1 if something was refused, and with 2 if an option is wrong. What is done stays, and
the next run goes on; the same command again changes nothing.";

const DOCTOR_EXAMPLE: &str = "\
Without VONAGE_API_KEY it examines the laptop stack on the ports of --port and --vonage-port.
With it, the account of VONAGE_API_KEY, VONAGE_API_SECRET, VONAGE_APPLICATION_ID, VONAGE_SIGNATURE_SECRET and VONAGE_PRIVATE_KEY, and
the deployment at --public-url. Give it the deployment's other variables too, such as NUMBER_LOOKUP, if they are not the usual ones.

Examples:
  cargo run & cargo run -- doctor
  maskline doctor --json --public-url https://calls.company.example | jq '.findings[] | select(.state != \"ok\")'

It changes nothing, calls nobody and sends no text. Exits with 0 if there is no error, with 1 if there is one, and with 2 if an
option is wrong.";

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse(), &Environment::of_process()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maskline: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments, environment: &Environment) -> Result<(), String> {
    let settings = Settings::of(environment);
    match arguments.command {
        Some(Command::Demo { full }) => {
            log(LevelFilter::OFF);
            let story = if full { demo::Story::Full } else { demo::Story::Short };
            demo::run(settings, story).await.map_err(|error| error.to_string())
        }
        Some(Command::Sign { file }) => sign(&file, &settings),
        Some(Command::Setup(options)) => {
            log(LevelFilter::OFF);
            let report = setup::run(&options, environment).await?;
            if options.json {
                println!("{:#}", report.json())
            } else {
                print!("{report}")
            }
            Ok(())
        }
        Some(Command::Doctor(options)) => {
            log(LevelFilter::OFF);
            let examined = doctor::environment(&options, environment, arguments.port, arguments.vonage_port);
            let findings = doctor::examine(&examined, clock::system()).await.map_err(|error| error.to_string())?;
            if options.json {
                println!("{:#}", findings.json())
            } else {
                print!("{findings}")
            }
            if findings.is_healthy() { Ok(()) } else { Err("something does not work; see above".to_owned()) }
        }
        Some(Command::Words { file }) => {
            print!("{}", words::check(&file, environment)?);
            Ok(())
        }
        Some(Command::Restore { copy, table }) => {
            log(LevelFilter::ERROR);
            let restored = match (arguments.data, copy) {
                (Some(data), Some(copy)) => {
                    let copied = restore::Copied { data, copy, table };
                    restore::on_laptop(copied, settings, clock::system()).await
                }
                (None, None) => restore::repair(environment, clock::system()).await,
                _ => return Err("--data and --copy go together".to_owned()),
            };
            let restored = restored.map_err(|error| error.to_string())?;
            print!("{}", restore::report(&restored));
            if restored.is_complete() { Ok(()) } else { Err("something is left to do; see above".to_owned()) }
        }
        None => {
            log(telemetry::level(settings.taken()).map_err(|error| error.to_string())?);
            serve(arguments, settings).await.map_err(|error| error.to_string())
        }
    }
}

fn sign(file: &Path, settings: &Settings) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let signed = gateway::sign_event(&text, settings).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("{signed}");
    Ok(())
}

/// Sends logs of `level` and above to standard error.
fn log(level: LevelFilter) {
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(std::io::stderr);
    // The AWS SDK warns of expected things too, such as a table that does not exist yet.
    let filter = telemetry::filter(&gateway::FUNCTIONS, level, LevelFilter::ERROR).with_target("local", level);
    tracing_subscriber::registry().with(lines).with(filter).init();
}

async fn serve(arguments: Arguments, settings: Settings) -> Result<(), StartError> {
    let Arguments { port, dynamodb_port, vonage_port, listen, data, command: _ } = arguments;
    let schedule = Some(Duration::from_secs(60));
    let options = Options { listen, port, dynamodb_port, vonage_port, data, schedule, settings, ..Options::default() };
    let stack = Stack::start(options).await?;
    println!("Maskline         {}", stack.gateway_url);
    println!("DynamoDB         {}", stack.dynamodb_url);
    println!("Vonage simulator {}", stack.vonage_url);
    println!("\nTry next:");
    println!(r#"  curl {}/numbers -d '{{"country":"GB","count":2}}'"#, stack.gateway_url);
    println!(
        r#"  curl {}/conversations -d '{{"participants":[{{"number":"+44 7700 900001","label":"your rider"}},{{"number":"+44 7700 900002","label":"your driver"}}]}}'"#,
        stack.gateway_url
    );
    println!(r#"  curl {}/simulator/calls -d '{{"from":"447700900001","to":"447451000001"}}'"#, stack.vonage_url);
    stop_signal().await;
    println!("\nStopping.");
    stack.stop().await;
    Ok(())
}

/// Waits for Ctrl-C or, as from `kill`, SIGTERM.
async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
        return;
    }
    // An error means that no signal can be received: better to stop at once than never.
    let _ = tokio::signal::ctrl_c().await;
}
