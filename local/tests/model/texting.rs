//! Rules for texts. A text reaches the other participant of the live conversation on its route key, from the number that masks the
//! writer, or nobody. It reaches no one twice, however often and however late it comes: also after an end, after an erasure, and when
//! others have the numbers, and at the same time as these. Receipts in any order, also twice, give the same state, also of invitations. Nothing reaches a
//! person after STOP.

mod chatting;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::domain::call::Direction;
use shared::domain::carrier_record::{CarrierRecord, Product};
use shared::domain::channel::Sender;
use shared::domain::conversation::{ConversationId, Notification, Recipient};
use shared::domain::invitation::{Delivery, SentInvitation};
use shared::domain::part_fate::PartFate;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::receipt::{InvitationReference, Receipt, ReceiptOf};
use shared::domain::relayed_text::{TextReference, TextState};
use shared::domain::route::Destination;
use shared::domain::side::Side;
use shared::domain::text_route::Nowhere;
use shared::service::relay_texts::Relayed;
use shared::vonage::message_event::{InboundText, Writer};

pub use self::chatting::Chatting;
use crate::case::Case;
use crate::expectations::Execution;
use crate::model::{Model, RouteKey, Verdict, ensure};
use crate::scenario::{canonical, number};
use crate::steps::{Action, ConversationRef, PhoneRef, Step};

/// A phone that is in no conversation.
const STRANGER: &str = "447700900998";

/// Time for which Vonage repeats a text at most, with the signature of its first delivery.
const REPEATED_FOR: SignedDuration = SignedDuration::from_hours(48);

/// Difference of clocks for which a text may be older than its route.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

/// The events of texts in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Texting {
    /// A phone texts a number. Its first delivery may fail to arrive.
    Write { writer: PhoneRef, number: usize, arrives: bool },
    /// A participant of the `nth` live conversation texts.
    Converse { nth: usize, side: Side, arrives: bool },
    /// Somebody who is in no conversation texts a number, and perhaps stops its texts and takes them again.
    Stranger { number: usize, words: usize },
    /// Vonage delivers the `nth` last text, again or at last.
    Deliver { nth: usize },
    /// A receipt of the `nth` last text comes, perhaps twice; if there is no text, one of the `nth` last invitation.
    Receipt { nth: usize, delivered: bool, twice: bool },
    /// A participant of the `nth` live conversation stops texts and takes them again; the other one writes after each.
    Stop { nth: usize, side: Side },
}

/// A text that somebody has written.
#[derive(Debug, Clone)]
pub struct Written {
    id: String,
    words: String,
    key: RouteKey,
    at: Timestamp,
}

/// The texts of a case.
#[derive(Default)]
pub struct Ledger {
    written: Vec<Written>,
    count: usize,
    /// The parts of each text that a receipt says to be on the phone.
    delivered: BTreeMap<String, bool>,
}

impl Step {
    pub fn any_texting() -> impl Strategy<Value = Self> {
        let side = || prop_oneof![Just(Side::A), Just(Side::B)];
        let texting = prop_oneof![
            3 => (PhoneRef::any(), 0..8usize, any::<bool>())
                .prop_map(|(writer, number, arrives)| Texting::Write { writer, number, arrives }),
            8 => (0..4usize, side(), prop::bool::weighted(0.8))
                .prop_map(|(nth, side, arrives)| Texting::Converse { nth, side, arrives }),
            1 => (0..8usize, 0..4usize).prop_map(|(number, words)| Texting::Stranger { number, words }),
            6 => (0..6usize).prop_map(|nth| Texting::Deliver { nth }),
            6 => (0..4usize, any::<bool>(), any::<bool>())
                .prop_map(|(nth, delivered, twice)| Texting::Receipt { nth, delivered, twice }),
            2 => (0..4usize, side()).prop_map(|(nth, side)| Texting::Stop { nth, side }),
        ];
        texting.prop_map(Self::Text)
    }

