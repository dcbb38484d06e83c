//! `cargo run` starts masked calling on a laptop. `cargo run -- demo` runs one conversation and checks every step.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use local::commands::{self, ApiCommand, CommandError};
use local::demo::DemoError;
use local::deploy::{self, DeployError};
use local::load::LoadError;
use local::output::show;
use local::settings::Settings;
use local::stack::{Options, Stack};
use local::{console, demo, doctor, gateway, load, reference, restore, setup, words};
use shared::clock;
use shared::config::Environment;
use shared::edge::telemetry;
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Masked calling. Without a command it starts the laptop stack: the Lambda functions behind a gateway, DynamoDB and a Vonage
/// simulator, in one process
#[derive(Parser)]
#[command(name = "maskline", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    up: Up,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The options of the laptop stack.
#[derive(Args)]
struct Up {
    #[command(flatten)]
    ports: Ports,
    /// Port of DynamoDB; 0 takes a free one
    #[arg(long, default_value_t = 8000)]
    dynamodb_port: u16,
    /// Address to listen on; 0.0.0.0 also lets containers in
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// File to keep the table in; without it the table is in memory
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

/// The ports of a laptop stack that others talk to.
#[derive(Args)]
struct Ports {
    /// Port of the gateway; 0 takes a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the Vonage simulator; 0 takes a free one
    #[arg(long, default_value_t = 4000)]
    vonage_port: u16,
}

#[derive(Subcommand)]
enum Command {
    /// Start the laptop stack, and keep it running
    Up(Up),
    /// Run one conversation on free ports, check every step, and exit with 1 if one fails
    Demo {
        /// Show every feature of a call as well
        #[arg(long)]
        full: bool,
    },
    /// Put a laptop stack under load: create conversations, call and end them at a steady pace, and tell how long answers take
    #[command(after_help = load::EXAMPLES)]
    Load(load::Arguments),
    /// Print the address of the laptop stack's console
    Console {
        /// Port of the gateway
        #[arg(long, default_value_t = 3000)]
        port: u16,
        /// Open it in the browser as well
        #[arg(long)]
        open: bool,
    },
    /// Repair the restored table TABLE_NAME by the journal JOURNAL_TABLE_NAME, and exit with 1 if something is left to do. Run it
    /// before the table is deployed; docs/operations.md has the whole procedure. With --data, first restore a copy of that file
    Restore {
        /// File with the laptop's table
        #[arg(long, value_name = "FILE", requires = "copy")]
        data: Option<PathBuf>,
        /// Copy of the data file, made at the time to go back to
        #[arg(long, value_name = "FILE", requires = "data")]
        copy: Option<PathBuf>,
        /// Name of the table that the copy is restored to
        #[arg(long, default_value = "maskline-restored", value_name = "NAME")]
        table: String,
    },
    /// Print a webhook's API Gateway event from events/ with the signature that the laptop's Vonage would give it
    Sign {
        /// The event, in payload format 2.0; - for standard input
        file: PathBuf,
    },
    /// Deploy into an AWS account, from nothing to the first masked call: set Vonage up, build, deploy, check, rent numbers
    #[command(after_help = deploy::EXAMPLES)]
    Deploy(Box<deploy::Arguments>),
    /// Set a Vonage account up: make or update the Voice application, its key pair and the secret of the deployment
    #[command(after_help = SETUP_EXAMPLE)]
    Setup(setup::Arguments),
    /// Examine an account and a deployment, say what to do about each finding, and exit with 1 if one is an error
    #[command(after_help = DOCTOR_EXAMPLE)]
    Doctor {
        #[command(flatten)]
        ports: Ports,
        #[command(flatten)]
        options: doctor::Arguments,
    },
    /// Check a file of words of your own as WORDS_FILE, with the BRAND of the environment, and exit with 1 if something is wrong
    Words {
        /// The file
        file: PathBuf,
    },
    #[command(flatten)]
    Api(ApiCommand),
    /// Print the completions of these commands for a shell: `source <(maskline completions bash)`
    Completions {
        /// The shell
        shell: Shell,
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

/// The reason for which a command ends without success.
enum Failure {
    /// Something went wrong, as the message says.
    Told(String),
    /// Whoever read the output, such as `head`, wants no more.
    ReaderGone,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Told(message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Told(format!("the output cannot be written: {error}")),
        }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Output(error) => error.into(),
            other => Self::Told(other.to_string()),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Told(error.to_string())
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Output(error) => error.into(),
            other => Self::Told(other.to_string()),
        }
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::Output(error) => error.into(),
            other => Self::Told(other.to_string()),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse(), &Environment::of_process()).await {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Told(message)) => {
            eprintln!("maskline: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments, environment: &Environment) -> Result<(), Failure> {
    let settings = Settings::of(environment);
    match arguments.command {
        None => serve(arguments.up, settings).await,
        Some(Command::Up(up)) => serve(up, settings).await,
        Some(Command::Demo { full }) => {
            log(LevelFilter::OFF);
            let story = if full { demo::Story::Full } else { demo::Story::Short };
            Ok(demo::run(settings, story).await?)
        }
        Some(Command::Load(options)) => {
            log(LevelFilter::OFF);
            let report = load::run(&options, settings, interrupts()).await?;
            show(&if options.json { format!("{:#}\n", report.json()) } else { report.to_string() })?;
            if report.is_good() { Ok(()) } else { Err("something failed; see above".to_owned().into()) }
        }
        Some(Command::Console { port, open }) => {
            let url = format!("http://127.0.0.1:{port}{}", console::PATH);
            if open {
                console::open(&url).map_err(|error| format!("no browser can be opened ({error}); open {url}"))?;
            }
            Ok(show(&format!("{url}\n"))?)
        }
        Some(Command::Sign { file }) => {
            let read =
                if file == Path::new("-") { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(&file) };
            let event = read.map_err(|error| format!("{}: {error}", file.display()))?;
            let signed =
                gateway::sign_event(&event, &settings).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok(show(&format!("{signed}\n"))?)
        }
        Some(Command::Deploy(options)) => {
            log(LevelFilter::OFF);
            Ok(deploy::run(&options, environment, clock::system()).await?)
        }
        Some(Command::Setup(options)) => {
            log(LevelFilter::OFF);
            let report = setup::run(&options, environment).await?;
            Ok(show(&if options.json { format!("{:#}\n", report.json()) } else { report.to_string() })?)
        }
        Some(Command::Doctor { ports, options }) => {
            log(LevelFilter::OFF);
            let examined = doctor::environment(&options, environment, ports.port, ports.vonage_port);
            let findings = doctor::examine(&examined, clock::system()).await.map_err(text)?;
            show(&if options.json { format!("{:#}\n", findings.json()) } else { findings.to_string() })?;
            if findings.is_healthy() { Ok(()) } else { Err("something does not work; see above".to_owned().into()) }
        }
        Some(Command::Words { file }) => Ok(show(&words::check(&file, environment)?)?),
        Some(Command::Restore { data, copy, table }) => {
            log(LevelFilter::ERROR);
            let copied = data.zip(copy).map(|(data, copy)| restore::Copied { data, copy, table });
            let restored = match copied {
                Some(copied) => restore::on_laptop(copied, settings, clock::system()).await,
                None => restore::repair(environment, clock::system()).await,
            };
            let restored = restored.map_err(text)?;
            show(&restore::report(&restored))?;
            if restored.is_complete() { Ok(()) } else { Err("something is left to do; see above".to_owned().into()) }
        }
        Some(Command::Api(command)) => {
            if matches!(command, ApiCommand::Facade(_)) {
                log(LevelFilter::INFO);
            }
            Ok(commands::run(&command, environment).await?)
        }
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "maskline", &mut script);
            Ok(show(&String::from_utf8_lossy(&script))?)
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Sends logs of `level` and above to standard error.
fn log(level: LevelFilter) {
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(io::stderr);
    // The AWS SDK warns of expected things too, such as a table that does not exist yet.
    let filter = telemetry::filter(&gateway::FUNCTIONS, level, LevelFilter::ERROR).with_target("local", level);
    tracing_subscriber::registry().with(lines).with(filter).init();
}

async fn serve(up: Up, settings: Settings) -> Result<(), Failure> {
    log(telemetry::level(settings.taken()).map_err(text)?);
    let Up { ports: Ports { port, vonage_port }, dynamodb_port, listen, data } = up;
    let schedule = Some(Duration::from_secs(60));
    let options = Options {
        listen,
        port,
        dynamodb_port,
        vonage_port,
        data,
        schedule,
        settings,
        pipes: true,
        console: true,
        ..Options::default()
    };
    let stack = Stack::start(options).await.map_err(text)?;
    let Stack { gateway_url, dynamodb_url, vonage_url, .. } = &stack;
    show(&format!(
        r#"Maskline         {gateway_url}
DynamoDB         {dynamodb_url}
Vonage simulator {vonage_url}
Console          {gateway_url}{}
API reference    {gateway_url}{}

Try next, in another terminal (`maskline conversations --help` has commands for the same):
  curl {gateway_url}/numbers -d '{{"country":"GB","count":2}}'
  curl {gateway_url}/conversations -d '{{"participants":[{{"number":"+44 7700 900001","label":"your rider"}},{{"number":"+44 7700 900002","label":"your driver"}}]}}'
  curl {vonage_url}/simulator/calls -d '{{"from":"447700900001","to":"447451000001"}}'
"#,
        console::PATH,
        reference::PATH
    ))?;
    stop_signal().await;
    show("\nStopping.\n")?;
    stack.stop().await;
    Ok(())
}

/// Counts the signals to stop, from now on.
fn interrupts() -> watch::Receiver<u32> {
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        while !count.is_closed() {
            stop_signal().await;
            count.send_modify(|count| *count += 1);
        }
    });
    counted
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
