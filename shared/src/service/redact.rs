//! The schedule of erasures: completes interrupted ones, and asks Vonage to redact each carrier record until it has done so
//! or the record is given up.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;
use crate::domain::carrier_record::Product;
use crate::store::{Redaction, Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::redact::{RedactApi, RedactError};

/// Age at which a redaction is given up.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Delay after an answer that it is too early, for example because the call was still going on.
const RETRY_TOO_EARLY: SignedDuration = SignedDuration::from_mins(30);

/// Delay after Vonage did not know the record.
const RETRY_REFUSED: SignedDuration = SignedDuration::from_hours(24);

/// Number of consecutive failures of Vonage after which the rest is left to the next run.
const MAX_FAILURES: u32 = 3;

/// The result of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Redacted {
    /// Number of completed erasures.
    pub settled: usize,
    /// Number of records that Vonage redacted.
    pub redacted: usize,
    /// Number of records to try again.
    pub postponed: usize,
    /// Number of records that were given up and are still at Vonage.
    pub given_up: usize,
    /// Products without redaction on this account.
    pub not_provisioned: HashSet<Product>,
    /// The reason for which the rest was left to the next run.
    pub stopped: Option<String>,
}

/// Completes erasures and redacts records.
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

impl Redactor<'_> {
    /// Completes erasures, and asks Vonage for all due redactions. No step is started that might not end before the
    /// deadline.
    pub async fn run(&self) -> Result<Redacted, StoreError> {
        let mut done = Redacted::default();
        for erasure in self.store.erasures().await? {
            if self.is_out_of_time() {
                done.stopped = Some("out of time".to_owned());
                return Ok(done);
            }
            match self.store.settle_erasure(&erasure, self.clock.now()).await {
                Ok(is_settled) => done.settled += usize::from(is_settled),
                // A failure must not stop the others.
                Err(error) => {
                    let id = erasure.conversation;
                    tracing::error!(conversation.id = %id, cause = %error, schedule_failures = 1u64, "completing an erasure failed");
                }
            }
        }
        let (mut from, mut failures) = (None, 0);
        loop {
            let page = self.store.due_redactions(self.clock.now(), from).await?;
            for redaction in page.redactions {
                if self.is_out_of_time() {
                    done.stopped = Some("out of time".to_owned());
                    return Ok(done);
                }
                match self.redact(&redaction, &mut done).await? {
                    None => failures = 0,
                    Some(error) => {
                        failures += 1;
                        if failures == MAX_FAILURES
                            || matches!(error, VonageError::Unauthorized | VonageError::RateLimited { .. })
                        {
                            done.stopped = Some(error.to_string());
                            return Ok(done);
                        }
                    }
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(done);
            }
        }
    }

    /// Redacts one record. A record at which Vonage fails stays for the next run.
    async fn redact(&self, redaction: &Redaction, done: &mut Redacted) -> Result<Option<VonageError>, StoreError> {
        let (record, now) = (&redaction.record, self.clock.now());
        let is_hopeless = done.not_provisioned.contains(&record.product);
        let answer = if is_hopeless { Err(RedactError::NotProvisioned) } else { self.api.redact(record).await };
        let error = match answer {
            Ok(()) => {
                self.store.forget_redaction(redaction).await?;
                done.redacted += 1;
                return Ok(None);
            }
            Err(error) => error,
        };
        if redaction.since + GIVEN_UP_AFTER <= now {
            let product = record.product.as_str();
            let id = &record.id;
            tracing::error!(product, id, cause = %error, schedule_failures = 1u64, "redaction of a record was given up; Vonage still has it");
            self.store.forget_redaction(redaction).await?;
            done.given_up += 1;
            return Ok(None);
        }
        done.postponed += 1;
        match error {
            RedactError::TooEarly => self.store.postpone_redaction(redaction, now + RETRY_TOO_EARLY).await?,
            RedactError::Refused { .. } => {
                tracing::warn!(product = record.product.as_str(), id = record.id, cause = %error, "redaction of a record was refused");
                self.store.postpone_redaction(redaction, now + RETRY_REFUSED).await?;
            }
            RedactError::NotProvisioned => drop(done.not_provisioned.insert(record.product)),
            // The record is not the cause.
            RedactError::Vonage(error @ (VonageError::Unauthorized | VonageError::RateLimited { .. })) => {
                return Ok(Some(error));
            }
            // The record may be the cause: it goes behind the others.
            RedactError::Vonage(error) => {
                self.store.postpone_redaction(redaction, now + RETRY_TOO_EARLY).await?;
                return Ok(Some(error));
            }
        }
        Ok(None)
    }

    fn is_out_of_time(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.clock.now() + self.api.time_for_one() >= deadline)
    }
}
