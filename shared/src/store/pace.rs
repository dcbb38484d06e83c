//! The turns of calls, and the shares of sandboxes; see [`Pace`].

use std::ops::ControlFlow::{Break, Continue};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::item::{self, Key};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::pace::{Pace, Queue, Turn};
use crate::retry;

/// Maximum number of attempts to take a turn while others do so too.
const ATTEMPTS: u32 = 8;

/// Time after which the table may delete the time of the next turn. Long before, nobody waits.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

#[derive(Deserialize)]
struct TurnsItem {
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    next_at: Timestamp,
}

impl Store {
    /// Returns the time of the turn that is free next, if a turn was taken in the last day. One consistent read.
    pub async fn next_turn(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<TurnsItem>(Key::PaceTurns).await?.map(|turns| turns.next_at))
    }

    /// Takes a turn at `now`, when `next` was just read as the time of the next one. One update, and more of them only for calls
    /// that find an empty queue at the same moment.
    pub async fn take_turn(&self, pace: Pace, next: Option<Timestamp>, now: Timestamp) -> Result<Turn, StoreError> {
        let mut as_read = Some(next);
        retry::contended(ATTEMPTS, StoreError::Contended("the turns of calls"), || {
            let as_read = as_read.take();
            async move {
                let next = match as_read {
                    Some(next) => next,
                    None => self.next_turn().await?,
                };
                match pace.queue(next, now) {
                    Queue::Full => Ok(Break(Turn::TooMany)),
                    Queue::Empty(following) => {
                        let begins = self.begin_queue(next, following).await?;
                        Ok(if begins { Break(Turn::At(now)) } else { Continue(()) })
                    }
                    Queue::Waiting => Ok(match self.join_queue(pace, now).await? {
                        Some(turn) => Break(Turn::At(turn)),
                        None => Continue(()),
                    }),
                }
            }
        })
        .await
    }

    /// Sets the time of the next turn. False if somebody else has changed it.
    async fn begin_queue(&self, seen: Option<Timestamp>, next: Timestamp) -> Result<bool, StoreError> {
        let begin = Write::update(Key::PaceTurns)
            .set("next_at = :next")
            .set_ttl(next + KEPT)
            .bind(":next", item::milliseconds(next));
        self.update(match seen {
            Some(seen) => begin.when("next_at = :seen").bind(":seen", item::milliseconds(seen)),
            None => begin.when("attribute_not_exists(next_at)"),
        })
        .await
    }

    /// Takes the next turn, whichever that is, so that any number of calls do so at the same time. `None` if nobody waits any
    /// more, or if the turn is too late.
    async fn join_queue(&self, pace: Pace, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let interval = pace.interval();
        let join = Write::update(Key::PaceTurns)
            .set("next_at = next_at + :interval")
            .when("next_at BETWEEN :now AND :latest")
            .bind(":interval", item::integer(interval.as_millis().unsigned_abs() as u64))
            .bind(":now", item::milliseconds(now))
            .bind(":latest", item::milliseconds(now + Pace::LONGEST_WAIT));
        let Some(updated) = self.update_returning(join).await? else { return Ok(None) };
        let TurnsItem { next_at } = serde_dynamo::from_item(updated)?;
        Ok(Some(next_at - interval))
    }

    /// Takes the share of this number from `now` until `until`. False if another sandbox has it.
    pub async fn take_share(&self, number: u16, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let take = Write::update(Key::PaceShare(number))
            .set("held_until = :until")
            .set_ttl(until)
            .when("attribute_not_exists(pk) OR held_until <= :now")
            .bind(":until", item::seconds(until))
            .bind(":now", item::seconds(now));
        self.update(take).await
    }
}
