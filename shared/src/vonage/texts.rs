//! Sending text messages, by the API that `TEXTS_BY` names.
//!
//! Both have the same effect for whoever gets the text. Neither has a key that would make a repetition safe, so a request without a
//! clear answer is never repeated.

use std::sync::{Arc, OnceLock};

use super::application_token::ApplicationToken;
use super::client::Vonage;
use super::error::VonageError;
pub use super::messages::ChatMessage;
use super::messages::{MOST_CHARACTERS, MessagesApi};
use super::sms::SmsApi;
use crate::clock::SharedClock;
use crate::config::{ConfigError, Environment, TextsBy, VonageConfig};
use crate::domain::carrier_record::{CarrierRecord, Product};
use crate::domain::channel::{Channel, OnChannel};
use crate::domain::conversation::ConversationId;
use crate::domain::invitation::{Invitation, SentInvitation};
use crate::domain::media::MediaFile;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::receipt::InvitationReference;
use crate::domain::relayed_text::{AcceptedPart, TextReference};
use crate::domain::text_message::{TextSize, pieces};

/// A service that sends text messages.
pub trait TextSender: Send + Sync {
    /// True if files can be sent: by the Messages API only.
    fn carries_files(&self) -> bool;

    /// Sends one text message and returns the carrier's records of its parts. The carrier has then queued the message, not
    /// delivered it.
    fn send(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
    ) -> impl Future<Output = Result<Vec<CarrierRecord>, VonageError>> + Send;

    /// Sends one text message on a channel, and returns the carrier's records of it. If the channel rejects it, the carrier sends it from
    /// the number `otherwise`, if there is one.
    fn send_on(
        &self,
        way: OnChannel<'_>,
        otherwise: Option<&VirtualNumber>,
        to: &RealNumber,
        text: &str,
    ) -> impl Future<Output = Result<Vec<CarrierRecord>, VonageError>> + Send;

    /// Like [`TextSender::send`], for an invitation of a conversation, whose receipts say which one they are of. It goes its `way` on a
    /// channel or by MMS, if there is one, and else `from` the number, which also texts it if that way does not take it.
    fn invite(
        &self,
        invitation: (ConversationId, Invitation),
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        way: InvitationWay<'_>,
    ) -> impl Future<Output = Result<Vec<CarrierRecord>, VonageError>> + Send;
}

/// The way of an invitation.
#[derive(Debug, Clone)]
pub enum InvitationWay<'a> {
    /// By SMS from the number.
    Sms,
    /// On a channel, or else by SMS, if the number can text.
    OnChannel {
        /// The way on the channel.
        way: OnChannel<'a>,
        /// True if the number can text.
        has_sms: bool,
    },
    /// By MMS from the number, with a contact card; or else by SMS with these words in place of it.
    WithCard(MediaFile, String),
}

/// The API that sends texts, with what its requests need.
#[derive(Debug, Clone)]
enum Way {
    SmsApi,
    MessagesApi(Arc<ApplicationToken>),
}

impl Way {
    /// Reads `TEXTS_BY`, and for the Messages API what signs its requests.
    fn from_environment(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(match env.texts_by()? {
            TextsBy::SmsApi => Self::SmsApi,
            TextsBy::MessagesApi => Self::MessagesApi(Arc::new(ApplicationToken::from_environment(env, clock)?)),
        })
    }
}

/// The error of a message on a channel where texts go by the SMS API.
const NO_CHANNELS: VonageError = VonageError::Withheld("the SMS API has no channels");

/// A client of the API that sends texts.
#[derive(Debug)]
pub struct Texts(Api);

#[derive(Debug)]
enum Api {
    Sms(SmsApi),
    Messages(MessagesApi),
}

