//! The settings of one number: what callers meet by it who would reach nobody.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::decision::Decision;
use crate::domain::phone::VirtualNumber;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::standing::StandingMask;
use crate::domain::support::SupportPhone;
use crate::domain::tenant::Owner;
use crate::domain::words::addressee::Addressee;
use crate::domain::words::own_text::OwnTexts;

/// The settings of a number. Serialized as the table stores them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberSettings {
    /// Number of changes.
    #[serde(default)]
    pub revision: u64,
    /// The owner of the number, whose words strangers hear.
    #[serde(default, rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    pub owner: Owner,
    /// The words for callers who reach nobody, in place of the usual sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<OwnTexts>,
    /// The phone that these callers reach, before that of the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<SupportPhone>,
    /// The standing mask, if the number is one or is to become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingMask>,
}

impl NumberSettings {
    /// Returns the settings of a number that is rented for `owner`. One of the deployment itself needs none to be stored.
    pub fn of_new_number(owner: Owner) -> Option<Self> {
        (!owner.is_deployment()).then(|| Self { revision: 1, owner, ..Self::default() })
    }

    /// Returns the decision about a call at `now` that would reach nobody by `decision`: a standing mask takes it.
    pub fn or_standing(
        this: Option<&Self>,
        decision: Decision,
        caller: &CallerId,
        dialled: Option<&VirtualNumber>,
        now: Timestamp,
    ) -> Decision {
        match (this.and_then(|settings| settings.standing.as_ref()), dialled) {
            (Some(standing), Some(mask)) => standing.take(decision, caller, mask, now),
            _ => decision,
        }
    }

    /// Returns what the words for callers depend on, if all of them hear the same language.
    pub fn addressee(&self) -> Option<Addressee> {
        let language = self.standing.as_ref()?.language.clone()?;
        Some(Addressee { owner: self.owner, language: Some(language), ..Addressee::default() })
    }

    /// Returns the decision about a call that would reach nobody by `decision`: its caller is asked for a PIN, if the deployment
    /// `has_pins`, or else a support phone takes it: that of the conversation that is over, of the number, or of the `deployment`.
    pub fn or_elsewhere(
        this: Option<&Self>,
        (has_pins, deployment): (bool, Option<&SupportPhone>),
        decision: Decision,
        caller: &CallerId,
        dialled: Option<&VirtualNumber>,
    ) -> Decision {
        let decision = if has_pins { decision.or_pin() } else { decision };
        let decision = decision.or_support_of_conversation(caller, dialled);
        Self::or_support(this, deployment, decision, caller, dialled)
    }

    /// Returns the decision about a call that would reach nobody by `decision`: the support phone of the number takes it, or else
    /// that of the `deployment`.
    pub fn or_support(
        this: Option<&Self>,
        deployment: Option<&SupportPhone>,
        decision: Decision,
        caller: &CallerId,
        dialled: Option<&VirtualNumber>,
    ) -> Decision {
        let own = this.and_then(|settings| settings.support.as_ref());
        own.into_iter().chain(deployment).fold(decision, |decision, support| support.take(decision, caller, dialled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::call_limits::CallLimits;
    use crate::domain::phone::PhoneNumber;
    use crate::domain::route::Destination;

    #[test]
    fn support_phone_of_the_number_comes_first() {
        let number = |digits: &str| PhoneNumber::try_from(digits).unwrap();
        let support = |digits: &str, for_hidden| SupportPhone {
            phone: number(digits).into(),
            for_hidden,
            limits: CallLimits::with_max_call(600),
        };
        let own = NumberSettings { support: Some(support("442079460111", false)), ..NumberSettings::default() };
        let (usual, dialled) = (support("442079460000", true), number("447451000001").into());
        let reached = |settings: Option<&NumberSettings>, decision: Decision, caller: &CallerId| {
            let decision = NumberSettings::or_support(settings, Some(&usual), decision, caller, Some(&dialled));
            match decision {
                Decision::Support { phone, .. } => phone.expose().to_owned(),
                other => format!("{other:?}"),
            }
        };
        let (nobody, caller) = (Decision::Routed(Destination::Nobody), CallerId::Phone(number("447700900001")));
        assert_eq!(reached(Some(&own), nobody.clone(), &caller), "442079460111");
        assert_eq!(reached(None, nobody.clone(), &caller), "442079460000");
        assert_eq!(
            reached(Some(&own), Decision::Hidden, &CallerId::Hidden),
            "442079460000",
            "the one that takes such calls"
        );
        let itself = CallerId::Phone(number("442079460111"));
        assert_eq!(reached(Some(&own), nobody, &itself), "442079460000");
    }
}