    pub fn text_during() -> impl Strategy<Value = Self> {
        let which = || (0..3usize).prop_map(ConversationRef::Last);
        let side = || prop_oneof![Just(Side::A), Just(Side::B)];
        let change = (which(), side(), PhoneRef::any()).prop_map(|(which, side, phone)| Action::Update {
            which,
            phone: Some((side, phone)),
            lifetime: None,
            languages: [None; 2],
            blocked: None,
        });
        let action = prop_oneof![
            4 => which().prop_map(Action::End),
            4 => which().prop_map(Action::Erase),
            4 => change,
            1 => PhoneRef::any().prop_map(Action::EraseNumber),
            2 => (0..8usize).prop_map(Action::Rotate),
            3 => Just(Action::Heal),
        ];
        (0..3usize, side(), action).prop_map(|(nth, side, action)| Self::TextDuring { nth, side, action })
    }
}

impl Case {
    pub async fn text(&mut self, texting: Texting) -> Verdict {
        match texting {
            Texting::Write { writer, number, arrives } => {
                let Some(dialled) = self.virtual_number(number) else { return self.skip() };
                let written = self.written((self.phone(writer), dialled), None);
                if arrives { self.deliver(&written).await } else { Ok(()) }
            }
            Texting::Converse { nth, side, arrives } => {
                let Some(key) = self.live_key(nth, side) else { return self.skip() };
                let written = self.written(key, None);
                if arrives { self.deliver(&written).await } else { Ok(()) }
            }
            Texting::Stranger { number: nth, words } => {
                let Some(dialled) = self.virtual_number(nth) else { return self.skip() };
                let words = [None, Some("STOP"), Some("START"), Some("HELP")][words];
                let written = self.written((number(STRANGER), dialled), words);
                self.deliver(&written).await
            }
            Texting::Deliver { nth } => {
                let texts = &self.texts.written;
                let Some(written) = texts.iter().rev().nth(nth % texts.len().max(1)).cloned() else {
                    return self.skip();
                };
                if written.at + REPEATED_FOR <= self.model.now {
                    return self.skip();
                }
                self.deliver(&written).await
            }
            Texting::Receipt { nth, delivered, twice } => self.receipt(nth, delivered, twice).await,
            Texting::Stop { nth, side } => self.stop(nth, side).await,
        }
    }

    /// Returns the route key of a participant of the `nth` live conversation, if that one may write.
    fn live_key(&self, nth: usize, side: Side) -> Option<RouteKey> {
        let live = self.model.conversations.values().rev().filter(|found| found.is_live(self.model.now));
        let live = live.filter(|found| found.expected.direction.includes(side));
        let keys: Vec<RouteKey> = live
            .map(|found| {
                let phone = found.expected.first_phone(side);
                (phone.number.clone(), phone.sees.clone())
            })
            .collect();
        keys.get(nth % keys.len().max(1)).cloned()
    }

    /// Notes a new text. Its words are its own, unless they are given.
    fn written(&mut self, key: RouteKey, words: Option<&str>) -> Written {
        let written = self.new_text(key, words);
        self.texts.written.push(written.clone());
        written
    }

    /// Returns a new text that no later step delivers.
    fn new_text(&mut self, key: RouteKey, words: Option<&str>) -> Written {
        self.texts.count += 1;
        let nth = self.texts.count;
        let words = words.map_or_else(|| format!("text {nth}."), str::to_owned);
        Written { id: format!("written-{nth}"), words, key, at: self.model.now }
    }

    /// Delivers a text to the product. Returns its fate, and its conversation.
    async fn handled(&self, written: &Written) -> Result<(Relayed, Option<ConversationId>), String> {
        self.handled_by(written.key.1.clone().into(), written, None).await
    }

    /// Delivers a text to this sender of ours, with the message that it quotes.
    async fn handled_by(
        &self,
        to: Sender<'static>,
        written: &Written,
        quoted: Option<String>,
    ) -> Result<(Relayed, Option<ConversationId>), String> {
        let inbound = InboundText {
            record: CarrierRecord {
                id: written.id.clone(),
                product: Product::Messages,
                direction: Direction::Inbound,
                channel: None,
            },
            writer: Writer::Phone(written.key.0.as_phone().clone()),
            to: Some(to),
            written_at: Some(written.at),
            text: Some(written.words.clone()),
            files: Vec::new(),
            quoted,
            part: None,
        };
        let handled = Box::pin(self.system.process.relay.handle(inbound)).await;
        handled.map_err(|error| format!("a text failed: {error}"))
    }