impl Texts {
    /// Creates a client that uses the connections of `vonage`, and reads `TEXTS_BY` and what its API needs.
    pub fn from_environment(env: &Environment, vonage: Vonage, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self::new(Way::from_environment(env, clock)?, vonage))
    }

    fn new(way: Way, vonage: Vonage) -> Self {
        Self(match way {
            Way::SmsApi => Api::Sms(SmsApi(vonage)),
            Way::MessagesApi(token) => Api::Messages(MessagesApi { vonage, token }),
        })
    }

    /// Connects to the API, so that the first text message does not wait for a connection.
    pub async fn warm_up(&self) {
        match &self.0 {
            Api::Sms(api) => api.warm_up().await,
            Api::Messages(api) => api.warm_up().await,
        }
    }

    async fn send_parts(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        reference: Option<String>,
    ) -> Result<Vec<AcceptedPart>, VonageError> {
        match &self.0 {
            Api::Sms(api) => api.send(from, to, text, reference).await,
            Api::Messages(api) => api.send(from, to, text, reference).await,
        }
    }

    async fn send_for_records(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        reference: Option<String>,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        let record = match &self.0 {
            Api::Sms(_) => CarrierRecord::of_text,
            Api::Messages(_) => CarrierRecord::of_message,
        };
        let parts = self.send_parts(from, to, text, reference).await?;
        Ok(parts.into_iter().map(|part| record(part.id)).collect())
    }

    /// Returns the reference of an invitation with this text.
    fn reference(&self, (conversation, invitation): (ConversationId, Invitation), text: &str) -> InvitationReference {
        let (product, receipts) = match size(text, matches!(self.0, Api::Messages(_))) {
            TextSize { messages: Some(messages), .. } => (Product::Messages, messages),
            TextSize { segments, messages: None } => (Product::Sms, segments),
        };
        InvitationReference { conversation, sent: SentInvitation { invitation, product, channel: None, receipts } }
    }
}

impl TextSender for Texts {
    fn carries_files(&self) -> bool {
        matches!(self.0, Api::Messages(_))
    }

    async fn send(&self, from: &VirtualNumber, to: &RealNumber, text: &str) -> Result<Vec<CarrierRecord>, VonageError> {
        self.send_for_records(from, to, text, None).await
    }

    async fn send_on(
        &self,
        way: OnChannel<'_>,
        otherwise: Option<&VirtualNumber>,
        to: &RealNumber,
        text: &str,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        let message = ChatMessage { way, to, words: text, files: &[], otherwise };
        match &self.0 {
            Api::Messages(api) => on_channel_for_records(api, &message, None).await,
            Api::Sms(_) => Err(NO_CHANNELS),
        }
    }

    async fn invite(
        &self,
        invitation: (ConversationId, Invitation),
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        way: InvitationWay<'_>,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        let mut text = text;
        let sent = match (&way, &self.0) {
            (InvitationWay::OnChannel { way, has_sms }, Api::Messages(api)) => {
                let reference = on_channel(invitation, text, way.channel).to_string();
                let otherwise = Some(from).filter(|_| *has_sms);
                let message = ChatMessage { way: *way, to, words: text, files: &[], otherwise };
                let sent = on_channel_for_records(api, &message, Some(&reference)).await;
                if otherwise.is_none() {
                    return sent;
                }
                Some(sent)
            }
            (InvitationWay::WithCard(card, otherwise), Api::Messages(api)) => {
                let sent =
                    SentInvitation { invitation: invitation.1, product: Product::Messages, channel: None, receipts: 1 };
                let reference = InvitationReference { conversation: invitation.0, sent }.to_string();
                let sent = api.send_files(from, to, (std::slice::from_ref(card), text), &reference).await;
                text = otherwise;
                Some(sent.map(|part| vec![CarrierRecord::of_message(part.id)]))
            }
            (InvitationWay::WithCard(_, otherwise), Api::Sms(_)) => {
                text = otherwise;
                None
            }
            _ => None,
        };
        match sent {
            Some(Err(error)) if error.refuses_channel() => {
                tracing::warn!(cause = %error, "an invitation was refused, so an SMS is sent");
            }
            Some(sent) => return sent,
            None => {}
        }
        let reference = self.reference(invitation, text).to_string();
        self.send_for_records(from, to, text, Some(reference)).await
    }
}

