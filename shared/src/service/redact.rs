//! Redaction: what the schedule sees to after conversations were erased. Their erasure is finished, whatever has died
//! over it, and Vonage is asked for each of its records until it has redacted it or is not going to.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;
use crate::domain::carrier_record::Product;
use crate::store::{Redaction, Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::redact::{RedactApi, RedactError};

/// How long Vonage is asked for a record before that is given up.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// When a record is asked for again for which it was too early: its call went on when the conversation was erased.
const WHEN_TOO_EARLY: SignedDuration = SignedDuration::from_mins(30);

/// When a record is asked for again that Vonage does not know, or not yet.
const WHEN_REFUSED: SignedDuration = SignedDuration::from_hours(24);

/// After so many requests in a row that Vonage does not answer, the rest is left to the next run.
const FAILURES: u32 = 3;

/// What a run did and found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Redacted {
    /// How many erasures it settled.
    pub settled: usize,
    /// How many records Vonage redacted.
    pub redacted: usize,
    /// How many records have to be asked for again.
    pub postponed: usize,
    /// How many records are asked for no more, and are still at Vonage.
    pub given_up: usize,
    /// For which products redaction is not switched on.
    pub not_provisioned: HashSet<Product>,
    /// Why the rest was left to the next run.
    pub stopped: Option<String>,
}

/// Has records redacted.
pub struct Redactor<'a> {
    /// The table.
    pub store: &'a Store,
    /// Vonage.
    pub api: &'a RedactApi,
    /// The time.
    pub clock: &'a SharedClock,
    /// When to be done.
    pub ends_at: Option<Timestamp>,
}

impl Redactor<'_> {
    /// Settles what was erased, and asks Vonage for all that is due. Nothing is begun that could not end in time.
    pub async fn run(&self) -> Result<Redacted, StoreError> {
        let mut done = Redacted::default();
        for erasure in self.store.erasures().await? {
            if self.is_out_of_time() {
                done.stopped = Some("out of time".to_owned());
                return Ok(done);
            }
            match self.store.settle_erasure(&erasure, self.clock.now()).await {
                Ok(is_settled) => done.settled += usize::from(is_settled),
                // One that fails keeps no other from being settled.
                Err(error) => {
                    let id = erasure.conversation;
                    tracing::error!(conversation.id = %id, cause = %error, schedule_failures = 1u64, "not erased yet");
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
                        if failures == FAILURES
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

    /// Asks for one record. What Vonage fails at is there for the next run.
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
            tracing::error!(product, id, cause = %error, schedule_failures = 1u64, "Vonage keeps what was to be erased");
            self.store.forget_redaction(redaction).await?;
            done.given_up += 1;
            return Ok(None);
        }
        done.postponed += 1;
        match error {
            RedactError::TooEarly => self.store.postpone_redaction(redaction, now + WHEN_TOO_EARLY).await?,
            RedactError::Refused { .. } => {
                tracing::warn!(product = record.product.as_str(), id = record.id, cause = %error, "not redacted");
                self.store.postpone_redaction(redaction, now + WHEN_REFUSED).await?;
            }
            RedactError::NotProvisioned => drop(done.not_provisioned.insert(record.product)),
            // It is not the record's fault.
            RedactError::Vonage(error @ (VonageError::Unauthorized | VonageError::RateLimited { .. })) => {
                return Ok(Some(error));
            }
            // It may be: others get their turn before it.
            RedactError::Vonage(error) => {
                self.store.postpone_redaction(redaction, now + WHEN_TOO_EARLY).await?;
                return Ok(Some(error));
            }
        }
        Ok(None)
    }

    fn is_out_of_time(&self) -> bool {
        self.ends_at.is_some_and(|ends_at| self.clock.now() + self.api.time_for_one() >= ends_at)
    }
}
