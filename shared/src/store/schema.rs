//! Definition of the table and of the journal, for the laptop and for tests. In AWS the template creates them, with the same keys
//! and TTL.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};

use super::{Store, StoreError};

impl Store {
    /// Creates the table and the journal, if the store has one, unless they exist.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        self.create(&self.table).await?;
        match &self.journal {
            Some(journal) => self.create(journal).await,
            None => Ok(()),
        }
    }

    async fn create(&self, table: &str) -> Result<(), StoreError> {
        if self.client.describe_table().table_name(table).send().await.is_ok() {
            return Ok(());
        }
        let mut create = self.client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        for (name, key_type) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
            let attribute =
                AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
            let element = KeySchemaElement::builder().attribute_name(name).key_type(key_type).build();
            create = create.attribute_definitions(attribute?).key_schema(element?);
        }
        match create.send().await {
            Err(error) if error.code() == Some("ResourceInUseException") => return Ok(()),
            other => other?,
        };
        let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name("ttl").build();
        self.client.update_time_to_live().table_name(table).time_to_live_specification(ttl?).send().await?;
        Ok(())
    }
}
