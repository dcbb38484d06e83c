//! The sentences of calls and text messages, and the placeholders in them.
//!
//! A new sentence is one line here and one line in each file of `shared/words`. Tests compare them.

/// A place in a sentence for something that differs from call to call, written `{label}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The deployment's name, `BRAND`.
    Brand,
    /// The name of the other participant.
    Label,
    /// The address of a recording or of a contact card.
    Link,
    /// Whole minutes.
    Minutes,
    /// The virtual number to dial, with "+".
    Number,
    /// The reader's own PIN.
    Pin,
    /// The client's own name for the conversation.
    Reference,
}

impl Placeholder {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Brand, Self::Label, Self::Link, Self::Minutes, Self::Number, Self::Pin, Self::Reference];

    /// Those that every sentence may have.
    pub const ANYWHERE: [Self; 3] = [Self::Brand, Self::Label, Self::Reference];

    /// Returns its name between the braces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brand => "brand",
            Self::Label => "label",
            Self::Link => "link",
            Self::Minutes => "minutes",
            Self::Number => "number",
            Self::Pin => "pin",
            Self::Reference => "reference",
        }
    }

    /// Returns the placeholder with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|placeholder| placeholder.name() == name)
    }
}

/// Makes an enumeration of sentences, with the key of each in the files of words, and with the placeholders that it needs
/// besides those that it may have.
macro_rules! sentences {
    ($(#[$all:meta])* $name:ident {
        $($(#[$one:meta])* $sentence:ident = $key:literal $(needs [$($needed:ident),*])?,)*
    }) => {
        $(#[$all])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$one])* $sentence,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$sentence,)*];

            /// Returns its key in files of words.
            pub const fn key(self) -> &'static str {
                match self {
                    $(Self::$sentence => $key,)*
                }
            }

            /// Returns the placeholders that it needs.
            pub const fn needed(self) -> &'static [Placeholder] {
                match self {
                    $(Self::$sentence => &[$($(Placeholder::$needed,)*)?],)*
                }
            }
        }
    };
}

sentences! {
    /// A sentence that is spoken in a call. It never has a phone number: Vonage logs what is spoken.
    Spoken {
        /// The caller's number is hidden, so nobody is called.
        CallerHidden = "call.caller-hidden",
        /// The caller's number means no phone, or several, so nobody is called.
        CallerUnclear = "call.caller-unclear",
        /// The other participant is called next.
        Connecting = "call.connecting",
        /// The calls of the day are used up.
        DayUsedUp = "call.day-used-up",
        /// The end of a conversation with a machine.
        Goodbye = "call.goodbye",
        /// The conversation has ended.
        Ended = "call.ended",
        /// The calls of the conversation have reached a limit.
        LimitReached = "call.limit-reached",
        /// The call may last for this number of minutes.
        MinutesLeft = "call.minutes-left" needs [Minutes],
        /// This caller and this number have no conversation.
        Nobody = "call.nobody",
        /// The caller dials another number in this conversation by now.
        NumberChanged = "call.number-changed",
        /// The caller waits until it is the call's turn.
        PleaseHold = "call.please-hold",
        /// The caller only receives calls from this number.
        ReceivesOnly = "call.receives-only",
        /// The call may last for less than a minute.
        SecondsLeft = "call.seconds-left",
        /// The support phone is called next.
        Support = "call.support",
        /// So many calls wait for their turn that this one is not connected.
        TooManyCalls = "call.too-many-calls",
        /// The other participant cannot be reached. Who is blocked hears the same.
        Unavailable = "call.unavailable",
        /// A late caller has asked the other participant for a call.
        LateAsked = "late.asked",
        /// The conversation has ended, and its caller may press 1 because of lost property.
        LateOffer = "late.offer",
        /// The callee took a call with guard.
        GuardTaken = "guard.taken",
        /// The callee hears who calls, and has to press 1.
        GuardWhisper = "guard.whisper" needs [Label],
        /// The caller asked for a call back.
        MissedAsked = "missed.asked",
        /// The callee's line is busy.
        MissedBusy = "missed.busy",
        /// The callee declined the call.
        MissedDeclined = "missed.declined",
        /// The caller of a missed call may try again.
        MissedLater = "missed.later",
        /// The caller of a missed call may press 1 to ask for a call back.
        MissedOffer = "missed.offer",
        /// The caller of a missed call may press 2 to leave a message.
        MissedOfferVoicemail = "missed.offer-voicemail",
        /// Nobody answers.
        MissedUnanswered = "missed.unanswered",
        /// The callee's phone cannot be reached.
        MissedUnreachable = "missed.unreachable",
        /// A caller who is not known has typed a PIN that leads to nobody.
        PinAgain = "pin.again",
        /// A caller who is not known is to type a PIN.
        PinAsk = "pin.ask",
        /// The call is recorded.
        RecordingAnnounce = "recording.announce",
        /// The call is recorded only if both press 1.
        RecordingAsk = "recording.ask",
        /// The call is not recorded.
        RecordingOff = "recording.off",
        /// Both have agreed, and the call is recorded.
        RecordingOn = "recording.on",
        /// The caller's message begins after the tone.
        VoicemailBegin = "voicemail.begin",
        /// The caller's message is recorded.
        VoicemailDone = "voicemail.done",
    }
}

