//! Checks of fields against what the deployment has: the languages of its words, its decision URLs, and its senders.

use super::Problem;
use super::body::sentence;
use crate::config::DecisionUrls;
use crate::domain::channel::{BrandSenders, Channel, ChosenChannel};
use crate::domain::decision_url::DecisionUrl;
use crate::domain::tenant::Owner;
use crate::domain::words::Words;
use crate::domain::words::own_text::OwnTexts;

/// Checks that there is a voice for each language of the texts in a field. Vonage ends a call with a voice that it does not have.
pub fn check_voices(field: &str, texts: &OwnTexts, words: &Words) -> Result<(), Problem> {
    match texts.languages().find(|language| !words.has(language)) {
        Some(language) => {
            let detail = format!("There are no words in {}. Add the language to WORDS_FILE.", language.as_str());
            Err(Problem::invalid(field, detail))
        }
        None => Ok(()),
    }
}

/// Checks that the deployment allows the decision URL, if one is given.
pub fn check_decision(decision: Option<&DecisionUrl>, allowed: Option<&DecisionUrls>) -> Result<(), Problem> {
    let Some(decision) = decision else { return Ok(()) };
    let Some(allowed) = allowed else {
        return Err(Problem::invalid(
            "decision",
            "This deployment has no decision URLs. Set DECISIONS=on to have them.",
        ));
    };
    let url = allowed.allowed(&decision.url);
    url.map(drop).map_err(|error| Problem::invalid("decision.url", sentence(&error.to_string())))
}

/// Checks that the deployment has a sender on each channel that is chosen for a participant of an owner's conversation.
pub fn check_channels(chosen: [Option<ChosenChannel>; 2], senders: &BrandSenders, owner: Owner) -> Result<(), Problem> {
    for (side, channel) in chosen.into_iter().enumerate() {
        let Some(channel) = channel.and_then(ChosenChannel::brand) else { continue };
        let (name, variable) = match channel {
            Channel::WhatsApp => ("WhatsApp", "WHATSAPP_SENDER"),
            Channel::Rcs => ("RCS", "RCS_SENDER"),
        };
        let detail = match senders.of(channel) {
            None => format!("This deployment has no sender on {name}. It needs {variable}."),
            Some(_) if !owner.is_deployment() => {
                format!("The sender on {name} is that of the deployment, and writes for no tenant.")
            }
            Some(_) => continue,
        };
        return Err(Problem::invalid(format!("participants[{side}].channel"), detail));
    }
    Ok(())
}
