//! A carrier that knows everybody in the small world, and remembers each text that it was handed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use shared::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use shared::domain::side::Side;
use shared::vonage::VonageError;
use shared::vonage::number_insight::{LookedUpNumber, NumberLookup};
use shared::vonage::sms::TextSender;

use crate::world::{NOBODYS, country_of};

/// Looks numbers up.
#[derive(Debug, Clone)]
pub struct Directory;

impl NumberLookup for Directory {
    async fn look_up(&self, number: &PhoneNumber) -> Result<Option<LookedUpNumber>, VonageError> {
        let (country, number) = (country_of(number.expose()), number.clone().into());
        let found = LookedUpNumber { number, country, carrier_record: None };
        Ok((found.number.expose() != NOBODYS).then_some(found))
    }
}

/// What becomes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Taken,
    /// Refused, so that it was certainly not sent.
    Refused,
    /// Whether it was taken is not known.
    NoAnswer,
}

/// A text that the carrier was handed.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Which attempt to create a conversation it is about.
    pub attempt: String,
    /// The side that is told.
    pub side: Side,
    pub from: VirtualNumber,
    pub to: RealNumber,
    pub fate: Fate,
}

/// Takes texts, or not.
#[derive(Debug, Clone, Default)]
pub struct Texts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    fates: VecDeque<Fate>,
    sent: Vec<Sent>,
}

impl Texts {
    /// Lets the next texts of this step meet these fates; all later ones are taken.
    pub fn expect(&self, fates: &[Fate]) {
        self.0.lock().unwrap().fates.extend(fates);
    }

    /// The texts of this step.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.0.lock().unwrap()).sent
    }
}

impl TextSender for Texts {
    async fn send(&self, from: &VirtualNumber, to: &RealNumber, text: &str) -> Result<Vec<String>, VonageError> {
        tokio::task::yield_now().await;
        let (attempt, other) = mentioned(text).expect("a text names the other participant");
        assert!(text.contains(&format!("call +{from}.")), "a text comes from the number that it tells to call: {text}");
        let mut state = self.0.lock().unwrap();
        let fate = state.fates.pop_front().unwrap_or(Fate::Taken);
        let id = format!("text-{attempt}-{other:?}");
        state.sent.push(Sent { attempt, side: other.other(), from: from.clone(), to: to.clone(), fate });
        match fate {
            Fate::Taken => Ok(vec![id]),
            Fate::Refused => Err(VonageError::RateLimited { retry_after: None }),
            Fate::NoAnswer => Err(VonageError::Failed(500)),
        }
    }
}

/// The label of a participant: which attempt to create a conversation, and which side of it.
pub fn label(attempt: &str, side: Side) -> String {
    format!("{attempt}{side:?}")
}

fn mentioned(text: &str) -> Option<(String, Side)> {
    let label = text.strip_prefix("To reach ")?.split_once(", call ")?.0;
    let side = if label.ends_with('A') { Side::A } else { Side::B };
    Some((label.get(..label.len() - 1)?.to_owned(), side))
}
