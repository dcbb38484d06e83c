//! Rules for chats. A message to the deployment's sender reaches the other participant if its writer is in one live conversation, or
//! quotes a message of one, and nobody if it could be for several. Whoever has written in a chat is answered there, or by SMS if the
//! channel does not take the answer, once. Nothing reaches a person on a channel after STOP there.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::Value;
use shared::domain::channel::{Channel, Sender};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::phone::RealNumber;
use shared::domain::pool::Feature;
use shared::domain::relayed_text::Withheld;
use shared::domain::route::Destination;
use shared::domain::side::Side;
use shared::domain::text_route::Nowhere;
use shared::service::relay_texts::Relayed;

use crate::case::Case;
use crate::model::{RouteKey, Verdict, ensure};
use crate::scenario::{canonical, number};
use crate::steps::Step;

/// A participant of the `nth` live conversation writes to the sender on a channel, and the other one answers.
///
/// The simulated WhatsApp knows of no message of the phone, so it rejects the answers, and an SMS takes their place. RCS takes them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chatting {
    nth: usize,
    side: Side,
    channel: Channel,
    /// True if the message quotes a text of the other one.
    quotes: bool,
    /// True if the writer stops texts and takes them again.
    stops: bool,
}

/// A participant who chats, and the other one.
struct Pair {
    conversation: ConversationId,
    side: Side,
    own: RouteKey,
    /// None if the other one may not write.
    other: Option<RouteKey>,
}

impl Step {
    pub fn any_chat() -> impl Strategy<Value = Self> {
        let side = prop_oneof![Just(Side::A), Just(Side::B)];
        let channel = prop_oneof![Just(Channel::WhatsApp), Just(Channel::Rcs)];
        let all = (0..4usize, side, channel, any::<bool>(), prop::bool::weighted(0.3));
        all.prop_map(|(nth, side, channel, quotes, stops)| Self::Chat(Chatting { nth, side, channel, quotes, stops }))
    }
}

impl Case {
    pub async fn chat(&mut self, chatting: Chatting) -> Verdict {
        if self.system.process.relay.senders.is_empty() {
            return self.skip();
        }
        let Some(pair) = self.live_pair(chatting.nth, chatting.side) else { return self.skip() };
        let verdict = self.chat_of(&pair, chatting).await;
        // The table deletes them later. Until then they would decide where the texts of other steps go.
        let (phone, channel) = (canonical(&pair.own.0), chatting.channel.as_str());
        for (partition, key) in [("PHONE", "CHAT"), ("CALLER", &format!("DECLINES#{channel}"))] {
            self.system.database.delete(&format!("{partition}#{}", phone.expose()), key).await;
        }
        verdict
    }

    async fn chat_of(&mut self, pair: &Pair, chatting: Chatting) -> Verdict {
        let channel = chatting.channel;
        let quoted = if chatting.quotes { self.text_of_the_other(pair).await? } else { None };
        let is_open = self.say(pair, channel, quoted).await?;
        self.answer(pair, is_open.then_some(channel), true).await?;
        if !chatting.stops {
            return Ok(());
        }
        for (words, right, may_arrive) in [("STOP", Relayed::Stopped, false), ("START", Relayed::Started, true)] {
            self.wait("wait", SignedDuration::from_secs(1))?;
            let said = self.new_text(pair.own.clone(), Some(words));
            for right in [right, Relayed::Repeated] {
                let (relayed, _) = self.handled_by(Sender::Brand(channel), &said, None).await?;
                ensure(relayed == right, || format!("{words} in a chat is {relayed:?}"))?;
            }
            self.answer(pair, is_open.then_some(channel), may_arrive).await?;
        }
        self.coverage.count("STOP in a chat", "");
        Ok(())
    }

    fn live_pair(&self, nth: usize, side: Side) -> Option<Pair> {
        let live = self.model.conversations.values().rev().filter(|found| found.is_live(self.model.now));
        let live: Vec<_> = live.map(|found| &found.expected).filter(|found| found.direction.includes(side)).collect();
        // Few people are in several.
        let is_in_several = |found: &&&Conversation| self.live_conversations_of(found.first_phone(side).number) > 1;
        let several: Vec<_> = live.iter().filter(is_in_several).copied().collect();
        let live = if nth.is_multiple_of(2) && !several.is_empty() { several } else { live };
        let found = live.get(nth % live.len().max(1))?;
        let key = |side: Side| {
            let phone = found.first_phone(side);
            (phone.number.clone(), phone.sees.clone())
        };
        let other = found.direction.includes(side.other()).then(|| key(side.other()));
        Some(Pair { conversation: found.id, side, own: key(side), other })
    }

    /// Returns the number of live conversations in which a phone may write.
    fn live_conversations_of(&self, phone: &RealNumber) -> usize {
        let phone = canonical(phone);
        let live = self.model.conversations.values().filter(|found| found.is_live(self.model.now));
        let is_in = |side: Side, found: &Conversation| found.phones(side).any(|one| canonical(one.number) == phone);
        live.filter(|found| found.expected.direction.sides().any(|side| is_in(side, &found.expected))).count()
    }

