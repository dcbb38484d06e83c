//! Explanations of calls. One about now is the answer webhook's decision, and one about the future is that as well, if nothing
//! changes until then. One about the past is what was seen then, unless it says that it is not certain.

use jiff::{SignedDuration, Timestamp};
use shared::domain::decision::Decision;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::route::Destination;
use shared::service::explain::{Doubt, Explanation, explain};

use crate::case::Case;
use crate::model::{Model, RouteKey, Verdict, ensure};

/// Number of calls about which is asked later.
const MET: usize = 12;

/// A call and what it met.
#[derive(Debug, Clone)]
pub struct MetCall {
    at: Timestamp,
    caller: RealNumber,
    dialled: VirtualNumber,
    destination: Destination,
}

impl Case {
    /// Checks what is said about a call that meets `right` now, about the same call later, and about a call of before.
    pub async fn check_explanations(&mut self, spelled: &RealNumber, key: &RouteKey, right: &Destination) -> Verdict {
        let now = self.model.now;
        let store = self.system.process.store();
        let caller = CallerId::Phone(spelled.as_phone().clone());
        let decided = store.decide(&caller, Some(&key.1), now).await;
        let (decided, _) = decided.map_err(|error| error.to_string())?;
        let explained = self.explained(spelled, &key.1, now).await?;
        let is_same = explained.decision.as_ref() == Some(&decided) && explained.doubt.is_none();
        ensure(is_same && decided == Decision::Routed(right.clone()), || {
            format!("a call on {key:?} meets {decided:?} and is explained by {explained:?}; expected {right:?}")
        })?;
        let later = now + SignedDuration::from_secs(30 * (1 + self.met.len() as i64));
        let expected = Model { now: later, ..self.model.clone() }.destination(key);
        let explained = self.explained(spelled, &key.1, later).await?;
        let is_right = explained.decision == Some(Decision::Routed(expected.clone()));
        ensure(is_right && explained.doubt == Some(Doubt::Future), || {
            format!("a call on {key:?} at {later} is explained by {explained:?}; expected {expected:?}")
        })?;
        let some = usize::try_from(now.as_millisecond()).unwrap();
        if let Some(met) = self.met.get(some % MET).filter(|met| met.at < now).cloned() {
            self.check_past(&met).await?;
        }
        if self.met.len() == MET {
            self.met.remove(some % 5);
        }
        let (caller, dialled) = (spelled.clone(), key.1.clone());
        self.met.push(MetCall { at: now, caller, dialled, destination: right.clone() });
        Ok(())
    }

    async fn explained(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        at: Timestamp,
    ) -> Result<Explanation, String> {
        let (store, caller) = (self.system.process.store(), CallerId::Phone(caller.as_phone().clone()));
        let explained = explain(store, caller, dialled, [at, self.model.now]).await;
        explained.map_err(|error| error.to_string())
    }

    async fn check_past(&mut self, met: &MetCall) -> Verdict {
        let explained = self.explained(&met.caller, &met.dialled, met.at).await?;
        let certain = explained.doubt.is_none();
        self.coverage.count("call of before", if certain { "is certain" } else { "is not certain" });
        let is_right = explained.decision == Some(Decision::Routed(met.destination.clone()));
        ensure(!certain || is_right, || format!("{met:?} is explained by {explained:?}"))
    }
}
