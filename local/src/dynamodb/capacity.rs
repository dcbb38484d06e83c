//! The capacity units of a request, as DynamoDB counts them: it tells whoever asks.

use axum::body::Bytes;
use serde_json::{Map, Value};

use crate::faults::OPERATIONS;
use crate::traffic::Usage;

/// A request that asks how many units it consumes.
pub(super) struct Asking {
    /// The request.
    pub body: Bytes,
    /// Whether its sender wants to know; if not, the answer is not to say it.
    by_sender: bool,
    is_read: bool,
}

impl Asking {
    /// Lets the request ask; none if it is of no operation that can.
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

    /// The answer as it would be if only its sender had asked, and the units. No units are told of what was refused.
    pub fn answer(&self, body: Bytes) -> (Bytes, Usage) {
        let Ok(mut answer) = serde_json::from_slice::<Map<String, Value>>(&body) else {
            return (body, Usage::default());
        };
        let Some(told) = answer.remove("ConsumedCapacity") else { return (body, Usage::default()) };
        let usage = match &told {
            Value::Array(tables) => tables.iter().map(|told| self.units(told)).sum(),
            told => self.units(told),
        };
        (if self.by_sender { body } else { Value::Object(answer).to_string().into() }, usage)
    }

    /// A transaction that comes again under its token only reads; it tells both kinds of units by themselves.
    fn units(&self, told: &Value) -> Usage {
        let units = |name: &str| told[name].as_f64();
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

    fn asking(operation: &str, request: Value) -> Asking {
        Asking::of(operation, &request.to_string().into()).unwrap()
    }

    #[test]
    fn what_its_sender_did_not_ask_is_not_in_the_answer() {
        let asking = asking("GetItem", json!({"TableName": "t"}));
        assert_eq!(*asking.body, *json!({"TableName": "t", "ReturnConsumedCapacity": "TOTAL"}).to_string().as_bytes());
        let told = json!({"Item": {}, "ConsumedCapacity": {"TableName": "t", "CapacityUnits": 0.5}});
        let (answer, usage) = asking.answer(told.to_string().into());
        assert_eq!(*answer, *br#"{"Item":{}}"#);
        assert_eq!((usage.read_units, usage.write_units), (0.5, 0.0));
    }

    #[test]
    fn what_its_sender_asked_is() {
        let request = json!({"TableName": "t", "ReturnConsumedCapacity": "INDEXES"});
        let asking = asking("UpdateItem", request.clone());
        assert_eq!(*asking.body, *request.to_string().as_bytes());
        let told = json!({"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 2.0}}).to_string();
        let (answer, usage) = asking.answer(told.clone().into());
        assert_eq!((&*answer, usage.write_units), (told.as_bytes(), 2.0));
    }

    #[test]
    fn a_transaction_tells_each_table_and_both_kinds_of_units() {
        let asking = asking("TransactWriteItems", json!({"TransactItems": []}));
        let told = json!({"ConsumedCapacity": [{"TableName": "t", "CapacityUnits": 6.0, "WriteCapacityUnits": 6.0},
                                               {"TableName": "u", "CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}]});
        let (answer, usage) = asking.answer(told.to_string().into());
        assert_eq!((&*answer, usage.read_units, usage.write_units), (b"{}" as &[u8], 2.0, 6.0));
    }

    #[test]
    fn a_refusal_and_what_is_no_json_pass_as_they_are() {
        let asking = asking("PutItem", json!({}));
        for answer in [r#"{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}"#, "<html>"] {
            assert_eq!(asking.answer(answer.into()), (answer.into(), Usage::default()));
        }
        assert!(Asking::of("DescribeTable", &"{}".into()).is_none());
    }
}
