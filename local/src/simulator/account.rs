//! The account: its balance, the numbers that it rents, and its applications.

use std::collections::HashSet;

use rust_decimal::Decimal;

use super::Application;
use super::applications::{ApplicationRecord, Voice};
use super::inventory::{self, Offer};

/// The reason for which Vonage refuses a request about a number. All are HTTP 420.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not available, not owned, or not enough credit. Vonage only answers "method failed".
    MethodFailed,
    /// The number can only be rented with a local address.
    AddressNeeded,
}

/// The settings of a number. An update replaces all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberSettings {
    pub(super) app_id: Option<String>,
    pub(super) mo_http_url: Option<String>,
    pub(super) voice_callback_type: Option<String>,
    pub(super) voice_callback_value: Option<String>,
    pub(super) messages_callback_type: Option<String>,
    pub(super) messages_callback_value: Option<String>,
}

/// A rented number.
#[derive(Clone, Debug)]
pub(super) struct OwnedNumber {
    pub(super) offer: Offer,
    pub(super) settings: NumberSettings,
}

#[derive(Debug)]
pub(super) struct Account {
    /// Balance in EUR.
    pub(super) balance: Decimal,
    /// The applications, in the order in which they were made.
    pub(super) applications: Vec<ApplicationRecord>,
    inventory: Vec<Offer>,
    /// The rented numbers, in the order of purchase.
    owned: Vec<OwnedNumber>,
    /// The same, to be found quickly.
    owned_numbers: HashSet<String>,
}

impl Account {
    pub(super) fn new(balance: Decimal, application: &Application, linked_numbers: &[String]) -> Self {
        let inventory = inventory::all();
        let linked = NumberSettings { app_id: Some(application.id.clone()), ..NumberSettings::default() };
        let owned = inventory.iter().filter(|offer| linked_numbers.contains(&offer.msisdn));
        let owned = owned.map(|offer| OwnedNumber { offer: offer.clone(), settings: linked.clone() });
        let owned: Vec<_> = owned.collect();
        let owned_numbers = owned.iter().map(|number| number.offer.msisdn.clone()).collect();
        Self { balance, applications: vec![ApplicationRecord::new(application)], inventory, owned, owned_numbers }
    }

    /// True if Vonage has numbers of that country, rented or not.
    pub(super) fn offers_country(&self, country: &str) -> bool {
        self.inventory.iter().any(|offer| offer.country == country)
    }

    /// Returns the numbers that can be rented, in the order of the inventory.
    pub(super) fn available(&self) -> impl Iterator<Item = &Offer> {
        let available = |offer: &&Offer| !self.owns(&offer.msisdn);
        self.inventory.iter().filter(available)
    }

    pub(super) fn owned(&self) -> &[OwnedNumber] {
        &self.owned
    }

    pub(super) fn owns(&self, msisdn: &str) -> bool {
        self.owned_numbers.contains(msisdn)
    }

    /// Adds numbers to the inventory, or if they are `rented` to those of the account, linked to its first application.
    pub(super) fn add_numbers(&mut self, offers: Vec<Offer>, rented: bool) {
        if rented {
            let app_id = self.applications.first().map(|first| first.id.clone());
            let settings = NumberSettings { app_id, ..NumberSettings::default() };
            self.owned_numbers.extend(offers.iter().map(|offer| offer.msisdn.clone()));
            let rented = offers.iter().cloned().map(|offer| OwnedNumber { offer, settings: settings.clone() });
            self.owned.extend(rented);
        }
        self.inventory.extend(offers);
    }

    /// Rents a number and charges its first month.
    pub(super) fn buy(&mut self, country: &str, msisdn: &str) -> Result<(), Refusal> {
        let offer = self
            .available()
            .find(|offer| offer.country == country && offer.msisdn == msisdn)
            .cloned()
            .ok_or(Refusal::MethodFailed)?;
        if offer.needs_address {
            return Err(Refusal::AddressNeeded);
        }
        if !self.pay(offer.cost) {
            return Err(Refusal::MethodFailed);
        }
        self.owned_numbers.insert(offer.msisdn.clone());
        self.owned.push(OwnedNumber { offer, settings: NumberSettings::default() });
        Ok(())
    }

    /// Replaces the settings of a rented number.
    pub(super) fn update(&mut self, country: &str, msisdn: &str, settings: NumberSettings) -> Result<(), Refusal> {
        if let Some(id) = &settings.app_id
            && self.application(id).is_none()
        {
            return Err(Refusal::MethodFailed);
        }
        let index = self.position(country, msisdn)?;
        self.owned[index].settings = settings;
        Ok(())
    }

    /// Returns a number to the inventory.
    pub(super) fn cancel(&mut self, country: &str, msisdn: &str) -> Result<(), Refusal> {
        let index = self.position(country, msisdn)?;
        self.owned.remove(index);
        self.owned_numbers.remove(msisdn);
        Ok(())
    }

    /// Takes a number away from the account, as Vonage does when an operator wants it back. Nobody can rent it again. Returns false
    /// if the account does not rent it.
    pub(super) fn take_away(&mut self, msisdn: &str) -> bool {
        let rented = self.owned_numbers.remove(msisdn);
        if rented {
            self.owned.retain(|number| number.offer.msisdn != msisdn);
            self.inventory.retain(|offer| offer.msisdn != msisdn);
        }
        rented
    }

    fn position(&self, country: &str, msisdn: &str) -> Result<usize, Refusal> {
        let is_meant = |number: &OwnedNumber| number.offer.country == country && number.offer.msisdn == msisdn;
        let index = self.owned.iter().position(is_meant);
        index.ok_or(Refusal::MethodFailed)
    }

    /// Charges a price. Returns false, and charges nothing, if the balance is too low.
    pub(super) fn pay(&mut self, price: Decimal) -> bool {
        let enough = self.balance >= price;
        if enough {
            self.balance -= price;
        }
        enough
    }

    /// Returns the application with this ID.
    pub(super) fn application(&self, id: &str) -> Option<&ApplicationRecord> {
        self.applications.iter().find(|application| application.id == id)
    }

    /// Removes an application, and the links of numbers to it. False if there is none with this ID.
    pub(super) fn remove_application(&mut self, id: &str) -> bool {
        let before = self.applications.len();
        self.applications.retain(|application| application.id != id);
        let linked = self.owned.iter_mut().filter(|number| number.settings.app_id.as_deref() == Some(id));
        linked.for_each(|number| number.settings.app_id = None);
        self.applications.len() < before
    }

    /// Returns the application to which calls to this number go. A `sip` or `tel` callback has priority over it. Source:
    /// Vonage Numbers API 1.1.0.
    pub(super) fn linked_application(&self, msisdn: &str) -> Option<&ApplicationRecord> {
        let number = self.owned.iter().find(|number| number.offer.msisdn == msisdn)?;
        let forwarded = matches!(number.settings.voice_callback_type.as_deref(), Some("sip" | "tel"));
        let id = number.settings.app_id.as_deref().filter(|_| !forwarded)?;
        self.application(id)
    }

    /// Returns the application that answers calls to this number with its Voice capability, if there is one.
    pub(super) fn voice_of(&self, msisdn: &str) -> Option<(String, Voice)> {
        let application = self.linked_application(msisdn)?;
        Some((application.id.clone(), application.voice()?))
    }
}
