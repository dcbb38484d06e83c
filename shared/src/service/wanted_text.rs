//! Text messages of our own, to people who want them.
//!
//! Every text message that no transaction has checked goes through here: missed calls, recordings, lost property, another number.
//! Those of a creation know the opt-outs from the choice of the numbers, and texts between the participants check them when they are
//! claimed.

use crate::domain::carrier_record::CarrierRecord;
use crate::domain::channel::{OnChannel, Sender};
use crate::domain::conversation::ConversationId;
use crate::domain::invitation::Invitation;
use crate::domain::opt_out::OPTED_OUT;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::service::text_ways;
use crate::store::Store;
use crate::vonage::VonageError;
use crate::vonage::texts::{InvitationWay, TextSender};

/// Sends a text message `from` a number `to` a phone, on its `way` on a channel if there is one, unless `to` wants none from this number,
/// or on this channel, or it is not known if that is so. One consistent read before, and three more on a channel.
pub async fn send(
    store: &Store,
    texts: &impl TextSender,
    (from, to): (&VirtualNumber, &RealNumber),
    text: &str,
    way: Option<OnChannel<'_>>,
) -> Result<Vec<CarrierRecord>, VonageError> {
    check(store, to, &from.into()).await?;
    if let Some(way) = way {
        check(store, to, &way.channel.into()).await?;
        let has_sms = has_sms(store, from).await;
        let otherwise = Some(from).filter(|_| has_sms);
        match texts.send_on(way, otherwise, to, text).await {
            Err(error) if error.refuses_channel() && otherwise.is_some() => {
                tracing::warn!(channel = way.channel.as_str(), cause = %error, "a channel refused a text, so a number sends it");
            }
            sent => return sent,
        }
    }
    texts.send(from, to, text).await
}

/// Like [`send`], for an invitation of a conversation `from` a number `to` a phone.
pub async fn invite(
    store: &Store,
    texts: &impl TextSender,
    invitation: (ConversationId, Invitation),
    (from, to): (&VirtualNumber, &RealNumber),
    text: &str,
    way: InvitationWay<'_>,
) -> Result<Vec<CarrierRecord>, VonageError> {
    check(store, to, &from.into()).await?;
    invite_unless_stopped(store, texts, invitation, (from, to), text, way).await
}

/// Like [`invite`], of which it is known that `to` wants texts from the number. Three reads, if it goes on a channel.
pub(in crate::service) async fn invite_unless_stopped(
    store: &Store,
    texts: &impl TextSender,
    invitation: (ConversationId, Invitation),
    (from, to): (&VirtualNumber, &RealNumber),
    text: &str,
    way: InvitationWay<'_>,
) -> Result<Vec<CarrierRecord>, VonageError> {
    let way = match way {
        InvitationWay::OnChannel { way, .. } => {
            check(store, to, &way.channel.into()).await?;
            InvitationWay::OnChannel { way, has_sms: has_sms(store, from).await }
        }
        way => way,
    };
    texts.invite(invitation, from, to, text, way).await
}

/// True if a number can text, also if that is not known: then the carrier says so.
async fn has_sms(store: &Store, number: &VirtualNumber) -> bool {
    text_ways::has_sms(store, number).await.unwrap_or(true)
}

/// Fails if `to` wants no texts from this sender, or if it is not known if that is so.
async fn check(store: &Store, to: &RealNumber, from: &Sender<'_>) -> Result<(), VonageError> {
    match store.has_opted_out(to, from).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(VonageError::Withheld(OPTED_OUT)),
        Err(error) => {
            tracing::error!(cause = %error, "it is not known if somebody wants texts");
            Err(VonageError::Withheld("the table did not say if its reader wants texts"))
        }
    }
}
