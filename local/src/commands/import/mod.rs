//! `maskline import`: open sessions of another masking service become conversations here.
//!
//! It reads an export and never the other service itself, changes nothing there, and rents no number.

mod chime;
mod create;
mod export;
mod plan;
mod pool;
pub(super) mod progress;
mod report;
mod rows;
mod tree;
mod twilio;

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::country::Country;

use super::CommandError;
use super::api::Api;
use create::Creation;
use export::Export;
use plan::Plan;
use progress::Progress;
use report::Report;

/// The options of `import`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("texts").args(["notify", "no_notify"]).requires("create"))]
pub struct Options {
    /// Where the sessions come from
    #[arg(value_enum)]
    source: Source,
    /// The export: docs/migrating.md says how it is made
    file: PathBuf,
    /// Create the conversations. Without it nothing is created, and a report says what would be
    #[arg(long, requires = "texts")]
    create: bool,
    /// Text both people of each conversation the number to dial, which is another one than before
    #[arg(long)]
    notify: bool,
    /// Text nobody; your backend tells them
    #[arg(long)]
    no_notify: bool,
    /// Country of phones in national form, such as GB
    #[arg(long, value_parser = country)]
    country: Option<Country>,
    /// File that remembers what was created; by default that of the export with .imported after its name
    #[arg(long, value_name = "FILE")]
    progress: Option<PathBuf>,
}

/// A service that sessions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Answers of the API of Twilio Proxy in JSON
    TwilioProxy,
    /// Answers of the API of Amazon Chime SDK proxy sessions in JSON
    Chime,
    /// Rows with the two phones of each conversation
    Csv,
}

impl Source {
    /// Returns its name for people.
    fn name(self) -> &'static str {
        match self {
            Self::TwilioProxy => "Twilio Proxy",
            Self::Chime => "Amazon Chime SDK",
            Self::Csv => "CSV",
        }
    }

    /// Returns its name in idempotency keys, which must stay.
    fn key(self) -> &'static str {
        match self {
            Self::TwilioProxy => "twilio-proxy",
            Self::Chime => "chime",
            Self::Csv => "csv",
        }
    }

    fn read(self, text: &str) -> Result<Export, String> {
        match self {
            Self::TwilioProxy => twilio::read(text),
            Self::Chime => chime::read(text),
            Self::Csv => rows::read(text),
        }
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  maskline import twilio-proxy proxy.json                      # what can be carried over, and what it costs
  maskline import twilio-proxy proxy.json --create --notify    # carries it over; run it again after an interruption
  maskline import csv rides.csv --country GB --profile production

People dial other numbers than before, also if yours are ported: docs/migrating.md. The same import again creates nothing twice.
Exits with 0 if the report is made, or all is created that can be; with 1 if something is left to do, and with 2 if an option is
wrong.";

/// The text of a report, and whether all is done that can be.
pub(super) struct Outcome {
    pub(super) text: String,
    pub(super) is_complete: bool,
}

pub(super) async fn run(options: &Options, api: &Api, as_json: bool) -> Result<Outcome, CommandError> {
    let wrong = |reason: &dyn std::fmt::Display| CommandError::Value(format!("{}: {reason}", options.file.display()));
    let text = std::fs::read_to_string(&options.file).map_err(|error| wrong(&error))?;
    let export = options.source.read(&text).map_err(|reason| wrong(&reason))?;
    let plan = Plan::new(options.source, export, options.country, Timestamp::now());
    let pool = pool::needed(&plan, api).await?;
    let results = if options.create {
        let progress = Progress::open(&options.progress_file()).map_err(CommandError::Value)?;
        Creation { api, source: options.source, notify: options.notify }.run(&plan, progress).await?
    } else {
        create::rehearse(&plan, api).await?
    };
    let report = Report::new(options, plan, pool, results);
    let text = if as_json { format!("{:#}\n", report.json()) } else { report.to_string() };
    Ok(Outcome { text, is_complete: report.is_complete() })
}

impl Options {
    fn progress_file(&self) -> PathBuf {
        self.progress.clone().unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".imported");
            name.into()
        })
    }
}

fn country(text: &str) -> Result<Country, String> {
    Country::try_from(text).map_err(|error| error.to_string())
}