    /// Delivers a text, and moves the end of its conversation in the model, if that slides.
    async fn relayed(&mut self, written: &Written) -> Result<Relayed, String> {
        let (relayed, conversation) = self.handled(written).await?;
        self.slide_by_text(written, relayed, conversation).await?;
        Ok(relayed)
    }

    async fn slide_by_text(
        &mut self,
        written: &Written,
        relayed: Relayed,
        conversation: Option<ConversationId>,
    ) -> Verdict {
        let sent_in = conversation.filter(|_| relayed == Relayed::Sent);
        if sent_in.is_some_and(|id| self.model.slide_after(id, written.at)) {
            self.coverage.count("sliding end", "moved by a text");
            self.reader.update(&mut self.table, &self.system.database, self.model.now).await;
            self.model.accept_holds(&self.table, true)?;
            self.check()?;
        }
        Ok(())
    }

    /// Delivers a text, and checks whom it has reached.
    async fn deliver(&mut self, written: &Written) -> Verdict {
        let key = (canonical(&written.key.0), written.key.1.clone());
        let right = self.model.destination(&key);
        let before = self.system.received(&written.words).await;
        let relayed = self.relayed(written).await?;
        let after = self.system.received(&written.words).await;
        let outcome = match relayed {
            Relayed::Nowhere(Nowhere::Over) => "over".to_owned(),
            Relayed::Nowhere(_) => "nowhere".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        self.coverage.count("text of a phone", &outcome);
        let is_keyword = ["STOP", "START", "HELP"].contains(&written.words.as_str());
        if is_keyword {
            return ensure(relayed != Relayed::Sent || written.words != "STOP", || {
                format!("{written:?} was passed on")
            });
        }
        ensure(after.len() <= 1, || format!("{written:?} came {} times", after.len()))?;
        ensure((after.len() > before.len()) == (relayed == Relayed::Sent), || {
            format!(
                "{written:?} is said to be {relayed:?}, and came {} times before and {} after",
                before.len(),
                after.len()
            )
        })?;
        let is_new = written.at == self.model.now && before.is_empty();
        let is_allowed = matches!(right, Destination::Participant { .. } | Destination::Closed(_));
        ensure(relayed != Relayed::Sent || is_allowed, || {
            format!("{written:?} was passed on, but a call meets {right:?}")
        })?;
        let is_taken = matches!(relayed, Relayed::Sent | Relayed::Refused | Relayed::Repeated);
        ensure(!(is_new && is_allowed) || is_taken, || {
            format!("{written:?} is {relayed:?}, but a call meets {right:?}")
        })?;
        if relayed != Relayed::Sent {
            return Ok(());
        }
        check_reader(&self.model, written, &key, &after[0])
    }

    /// Has a participant text while an action takes place, and Vonage deliver it twice meanwhile and once after it. It reaches the other
    /// one of before or after the action, once, or nobody. If the end of the conversation slides, the suite `race` has that.
    pub async fn text_during(&mut self, nth: usize, side: Side, action: &Action) -> Verdict {
        let Some(key) = self.live_key(nth, side) else { return self.skip() };
        let live = self.model.conversations.values().filter(|found| found.is_live(self.model.now));
        let mut sliding = live.filter(|found| found.expected.sliding_end.is_some());
        if sliding
            .any(|found| Side::BOTH.iter().any(|side| found.expected.phones(*side).any(|phone| *phone.sees == key.1)))
        {
            return self.skip();
        }
        let Some(operation) = self.operation(action) else { return self.skip() };
        let written = self.written(key, None);
        let before = self.model.clone();
        // An error says that the text is not settled: Vonage delivers it again.
        let (outcome, one, other) =
            tokio::join!(self.system.process.perform(&operation), self.handled(&written), self.handled(&written));
        self.verify(vec![Execution { operation, outcome: Some(outcome) }]).await?;
        let again = self.relayed(&written).await?;
        let all = [one.map(|(relayed, _)| relayed), other.map(|(relayed, _)| relayed), Ok(again)];
        let received = self.system.received(&written.words).await;
        let passed_on = all.iter().filter(|relayed| **relayed == Ok(Relayed::Sent)).count();
        ensure(passed_on == received.len() && passed_on <= 1, || {
            format!("{written:?} is said to be {all:?}, and came {} times", received.len())
        })?;
        let Some(reader) = received.first() else {
            self.coverage.count("text during an action", "not passed on");
            return Ok(());
        };
        let key = (canonical(&written.key.0), written.key.1.clone());
        let is_of_after = check_reader(&self.model, &written, &key, reader).is_ok();
        let how = if is_of_after { "passed on" } else { "passed on as it was before" };
        self.coverage.count("text during an action", how);
        if is_of_after { Ok(()) } else { check_reader(&before, &written, &key, reader) }
    }

    /// Delivers a receipt, and checks that the state of its text does not depend on the order.
    async fn receipt(&mut self, nth: usize, delivered: bool, twice: bool) -> Verdict {
        let mut latest: Vec<(ConversationId, _)> = Vec::new();
        for id in self.model.conversations.keys() {
            let texts = self.system.process.store().texts(*id, None, 5).await.map_err(|error| error.to_string())?;
            latest.extend(texts.texts.into_iter().map(|text| (*id, text)));
        }
        latest.sort_by_key(|(_, text)| text.id);
        latest.retain(|(_, text)| !text.parts.is_empty());
        let Some((conversation, text)) = latest.iter().rev().nth(nth % latest.len().max(1)) else {
            return self.invitation_receipt(nth, delivered, twice).await;
        };
        let (fate, part) = match delivered {
            true => (PartFate::Delivered, text.parts[0].id.clone()),
            false => (PartFate::Undelivered("the phone is absent".to_owned()), text.parts[0].id.clone()),
        };
        let reference = TextReference { conversation: *conversation, text: text.id };
        let receipt = Receipt { of: ReceiptOf::Text(reference), part, fate, price: None, by_number: false };
        for _ in 0..1 + usize::from(twice) {
            let noted = self.system.process.store().record_receipt(reference, &receipt, self.model.now).await;
            ensure(noted.as_ref().is_ok_and(|noted| *noted), || format!("{receipt:?} is {noted:?}"))?;
        }
        let is_delivered = self.texts.delivered.entry(text.id.to_string()).or_default();
        *is_delivered |= delivered;
        let expected = if *is_delivered { TextState::Delivered } else { TextState::Failed };
        let texts =
            self.system.process.store().texts(*conversation, None, 50).await.map_err(|error| error.to_string())?;
        let found = texts.texts.iter().find(|found| found.id == text.id).map(|found| found.state(self.model.now));
        self.coverage.count("receipt of a text", if *is_delivered { "delivered" } else { "failed" });
        ensure(found == Some(expected), || format!("after {receipt:?} the text is {found:?}, not {expected:?}"))
    }

    /// Delivers a receipt of an invitation, and checks that its state does not depend on the order.
    async fn invitation_receipt(&mut self, nth: usize, delivered: bool, twice: bool) -> Verdict {
        let all = self.model.conversations.iter().flat_map(|(id, found)| {
            let of_side = |side: Side| (*id, Recipient::from(side), &found.expected);
            Side::BOTH.map(of_side).into_iter()
        });
        let sent: Vec<_> = all.filter(|(_, to, found)| *found.notification(*to) == Notification::Sent).collect();
        let Some((conversation, to, found)) = sent.into_iter().rev().nth(nth) else { return self.skip() };
        let (invitation, participant) = (found.invitation(to), found.participant(to.side));
        // The carrier names the number in its ids. One that came back has two invitations, of which nothing tells the parts apart.
        let name = format!("-{:?}-{}-", to.side.other(), participant.sees);
        let part = found.invitation_receipts.carrier_records().find(|record| record.id.contains(&name));
        let Some(part) = part.filter(|_| !participant.previously_seen.contains(&participant.sees)) else {
            return self.skip();
        };
        let sent = SentInvitation { invitation, product: Product::Sms, channel: None, receipts: 1 };
        let (reference, absent) = (InvitationReference { conversation, sent }, "the phone is absent");
        let fate = if delivered { PartFate::Delivered } else { PartFate::Undelivered(absent.to_owned()) };
        let receipt =
            Receipt { of: ReceiptOf::Invitation(reference), part: part.id, fate, price: None, by_number: false };
        let store = self.system.process.store();
        for _ in 0..1 + usize::from(twice) {
            let noted = store.record_invitation_receipt(&reference, &receipt, self.model.now).await;
            ensure(noted.as_ref().is_ok_and(|noted| *noted), || format!("{receipt:?} is {noted:?}"))?;
        }
        let stored = store.conversation(conversation, self.model.now).await.map_err(|error| error.to_string())?;
        let is_delivered = self.texts.delivered.entry(reference.to_string()).or_default();
        *is_delivered |= delivered;
        let expected = if *is_delivered { Delivery::Delivered } else { Delivery::Undelivered(absent) };
        self.coverage.count("receipt of an invitation", if *is_delivered { "delivered" } else { "undelivered" });
        // One past its retention is not shown, and takes receipts until it is erased.
        let Some(stored) = stored else { return Ok(()) };
        ensure(stored.delivery(to) == Some(expected), || format!("after {receipt:?}: {:?}", stored.delivery(to)))?;
        if let Some(found) = self.model.conversations.get_mut(&conversation) {
            found.expected.invitation_receipts = stored.invitation_receipts;
        }
        self.reader.update(&mut self.table, &self.system.database, self.model.now).await;
        self.check()
    }

    /// A participant stops texts and takes them again.
    async fn stop(&mut self, nth: usize, side: Side) -> Verdict {
        let keys = [side, side.other()].map(|side| self.live_key(nth, side));
        let [Some(own), Some(other)] = keys else { return self.skip() };
        for (words, may_arrive) in [("STOP", false), ("START", true)] {
            self.wait("wait", SignedDuration::from_secs(1))?;
            let said = self.written(own.clone(), Some(words));
            let meanwhile = self.written(other.clone(), None);
            let (followed, passed_on) = tokio::join!(self.handled(&said), self.handled(&meanwhile));
            let (relayed, _) = followed?;
            if let Ok((fate, conversation)) = passed_on {
                self.slide_by_text(&meanwhile, fate, conversation).await?;
            }
            let came = self.system.received(&meanwhile.words).await.len();
            ensure(came <= 1, || format!("{meanwhile:?} came {came} times at the same time as {words}"))?;
            let right = if words == "STOP" { Relayed::Stopped } else { Relayed::Started };
            ensure(relayed == right, || format!("{words} is {relayed:?}"))?;
            let written = self.written(other.clone(), None);
            let relayed = self.relayed(&written).await?;
            let received = self.system.received(&written.words).await;
            let reaches_them = |(to, from): &(RealNumber, VirtualNumber)| (to, from) == (&own.0, &own.1);
            ensure(may_arrive || !received.iter().any(reaches_them), || format!("{written:?} came after STOP"))?;
            ensure(received.len() <= 1, || format!("{written:?} is {relayed:?} and came twice"))?;
            let again = self.relayed(&said).await?;
            ensure(again == Relayed::Repeated, || format!("{words} again is {again:?}"))?;
        }
        self.coverage.count("STOP and START", "");
        // The table deletes it after 40 days. Until then it is one item more under the caller.
        let item = (format!("CALLER#{}", canonical(&own.0).expose()), format!("DECLINES#{}", own.1));
        self.system.database.delete(&item.0, &item.1).await;
        Ok(())
    }
}

/// Checks that a text has reached a phone of the other side of the live conversation on its route key.
fn check_reader(model: &Model, written: &Written, key: &RouteKey, (to, from): &(RealNumber, VirtualNumber)) -> Verdict {
    let live = model.conversations.values().filter(|found| found.is_live(model.now));
    let mut owners = live.flat_map(|found| {
        let sides = found.expected.direction.sides().map(move |side| (found, side));
        sides.filter(|(found, side)| {
            found.expected.phones(*side).any(|phone| canonical(phone.number) == key.0 && phone.sees == &key.1)
        })
    });
    let Some((found, side)) = owners.next() else {
        return Err(format!("{written:?} was passed on, but nobody has {key:?}"));
    };
    let is_reader = found.expected.phones(side.other()).any(|phone| phone.number == to && phone.sees == from);
    ensure(is_reader, || format!("{written:?} reached {to:?} from {from}, who is not the other one of {found:?}"))?;
    ensure(found.expected.created_at <= written.at + CLOCKS_DIFFER, || {
        format!("{written:?} is of before {:?}", found.expected.id)
    })
}
