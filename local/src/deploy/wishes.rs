//! The things that somebody wants of a deployment, put together from options, environment, the stack and the secret that are there.

use std::collections::{BTreeMap, BTreeSet};

use shared::config::{Environment, Source, VARIABLES};
use shared::domain::country::Country;
use shared::domain::phone::{parse, plan};

use super::questions::Question;
use super::stack::Stack;
use crate::commands::TOKEN;
use crate::setup::secret::Current;

/// Parameters that the command sets by itself, and where they come from.
const OWN_PARAMETERS: [(&str, &str); 4] = [
    ("VonageApiKey", "VONAGE_API_KEY in the environment"),
    ("VonageApplicationId", "VONAGE_APPLICATION_ID in the environment, or --name"),
    ("VonageSecret", "--secret"),
    ("VonageSecretVersion", "the secret itself"),
];

/// Variables that are members of the secret.
const SECRETS: [(&str, &str); 3] = [
    ("VONAGE_API_SECRET", "api_secret"),
    ("VONAGE_SIGNATURE_SECRET", "signature_secret"),
    ("VONAGE_PRIVATE_KEY", "private_key"),
];

/// The wishes.
#[derive(Clone)]
pub(super) struct Wishes {
    /// The variables of the process, completed by what the stack and the secret say.
    pub(super) environment: Environment,
    /// Parameters of the template to set.
    pub(super) set: BTreeMap<String, String>,
    pub(super) numbers: u32,
    pub(super) country: Option<Country>,
    /// True if the numbers may be rented without a question.
    pub(super) may_rent: bool,
    /// True if there is no stack yet.
    pub(super) is_first: bool,
    deployed: BTreeMap<String, String>,
}

impl Wishes {
    /// Completes `environment` by what is deployed. What it says itself wins.
    pub(super) fn new(environment: &Environment, stack: Option<&Stack>, secret: Option<&Current>) -> Self {
        let deployed = stack.map(|stack| stack.parameters.clone()).unwrap_or_default();
        let of_stack = [("VONAGE_API_KEY", "VonageApiKey"), ("VONAGE_APPLICATION_ID", "VonageApplicationId")];
        let of_stack = of_stack.into_iter().filter_map(|(name, key)| Some((name, deployed.get(key)?.clone())));
        let of_secret = SECRETS.into_iter().filter_map(|(name, member)| {
            let value = secret?.members.get(member)?.as_str()?;
            Some((name, value.to_owned()))
        });
        let missing = of_stack.chain(of_secret).filter(|(name, _)| environment.optional(name).is_none());
        let missing: Vec<_> = missing.map(|(name, value)| (name.to_owned(), value)).collect();
        Self {
            environment: environment.clone().with(missing),
            set: BTreeMap::new(),
            numbers: 0,
            country: None,
            may_rent: false,
            is_first: stack.is_none(),
            deployed,
        }
    }

    /// Sets parameters of the template, which has those `known`.
    pub(super) fn set(&mut self, parameters: &[(String, String)], known: &BTreeSet<String>) -> Result<(), String> {
        for (name, value) in parameters {
            if let Some((_, from)) = OWN_PARAMETERS.iter().find(|(own, _)| own == name) {
                return Err(format!("--set {name}: the command sets it by itself, from {from}"));
            }
            if !known.contains(name) {
                return Err(format!("--set {name}: the template has no such parameter; docs/configuration.md has all"));
            }
            self.set.insert(name.clone(), value.clone());
        }
        Ok(())
    }

    /// Takes the country of the numbers, or else that of the first phone.
    pub(super) fn rent(&mut self, numbers: u32, country: Option<Country>, phones: &[String]) -> Result<(), String> {
        let mut countries = Vec::new();
        for written in phones {
            // Not the digits: they may stand in a log of the shell's output.
            let phone = parse::read(written, None).map_err(|error| format!("--call: {error}"))?;
            countries.push(plan::country(&phone));
        }
        self.numbers = numbers;
        self.country = country.or_else(|| countries.first().copied().flatten());
        Ok(())
    }

    /// Returns the value that a parameter has after the deployment, if it is not the template's own.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.set.get(name).or_else(|| self.deployed.get(name)).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns what nothing says, in the order in which it is asked for.
    pub(super) fn missing(&self) -> Vec<Question> {
        let is_unset = |name: &str| self.environment.optional(name).is_none();
        let takes_tokens = self.parameter("JwtIssuer").is_some();
        let asks = [
            (Question::ApiKey, is_unset("VONAGE_API_KEY")),
            (Question::ApiSecret, is_unset("VONAGE_API_SECRET")),
            (Question::SignatureSecret, is_unset("VONAGE_SIGNATURE_SECRET")),
            (Question::Token, takes_tokens && is_unset(TOKEN)),
            (Question::Country, self.numbers > 0 && self.country.is_none()),
            (Question::AlarmEmail, self.is_first && self.has_no(&["AlarmEmail", "AlarmTopicArn"])),
            (Question::MonthlyBudget, self.is_first && self.has_no(&["MonthlyBudgetEur"])),
        ];
        asks.into_iter().filter_map(|(question, is_asked)| is_asked.then_some(question)).collect()
    }

