//! The schedule of erasures: completes interrupted ones, erases conversations that are past their retention, and asks Vonage to
//! redact each carrier record until it has done so or the record is given up.
//!
//! Each of the three has its share of a run's time, and none waits for another that fails. Within each, several things are
//! worked on at the same time, and what fails is postponed, so that nothing is behind all others.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;
use crate::domain::carrier_record::Product;
use crate::service::at_once;
use crate::service::retention::{RetentionRun, Retired};
use crate::store::{Erased, Erasure, Redaction, Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::redact::{RedactApi, RedactError};

/// Age at which a redaction is given up.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Delay after an answer that it is too early, for example because the call was still going on.
const RETRY_TOO_EARLY: SignedDuration = SignedDuration::from_mins(30);

/// Delay after Vonage did not know the record.
const RETRY_REFUSED: SignedDuration = SignedDuration::from_hours(24);

/// Delay after an erasure failed.
const RETRY_ERASURE: SignedDuration = SignedDuration::from_mins(30);

/// Number of consecutive failures of Vonage after which the rest of a product is left to the next run.
const MAX_FAILURES: u32 = 3;

/// Number of records of each product that Vonage is asked for at the same time. With answers after a quarter of a second, the
/// three products are at the limit of the rate.
const RECORDS_AT_ONCE: usize = 8;

/// Number of erasures that are completed at the same time.
const ERASURES_AT_ONCE: usize = 8;

/// Maximum number of pieces of work on one erasure in a run.
const PIECES_PER_RUN: u32 = 20;

/// Shares of a run's time, in percent, after which no other erasure is completed, and no page is read for the retention.
const ERASURES_UNTIL: i32 = 30;
const RETENTION_UNTIL: i32 = 60;

/// The result of a run.
#[derive(Debug, Default)]
pub struct Redacted {
    /// Number of completed erasures.
    pub settled: usize,
    /// Number of erasures that failed, and are tried again.
    pub unsettled: usize,
    /// The conversations past their retention.
    pub retired: Retired,
    /// Number of records that Vonage redacted.
    pub redacted: usize,
    /// Number of records to try again.
    pub postponed: usize,
    /// Number of records that were given up and are still at Vonage.
    pub given_up: usize,
    /// Products without redaction on this account.
    pub not_provisioned: HashSet<Product>,
    /// The reason for which some or all of the rest was left to the next run.
    pub stopped: Option<String>,
    /// Failures of the table that ended a part of the run.
    pub failures: Vec<StoreError>,
}

/// Completes erasures, ends retentions and redacts records.
pub struct Redactor<'a> {
    /// The table.
    pub store: &'a Store,
    /// Vonage.
    pub api: &'a RedactApi,
    /// The clock.
    pub clock: &'a SharedClock,
    /// Time by which the run must end.
    pub deadline: Option<Timestamp>,
}

/// The state that the redactions of a run share.
#[derive(Default)]
struct Shared {
    done: Redacted,
    /// True if no more records are asked for, whatever their product.
    is_stopped: bool,
    /// Number of consecutive failures of each product, in the order of the answers.
    failures: [u32; Product::ALL.len()],
}

