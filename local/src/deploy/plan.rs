//! The steps of a deployment. Which there are follows from the wishes alone; whether a step has something to do, it sees itself.

use std::collections::BTreeMap;
use std::fmt;

use shared::domain::country::Country;

use super::wishes::Wishes;

/// A step. Each can be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The Voice application, its key pair and the secret.
    SetUp,
    /// `sam build`.
    Build,
    /// `sam deploy`.
    Deploy,
    /// The application's webhooks lead to the deployment.
    Webhooks,
    /// `maskline doctor`.
    Examine,
    /// The country has so many numbers.
    Numbers(Country, u32),
    /// The first conversation.
    FirstCall,
}

impl Step {
    /// Returns the name, in a word.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::SetUp => "application",
            Self::Build => "build",
            Self::Deploy => "deployment",
            Self::Webhooks => "webhooks",
            Self::Examine => "doctor",
            Self::Numbers(..) => "numbers",
            Self::FirstCall => "first_call",
        }
    }
}

/// The steps in their order, and the parameters that are known before the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) parameters: BTreeMap<String, String>,
}

impl Plan {
    /// Plans a deployment whose wishes lack nothing.
    pub(super) fn new(wishes: &Wishes, secret: &str, builds: bool, calls: bool) -> Self {
        let mut parameters = wishes.set.clone();
        let api_key = wishes.environment.optional("VONAGE_API_KEY").unwrap_or_default();
        parameters.extend([("VonageApiKey".to_owned(), api_key), ("VonageSecret".to_owned(), secret.to_owned())]);
        let numbers =
            wishes.country.filter(|_| wishes.numbers > 0).map(|country| Step::Numbers(country, wishes.numbers));
        let steps = [Some(Step::SetUp), builds.then_some(Step::Build), Some(Step::Deploy), Some(Step::Webhooks)];
        let rest = [Some(Step::Examine), numbers, calls.then_some(Step::FirstCall)];
        Self { steps: steps.into_iter().chain(rest).flatten().collect(), parameters }
    }
}

/// The plan of one step, for people.
pub(super) struct Planned<'a> {
    pub(super) step: &'a Step,
    pub(super) plan: &'a Plan,
    pub(super) stack: &'a str,
    pub(super) is_first: bool,
}

impl fmt::Display for Planned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, plan, stack, is_first } = self;
        match step {
            Step::SetUp => write!(f, "Set the application and the secret up"),
            Step::Build => write!(f, "Build the functions: sam build"),
            Step::Deploy => {
                let verb = if *is_first { "Make" } else { "Update" };
                write!(f, "{verb} the stack {stack}: sam deploy, with")?;
                plan.parameters.iter().try_for_each(|(name, value)| write!(f, "\n{name}={value}"))?;
                if !is_first {
                    write!(f, "\nThe other parameters stay as they are.")?;
                }
                Ok(())
            }
            Step::Webhooks => write!(f, "Lead the application's calls and texts to the deployment"),
            Step::Examine => write!(f, "Examine the account and the deployment, as maskline doctor does"),
            Step::Numbers(country, count) => {
                write!(f, "Rent numbers of {country} until {count} are ready, after their price was agreed to")
            }
            Step::FirstCall => write!(f, "Create a conversation of the two phones, and text both"),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::config::Environment;

    use super::*;

    fn wishes(numbers: u32) -> Wishes {
        let environment: Environment = [("VONAGE_API_KEY", "1a2b3c4d")].into_iter().collect();
        let mut wishes = Wishes::new(&environment, None, None);
        wishes.rent(numbers, Country::try_from("GB").ok(), &[]).unwrap();
        wishes.set.insert("Brand".to_owned(), "Rides".to_owned());
        wishes
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.steps.iter().map(Step::name).collect()
    }

    #[test]
    fn steps_lead_from_the_application_to_the_first_call() {
        let plan = Plan::new(&wishes(2), "maskline/vonage", true, true);
        let expected = ["application", "build", "deployment", "webhooks", "doctor", "numbers", "first_call"];
        assert_eq!(names(&plan), expected);
        let parameters: Vec<_> = plan.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(parameters, [("Brand", "Rides"), ("VonageApiKey", "1a2b3c4d"), ("VonageSecret", "maskline/vonage")]);
    }

    #[test]
    fn archives_are_not_built_and_nothing_unwanted_is_done() {
        let plan = Plan::new(&wishes(0), "maskline/vonage", false, false);
        assert_eq!(names(&plan), ["application", "deployment", "webhooks", "doctor"]);
    }

    #[test]
    fn update_says_that_other_parameters_stay() {
        let plan = Plan::new(&wishes(0), "maskline/vonage", false, false);
        let shown = |is_first| Planned { step: &Step::Deploy, plan: &plan, stack: "calls", is_first }.to_string();
        assert!(shown(false).starts_with("Update the stack calls") && shown(false).ends_with("stay as they are."));
        assert!(shown(true).starts_with("Make the stack calls") && shown(true).ends_with("maskline/vonage"));
    }
}
