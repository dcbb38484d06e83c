//! Prices of calls as the carrier last told them.

use rust_decimal::Decimal;

use crate::domain::call::Direction;
use crate::domain::side::Side;

/// The price per minute of the last leg of each kind, in EUR. Who calls whom matters: the two phones may be of countries with
/// different prices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    inbound: [Option<Decimal>; 2],
    outbound: [Option<Decimal>; 2],
}

impl Rates {
    /// All kinds of legs: the direction, and the side whose phone it is.
    pub const LEGS: [(Direction, Side); 4] = [
        (Direction::Inbound, Side::A),
        (Direction::Inbound, Side::B),
        (Direction::Outbound, Side::A),
        (Direction::Outbound, Side::B),
    ];

    /// Returns the rate of the last leg of this kind.
    pub fn of_leg(&self, (direction, side): (Direction, Side)) -> Option<Decimal> {
        match direction {
            Direction::Inbound => self.inbound[side.index()],
            Direction::Outbound => self.outbound[side.index()],
        }
    }

    /// Takes the rate of a leg, if it is told.
    #[must_use]
    pub fn with_leg(mut self, (direction, side): (Direction, Side), rate: Option<Decimal>) -> Self {
        let rates = match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        };
        rates[side.index()] = rate.or(rates[side.index()]);
        self
    }

    /// Returns the price per minute of a call from `caller`. `None` if the larger part, the leg to the other phone, is not known.
    pub fn of_call_from(&self, caller: Side) -> Option<Decimal> {
        let outbound = self.outbound[caller.other().index()]?;
        Some(outbound + self.inbound[caller.index()].unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_has_the_rates_of_its_two_legs_when_last_told() {
        let rate = |rate: &str| Some(rate.parse().unwrap());
        let rates = Rates::default().with_leg((Direction::Inbound, Side::A), rate("0.01"));
        assert_eq!(rates.of_call_from(Side::A), None, "the price of the other leg is not known");
        let rates = rates.with_leg((Direction::Outbound, Side::B), rate("0.05"));
        let rates = rates.with_leg((Direction::Outbound, Side::B), rate("0.03"));
        let rates = rates.with_leg((Direction::Outbound, Side::B), None);
        assert_eq!((rates.of_call_from(Side::A), rates.of_call_from(Side::B)), (rate("0.04"), None));
        let known = Rates::LEGS.iter().filter(|leg| rates.of_leg(**leg).is_some());
        assert_eq!(known.count(), 2);
    }
}
