//! WhatsApp and RCS. A virtual number cannot write there: a deployment has one sender for all people, with its brand. So such a
//! message masks nobody by its sender, and leads to a conversation only if it is clear which one is meant.

use std::borrow::Cow;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::language::Language;
use crate::domain::media::{MediaFile, MediaKind};
use crate::domain::phone::{PhoneNumber, VirtualNumber};
use crate::domain::whatsapp_template::{self, Template, TemplateKind, WhatsAppTemplates};

/// A channel on which a deployment has one sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// WhatsApp.
    WhatsApp,
    /// RCS Business Messaging.
    Rcs,
}

impl Channel {
    /// All channels.
    pub const ALL: [Self; 2] = [Self::WhatsApp, Self::Rcs];

    /// Returns the channel of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }

    /// Returns its name, in the carrier's words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WhatsApp => "whatsapp",
            Self::Rcs => "rcs",
        }
    }

    /// True if a file of this kind can be sent on it.
    ///
    /// Source: Vonage Messages API 1.11.0, types of outbound messages.
    pub fn carries(self, kind: MediaKind) -> bool {
        match self {
            Self::WhatsApp => kind != MediaKind::Vcard,
            Self::Rcs => matches!(kind, MediaKind::Image | MediaKind::Video | MediaKind::File),
        }
    }
}

/// Time after a person's last message in which the sender may write what it likes. WhatsApp refuses it later. It holds for RCS too,
/// so that nobody is written to on a channel that they have left.
///
/// Source: Vonage, "WhatsApp", customer care window.
const OPEN_FOR: SignedDuration = SignedDuration::from_hours(24);

/// The chat of a phone: the channel on which it has written last. Serialized as the table stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The channel.
    pub channel: Channel,
    /// The time of the last message.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub wrote_at: Timestamp,
}

impl Chat {
    /// Returns the time from which the phone gets texts by SMS again.
    pub fn ends_at(self) -> Timestamp {
        self.wrote_at.saturating_add(OPEN_FOR).unwrap_or(Timestamp::MAX)
    }

    /// True if the phone gets texts in the chat at `now`.
    pub fn is_open(self, now: Timestamp) -> bool {
        now < self.ends_at()
    }
}

/// The channel on which the backend wants a participant to be texted. Serialized as the table stores it, and as the API has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChosenChannel {
    /// SMS, also while the phone chats.
    Sms,
    /// WhatsApp.
    WhatsApp,
    /// RCS.
    Rcs,
}

impl ChosenChannel {
    /// Returns the channel, if it is one with a sender of the deployment.
    pub fn brand(self) -> Option<Channel> {
        match self {
            Self::Sms => None,
            Self::WhatsApp => Some(Channel::WhatsApp),
            Self::Rcs => Some(Channel::Rcs),
        }
    }
}

impl From<Channel> for ChosenChannel {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::WhatsApp => Self::WhatsApp,
            Channel::Rcs => Self::Rcs,
        }
    }
}

/// The senders of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrandSenders {
    whatsapp: Option<String>,
    rcs: Option<String>,
    templates: WhatsAppTemplates,
}

/// The way of a text on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnChannel<'a> {
    /// The channel.
    pub channel: Channel,
    /// The deployment's sender there, as the carrier writes it.
    pub sender: &'a str,
    /// The template that has the words as its variable. `None` if the sender writes freely.
    pub template: Option<Template<'a>>,
}

impl OnChannel<'_> {
    /// True if these words and files can go this way.
    pub fn carries(&self, words: &str, files: &[MediaFile]) -> bool {
        match self.template {
            Some(_) => files.is_empty() && whatsapp_template::variable(words).is_some(),
            None => files.iter().all(|file| self.channel.carries(file.kind)),
        }
    }
}

/// The text is not the sender of its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotABrandSender {
    /// WhatsApp's is a phone number.
    #[error("must be a phone number such as +442079460000")]
    NoNumber,
    /// RCS's is a name.
    #[error("must be 1 to 64 letters, digits, - and _")]
    NoName,
}