sentences! {
    /// A text message.
    Text {
        /// The caller of a missed call asks to be called back.
        CallBack = "text.call-back" needs [Label, Number],
        /// The link to a contact card, after the number to dial in a new conversation.
        ContactCard = "text.contact-card" needs [Link],
        /// Somebody asks who texts from this number.
        Help = "text.help",
        /// The number to dial in a new conversation.
        Invitation = "text.invitation" needs [Number],
        /// The same, with the reader's PIN.
        InvitationWithPin = "text.invitation-with-pin" needs [Number, Pin],
        /// The other participant of a conversation that is over asks for a call because of lost property.
        LostProperty = "text.lost-property" needs [Label, Number],
        /// A missed call, for somebody who can call back.
        Missed = "text.missed" needs [Label, Number],
        /// A missed call, for somebody who only receives calls.
        MissedByReceiver = "text.missed-by-receiver" needs [Label],
        /// The number to dial from now on.
        NumberChanged = "text.number-changed" needs [Number],
        /// The writer of a text that reached nobody.
        NotRelayed = "text.not-relayed",
        /// The same, because it has a phone number, an e-mail address or a link.
        NotRelayedContacts = "text.not-relayed-contacts",
        /// The same, because it is a picture or another file.
        NotRelayedMedia = "text.not-relayed-media",
        /// The same, because the conversation is over.
        NotRelayedOver = "text.not-relayed-over",
        /// The same, because it could be meant for several conversations.
        NotRelayedSeveral = "text.not-relayed-several",
        /// The same, because the other participant has stopped texts.
        NotRelayedStopped = "text.not-relayed-stopped",
        /// The same, because many were written in a short time.
        NotRelayedTooMany = "text.not-relayed-too-many",
        /// Somebody takes texts from this number again.
        Started = "text.started",
        /// Somebody wants no more texts from this number.
        Stopped = "text.stopped",
        /// A message that the caller of a missed call left.
        Voicemail = "text.voicemail" needs [Label, Link],
    }
}

sentences! {
    /// A name in other sentences.
    Name {
        /// The other participant, if that one has no label.
        OtherPerson = "name.other-person",
    }
}

sentences! {
    /// A sentence that is fixed when the software is built, because nothing may fail where it is spoken: the caller hears it, or
    /// the person who is called.
    Fixed {
        /// A function has failed.
        Problem = "fallback.problem",
    }
}

/// A sentence of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sentence {
    /// Spoken.
    Spoken(Spoken),
    /// Sent.
    Text(Text),
    /// A name.
    Name(Name),
    /// Spoken, and fixed.
    Fixed(Fixed),
}

impl Sentence {
    /// Returns all sentences.
    pub fn all() -> impl Iterator<Item = Self> {
        let spoken = Spoken::ALL.iter().copied().map(Self::Spoken);
        let texts = Text::ALL.iter().copied().map(Self::Text);
        let names = Name::ALL.iter().copied().map(Self::Name);
        spoken.chain(texts).chain(names).chain(Fixed::ALL.iter().copied().map(Self::Fixed))
    }

    /// Returns the sentence with this key in files of words.
    pub fn with_key(key: &str) -> Option<Self> {
        Self::all().find(|sentence| sentence.key() == key)
    }

    /// Returns its key in files of words.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Spoken(spoken) => spoken.key(),
            Self::Text(text) => text.key(),
            Self::Name(name) => name.key(),
            Self::Fixed(fixed) => fixed.key(),
        }
    }

    /// Returns the placeholders that it needs.
    pub const fn needed(self) -> &'static [Placeholder] {
        match self {
            Self::Spoken(spoken) => spoken.needed(),
            Self::Text(text) => text.needed(),
            Self::Name(name) => name.needed(),
            Self::Fixed(fixed) => fixed.needed(),
        }
    }

    /// True if it may have this placeholder.
    pub fn may_have(self, placeholder: Placeholder) -> bool {
        let takes_any = matches!(self, Self::Spoken(_) | Self::Text(_));
        takes_any && Placeholder::ANYWHERE.contains(&placeholder) || self.needed().contains(&placeholder)
    }
}