    /// Has the other one text the number. Returns the carrier's id of the message on the phone.
    async fn text_of_the_other(&mut self, pair: &Pair) -> Result<Option<String>, String> {
        let Some(other) = &pair.other else { return Ok(None) };
        let written = self.written(other.clone(), None);
        if self.relayed(&written).await? != Relayed::Sent {
            return Ok(None);
        }
        let latest = self.system.process.store().texts(pair.conversation, None, 50).await;
        let texts = latest.map_err(|error| error.to_string())?.texts;
        let mut of_it = texts.iter().filter(|text| text.inbound.as_ref().is_some_and(|known| known.id == written.id));
        Ok(of_it.find_map(|text| text.parts.first()).map(|part| part.id.clone()))
    }

    /// Delivers a message of the phone to the sender twice, and checks whom it has reached. True if the phone is answered on the channel.
    async fn say(&mut self, pair: &Pair, channel: Channel, quoted: Option<String>) -> Result<bool, String> {
        let written = self.new_text(pair.own.clone(), None);
        let right = self.model.destination(&(canonical(&pair.own.0), pair.own.1.clone()));
        // The sender is the deployment's own, and passes nothing on to people of its tenants.
        let is_own = self.model.conversations[&pair.conversation].expected.owner.is_deployment();
        let is_allowed = is_own && matches!(right, Destination::Participant { .. } | Destination::Closed(_));
        let (how, is_clear) = match (&quoted, self.live_conversations_of(&pair.own.0)) {
            (Some(_), _) => ("quotes one", true),
            (None, 1) => ("to the one", true),
            (None, _) => ("to one of several", false),
        };
        self.coverage.count("message in a chat", how);
        let mut fates = Vec::new();
        for _ in 0..2 {
            let (fate, conversation) = self.handled_by(Sender::Brand(channel), &written, quoted.clone()).await?;
            self.slide_by_text(&written, fate, conversation).await?;
            fates.push((fate, conversation));
        }
        let received = self.system.received(&written.words).await;
        let told = || format!("{written:?}, which {how}, is {fates:?} and has reached {received:?}");
        let (first, conversation) = fates[0];
        ensure(received.len() == usize::from(first == Relayed::Sent) && fates[1].0 != Relayed::Sent, told)?;
        ensure(is_clear || first == Relayed::Nowhere(Nowhere::Several), told)?;
        ensure(is_allowed || first != Relayed::Sent, told)?;
        let is_open = matches!(first, Relayed::Sent | Relayed::Refused);
        ensure(is_open || !is_clear || !is_allowed, told)?;
        if let Some((to, from)) = received.first() {
            let found = &self.model.conversations[&pair.conversation].expected;
            let mut readers = found.phones(pair.side.other());
            let is_reader = readers.any(|phone| phone.number == to && phone.sees == from);
            ensure(is_reader && conversation == Some(pair.conversation), told)?;
        }
        Ok(is_open)
    }

    /// Has the other one text the number, and checks where it has come. `chat` is the channel on which the phone is answered.
    async fn answer(&mut self, pair: &Pair, chat: Option<Channel>, may_arrive: bool) -> Verdict {
        let is_live = self.model.conversations.get(&pair.conversation).is_some_and(|it| it.is_live(self.model.now));
        let Some(other) = pair.other.clone().filter(|_| is_live) else { return Ok(()) };
        let written = self.written(other, None);
        let relayed = self.relayed(&written).await?;
        let received = self.system.inbox(&written.words).await;
        let told = || format!("{written:?} is {relayed:?} and has reached {received:?}");
        ensure(received.len() <= 1 && (relayed == Relayed::Sent || received.is_empty()), told)?;
        // Vonage takes a text that no channel brings: only its receipt says so. It may have taken the mask away.
        let mask = self.table.numbers.get(&pair.own.1).filter(|mask| mask.features.contains(&Feature::Sms));
        let texts = mask.is_some() && self.system.rented().await.contains(pair.own.1.as_str());
        let Some(message) = received.first() else {
            let may_be_lost = chat == Some(Channel::WhatsApp) && !texts;
            return ensure(relayed != Relayed::Sent || may_be_lost, told);
        };
        let is_chatting = |to: &Value| canonical(&number(to.as_str().unwrap_or_default())) == canonical(&pair.own.0);
        let Some(channel) = chat.filter(|_| is_chatting(&message["to"])) else { return Ok(()) };
        ensure(may_arrive, told)?;
        ensure(message["text"] != written.words.as_str(), || format!("{message} does not say who writes"))?;
        let (by, how) = match channel {
            Channel::Rcs => (Value::from("rcs"), "on the channel"),
            Channel::WhatsApp => (Value::Null, "by SMS instead"),
        };
        self.coverage.count("answer in a chat", how);
        ensure(message["channel"] == by, told)?;
        ensure(relayed != Relayed::Withheld(Withheld::OptedOut), told)
    }
}