    fn has_no(&self, parameters: &[&str]) -> bool {
        parameters.iter().all(|name| !self.set.contains_key(*name))
    }

    /// Takes the answer to a question, or says what is wrong with it.
    pub(super) fn answer(&mut self, question: Question, answer: &str) -> Result<(), String> {
        let (name, parameter) = (question.variable(), question.parameter());
        if question == Question::Country {
            self.country = Some(Country::try_from(answer).map_err(|error| error.to_string())?);
        } else if let Some(name) = name {
            let environment = std::mem::take(&mut self.environment);
            self.environment = environment.with([(name.to_owned(), answer.to_owned())]);
        } else if let Some(name) = parameter.filter(|_| !answer.is_empty()) {
            self.set.insert(name.to_owned(), answer.to_owned());
        }
        Ok(())
    }

    /// Returns the variables of a deployment with these parameters that is reached at `url`, for its examination.
    pub(super) fn deployed_environment(&self, stack: &Stack, url: &str) -> Environment {
        let of_parameters = VARIABLES.iter().filter_map(|variable| match variable.source {
            Source::Parameter(parameter) => Some((variable.name.to_owned(), stack.parameters.get(parameter)?.clone())),
            _ => None,
        });
        let url = ("PUBLIC_URL".to_owned(), url.to_owned());
        self.environment.clone().with(of_parameters.chain([url]).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stack(parameters: &[(&str, &str)]) -> Stack {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Stack { parameters: parameters.collect(), ..Stack::default() }
    }

    fn secret() -> Current {
        let members = json!({"api_secret": "of the secret", "signature_secret": "signs"});
        Current { members: members.as_object().unwrap().clone(), version: "1".to_owned() }
    }

    #[test]
    fn first_deployment_asks_for_all_that_has_no_default() {
        let mut wishes = Wishes::new(&Environment::default(), None, None);
        wishes.rent(2, None, &[]).unwrap();
        use Question::{AlarmEmail, ApiKey, ApiSecret, Country, MonthlyBudget, SignatureSecret};
        assert_eq!(wishes.missing(), [ApiKey, ApiSecret, SignatureSecret, Country, AlarmEmail, MonthlyBudget]);
        for question in wishes.missing() {
            wishes.answer(question, if question == Country { "GB" } else { "a" }).unwrap();
        }
        assert_eq!(wishes.missing(), []);
        assert_eq!(wishes.environment.optional("VONAGE_API_SECRET").unwrap(), "a");
        assert_eq!(wishes.set.keys().collect::<Vec<_>>(), ["AlarmEmail", "MonthlyBudgetEur"]);
    }

    #[test]
    fn what_is_deployed_is_not_asked_for_again() {
        let there = stack(&[("VonageApiKey", "key"), ("VonageApplicationId", "id"), ("AlarmEmail", "")]);
        let environment: Environment = [("VONAGE_API_SECRET", "of the environment")].into_iter().collect();
        let mut wishes = Wishes::new(&environment, Some(&there), Some(&secret()));
        wishes.rent(2, None, &["+44 7700 900001".to_owned(), "+1 212 555 0123".to_owned()]).unwrap();
        assert_eq!((wishes.missing(), wishes.country.unwrap().as_str()), (vec![], "GB"));
        let of = |name| wishes.environment.optional(name).unwrap();
        assert_eq!([of("VONAGE_API_SECRET"), of("VONAGE_SIGNATURE_SECRET")], ["of the environment", "signs"]);
        assert_eq!(of("VONAGE_APPLICATION_ID"), "id");
        let tokens = Wishes::new(&environment, Some(&stack(&[("JwtIssuer", "https://i.example")])), Some(&secret()));
        assert_eq!(tokens.missing(), [Question::ApiKey, Question::Token]);
    }

    #[test]
    fn wrong_answers_and_parameters_are_refused() {
        let mut wishes = Wishes::new(&Environment::default(), None, None);
        assert!(wishes.answer(Question::Country, "UK").unwrap_err().contains("GB"));
        assert!(wishes.rent(2, None, &["07700 900001".to_owned()]).unwrap_err().starts_with("--call: "));
        let known = BTreeSet::from(["Brand".to_owned(), "VonageSecret".to_owned()]);
        let mut set = |name: &str| wishes.set(&[(name.to_owned(), "x".to_owned())], &known);
        assert_eq!(set("Brand"), Ok(()));
        assert!(set("Brant").unwrap_err().contains("no such parameter"));
        assert!(set("VonageSecret").unwrap_err().contains("from --secret"));
        assert_eq!(wishes.parameter("Brand"), Some("x"));
    }

    #[test]
    fn deployment_is_examined_with_its_own_settings() {
        let there = stack(&[("CallControl", "on"), ("MaxCallsPerSecond", "3")]);
        let environment = Wishes::new(&Environment::default(), Some(&there), None);
        let examined = environment.deployed_environment(&there, "https://calls.example");
        let of = |name| examined.optional(name).unwrap();
        assert_eq!([of("CALL_CONTROL"), of("MAX_CALLS_PER_SECOND")], ["on", "3"]);
        assert_eq!(of("PUBLIC_URL"), "https://calls.example");
    }
}
