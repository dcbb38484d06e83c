//! The summary of a load, for people and as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::Arguments;
use super::latencies::Percentiles;
use super::meter::{Counts, Latency, Pool, Sample};
use super::target::{COUNTRY, Target};
use crate::commands::table::Table;

/// The results of a load.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// URL of the stack.
    pub url: String,
    /// True if the stack was started for the load.
    pub own_stack: bool,
    /// Conversations that were asked for.
    pub conversations: u32,
    /// Calls a second that were asked for.
    pub calls_per_second: f64,
    /// The time that it took.
    pub seconds: f64,
    /// Connected calls a second.
    pub connected_per_second: f64,
    /// True if it was interrupted.
    pub ended_early: bool,
    /// Counts of what was done and refused.
    #[serde(flatten)]
    pub counts: Counts,
    /// Times of all requests.
    pub latency: Latency,
    /// The pool at the end; null if it could not be read.
    pub pool: Option<Pool>,
    /// The load in each second.
    pub samples: Vec<Sample>,
}

impl Report {
    pub(super) fn new(
        arguments: &Arguments,
        target: &Target,
        elapsed: Duration,
        (counts, latency): (Counts, Latency),
        samples: Vec<Sample>,
    ) -> Self {
        let seconds = elapsed.as_secs_f64();
        let last = samples.last();
        let begun = last.map_or(0, |last| last.created + last.refused + last.failed_creations);
        Self {
            url: target.api.url().to_owned(),
            own_stack: target.is_own(),
            conversations: arguments.conversations,
            calls_per_second: arguments.calls_per_second,
            seconds,
            connected_per_second: counts.connected as f64 / seconds,
            ended_early: begun < arguments.conversations.into(),
            counts,
            latency,
            pool: last.and_then(|last| last.pool),
            samples,
        }
    }

    /// Returns the results for a program.
    pub fn json(&self) -> Value {
        json!(self)
    }

    /// Returns true if all was answered as it should be. A refusal for want of numbers is an answer.
    pub fn is_good(&self) -> bool {
        self.counts.failed.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { created, refused, connected, ended, failed, .. } = &self.counts;
        let own = if self.own_stack { "a stack of its own" } else { &self.url };
        writeln!(f, "Load on {own}, with the simulated carrier.")?;
        let early = if self.ended_early { ", ended early" } else { "" };
        writeln!(f, "{created} of {} conversations in {:.1} s{early}.", self.conversations, self.seconds)?;
        let (reached, asked) = (self.connected_per_second, self.calls_per_second);
        writeln!(f, "{connected} calls were connected, {reached:.1} a second; {asked} a second were asked for.")?;
        writeln!(f, "{ended} conversations were ended, {refused} were refused because no number was free.")?;
        if let Some(Pool { ready, in_use }) = self.pool {
            writeln!(f, "The pool of {COUNTRY} has {ready} numbers ready, of which one caller has {in_use} in use.")?;
        }
        for (reason, times) in failed {
            writeln!(f, "Failed {times} times: {reason}.")?;
        }
        let mut table = Table::new(&["time in ms", "count", "p50", "p90", "p99", "longest"]);
        let Latency { creations, answers, ends } = self.latency;
        for (name, of) in [("creations", creations), ("answers to calls", answers), ("ends", ends)] {
            let Percentiles { count, p50_ms, p90_ms, p99_ms, most_ms } = of;
            let times = [p50_ms, p90_ms, p99_ms, most_ms].map(milliseconds);
            table.row([name.to_owned(), count.to_string()].into_iter().chain(times));
        }
        write!(f, "\n{table}")
    }
}

/// Returns the state of a load on one line, for a progress bar.
pub(super) fn line(sample: &Sample) -> String {
    let of = |name: &str, times: &Percentiles| {
        let [p50, p99] = [times.p50_ms, times.p99_ms].map(milliseconds);
        format!("{name} p50 {p50} p99 {p99} ms")
    };
    let mut line = [of("answers", &sample.latency.answers), of("creations", &sample.latency.creations)].join(", ");
    if let Some(Pool { ready, in_use }) = sample.pool {
        line.push_str(&format!(", {in_use} of {ready} numbers in use"));
    }
    for (count, what) in [(sample.refused, "refused"), (sample.failed, "failed")] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line
}

fn milliseconds(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_shows_live_percentiles_the_pool_and_what_went_wrong() {
        let mut sample = Sample {
            run: String::new(),
            seconds: 1.0,
            is_over: false,
            created: 3,
            refused: 0,
            failed_creations: 0,
            connected: 5,
            failed: 0,
            latency: Latency::default(),
            pool: None,
        };
        sample.latency.answers = Percentiles { p50_ms: Some(2.04), p99_ms: Some(12.3), ..Percentiles::default() };
        assert_eq!(line(&sample), "answers p50 2.0 p99 12.3 ms, creations p50 - p99 - ms");
        (sample.refused, sample.failed, sample.pool) = (2, 1, Some(Pool { ready: 20, in_use: 7 }));
        assert!(line(&sample).ends_with(", 7 of 20 numbers in use, 2 refused, 1 failed"), "{}", line(&sample));
    }
}
