//! Holds of participants who only receive, and the line of each: the number under which that is so.
//!
//! A hold lies under a route key, so that no conversation can get the key meanwhile. Thousands of conversations share it, so it
//! is written before their transactions and is no part of them. It only becomes longer, and an end does not shorten it.

use std::collections::HashMap;
use std::ops::ControlFlow::{Break, Continue};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key, LINE, OWN_NUMBER};
use super::passed_over::PassedOver;
use super::routes::is_own_number;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::caller_routes::{CallerRoute, CallerRoutes, Extent};
use crate::domain::judge::LookedUp;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{Hold, KeyOwner};
use crate::domain::tenant::Owner;
use crate::retry;

/// Maximum number of attempts at a hold that others change at the same time.
const ATTEMPTS: u32 = 8;

/// The number under which somebody only receives. Conversations that find it here read nothing else about that phone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The number.
    pub number: VirtualNumber,
    /// A time until which it is held at least.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub held_until: Timestamp,
    /// The carrier's verdict about the phone, so that the carrier is not asked again for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_up: Option<LookedUp>,
}

impl Store {
    /// Holds the route key of `caller` and `dialled` at `now` for a conversation of `owner` whose quarantine ends at `until`, unless it is
    /// held for that long already. Returns the end of the hold, or `None` if a conversation has the key.
    pub async fn hold(
        &self,
        (caller, dialled): (&RealNumber, &VirtualNumber),
        owner: Owner,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let hold = Hold::new(owner, until, now);
        let caller = caller.canonical();
        let item = Key::Route { caller: &caller, dialled }.with(&hold, Some(hold.quarantined_until))?;
        let put = Write::put(item)
            .when("attribute_not_exists(pk) OR quarantined_until <= :now OR (attribute_exists(held_at) AND quarantined_until < :until)")
            .bind(":now", item::seconds(now))
            .bind(":until", item::seconds(until));
        let (caller, put) = (&caller, &put);
        retry::contended(ATTEMPTS, StoreError::Contended("a hold"), || async move {
            if self.put(put.clone()).await? {
                return Ok(Break(Some(hold.quarantined_until)));
            }
            let owner = match self.key_owner(caller, dialled).await {
                // A conversation may have it.
                Err(StoreError::Unreadable(..)) => return Ok(Break(None)),
                owner => owner?,
            };
            Ok(match owner {
                Some(KeyOwner::Held(found)) if found.quarantined_until >= until => Break(Some(found.quarantined_until)),
                Some(owner @ (KeyOwner::Route(_) | KeyOwner::Erased(_))) if owner.is_in_use(now) => Break(None),
                _ => Continue(()),
            })
        })
        .await
    }

    /// Returns the line of `caller` at `now`, as the one hold that is known, or `None` if there is no line. It also shows if
    /// `caller` is one of our own numbers. One consistent query, or two in parallel for a phone with two spellings.
    pub async fn line(&self, caller: &RealNumber, now: Timestamp) -> Result<Option<CallerRoutes>, StoreError> {
        let query = |caller: &RealNumber| self.query_between(item::caller_partition(caller.expose()), OWN_NUMBER, LINE);
        let others = async {
            match caller.other_spelling() {
                Some(other) => query(&other).await,
                None => Ok(Vec::new()),
            }
        };
        let canonical = caller.canonical();
        let (items, others) = tokio::try_join!(query(&canonical), others)?;
        let is_virtual = items.iter().chain(&others).any(|item| is_own_number(item, now));
        let is_line = |item: &Item| item::sort_key(item) == LINE;
        // Without a readable line, the routes show the hold, and the line is written again.
        let line = PassedOver::list(items.into_iter().find(is_line), item::read::<Line>).pop();
        let line = line.filter(|line| now < line.held_until);
        if line.is_none() && !is_virtual {
            return Ok(None);
        }
        let held = |line: Line| {
            let hold = CallerRoute { looked_up: line.looked_up, ..CallerRoute::held(line.held_until, now) };
            (line.number, hold)
        };
        let by_number: HashMap<_, _> = line.into_iter().map(held).collect();
        Ok(Some(CallerRoutes { by_number, is_virtual, extent: Extent::Line, ..CallerRoutes::default() }))
    }

    /// Remembers the line of `caller`, for the conversations after this one. Its number must be held for that long.
    pub async fn remember_line(&self, caller: &RealNumber, line: &Line) -> Result<(), StoreError> {
        let put = Write::put(Key::Line(&caller.canonical()).with(line, Some(line.held_until))?);
        self.put(put).await.map(drop)
    }
}
