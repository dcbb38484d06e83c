//! Invitations, the text messages that tell people which number to dial, and what their receipts tell.
//!
//! That the carrier has accepted a text message does not mean that it is on the phone. What came of it is kept beside the
//! [`Notification`](super::conversation::Notification), and not in it: a release before this one could not read a further state, but
//! it ignores and keeps an attribute that it does not know.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::carrier_record::{CarrierRecord, Product};
use crate::domain::channel::Channel;
use crate::domain::part_fate::PartFate;
use crate::domain::side::Side;

/// An invitation of a conversation. It names neither the phone nor the number, but their positions, which never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation {
    /// The side.
    pub side: Side,
    /// Index of the phone; see [`Participant::number_at`](super::conversation::Participant::number_at).
    pub phone: usize,
    /// Count of the numbers that the side saw before the one in it.
    pub number: usize,
}

/// An invitation as it was sent. As a text it is a name: `na0.0.s2` is that to the first phone of side A about its first number, in two
/// parts by the SMS API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentInvitation {
    /// The invitation.
    pub invitation: Invitation,
    /// The API that sent it.
    pub product: Product,
    /// The channel on which it was sent. None: a virtual number texted it.
    pub channel: Option<Channel>,
    /// Number of its receipts.
    pub receipts: u32,
}

impl SentInvitation {
    /// Reads a name. `None` if it is of something else.
    pub fn named(name: &str) -> Option<Self> {
        let (person, rest) = name.strip_prefix('n')?.split_once('.')?;
        let (number, sent) = rest.split_once('.')?;
        let side = Side::BOTH.into_iter().find(|side| person.starts_with(letter(*side)))?;
        let all = [(Product::Sms, None), (Product::Messages, None)].into_iter();
        let mut all = all.chain(Channel::ALL.map(|channel| (Product::Messages, Some(channel))));
        let (product, channel) = all.find(|(product, channel)| sent.starts_with(initial(*product, *channel)))?;
        let invitation = Invitation { side, phone: person[1..].parse().ok()?, number: number.parse().ok()? };
        Some(Self { invitation, product, channel, receipts: sent[1..].parse().ok()? })
    }

    /// Returns the carrier's record of a part of it.
    pub fn record_of(&self, part: &str) -> CarrierRecord {
        match self.product {
            Product::Messages => CarrierRecord::of_message(part.to_owned()),
            _ => CarrierRecord::of_text(part.to_owned()),
        }
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, phone, number } = self;
        write!(f, "n{}{phone}.{number}", letter(*side))
    }
}

impl fmt::Display for SentInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invitation, product, channel, receipts } = self;
        write!(f, "{invitation}.{}{receipts}", initial(*product, *channel))
    }
}

fn letter(side: Side) -> char {
    match side {
        Side::A => 'a',
        Side::B => 'b',
    }
}

fn initial(product: Product, channel: Option<Channel>) -> char {
    match (product, channel) {
        (_, Some(Channel::WhatsApp)) => 'w',
        (_, Some(Channel::Rcs)) => 'r',
        (Product::Messages, None) => 'm',
        _ => 's',
    }
}

/// The parts of a conversation's invitations that the carrier has accepted, and their receipts. A set of texts, as the table stores it:
/// what comes twice or in another order changes nothing.
///
/// Each text is the kind of news (`a` for accepted, `d` for delivered, `u` for undelivered, `p` for a price that is counted for the
/// tenant), the name of the invitation, the carrier's id of the part, and the reason: `d na0.0.s1 0C000000217B7F02`. One that is not
/// understood, because a later release wrote it, is passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InvitationReceipts(BTreeSet<String>);

/// The state of an invitation that was sent, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery<'a> {
    /// The carrier has it.
    Sent,
    /// All of its parts are on the phone.
    Delivered,
    /// A part did not get there, for this reason, in words that are safe to show.
    Undelivered(&'a str),
}

/// One of the texts.
struct News<'a> {
    kind: &'a str,
    sent: SentInvitation,
    part: &'a str,
    reason: &'a str,
}

const ACCEPTED: &str = "a";
const DELIVERED: &str = "d";
const UNDELIVERED: &str = "u";
const PRICED: &str = "p";

impl InvitationReceipts {
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the text about a part of an invitation, to be added to the set.
    pub fn entry(sent: &SentInvitation, part: &str, fate: &PartFate) -> String {
        match fate {
            PartFate::Accepted => format!("{ACCEPTED} {sent} {part}"),
            PartFate::Delivered => format!("{DELIVERED} {sent} {part}"),
            PartFate::Undelivered(reason) => format!("{UNDELIVERED} {sent} {part} {reason}"),
        }
    }

