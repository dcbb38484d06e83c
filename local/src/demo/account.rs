//! The last part of the demo: a Vonage account is set up for a deployment, and examined.

use std::path::Path;

use serde_json::{Value, json};
use shared::clock;
use shared::config::Environment;

use super::{Demo, DemoError, check, text};
use crate::doctor::{self, Findings};
use crate::setup;

/// Name of the application that the demo makes. The account has another one, which is the stack's own.
const APPLICATION: &str = "Maskline demo";

impl Demo<'_> {
    /// Shows the commands `setup` and `doctor` against the account of the simulator.
    pub(super) async fn set_an_account_up(&self) -> Result<(), DemoError> {
        let folder = std::env::temp_dir().join(format!("maskline-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).map_err(|error| DemoError::Wrong(format!("{}: {error}", folder.display())))?;
        let shown = self.set_up(&folder.join("private.pem")).await;
        // What is left behind is a key of an application that ends with the stack.
        let _ = std::fs::remove_dir_all(&folder);
        shown?;
        self.examine().await
    }

    async fn set_up(&self, private_key: &Path) -> Result<(), DemoError> {
        say!("\n31. A Vonage account is set up for a deployment.");
        let plan = self.setup(private_key, false).await?;
        say!("   maskline setup: the application would be {}, with {}.", text(&plan, "/state"), settings(&plan));
        check(plan["dry_run"] == true && !private_key.exists(), "nothing is made without --apply", &plan)?;
        let made = self.setup(private_key, true).await?;
        say!(
            "   maskline setup --apply: it is {}. Its key pair is {}; Vonage has the public half.",
            text(&made, "/state"),
            text(&made, "/private_key/state")
        );
        check(made["state"] == "made" && private_key.exists(), "it makes the application and its key", &made)?;
        let again = self.setup(private_key, true).await?;
        say!("   The same again: it is {}.", text(&again, "/state"));
        let is_same = again["application"]["id"] == made["application"]["id"];
        check(is_same && again["state"] == "unchanged" && again["changes"] == json!([]), "twice is as once", &again)?;
        let by_hand = again["by_hand"].as_array().into_iter().flatten().map(|work| text(work, "/what"));
        say!("   No API of Vonage does the rest: {}.", by_hand.collect::<Vec<_>>().join("; "));
        Ok(())
    }

    /// Runs `maskline setup` for this deployment, and returns its report.
    async fn setup(&self, private_key: &Path, apply: bool) -> Result<Value, DemoError> {
        let arguments = setup::Arguments {
            apply,
            json: false,
            name: APPLICATION.to_owned(),
            public_url: Some(self.stack.gateway_url.clone()),
            region: None,
            private_key: private_key.to_owned(),
            replace_key: false,
            take_over: false,
            secret: None,
            profile: None,
            aws_region: None,
            aws: "aws".into(),
        };
        // A new account has no application.
        let variables = self.stack.environment.iter().filter(|(name, _)| *name != "VONAGE_APPLICATION_ID");
        let environment: Environment = variables.collect();
        Ok(setup::run(&arguments, &environment).await.map_err(DemoError::Wrong)?.json())
    }

    async fn examine(&self) -> Result<(), DemoError> {
        say!("\n32. A doctor examines the account and the deployment.");
        self.post(&self.gateway("/numbers"), json!({"country": "GB", "count": 2})).await?;
        self.post(&self.gateway("/setup"), json!({})).await?;
        let healthy = self.findings(&[]).await?;
        say!("   maskline doctor: {} checks, and {} of them find something.", healthy.0.len(), found(&healthy).len());
        check(healthy.is_healthy() && found(&healthy).is_empty(), "there is nothing to say", &healthy.json())?;
        let broken = self.findings(&[("VONAGE_SIGNATURE_SECRET", "of-another-account")]).await?;
        let found = found(&broken);
        for (says, todo) in &found {
            say!("   With the signature secret of another account: {says}. {todo}");
        }
        check(!broken.is_healthy() && !found.is_empty(), "a wrong secret is found", &broken.json())
    }

    /// Examines the stack with these variables in place of its own.
    async fn findings(&self, variables: &[(&str, &str)]) -> Result<Findings, DemoError> {
        let url = [("PUBLIC_URL", self.stack.gateway_url.as_str())];
        let variables = url.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = self.stack.environment.clone().with(variables);
        doctor::examine(&environment, clock::system()).await.map_err(|error| DemoError::Wrong(error.to_string()))
    }
}

/// Returns the names of the settings that a set-up changes.
fn settings(report: &Value) -> String {
    let changes = report["changes"].as_array().into_iter().flatten().map(|change| text(change, "/what"));
    changes.collect::<Vec<_>>().join(", ")
}

/// Returns what is not as it should be, and what to do about it.
fn found(findings: &Findings) -> Vec<(&str, &str)> {
    findings.0.iter().filter_map(|finding| Some((finding.says.as_str().trim_end_matches('.'), finding.todo?))).collect()
}
