//! A creation that is tried without doing it: nothing is bought, written or sent.

use super::{CreationError, Creator, NewConversation, SideNumbers, check_distinct};
use crate::domain::country::Country;
use crate::domain::judge::Judge;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::side::Side;
use crate::service::demand::Renting;
use crate::vonage::number_lookup::NumberLookup;
use crate::vonage::texts::TextSender;

/// A participant as a creation would make it now.
#[derive(Debug)]
pub struct PlannedParticipant {
    /// The real number.
    pub number: RealNumber,
    /// Its country.
    pub country: Country,
    /// The judge of the number. `None` if a lookup would be bought, which may still refuse it.
    pub verified_by: Option<Judge>,
    /// The virtual number that it would dial or see.
    pub sees: VirtualNumber,
}

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Returns the participants of a creation as it would be now, or the reason why it would be refused.
    ///
    /// It reads what a creation reads. A number about which only a lookup would tell is judged by the numbering plan. Another request
    /// may take the numbers a moment later, and a refusal rents nothing.
    pub async fn plan(&self, new: &NewConversation) -> Result<[PlannedParticipant; 2], CreationError> {
        let [a, b] = &new.participants;
        let numbers = [SideNumbers::read(a, Side::A)?, SideNumbers::read(b, Side::B)?];
        let real = numbers.each_ref().map(SideNumbers::real);
        check_distinct(&real)?;
        let free = self.free_numbers(new);
        let snapshot = free.snapshot(&real).await?;
        self.check_served(new.owner, &numbers, &snapshot).await?;
        let [(a, judge_of_a), (b, judge_of_b)] = self.known(&numbers, &snapshot)?;
        let verified = [a, b];
        let mut options = free.options(&verified, snapshot).await?;
        let chosen = match free.choose(&verified, &options) {
            // Only all routes of a caller show that none of them is free.
            Err(none_free) if none_free.iter().any(|none_free| options.of(none_free.side).is_partial()) => {
                options = free.all_options(&verified, none_free.iter().map(|none_free| none_free.side)).await?;
                free.choose(&verified, &options)
            }
            chosen => chosen,
        };
        let [sees_a, sees_b] = chosen.map_err(|none_free| match none_free.into_iter().next() {
            Some(none_free) => CreationError::NoneFree(none_free, Renting::Off),
            None => CreationError::Contended,
        })?;
        let [a, b] = verified.map(|side| side.first);
        Ok([(a, judge_of_a, sees_a), (b, judge_of_b, sees_b)].map(|(first, verified_by, sees)| PlannedParticipant {
            number: first.number,
            country: first.country,
            verified_by,
            sees,
        }))
    }
}