    /// Returns the note that the price of a part of an invitation is counted, to be added to the set.
    pub fn priced(sent: &SentInvitation, part: &str) -> String {
        format!("{PRICED} {sent} {part}")
    }

    /// Returns the beginning of all such notes about an invitation, however it was sent.
    pub fn beginning_of_priced(invitation: Invitation) -> String {
        format!("{PRICED} {invitation}.")
    }

    /// Returns the texts about an invitation of which the carrier has accepted these parts, to be added to the set.
    pub fn accepted(invitation: Invitation, parts: &[CarrierRecord]) -> Vec<String> {
        let receipts = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let sent = |part: &CarrierRecord| SentInvitation {
            invitation,
            product: part.product,
            channel: part.channel,
            receipts,
        };
        parts.iter().map(|part| Self::entry(&sent(part), &part.id, &PartFate::Accepted)).collect()
    }

    /// Adds texts to the set.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = String>) {
        self.0.extend(entries);
    }

    /// Returns what is known of an invitation, or `None` if nothing is. `is_answered` says that the carrier's answer has come, so that
    /// all parts which it has accepted are known.
    pub fn delivery(&self, invitation: Invitation, is_answered: bool) -> Option<Delivery<'_>> {
        let all: Vec<News<'_>> = self.news().filter(|news| news.sent.invitation == invitation).collect();
        let parts = |kind: &str| -> BTreeSet<&str> {
            all.iter().filter(|news| news.kind == kind).map(|news| news.part).collect()
        };
        let (accepted, delivered) = (parts(ACCEPTED), parts(DELIVERED));
        let expected = all.iter().map(|news| news.sent.receipts).max()?;
        // An SMS in place of a message on a channel is another part.
        let is_on_channel = all.iter().any(|news| news.sent.channel.is_some());
        let is_delivered = match is_answered && !accepted.is_empty() && !is_on_channel {
            true => accepted.is_subset(&delivered),
            false => u32::try_from(delivered.len()).is_ok_and(|count| count >= expected.max(1)),
        };
        if is_delivered {
            return Some(Delivery::Delivered);
        }
        let failed = all.iter().find(|news| news.kind == UNDELIVERED && !delivered.contains(news.part));
        Some(failed.map_or(Delivery::Sent, |news| Delivery::Undelivered(news.reason)))
    }

    /// Returns the channel on which an invitation was sent. None: a virtual number texted it, perhaps because the channel did not take it,
    /// which shows in more parts than were sent there.
    pub fn channel(&self, invitation: Invitation) -> Option<Channel> {
        let all: Vec<News<'_>> = self.news().filter(|news| news.sent.invitation == invitation).collect();
        let (parts, receipts) = (
            all.iter().map(|news| news.part).collect::<BTreeSet<_>>().len(),
            all.iter().map(|news| news.sent.receipts).max()?,
        );
        let channel = all.iter().find_map(|news| news.sent.channel);
        channel.filter(|_| u32::try_from(parts).is_ok_and(|parts| parts <= receipts.max(1)))
    }

    /// Returns the carrier's records of the parts, as far as they are known from here.
    pub fn carrier_records(&self) -> impl Iterator<Item = CarrierRecord> {
        self.news().map(|news| news.sent.record_of(news.part))
    }

    fn news(&self) -> impl Iterator<Item = News<'_>> {
        self.0.iter().filter_map(|entry| {
            let mut words = entry.splitn(4, ' ');
            let (kind, name, part) = (words.next()?, words.next()?, words.next()?);
            let sent = SentInvitation::named(name)?;
            Some(News { kind, sent, part, reason: words.next().unwrap_or_default() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Invitation = Invitation { side: Side::A, phone: 0, number: 0 };

    fn sent(receipts: u32) -> SentInvitation {
        SentInvitation { invitation: FIRST, product: Product::Sms, channel: None, receipts }
    }

    #[test]
    fn name_is_read_as_it_was_written() {
        let messages = |channel| (Product::Messages, Some(channel));
        let ways = [(Product::Sms, None), (Product::Messages, None)].into_iter().chain(Channel::ALL.map(messages));
        for (product, channel) in ways {
            let invitation = Invitation { side: Side::B, phone: 1_050, number: 99 };
            let sent = SentInvitation { invitation, product, channel, receipts: 12 };
            assert_eq!(SentInvitation::named(&sent.to_string()), Some(sent));
        }
        assert_eq!(sent(2).to_string(), "na0.0.s2");
        for other in ["", "n", "na0.0", "nc0.0.s1", "n\u{e9}0.0.s1", "na0.0.x1", "na.0.s1", "na0.0.s", "na0.0.s1.1"] {
            assert_eq!(SentInvitation::named(other), None, "{other}");
        }
    }

    fn after(fates: &[(&str, PartFate)], is_answered: bool) -> Option<String> {
        let mut receipts = InvitationReceipts::default();
        receipts.extend(fates.iter().map(|(part, fate)| InvitationReceipts::entry(&sent(2), part, fate)));
        receipts.delivery(FIRST, is_answered).map(|delivery| format!("{delivery:?}"))
    }

    #[test]
    fn invitation_is_delivered_when_all_its_parts_are_in_any_order() {
        use PartFate::{Accepted, Delivered, Undelivered};
        let failed = || Undelivered("the phone is absent (code 3)".to_owned());
        let both = [("1", Delivered), ("2", Delivered)];
        assert_eq!(after(&[], false), None);
        assert_eq!(after(&[("1", Accepted)], false).as_deref(), Some("Sent"));
        assert_eq!(after(&both[..1], false).as_deref(), Some("Sent"), "one part of two");
        assert_eq!(after(&[("1", Delivered), ("1", Delivered)], false).as_deref(), Some("Sent"), "the same part twice");
        assert_eq!(after(&both, false).as_deref(), Some("Delivered"));
        let absent = Some("Undelivered(\"the phone is absent (code 3)\")");
        assert_eq!(after(&[("1", Delivered), ("2", failed())], false).as_deref(), absent);
        assert_eq!(after(&[("2", failed()), ("2", Delivered), ("1", Delivered)], false).as_deref(), Some("Delivered"));
        // The carrier has cut it otherwise than was expected.
        assert_eq!(after(&[("1", Accepted), ("1", Delivered)], true).as_deref(), Some("Delivered"));
        let three = [("1", Accepted), ("2", Accepted), ("3", Accepted), ("1", Delivered), ("2", Delivered)];
        assert_eq!(after(&three, true).as_deref(), Some("Sent"));
    }

    #[test]
    fn sms_in_place_of_a_message_on_a_channel_shows_in_its_receipts() {
        let (product, channel) = (Product::Messages, Some(Channel::WhatsApp));
        let sent = SentInvitation { invitation: FIRST, product, channel, receipts: 1 };
        assert_eq!(sent.to_string(), "na0.0.w1");
        let mut receipts = InvitationReceipts::default();
        assert_eq!(receipts.channel(FIRST), None);
        let record = CarrierRecord::of_message_on(Channel::WhatsApp, "u1".to_owned());
        receipts.extend(InvitationReceipts::accepted(FIRST, std::slice::from_ref(&record)));
        receipts.extend([InvitationReceipts::entry(&sent, "u1", &PartFate::Accepted)]);
        assert_eq!((receipts.channel(FIRST), receipts.delivery(FIRST, true)), (channel, Some(Delivery::Sent)));
        let mut read = receipts.clone();
        read.extend([InvitationReceipts::entry(&sent, "u1", &PartFate::Delivered)]);
        assert_eq!((read.channel(FIRST), read.delivery(FIRST, true)), (channel, Some(Delivery::Delivered)));
        // The channel rejected it, and the carrier texted.
        receipts.extend([InvitationReceipts::entry(&sent, "u2", &PartFate::Delivered)]);
        assert_eq!((receipts.channel(FIRST), receipts.delivery(FIRST, true)), (None, Some(Delivery::Delivered)));
    }

    #[test]
    fn receipt_tells_of_its_own_invitation_only() {
        let mut receipts = InvitationReceipts::default();
        receipts.extend([InvitationReceipts::entry(&sent(1), "1", &PartFate::Delivered), "later news".to_owned()]);
        receipts.extend(InvitationReceipts::accepted(FIRST, &[CarrierRecord::of_text("1".to_owned())]));
        assert_eq!(receipts.delivery(FIRST, true), Some(Delivery::Delivered));
        for other in
            [Invitation { side: Side::B, ..FIRST }, Invitation { phone: 1, ..FIRST }, Invitation { number: 1, ..FIRST }]
        {
            assert_eq!(receipts.delivery(other, true), None, "{other:?}");
        }
        let records: Vec<_> = receipts.carrier_records().collect();
        assert_eq!(records, vec![CarrierRecord::of_text("1".to_owned()); 2]);
    }
}
