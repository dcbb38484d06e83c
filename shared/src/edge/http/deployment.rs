//! Checks of fields against what the deployment has: the languages of its words, and its decision URLs.

use super::Problem;
use super::body::sentence;
use crate::config::DecisionUrls;
use crate::domain::decision_url::DecisionUrl;
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
