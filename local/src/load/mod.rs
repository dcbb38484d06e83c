//! `maskline load`: conversations and calls on the laptop stack, at the pace that is asked for, and how long each answer takes.
//!
//! It is for the simulated carrier only. Nothing begins before a stack has shown that it is one of a laptop.

mod drive;
mod latencies;
mod meter;
mod plan;
mod plot;
mod report;
mod target;

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::console;
use crate::output::progress;
use crate::settings::Settings;
use crate::stack::StartError;
use drive::Load;
pub use latencies::{Latencies, Percentiles};
use meter::Meter;
pub use meter::Sample;
use plan::Plan;
pub use report::Report;
use target::Target;

/// The options of `maskline load`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Conversations in all. Each is created, called from both sides and ended
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub conversations: u32,
    /// Calls that begin in a second, of all conversations together
    #[arg(long, value_name = "R", default_value_t = 50.0, value_parser = rate)]
    pub calls_per_second: f64,
    /// Conversations of each driver, who has them with as many riders. A driver needs a number for each of them
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub per_driver: u32,
    /// Numbers that the pool has at least; by default as many as a driver needs. With fewer, conversations are refused
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub numbers: Option<u32>,
    /// URL of a laptop stack; by default that on port 3000, or one of its own if none runs there
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Start a stack of its own on free ports, also if another one runs
    #[arg(long, conflicts_with = "url")]
    pub own: bool,
    /// Print the summary as JSON, with what was measured in each second
    #[arg(long)]
    pub json: bool,
    /// File for a page with plots: latency, pool in use and refusals over time
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// Examples in the help of the command.
pub const EXAMPLES: &str = "\
Examples:
  maskline load --conversations 2000 --calls-per-second 100 --plot load.html
  maskline load --own --json | jq .latency.answers.p99_ms
  maskline load --per-driver 20 --numbers 10          # what a pool that is too small does

It is for the simulated carrier only, and refuses everything but a laptop stack. On a stack that runs, the console shows the pool
meanwhile: maskline console --open

Ctrl-C ends it early, with the summary; a second one at once. Exits with 0 if all was answered as it should be, also with refusals for
want of numbers, with 1 if something failed, and with 2 if an option is wrong.";

/// The load did not begin, or its results cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The stack of its own did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address is that of no laptop stack, and may have a real carrier.
    #[error(
        "{0} is no laptop stack, so its carrier may be a real one; nothing was begun. Start one with `maskline`, or use --own"
    )]
    NotALaptop(String),
    /// No stack answers at this URL.
    #[error("no stack answers at {url}: {reason}")]
    NoAnswer {
        /// The URL.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The pool did not get its numbers.
    #[error("the pool has {ready} of {wanted} numbers: {reason}")]
    Numbers {
        /// Numbers that are ready.
        ready: u64,
        /// Numbers that are needed.
        wanted: u32,
        /// The reason, from the API.
        reason: String,
    },
    /// The file of the plot cannot be written.
    #[error("{}: {reason}", file.display())]
    Plot {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: io::Error,
    },
}

/// The time from one sample to the next.
const SAMPLING: Duration = Duration::from_secs(1);

/// Runs a load until it is done or `interrupts` counts one. A second one also gives up what is under way.
///
/// # Errors
/// If nothing could begin, or the plot cannot be written.
pub async fn run(
    arguments: &Arguments,
    settings: Settings,
    interrupts: watch::Receiver<u32>,
) -> Result<Report, LoadError> {
    // Before the load: a result that cannot be kept is found too late.
    let plot = arguments.plot.as_ref().map(|file| (file, File::create(file)));
    let plot = match plot {
        Some((file, Ok(open))) => Some((file, open)),
        Some((file, Err(reason))) => return Err(LoadError::Plot { file: file.clone(), reason }),
        None => None,
    };
    let target = Target::find(arguments, settings).await?;
    let report = match target.api.order_numbers(arguments.numbers.unwrap_or(arguments.per_driver)).await {
        Ok(()) => Ok(measured(arguments, &target, interrupts).await),
        Err(error) => Err(error),
    };
    target.stop().await;
    let report = report?;
    if let Some((file, mut open)) = plot {
        let written = open.write_all(plot::page(&report).as_bytes()).and_then(|()| open.flush());
        written.map_err(|reason| LoadError::Plot { file: file.clone(), reason })?;
    }
    Ok(report)
}

/// Drives the stack, and takes a sample each second.
async fn measured(arguments: &Arguments, target: &Target, interrupts: watch::Receiver<u32>) -> Report {
    let api = &target.api;
    let (run, meter) = (Uuid::new_v4(), Arc::new(Meter::default()));
    let (plan, run) = (Plan::new(arguments, run), run.to_string());
    let bar = progress(arguments.conversations.into());
    bar.println(format!("Watch it at {}{}", api.url(), console::PATH));
    let began = Instant::now();
    let mut samples = Vec::new();
    let mut ticks = interval(SAMPLING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once.
    ticks.tick().await;
    // In a task of its own, so that no sample delays a request.
    let load = Load { plan, api: api.clone(), meter: meter.clone(), interrupts };
    let mut driven = tokio::spawn(drive::run(load));
    loop {
        let is_over = tokio::select! {
            _ = &mut driven => true,
            _ = ticks.tick() => false,
        };
        let sample = meter.sample(&run, began.elapsed(), api.pool().await, is_over);
        api.tell_console(&sample).await;
        bar.set_position(sample.created + sample.refused + sample.failed_creations);
        bar.set_message(report::line(&sample));
        samples.push(sample);
        if is_over {
            break;
        }
    }
    bar.finish_and_clear();
    Report::new(arguments, target, began.elapsed(), meter.totals(), samples)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=10_000.0).contains(rate));
    rate.ok_or_else(|| "a pace is from 0.1 to 10000 calls a second".to_owned())
}
