//! Deletions by TTL: the table deletes late, and only what nobody can read any more.

use std::collections::BTreeSet;

use shared::domain::conversation::ConversationId;
use shared::domain::phone::{RealNumber, VirtualNumber};

use crate::model::{Model, ModelConversation, NET, Verdict, ensure};
use crate::recordings::RecordingKey;

impl Model {
    /// Removes what the table has deleted. Only data that nobody can read any more may be deleted.
    pub fn forget(&mut self, deleted: &BTreeSet<(String, String)>) -> Verdict {
        let now = self.now;
        let is_deleted = |pk: String, sk: String| deleted.contains(&(pk, sk));
        let is_deleted_route = |name: &(RealNumber, VirtualNumber)| {
            is_deleted(format!("CALLER#{}", name.0.expose()), format!("NUMBER#{}", name.1))
        };
        let conversation = |id: &ConversationId| is_deleted(format!("CONVERSATION#{id}"), "CONVERSATION".to_owned());
        let request = |key: &String| is_deleted(format!("REQUEST#{key}"), "REQUEST".to_owned());
        let own = |number: &VirtualNumber| is_deleted(format!("CALLER#{number}"), "POOL".to_owned());

        let too_early = self.routes.iter().find(|(name, route)| is_deleted_route(name) && now < route.kept_until());
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let is_early = |found: &ModelConversation| now < found.quarantined_until() + NET;
        let too_early = self.conversations.iter().find(|(id, found)| conversation(id) && is_early(found));
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let too_early = self.erased.iter().find(|(id, until)| conversation(id) && now < **until);
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let too_early = self.requests.iter().find(|(key, remembered)| request(key) && now < remembered.until);
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let too_early = self.numbers.keys().find(|number| own(number));
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;

        for (id, conversation) in self.conversations.iter_mut() {
            let is_readable = conversation.is_readable(now);
            let is_unlisted =
                |phone: &RealNumber| is_deleted(format!("PHONE#{}", phone.expose()), format!("CONVERSATION#{id}"));
            let too_early = conversation.listed.keys().find(|phone| is_readable && is_unlisted(phone));
            ensure(too_early.is_none(), || format!("{id:?} was removed from the list of {too_early:?} too early"))?;
            if conversation.listed.keys().any(is_unlisted) {
                conversation.listed.retain(|phone, _| !is_unlisted(phone));
            }
        }
        self.routes.retain(|name, _| !is_deleted_route(name));
        let is_leg = |id: &ConversationId, uuid: &str| {
            deleted.iter().any(|(pk, sk)| *pk == format!("CONVERSATION#{id}") && sk.ends_with(&format!("#{uuid}")))
        };
        let too_early = self.legs.keys().find(|(id, uuid)| {
            is_leg(id, uuid) && self.conversations.get(id).is_some_and(|found| found.is_readable(now))
        });
        ensure(too_early.is_none(), || format!("the leg {too_early:?} was deleted too early"))?;
        self.legs.retain(|(id, uuid), _| !is_leg(id, uuid));
        self.forgotten.extend(self.conversations.keys().filter(|id| conversation(id)));
        self.conversations.retain(|id, _| !conversation(id));
        self.erased.retain(|id, _| !conversation(id));
        let redaction = |id: &String| {
            ["number-insight", "sms", "voice"]
                .iter()
                .any(|product| is_deleted("REDACTION".to_owned(), format!("{product}#{id}")))
        };
        self.redactions.retain(|id| !redaction(id));
        self.requests.retain(|key, _| !request(key));
        self.placing.known.retain(|key, _| !request(key));
        self.placing.dialled.retain(|key| !request(key));
        self.pins.calls.retain(|call, _| !is_deleted(format!("CALL#{call}"), "PIN".to_owned()));
        self.released.retain(|number, _| !own(number));
        let recordings = &mut *self.recordings;
        let work = |(id, recording): &RecordingKey| is_deleted("RECORDING".to_owned(), format!("{id}#{recording}"));
        recordings.abandoned.extend(recordings.work.keys().filter(|key| work(key)).cloned());
        recordings.work.retain(|key, _| !work(key));
        let recording =
            |(id, recording): &RecordingKey| is_deleted(format!("RECORDINGS#{id}"), format!("RECORDING#{recording}"));
        recordings.abandoned.extend(recordings.known.keys().filter(|key| recording(key)).cloned());
        recordings.known.retain(|key, _| !recording(key));
        Ok(())
    }
}
