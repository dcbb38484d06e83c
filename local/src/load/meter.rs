//! The counts and times of a load, in all and since the last sample.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latencies::{Latencies, Percentiles};

/// A kind of request that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `POST /conversations`.
    Creation,
    /// The answer webhook, from the moment at which the simulated Vonage asks it.
    Answer,
    /// `DELETE /conversations/{id}`.
    End,
}

/// The times of each kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    creations: Latencies,
    answers: Latencies,
    ends: Latencies,
}

impl Times {
    fn of(&mut self, kind: Kind) -> &mut Latencies {
        match kind {
            Kind::Creation => &mut self.creations,
            Kind::Answer => &mut self.answers,
            Kind::End => &mut self.ends,
        }
    }

    fn add(&mut self, others: &Self) {
        self.creations.add(&others.creations);
        self.answers.add(&others.answers);
        self.ends.add(&others.ends);
    }

    fn percentiles(&self) -> Latency {
        Latency {
            creations: self.creations.percentiles(),
            answers: self.answers.percentiles(),
            ends: self.ends.percentiles(),
        }
    }
}

/// The percentiles of each kind of request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Creations of conversations, from the moment at which they were due.
    pub creations: Percentiles,
    /// Answers to calls.
    pub answers: Percentiles,
    /// Ends of conversations.
    pub ends: Percentiles,
}

/// The numbers of the country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Numbers that are ready.
    pub ready: u64,
    /// Most of them that one caller has in use.
    pub in_use: u64,
}

/// Counts since the begin of a load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Conversations that were created.
    pub created: u64,
    /// Conversations that were refused because no number was free.
    pub refused: u64,
    /// Calls that were connected.
    pub connected: u64,
    /// Conversations that were ended.
    pub ended: u64,
    /// Requests and calls that failed, by their reasons.
    pub failed: BTreeMap<String, u64>,
    #[serde(skip)]
    failed_creations: u64,
}

/// A load as it is at one moment: counts since its begin, times since the sample before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The load, because there may be others.
    pub run: String,
    /// Seconds since its begin.
    pub seconds: f64,
    /// True for the last sample of a load.
    pub is_over: bool,
    /// Conversations created so far.
    pub created: u64,
    /// Conversations refused so far because no number was free.
    pub refused: u64,
    /// Creations that failed so far for another reason.
    pub failed_creations: u64,
    /// Calls connected so far.
    pub connected: u64,
    /// Everything that failed so far.
    pub failed: u64,
    /// Times since the sample before.
    pub latency: Latency,
    /// The pool; null if it could not be read.
    pub pool: Option<Pool>,
}

/// The counts and times of a load while it goes on.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Measured>);

#[derive(Debug, Default)]
struct Measured {
    counts: Counts,
    /// Times since the last sample.
    recent: Times,
    /// Times until then.
    earlier: Times,
}

/// A request that succeeded, failed or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should be.
    Done,
    /// No number is free: the pool is too small.
    Refused,
    /// The reason.
    Failed(String),
}

impl Meter {
    /// Counts a creation and its time.
    pub(super) fn creation(&self, took: Duration, outcome: &Outcome) {
        let mut measured = self.lock();
        measured.recent.of(Kind::Creation).record(took);
        match outcome {
            Outcome::Done => measured.counts.created += 1,
            Outcome::Refused => measured.counts.refused += 1,
            Outcome::Failed(reason) => {
                measured.counts.failed_creations += 1;
                measured.counts.fail(reason);
            }
        }
    }

    /// Counts a call, and the time of its answer, if it had one.
    pub(super) fn call(&self, answered: Option<Duration>, outcome: &Outcome) {
        let mut measured = self.lock();
        if let Some(took) = answered {
            measured.recent.of(Kind::Answer).record(took);
        }
        match outcome {
            Outcome::Failed(reason) => measured.counts.fail(reason),
            Outcome::Done | Outcome::Refused => measured.counts.connected += 1,
        }
    }

    /// Counts an end and its time.
    pub(super) fn end(&self, took: Duration, outcome: &Outcome) {
        let mut measured = self.lock();
        measured.recent.of(Kind::End).record(took);
        match outcome {
            Outcome::Failed(reason) => measured.counts.fail(reason),
            Outcome::Done | Outcome::Refused => measured.counts.ended += 1,
        }
    }

    /// Returns the state, and begins with the times of the next sample.
    pub(super) fn sample(&self, run: &str, elapsed: Duration, pool: Option<Pool>, is_over: bool) -> Sample {
        let mut measured = self.lock();
        let recent = std::mem::take(&mut measured.recent);
        measured.earlier.add(&recent);
        let counts = &measured.counts;
        Sample {
            run: run.to_owned(),
            seconds: elapsed.as_secs_f64(),
            is_over,
            created: counts.created,
            refused: counts.refused,
            failed_creations: counts.failed_creations,
            connected: counts.connected,
            failed: counts.failed.values().sum(),
            latency: recent.percentiles(),
            pool,
        }
    }

    /// Returns the counts and the percentiles of the whole load.
    pub(super) fn totals(&self) -> (Counts, Latency) {
        let measured = self.lock();
        let mut all = measured.earlier.clone();
        all.add(&measured.recent);
        (measured.counts.clone(), all.percentiles())
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn fail(&mut self, reason: &str) {
        *self.failed.entry(reason.to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn samples_have_times_of_their_own_and_totals_all_of_them() {
        let meter = Meter::default();
        let sample = || meter.sample("run", MS, None, false);
        meter.creation(MS * 4, &Outcome::Done);
        meter.call(Some(MS * 2), &Outcome::Done);
        meter.call(None, &Outcome::Failed("not connected".to_owned()));
        let first = sample();
        assert_eq!((first.latency.creations.count, first.latency.answers.count), (1, 1));
        meter.creation(MS * 8, &Outcome::Refused);
        meter.creation(MS * 8, &Outcome::Failed("502".to_owned()));
        let second = sample();
        assert_eq!((second.created, second.refused, second.failed_creations, second.failed), (1, 1, 1, 2));
        assert_eq!((second.latency.creations.count, second.latency.answers.p50_ms), (2, None));
        meter.end(MS, &Outcome::Done);
        let (counts, latency) = meter.totals();
        assert_eq!((counts.ended, latency.creations.count, latency.ends.count), (1, 3, 1));
        assert_eq!(counts.failed, BTreeMap::from([("502".to_owned(), 1), ("not connected".to_owned(), 1)]));
    }
}
