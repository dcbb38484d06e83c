//! The capacity units of a request, as DynamoDB reports them on demand.

use axum::body::Bytes;
use serde_json::{Map, Value};

use crate::faults::OPERATIONS;
use crate::traffic::Usage;

/// A request that asks DynamoDB for the units it consumes.
pub(super) struct CapacityQuery {
    /// The request.
    pub body: Bytes,
    /// True if the sender asked for the units itself. Otherwise they are taken out of the answer.
    by_sender: bool,
    is_read: bool,
}

impl CapacityQuery {
    /// Adds the question to a request. Returns `None` for operations that report no units.
    pub fn of(operation: &str, body: &Bytes) -> Option<Self> {
        if !OPERATIONS.contains(&operation) {
            return None;
        }
        let mut request: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let is_read = operation.contains("Get") || matches!(operation, "Query" | "Scan");
        let by_sender = request.get("ReturnConsumedCapacity").is_some_and(|wanted| wanted != "NONE");
        if by_sender {
            return Some(Self { body: body.clone(), by_sender, is_read });
        }
        request.insert("ReturnConsumedCapacity".to_owned(), "TOTAL".into());
        Some(Self { body: Value::Object(request).to_string().into(), by_sender, is_read })
    }

    /// Returns the answer as the sender expects it, and the units. A refused request reports none.
    pub fn answer(&self, body: Bytes) -> (Bytes, Usage) {
        let Ok(mut answer) = serde_json::from_slice::<Map<String, Value>>(&body) else {
            return (body, Usage::default());
        };
        let Some(consumed) = answer.remove("ConsumedCapacity") else { return (body, Usage::default()) };
        let usage = match &consumed {
            Value::Array(tables) => tables.iter().map(|table| self.units(table)).sum(),
            table => self.units(table),
        };
        (if self.by_sender { body } else { Value::Object(answer).to_string().into() }, usage)
    }

    /// Splits the units into reads and writes. Only transactions report both kinds: one that is repeated under its
    /// token consumes reads.
    fn units(&self, consumed: &Value) -> Usage {
        let units = |name: &str| consumed[name].as_f64();
        let (all, none) = (units("CapacityUnits").unwrap_or_default(), Usage::default());
        match (units("ReadCapacityUnits"), units("WriteCapacityUnits")) {
            (None, None) if self.is_read => Usage { read_units: all, ..none },
            (None, None) => Usage { write_units: all, ..none },
            (read, write) => {
                Usage { read_units: read.unwrap_or_default(), write_units: write.unwrap_or_default(), ..none }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(operation: &str, request: Value) -> CapacityQuery {
        CapacityQuery::of(operation, &request.to_string().into()).unwrap()
    }

    #[test]
    fn units_the_sender_did_not_ask_for_are_removed() {
        let query = query("GetItem", json!({"TableName": "t"}));
        assert_eq!(*query.body, *json!({"TableName": "t", "ReturnConsumedCapacity": "TOTAL"}).to_string().as_bytes());
        let answered = json!({"Item": {}, "ConsumedCapacity": {"TableName": "t", "CapacityUnits": 0.5}});
        let (answer, usage) = query.answer(answered.to_string().into());
        assert_eq!(*answer, *br#"{"Item":{}}"#);
        assert_eq!((usage.read_units, usage.write_units), (0.5, 0.0));
    }

    #[test]
    fn units_the_sender_asked_for_stay() {
        let request = json!({"TableName": "t", "ReturnConsumedCapacity": "INDEXES"});
        let query = query("UpdateItem", request.clone());
        assert_eq!(*query.body, *request.to_string().as_bytes());
        let answered = json!({"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 2.0}}).to_string();
        let (answer, usage) = query.answer(answered.clone().into());
        assert_eq!((&*answer, usage.write_units), (answered.as_bytes(), 2.0));
    }

    #[test]
    fn transaction_units_add_up_over_tables_and_kinds() {
        let query = query("TransactWriteItems", json!({"TransactItems": []}));
        let answered = json!({"ConsumedCapacity": [{"TableName": "t", "CapacityUnits": 6.0, "WriteCapacityUnits": 6.0},
                                               {"TableName": "u", "CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}]});
        let (answer, usage) = query.answer(answered.to_string().into());
        assert_eq!((&*answer, usage.read_units, usage.write_units), (b"{}" as &[u8], 2.0, 6.0));
    }

    #[test]
    fn refusals_and_other_formats_pass_unchanged() {
        let query = query("PutItem", json!({}));
        for answer in [r#"{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}"#, "<html>"] {
            assert_eq!(query.answer(answer.into()), (answer.into(), Usage::default()));
        }
        assert!(CapacityQuery::of("DescribeTable", &"{}".into()).is_none());
    }
}