impl BrandSenders {
    /// Sets the sender of a channel.
    pub fn set(&mut self, channel: Channel, written: &str) -> Result<(), NotABrandSender> {
        match channel {
            Channel::WhatsApp => {
                let number = PhoneNumber::try_from(written.strip_prefix('+').unwrap_or(written));
                self.whatsapp = Some(String::from(number.map_err(|_| NotABrandSender::NoNumber)?));
            }
            Channel::Rcs => {
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                let fits = (1..=64).contains(&written.len()) && written.bytes().all(is_name);
                self.rcs = Some(fits.then(|| written.to_owned()).ok_or(NotABrandSender::NoName)?);
            }
        }
        Ok(())
    }

    /// Returns the sender of a channel, as the carrier writes it.
    pub fn of(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::WhatsApp => self.whatsapp.as_deref(),
            Channel::Rcs => self.rcs.as_deref(),
        }
    }

    /// Sets the templates of WhatsApp.
    pub fn set_templates(&mut self, templates: WhatsAppTemplates) {
        self.templates = templates;
    }

    /// Returns the channels on which there is one.
    pub fn channels(&self) -> impl Iterator<Item = Channel> + Clone {
        Channel::ALL.into_iter().filter(|channel| self.of(*channel).is_some())
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.whatsapp.is_none() && self.rcs.is_none()
    }

    /// Returns the way of free words on a channel. `None` if there is no sender.
    fn freely(&self, channel: Channel) -> Option<OnChannel<'_>> {
        self.of(channel).map(|sender| OnChannel { channel, sender, template: None })
    }

    /// Returns the way of a sentence of this kind to a phone whose `chat` is open, if that is known. `None`: a virtual number texts it.
    ///
    /// Where the backend has `chosen` nothing, the phone has, by writing in the chat. WhatsApp takes free words in its chat only; RCS
    /// takes them always, and Vonage sends the SMS in their place if the phone has no RCS.
    pub fn way<'a>(
        &'a self,
        chosen: Option<ChosenChannel>,
        chat: Option<Channel>,
        (kind, language): (TemplateKind, Option<&'a Language>),
    ) -> Option<OnChannel<'a>> {
        match chosen.map(ChosenChannel::brand) {
            None => chat.and_then(|channel| self.freely(channel)),
            Some(None) => None,
            Some(Some(channel)) if channel == Channel::Rcs || chat == Some(channel) => self.freely(channel),
            Some(Some(channel)) => {
                let template = self.templates.of(kind, language?)?;
                self.freely(channel).map(|way| OnChannel { template: Some(template), ..way })
            }
        }
    }
}

/// A sender of ours: what people write to, and what writes to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sender<'a> {
    /// A virtual number.
    Number(Cow<'a, VirtualNumber>),
    /// The deployment's sender on a channel.
    Brand(Channel),
}

impl Sender<'_> {
    /// Returns it as keys have it: the digits of a number, or the name of a channel.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Number(number) => number.as_str(),
            Self::Brand(channel) => channel.as_str(),
        }
    }

    /// Returns it with a number of its own.
    pub fn into_owned(self) -> Sender<'static> {
        match self {
            Self::Number(number) => Sender::Number(Cow::Owned(number.into_owned())),
            Self::Brand(channel) => Sender::Brand(channel),
        }
    }
}

impl From<VirtualNumber> for Sender<'_> {
    fn from(number: VirtualNumber) -> Self {
        Self::Number(Cow::Owned(number))
    }
}

impl<'a> From<&'a VirtualNumber> for Sender<'a> {
    fn from(number: &'a VirtualNumber) -> Self {
        Self::Number(Cow::Borrowed(number))
    }
}

impl From<Channel> for Sender<'_> {
    fn from(channel: Channel) -> Self {
        Self::Brand(channel)
    }
}

/// The text is neither a number nor the name of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a sender of texts")]
pub struct NotASender;

