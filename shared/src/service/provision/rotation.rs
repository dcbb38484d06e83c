//! Rotation: a number that works drains, and its live conversations move to other numbers, as if it were lost.
//!
//! Until a conversation has moved, calls on the number are connected as before. The [healer](crate::service::heal) moves it.

use super::Provisioner;
use crate::clock::whole_second;
use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber};
use crate::retry;
use crate::store::StoreError;

/// The result of a request to rotate a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The number is given to no conversation any more, and a later run moves those that it has.
    Rotating(Box<PoolNumber>),
    /// The owner of the number has no other ready one in this country.
    NoOther(Country),
    /// A run is renting or linking the number, or died doing so a moment ago.
    Busy,
    /// The number is a standing mask, or is to become one.
    SetAside,
    /// The number is not in the pool.
    Unknown,
}

/// Number of attempts at a change that loses races against others.
const ATTEMPTS: u32 = 5;

impl Provisioner {
    /// Starts to rotate a number, unless it is the last ready one of its country, and tells the backend. Can be repeated.
    pub async fn rotate(&self, number: &VirtualNumber) -> Result<Rotated, StoreError> {
        let rotated = self.begin_rotation(number).await?;
        if let Rotated::Rotating(number) = &rotated {
            self.announce(std::slice::from_ref(&**number)).await?;
        }
        Ok(rotated)
    }

    async fn begin_rotation(&self, number: &VirtualNumber) -> Result<Rotated, StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some(found) = self.store.pool_number(number).await? else { return Ok(Rotated::Unknown) };
            let now = self.clock.now();
            match found.state {
                _ if found.rotating_since.is_some() => return Ok(Rotated::Rotating(Box::new(found))),
                _ if found.set_aside => return Ok(Rotated::SetAside),
                // It may or may not be bought.
                NumberState::Renting => return Ok(Rotated::Busy),
                NumberState::Linking if now < found.leased_until => return Ok(Rotated::Busy),
                _ => {}
            }
            let ready = self.store.ledger().await?.counts(found.pool()).of(NumberState::Ready);
            if ready <= usize::from(found.state == NumberState::Ready) {
                return Ok(Rotated::NoOther(found.country));
            }
            if self.store.begin_rotation(&found, now).await? {
                let now = Some(whole_second(now));
                let mut rotating = PoolNumber {
                    state: NumberState::Draining,
                    rotating_since: now,
                    moves_to: None,
                    part: None,
                    ..found
                };
                rotating.draining_since = rotating.draining_since.or(now);
                rotating.loss.unannounced_rotation = now;
                rotating.loss.conversations_listed = None;
                return Ok(Rotated::Rotating(Box::new(rotating)));
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("a number of the pool"))
    }
}
