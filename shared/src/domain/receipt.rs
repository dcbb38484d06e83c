//! Receipts: what the carrier tells of a text after it has accepted it.

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::domain::channel::Sender;
use crate::domain::conversation::ConversationId;
use crate::domain::invitation::SentInvitation;
use crate::domain::part_fate::PartFate;
use crate::domain::phone::RealNumber;
use crate::domain::relayed_text::TextReference;

/// The reference that the carrier repeats in the receipts of an invitation, so that they find it even if the carrier's ids never
/// arrived: `01JD….na0.0.s2`, without personal data.
///
/// It has at most 53 characters, as that of another text has. A release before this one takes it for that of a foreign text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvitationReference {
    /// The conversation.
    pub conversation: ConversationId,
    /// The invitation as it was sent.
    pub sent: SentInvitation,
}

impl InvitationReference {
    fn parse(text: &str) -> Option<Self> {
        let (conversation, name) = text.split_once('.')?;
        Some(Self { conversation: ConversationId::try_from(conversation).ok()?, sent: SentInvitation::named(name)? })
    }
}

impl fmt::Display for InvitationReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.conversation, self.sent)
    }
}

/// The text that a receipt is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptOf {
    /// A text that was passed on, or one of the backend.
    Text(TextReference),
    /// An invitation.
    Invitation(InvitationReference),
}

impl ReceiptOf {
    /// Reads a reference. `None` if it is of something else.
    pub fn parse(text: &str) -> Option<Self> {
        let of_text = TextReference::parse(text).map(Self::Text);
        of_text.or_else(|| InvitationReference::parse(text).map(Self::Invitation))
    }

    /// Returns the conversation.
    pub fn conversation(self) -> ConversationId {
        match self {
            Self::Text(TextReference { conversation, .. })
            | Self::Invitation(InvitationReference { conversation, .. }) => conversation,
        }
    }
}

/// A receipt: the fate of a part of a text, or of all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The text.
    pub of: ReceiptOf,
    /// The carrier's id of the part.
    pub part: String,
    /// The fate of the part.
    pub fate: PartFate,
    /// Its price in EUR, if the receipt says it.
    pub price: Option<Decimal>,
    /// True if it is of the SMS that the carrier sends in place of a message that a channel has rejected.
    pub by_number: bool,
}

/// A receipt's news that a phone takes no texts from one of our senders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOutNews {
    /// The phone.
    pub person: RealNumber,
    /// The sender.
    pub sender: Sender<'static>,
    /// The time of the text that was not delivered because of it, or else of the receipt, if that is known.
    pub at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::carrier_record::Product;
    use crate::domain::invitation::Invitation;
    use crate::domain::relayed_text::TextId;
    use crate::domain::side::Side;

    #[test]
    fn references_are_told_apart_and_short() {
        let conversation = ConversationId::generate(Timestamp::UNIX_EPOCH);
        let text = TextReference { conversation, text: TextId::generate(Timestamp::UNIX_EPOCH) };
        assert_eq!(ReceiptOf::parse(&text.to_string()), Some(ReceiptOf::Text(text)));
        let invitation = Invitation { side: Side::B, phone: 1_050, number: 99 };
        let sent = SentInvitation { invitation, product: Product::Messages, channel: None, receipts: 12 };
        let reference = InvitationReference { conversation, sent };
        assert_eq!(ReceiptOf::parse(&reference.to_string()), Some(ReceiptOf::Invitation(reference)));
        assert!(text.to_string().len() <= 53 && reference.to_string().len() <= 53, "{reference}");
        assert_eq!(TextReference::parse(&reference.to_string()), None, "a release before takes it for a foreign text");
        for other in ["", ".", "ride-42", "na0.0.s1", &conversation.to_string(), &format!("{text}.x")] {
            assert_eq!(ReceiptOf::parse(other), None, "{other}");
        }
    }
}