impl TryFrom<String> for Sender<'_> {
    type Error = NotASender;

    fn try_from(text: String) -> Result<Self, NotASender> {
        if let Some(channel) = Channel::named(&text) {
            return Ok(Self::Brand(channel));
        }
        PhoneNumber::try_from(text).map(|number| VirtualNumber::from(number).into()).map_err(|_| NotASender)
    }
}

impl From<Sender<'_>> for String {
    fn from(sender: Sender<'_>) -> Self {
        sender.as_str().to_owned()
    }
}

impl fmt::Display for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_is_open_for_a_day_after_its_last_message() {
        let wrote_at = Timestamp::from_second(1_800_000_000).unwrap();
        let chat = Chat { channel: Channel::WhatsApp, wrote_at };
        let day = SignedDuration::from_hours(24);
        assert!(chat.is_open(wrote_at) && chat.is_open(wrote_at + day - SignedDuration::from_secs(1)));
        assert!(!chat.is_open(wrote_at + day));
    }

    #[test]
    fn brand_sender_is_a_number_or_a_name() {
        let mut senders = BrandSenders::default();
        assert!(senders.is_empty());
        senders.set(Channel::WhatsApp, "+447700900099").unwrap();
        senders.set(Channel::Rcs, "Rides").unwrap();
        assert_eq!(Channel::ALL.map(|channel| senders.of(channel)), [Some("447700900099"), Some("Rides")]);
        assert_eq!(senders.set(Channel::WhatsApp, "Rides"), Err(NotABrandSender::NoNumber));
        for bad in ["", "My Rides", &"a".repeat(65)] {
            assert_eq!(senders.set(Channel::Rcs, bad), Err(NotABrandSender::NoName), "{bad}");
        }
    }

    #[test]
    fn way_is_the_chosen_one_if_the_channel_takes_the_words() {
        use ChosenChannel::{Rcs, Sms, WhatsApp};
        let english = Language::english();
        let mut senders = BrandSenders::default();
        let way = |senders: &BrandSenders, chosen, chat| {
            let way = senders.way(chosen, chat, (TemplateKind::Text, Some(&english)));
            way.map(|way| (way.channel, way.template.map(|template| template.name.to_owned())))
        };
        let all = [None, Some(Sms), Some(WhatsApp), Some(Rcs)];
        assert!(all.iter().all(|chosen| way(&senders, *chosen, Some(Channel::WhatsApp)).is_none()), "without senders");
        senders.set(Channel::WhatsApp, "+447700900099").unwrap();
        senders.set(Channel::Rcs, "Rides").unwrap();
        let (whatsapp, rcs) = (Some((Channel::WhatsApp, None)), Some((Channel::Rcs, None)));
        for (chosen, without, in_whatsapp, in_rcs) in [
            (None, None, whatsapp.clone(), rcs.clone()),
            (Some(Sms), None, None, None),
            (Some(WhatsApp), None, whatsapp.clone(), None),
            (Some(Rcs), rcs.clone(), rcs.clone(), rcs.clone()),
        ] {
            assert_eq!(way(&senders, chosen, None), without, "{chosen:?}");
            assert_eq!(way(&senders, chosen, Some(Channel::WhatsApp)), in_whatsapp, "{chosen:?}");
            assert_eq!(way(&senders, chosen, Some(Channel::Rcs)), in_rcs, "{chosen:?}");
        }
        senders.set_templates(serde_json::from_str(r#"{"text": "ride_text"}"#).unwrap());
        assert_eq!(way(&senders, Some(WhatsApp), None), Some((Channel::WhatsApp, Some("ride_text".to_owned()))));
        assert_eq!(way(&senders, Some(WhatsApp), Some(Channel::WhatsApp)), whatsapp, "in its chat it writes freely");
        assert_eq!(way(&senders, None, None), None);
    }

    #[test]
    fn sender_is_read_as_it_was_written() {
        for text in ["447451000001", "whatsapp", "rcs"] {
            assert_eq!(Sender::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        assert!(Sender::try_from("sms".to_owned()).is_err());
    }
}
