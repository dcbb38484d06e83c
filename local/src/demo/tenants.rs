//! The part of the demo about tenants.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Demo, DemoError, check, heard, text};

/// The brands of the tenants, and what is said with them.
const WORDS: &str = r#"{"tenants": {
  "acme": {"brand": "Acme Rides", "words": {"en": {
    "call.connecting": "{brand} is connecting you.", "text.invitation": "{brand}: dial {number}."}}},
  "beta": {"brand": "Beta Cabs", "words": {"en": {"call.nobody": "This number is of {brand}. Please use the app."}}}}}"#;

/// A file of words for `WORDS_FILE`, which is deleted with it.
pub(super) struct TenantWords(PathBuf);

impl TenantWords {
    pub(super) fn write() -> std::io::Result<Self> {
        let file = std::env::temp_dir().join(format!("maskline-demo-{}.json", uuid::Uuid::new_v4()));
        std::fs::write(&file, WORDS)?;
        Ok(Self(file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TenantWords {
    fn drop(&mut self) {
        // It is in the folder of temporary files, so a failure leaves it to the system.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Demo<'_> {
    /// Shows two tenants, who see nothing of each other.
    pub(super) async fn serve_tenants(&self) -> Result<(), DemoError> {
        say!("\n29. Two tenants share the deployment, and see nothing of each other.");
        for tenant in ["acme", "beta"] {
            let address = self.gateway(&format!("/tenants/{tenant}"));
            let budget = json!({"monthly_budget": "2.50"});
            self.http.put(address).json(&budget).send().await?.error_for_status()?;
            let order = json!({"country": "GB", "count": 3});
            let order = self.post(&self.gateway(&format!("/t/{tenant}/numbers")), order).await?;
            say!("   {tenant} orders three numbers. Its budget of 2.50 EUR a month is enough for {}.", order["ready"]);
            check(order["ready"] == 2, "a tenant spends its own budget", &order)?;
        }
        let people = json!([{"number": "+447700900188"}, {"number": "+447700900189"}]);
        let created = self.post(&self.gateway("/t/acme/conversations"), json!({"participants": people})).await?;
        let path = format!("conversations/{}", text(&created, "/id"));
        let status = async |tenant: &str| {
            let address = self.gateway(&format!("/t/{tenant}/{path}"));
            Ok::<_, DemoError>(self.http.get(address).send().await?.status().as_u16())
        };
        let (own, other) = (status("acme").await?, status("beta").await?);
        say!("   acme creates a conversation. Its own GET is answered with {own}, and that of beta with {other}.");
        check(own == 200 && other == 404, "another sees nothing", &created)?;
        let dialled = text(&created, "/participants/0/dials");
        let sms = self.last_text("447700900188").await?;
        say!("   The phone of its customer: \"{sms}\"");
        check(sms == format!("Acme Rides: dial +{dialled}."), "people read the brand of the tenant", &json!(sms))?;
        let call = |from: &str, to: &str| json!({"from": from, "to": to, "talk_seconds": 42});
        let told = self.post(&self.simulator_calls(), call("447700900188", &dialled)).await?;
        say!("   The customer calls, and hears: \"{}\"", heard(&told));
        check(heard(&told) == "Acme Rides is connecting you.", "people hear the brand of the tenant", &told)?;
        let numbers = self.get(&self.gateway("/t/beta/numbers")).await?;
        let of_beta = text(&numbers, "/countries/0/numbers/0/number");
        let told = self.post(&self.simulator_calls(), call("447700900188", &of_beta)).await?;
        say!("   Who calls a number of beta by mistake hears: \"{}\"", heard(&told));
        check(heard(&told).starts_with("This number is of Beta Cabs."), "a stranger hears who has the number", &told)?;
        let rents = self.get(&self.gateway("/tenants")).await?;
        let costs = ["/tenants/0/monthly_cost", "/tenants/1/monthly_cost"].map(|cost| text(&rents, cost));
        say!("   Monthly rents: {} EUR and {} EUR.", costs[0], costs[1]);
        check(costs[0] == costs[1], "each has the same", &rents)?;
        let shown = self.get(&self.gateway("/tenants/acme")).await?;
        let (calls, cost) = (&shown["spent"][0]["calls"], text(&shown, "/spent/0/call_cost"));
        say!("   Calls of acme in this month: {calls}, for {cost} EUR.");
        check(*calls == 1 && cost != "0", "a call counts for its tenant", &shown)
    }
}
