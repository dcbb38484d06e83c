//! The part of the demo about tenants.

use serde_json::json;

use super::{Demo, DemoError, check, text};

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
        let rents = self.get(&self.gateway("/tenants")).await?;
        let costs = ["/tenants/0/monthly_cost", "/tenants/1/monthly_cost"].map(|cost| text(&rents, cost));
        say!("   Monthly rents: {} EUR and {} EUR.", costs[0], costs[1]);
        check(costs[0] == costs[1], "each has the same", &rents)
    }
}
