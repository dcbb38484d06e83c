//! The questions that a person at a terminal answers, and the names of the same things for everybody else.

use std::io;

use super::wishes::Wishes;
use crate::commands::TOKEN;

/// Tries to answer a question.
const TRIES: usize = 3;

/// Something that nothing says yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Vonage's API key.
    ApiKey,
    /// Its secret.
    ApiSecret,
    /// The secret with which Vonage signs.
    SignatureSecret,
    /// The token of a deployment with a JWT authorizer.
    Token,
    /// The country of the numbers.
    Country,
    /// The address for alarms.
    AlarmEmail,
    /// The budget of the numbers.
    MonthlyBudget,
}

impl Question {
    /// True if there is no deployment without an answer.
    pub(super) fn is_needed(self) -> bool {
        !matches!(self, Self::AlarmEmail | Self::MonthlyBudget)
    }

    fn is_secret(self) -> bool {
        matches!(self, Self::ApiSecret | Self::SignatureSecret | Self::Token)
    }

    /// Returns the environment variable that answers it, if one does.
    pub(super) fn variable(self) -> Option<&'static str> {
        match self {
            Self::ApiKey => Some("VONAGE_API_KEY"),
            Self::ApiSecret => Some("VONAGE_API_SECRET"),
            Self::SignatureSecret => Some("VONAGE_SIGNATURE_SECRET"),
            Self::Token => Some(TOKEN),
            Self::Country | Self::AlarmEmail | Self::MonthlyBudget => None,
        }
    }

    /// Returns the parameter of the template that answers it, if one does.
    pub(super) fn parameter(self) -> Option<&'static str> {
        match self {
            Self::AlarmEmail => Some("AlarmEmail"),
            Self::MonthlyBudget => Some("MonthlyBudgetEur"),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::ApiKey => "Vonage's API key (Dashboard, API settings)",
            Self::ApiSecret => "Vonage's API secret (same place; it is not shown)",
            Self::SignatureSecret => "Vonage's signature secret (same place; it is not shown)",
            Self::Token => "Token of the deployment's JWT issuer, with the scope maskline/numbers (it is not shown)",
            Self::Country => "Country of the virtual numbers, such as GB",
            Self::AlarmEmail => "E-mail address for alarms (Enter for none)",
            Self::MonthlyBudget => "Largest monthly rent of all numbers in EUR (Enter for no limit)",
        }
    }

    /// Returns the way to answer it without a terminal.
    pub(super) fn option(self) -> String {
        match (self.variable(), self.parameter()) {
            (Some(variable), _) => format!("{variable} in the environment: {}", self.text()),
            (_, Some(parameter)) => format!("--set {parameter}=…: {}", self.text()),
            _ => format!("--country: {}, or --numbers 0 for none", self.text()),
        }
    }
}

/// Asks all questions by `ask`, which gets the text and whether the answer is a secret.
pub(super) fn ask(
    questions: &[Question],
    wishes: &mut Wishes,
    mut ask: impl FnMut(&str, bool) -> io::Result<String>,
) -> io::Result<()> {
    for question in questions {
        let mut tries = 0;
        loop {
            let answer = ask(question.text(), question.is_secret())?;
            let taken = match answer.is_empty() && question.is_needed() {
                true => Err("it is needed".to_owned()),
                false => wishes.answer(*question, &answer),
            };
            let Err(wrong) = taken else { break };
            tries += 1;
            if tries == TRIES {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, wrong));
            }
            eprintln!("{wrong}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use shared::config::Environment;

    use super::*;

    #[test]
    fn question_is_asked_again_until_its_answer_makes_sense() {
        let mut wishes = Wishes::new(&Environment::default(), None, None);
        let mut answers = ["", "UK", "GB", "", "secret"].into_iter();
        let questions = [Question::Country, Question::AlarmEmail, Question::ApiSecret];
        let mut hidden = Vec::new();
        ask(&questions, &mut wishes, |text, is_secret| {
            hidden.push((text.contains("secret"), is_secret));
            Ok(answers.next().unwrap().to_owned())
        })
        .unwrap();
        assert_eq!(wishes.country.unwrap().as_str(), "GB");
        assert_eq!(
            (wishes.set.len(), wishes.environment.optional("VONAGE_API_SECRET").as_deref()),
            (0, Some("secret"))
        );
        assert!(hidden.iter().all(|(secret, is_hidden)| secret == is_hidden), "{hidden:?}");
        let given_up = ask(&[Question::ApiKey], &mut wishes, |_, _| Ok(String::new()));
        assert_eq!(given_up.unwrap_err().to_string(), "it is needed");
    }
}
