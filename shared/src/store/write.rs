//! Builder for the writes and checks of single items, in a transaction or alone.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};
use jiff::Timestamp;

use super::StoreError;
use super::item::{self, Item, Key};
use super::kinds::VERSION;

/// A put, an update or a deletion of one item, or a check of it in a transaction.
#[derive(Clone)]
pub(super) struct Write {
    action: Action,
    /// The whole item if it is put, else its key.
    item: Item,
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
    conditions: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

#[derive(Clone, Copy)]
enum Action {
    Put,
    Update,
    Delete,
    Check,
}

impl Write {
    /// True if its item is in the journal and not in the table.
    pub(super) fn is_of_journal(&self) -> bool {
        item::is_of_journal(&self.item)
    }

    pub(super) fn put(item: Item) -> Self {
        Self::new(Action::Put, item)
    }

    /// Creates an update, which also creates the item if there is none. One with a version keeps it.
    pub(super) fn update(key: Key<'_>) -> Self {
        let update = Self::new(Action::Update, key.item());
        update
            .set(format!("{VERSION} = if_not_exists({VERSION}, :{VERSION})"))
            .bind(format!(":{VERSION}"), key.version())
    }

    pub(super) fn delete(key: Key<'_>) -> Self {
        Self::new(Action::Delete, key.item())
    }

    /// Creates a check of an item, which has to have a condition.
    pub(super) fn check(key: Key<'_>) -> Self {
        Self::new(Action::Check, key.item())
    }

    fn new(action: Action, item: Item) -> Self {
        let (set, remove, add, conditions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { action, item, set, remove, add, conditions, names: HashMap::new(), values: HashMap::new() }
    }

    /// Adds assignments to the SET clause.
    pub(super) fn set(mut self, assignments: impl Into<String>) -> Self {
        self.set.push(assignments.into());
        self
    }

    /// Sets the time from which the table may delete the item.
    pub(super) fn set_ttl(self, time: Timestamp) -> Self {
        self.set("#ttl = :ttl").name("#ttl", "ttl").bind(":ttl", item::seconds(time))
    }

    /// Adds attributes to the REMOVE clause.
    pub(super) fn remove(mut self, attributes: impl Into<String>) -> Self {
        self.remove.push(attributes.into());
        self
    }

    /// Adds sums to the ADD clause.
    pub(super) fn add(mut self, sums: impl Into<String>) -> Self {
        self.add.push(sums.into());
        self
    }

    /// Adds a condition. All of them must hold; one that contains OR needs parentheses if there are several.
    pub(super) fn when(mut self, condition: impl Into<String>) -> Self {
        self.conditions.push(condition.into());
        self
    }

    /// Defines a placeholder for an attribute's name.
    pub(super) fn name(mut self, placeholder: impl Into<String>, name: impl Into<String>) -> Self {
        self.names.insert(placeholder.into(), name.into());
        self
    }

    /// Defines a placeholder for a value.
    pub(super) fn bind(mut self, placeholder: impl Into<String>, value: AttributeValue) -> Self {
        self.values.insert(placeholder.into(), value);
        self
    }

    /// Converts the write into a part of a transaction.
    pub(super) fn into_transact_item(self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let (update, condition) = (self.update_expression(), self.condition_expression());
        let (names, values) = (non_empty(self.names), non_empty(self.values));
        let builder = TransactWriteItem::builder();
        let builder = match self.action {
            Action::Put => {
                let put =
                    Put::builder().table_name(table).set_item(Some(self.item)).set_condition_expression(condition);
                let put = put.set_expression_attribute_names(names).set_expression_attribute_values(values);
                builder.put(put.build()?)
            }
            Action::Update => {
                let write = Update::builder().table_name(table).set_key(Some(self.item)).update_expression(update);
                let write = write.set_condition_expression(condition).set_expression_attribute_names(names);
                builder.update(write.set_expression_attribute_values(values).build()?)
            }
            Action::Delete => {
                let delete = Delete::builder().table_name(table).set_key(Some(self.item));
                let delete = delete.set_condition_expression(condition).set_expression_attribute_names(names);
                builder.delete(delete.set_expression_attribute_values(values).build()?)
            }
            Action::Check => {
                let check = ConditionCheck::builder().table_name(table).set_key(Some(self.item));
                let check = check.set_condition_expression(condition).set_expression_attribute_names(names);
                builder.condition_check(check.set_expression_attribute_values(values).build()?)
            }
        };
        Ok(builder.build())
    }

    /// Converts a put into a request of its own.
    pub(super) fn into_put_item(self, client: &Client, table: &str) -> PutItemFluentBuilder {
        debug_assert!(matches!(self.action, Action::Put), "only a put is sent as PutItem");
        let request = client.put_item().table_name(table).set_condition_expression(self.condition_expression());
        request
            .set_item(Some(self.item))
            .set_expression_attribute_names(non_empty(self.names))
            .set_expression_attribute_values(non_empty(self.values))
    }

    /// Converts an update into a request of its own.
    pub(super) fn into_update_item(self, client: &Client, table: &str) -> UpdateItemFluentBuilder {
        debug_assert!(matches!(self.action, Action::Update), "only an update is sent as UpdateItem");
        let request = client.update_item().table_name(table).update_expression(self.update_expression());
        let request = request.set_condition_expression(self.condition_expression()).set_key(Some(self.item));
        request
            .set_expression_attribute_names(non_empty(self.names))
            .set_expression_attribute_values(non_empty(self.values))
    }

    /// Converts a deletion into a request of its own.
    pub(super) fn into_delete_item(self, client: &Client, table: &str) -> DeleteItemFluentBuilder {
        debug_assert!(matches!(self.action, Action::Delete), "only a deletion is sent as DeleteItem");
        let request = client.delete_item().table_name(table).set_condition_expression(self.condition_expression());
        request
            .set_key(Some(self.item))
            .set_expression_attribute_names(non_empty(self.names))
            .set_expression_attribute_values(non_empty(self.values))
    }

    fn update_expression(&self) -> String {
        let clauses = [("SET", &self.set), ("REMOVE", &self.remove), ("ADD", &self.add)];
        let clauses = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        clauses.map(|(verb, parts)| format!("{verb} {}", parts.join(", "))).collect::<Vec<_>>().join(" ")
    }

    fn condition_expression(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }
}

/// DynamoDB rejects an empty map of placeholders.
fn non_empty<V>(placeholders: HashMap<String, V>) -> Option<HashMap<String, V>> {
    Some(placeholders).filter(|placeholders| !placeholders.is_empty())
}