impl Redactor<'_> {
    /// Completes erasures, erases what is past its retention, and asks Vonage for all due redactions. No step is started that
    /// might not end before the deadline.
    pub async fn run(&self) -> Redacted {
        let shared = Mutex::new(Shared::default());
        let began = self.clock.now();
        let until = |percent| self.deadline.map(|deadline| began + (deadline.duration_since(began) * percent) / 100);
        let settled = self.settle(&shared, until(ERASURES_UNTIL)).await;
        let retention = RetentionRun { store: self.store, clock: self.clock, stop_at: until(RETENTION_UNTIL) };
        let retired = retention.run().await;
        let redacted = join_all(Product::ALL.map(|product| self.redact_all(product, &shared))).await;
        let mut done = shared.into_inner().unwrap_or_else(PoisonError::into_inner).done;
        done.failures.extend(std::iter::once(settled).chain(redacted).filter_map(Result::err));
        match retired {
            Ok(retired) => done.retired = retired,
            Err(error) => done.failures.push(error),
        }
        done
    }

    /// Completes due erasures until `stop_at`.
    async fn settle(&self, shared: &Mutex<Shared>, stop_at: Option<Timestamp>) -> Result<(), StoreError> {
        let has_time = || {
            let has_time = stop_at.is_none_or(|stop_at| self.clock.now() < stop_at);
            if !has_time {
                lock(shared).done.stopped.get_or_insert_with(|| "out of time".to_owned());
            }
            has_time
        };
        let mut from = None;
        loop {
            let page = self.store.due_erasures(self.clock.now(), from).await?;
            let erasures = page.erasures.into_iter().take_while(|_| has_time());
            at_once::for_each(erasures, ERASURES_AT_ONCE, async |erasure| {
                match self.settle_one(&erasure, &has_time).await {
                    Ok(Erased::Settled) => lock(shared).done.settled += 1,
                    Ok(_) => {}
                    Err(error) => {
                        lock(shared).done.unsettled += 1;
                        self.put_off(&erasure, &error).await;
                    }
                }
            })
            .await;
            from = page.next;
            if from.is_none() || !has_time() {
                return Ok(());
            }
        }
    }

    /// Goes on with an erasure, piece by piece, as long as there is time.
    async fn settle_one(&self, erasure: &Erasure, has_time: &impl Fn() -> bool) -> Result<Erased, StoreError> {
        let mut pieces = 1;
        loop {
            let state = self.store.settle_erasure(erasure, self.clock.now()).await?;
            if state != Erased::InPart || pieces == PIECES_PER_RUN || !has_time() {
                return Ok(state);
            }
            pieces += 1;
        }
    }

    /// Puts an erasure that failed behind the others.
    async fn put_off(&self, erasure: &Erasure, cause: &StoreError) {
        let id = erasure.conversation;
        tracing::error!(conversation.id = %id, %cause, schedule_failures = 1u64, "completing an erasure failed");
        let due_at = self.clock.now() + RETRY_ERASURE;
        if let Err(error) = self.store.postpone_erasure(erasure, due_at).await {
            tracing::warn!(conversation.id = %id, cause = %error, "the erasure could not be postponed either");
        }
    }

    /// Asks Vonage for all due redactions of a product.
    async fn redact_all(&self, product: Product, shared: &Mutex<Shared>) -> Result<(), StoreError> {
        let (mut from, failure) = (None, Mutex::new(None));
        loop {
            let page = self.store.due_redactions(product, self.clock.now(), from).await?;
            let redactions = page.redactions.into_iter().take_while(|_| self.may_go_on(product, shared));
            at_once::for_each(redactions, RECORDS_AT_ONCE, async |redaction| {
                if let Err(error) = self.redact(&redaction, shared).await {
                    // The table fails, and would fail for the next record too.
                    lock(shared).is_stopped = true;
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            })
            .await;
            from = page.next;
            if from.is_none() || !self.may_go_on(product, shared) {
                let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
                return failure.map_or(Ok(()), Err);
            }
        }
    }

    fn may_go_on(&self, product: Product, shared: &Mutex<Shared>) -> bool {
        let mut shared = lock(shared);
        let is_out_of_time =
            self.deadline.is_some_and(|deadline| self.clock.now() + self.api.time_for_one() >= deadline);
        if is_out_of_time {
            shared.done.stopped.get_or_insert_with(|| "out of time".to_owned());
        }
        !is_out_of_time && !shared.is_stopped && shared.failures[product.index()] < MAX_FAILURES
    }

    /// Redacts one record. A record at which Vonage fails stays for the next run.
    async fn redact(&self, redaction: &Redaction, shared: &Mutex<Shared>) -> Result<(), StoreError> {
        let (record, now) = (&redaction.record, self.clock.now());
        let is_hopeless = lock(shared).done.not_provisioned.contains(&record.product);
        let answer = if is_hopeless { Err(RedactError::NotProvisioned) } else { self.api.redact(record).await };
        let error = match answer {
            Ok(()) => {
                self.store.forget_redaction(redaction).await?;
                let mut shared = lock(shared);
                shared.done.redacted += 1;
                shared.failures[record.product.index()] = 0;
                return Ok(());
            }
            Err(error) => error,
        };
        if redaction.since + GIVEN_UP_AFTER <= now {
            let product = record.product.as_str();
            let id = &record.id;
            tracing::error!(product, id, cause = %error, schedule_failures = 1u64, "redaction of a record was given up; Vonage still has it");
            self.store.forget_redaction(redaction).await?;
            lock(shared).done.given_up += 1;
            return Ok(());
        }
        self.keep(redaction, error, shared).await
    }

    /// Keeps a record that was not redacted for a later run.
    async fn keep(&self, redaction: &Redaction, error: RedactError, shared: &Mutex<Shared>) -> Result<(), StoreError> {
        let (record, now) = (&redaction.record, self.clock.now());
        {
            let mut shared = lock(shared);
            shared.done.postponed += 1;
            let failures = shared.failures[record.product.index()];
            shared.failures[record.product.index()] = match error {
                RedactError::Vonage(_) => failures + 1,
                _ => 0,
            };
        }
        match error {
            RedactError::TooEarly => self.store.postpone_redaction(redaction, now + RETRY_TOO_EARLY).await?,
            RedactError::Refused { .. } => {
                tracing::warn!(product = record.product.as_str(), id = record.id, cause = %error, "redaction of a record was refused");
                self.store.postpone_redaction(redaction, now + RETRY_REFUSED).await?;
            }
            RedactError::NotProvisioned => drop(lock(shared).done.not_provisioned.insert(record.product)),
            // The record is not the cause.
            RedactError::Vonage(error @ (VonageError::Unauthorized | VonageError::RateLimited { .. })) => {
                let mut shared = lock(shared);
                shared.is_stopped = true;
                shared.done.stopped.get_or_insert_with(|| error.to_string());
            }
            // The record may be the cause: it goes behind the others.
            RedactError::Vonage(error) => {
                self.store.postpone_redaction(redaction, now + RETRY_TOO_EARLY).await?;
                let mut shared = lock(shared);
                if shared.failures[record.product.index()] >= MAX_FAILURES {
                    shared.done.stopped.get_or_insert_with(|| error.to_string());
                }
            }
        }
        Ok(())
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