/// [`Texts`] of a function that rarely texts: its client is made for the first text message, and not at each start.
#[derive(Debug)]
pub struct TextsOnDemand {
    config: VonageConfig,
    way: Way,
    texts: OnceLock<Texts>,
}

impl TextsOnDemand {
    /// Reads the credentials of the account, `TEXTS_BY`, and what its API needs.
    pub fn from_environment(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let way = Way::from_environment(env, clock)?;
        Ok(Self { config: VonageConfig::from_environment(env)?, way, texts: OnceLock::new() })
    }

    /// Returns the size of a text as it is sent.
    pub fn size(&self, text: &str) -> TextSize {
        size(text, self.carries_files())
    }

    /// Sends a text that is passed on, and returns the parts that the carrier has queued. Their receipts have the `reference`.
    pub async fn relay(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        reference: TextReference,
    ) -> Result<Vec<AcceptedPart>, VonageError> {
        self.texts().send_parts(from, to, text, Some(reference.to_string())).await
    }

    /// Sends files that are passed on, with what is written to them. Their receipt has the `reference`.
    pub async fn relay_files(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        content: (&[MediaFile], &str),
        reference: TextReference,
    ) -> Result<Vec<AcceptedPart>, VonageError> {
        match &self.texts().0 {
            Api::Messages(api) => Ok(vec![api.send_files(from, to, content, &reference.to_string()).await?]),
            Api::Sms(_) => Err(VonageError::Withheld("the SMS API carries no files")),
        }
    }

    /// Sends a message on a channel, and returns the messages that the carrier has queued. Their receipts have the `reference`.
    pub async fn chat(
        &self,
        message: &ChatMessage<'_>,
        reference: Option<TextReference>,
    ) -> Result<Vec<AcceptedPart>, VonageError> {
        match &self.texts().0 {
            Api::Messages(api) => api.chat(message, reference.map(|reference| reference.to_string()).as_deref()).await,
            Api::Sms(_) => Err(NO_CHANNELS),
        }
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts::new(self.way.clone(), Vonage::new(self.config.clone())))
    }
}

impl TextSender for TextsOnDemand {
    fn carries_files(&self) -> bool {
        matches!(self.way, Way::MessagesApi(_))
    }

    async fn send(&self, from: &VirtualNumber, to: &RealNumber, text: &str) -> Result<Vec<CarrierRecord>, VonageError> {
        self.texts().send(from, to, text).await
    }

    async fn send_on(
        &self,
        way: OnChannel<'_>,
        otherwise: Option<&VirtualNumber>,
        to: &RealNumber,
        text: &str,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        self.texts().send_on(way, otherwise, to, text).await
    }

    async fn invite(
        &self,
        invitation: (ConversationId, Invitation),
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        way: InvitationWay<'_>,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        self.texts().invite(invitation, from, to, text, way).await
    }
}

/// Sends a message on a channel, and returns the carrier's records of it.
async fn on_channel_for_records(
    api: &MessagesApi,
    message: &ChatMessage<'_>,
    reference: Option<&str>,
) -> Result<Vec<CarrierRecord>, VonageError> {
    let record = |part: AcceptedPart| CarrierRecord::of_message_on(message.way.channel, part.id);
    Ok(api.chat(message, reference).await?.into_iter().map(record).collect())
}

/// Returns the reference of an invitation with this text on a channel.
fn on_channel(
    (conversation, invitation): (ConversationId, Invitation),
    text: &str,
    channel: Channel,
) -> InvitationReference {
    let receipts = ChatMessage::size(text, &[]).messages.unwrap_or(1);
    let (product, channel) = (Product::Messages, Some(channel));
    InvitationReference { conversation, sent: SentInvitation { invitation, product, channel, receipts } }
}

fn size(text: &str, by_messages_api: bool) -> TextSize {
    match by_messages_api {
        false => TextSize::whole(text),
        true => TextSize::of_pieces(&pieces(text, MOST_CHARACTERS)),
    }
}
