//! The capacity units, which must be those that AWS bills. A read counts steps of 4 KB, half as many if it is eventually
//! consistent. A write counts steps of 1 KB of the larger item, before or after. A transaction counts each item twice.
//!
//! Source: Amazon DynamoDB Developer Guide, "DynamoDB read and write operations". DynamoDB Local agrees except for
//! transactions and for queries that find nothing.

use local::traffic::{Service, Usage};
use serde_json::{Value, json};
use testkit::Laptop;

/// Returns an item of `size` bytes. Names and texts count by their length.
fn item(key: &str, bytes: usize) -> Value {
    let padding = bytes - ["pk", "capacity", "sk", key, "x"].map(str::len).iter().sum::<usize>();
    json!({"pk": {"S": "capacity"}, "sk": {"S": key}, "x": {"S": "x".repeat(padding)}})
}

fn key(key: &str) -> Value {
    json!({"pk": {"S": "capacity"}, "sk": {"S": key}})
}

/// Returns the read and write units of an operation.
async fn units(laptop: &Laptop, operation: &str, request: Value) -> [f64; 2] {
    laptop.stack.traffic.watch();
    let answer = laptop.dynamodb(operation, request).await;
    assert_eq!(answer.status, 200, "{operation}: {answer:?}");
    assert!(answer.body.get("ConsumedCapacity").is_none(), "nobody asked for it: {answer:?}");
    let Usage { read_units, write_units, .. } = Usage::of(Service::Dynamodb, &laptop.stack.traffic.take());
    [read_units, write_units]
}

#[tokio::test]
async fn units_are_counted_as_aws_bills_them() {
    let laptop = Laptop::start().await;
    let ask = async |operation: &str, mut request: Value| {
        if operation != "TransactWriteItems" {
            request["TableName"] = json!("maskline");
        }
        units(&laptop, operation, request).await
    };
    let write = |units: f64| [0.0, units];
    let read = |units: f64| [units, 0.0];
    for (name, bytes, units) in [("a", 1024, 1.0), ("b", 1025, 2.0), ("c", 4096, 4.0), ("d", 4097, 5.0)] {
        assert_eq!(ask("PutItem", json!({"Item": item(name, bytes)})).await, write(units), "{bytes} bytes");
    }
    for (name, units) in [("c", 1.0), ("d", 2.0), ("none", 1.0)] {
        assert_eq!(ask("GetItem", json!({"Key": key(name), "ConsistentRead": true})).await, read(units));
        assert_eq!(ask("GetItem", json!({"Key": key(name)})).await, read(units / 2.0));
    }
    // A query counts all items together.
    let query = |partition: &str| {
        json!({"KeyConditionExpression": "pk = :pk", "ConsistentRead": true,
               "ExpressionAttributeValues": {":pk": {"S": partition}}})
    };
    assert_eq!(ask("Query", query("capacity")).await, read(3.0));
    assert_eq!(ask("Query", query("none")).await, read(1.0));
    // An update counts the larger item, before or after.
    let shrink =
        json!({"Key": key("d"), "UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": {"S": ""}}});
    assert_eq!(ask("UpdateItem", shrink).await, write(5.0));
    assert_eq!(ask("DeleteItem", json!({"Key": key("c")})).await, write(4.0));
    assert_eq!(ask("DeleteItem", json!({"Key": key("none")})).await, write(1.0));
    // A transaction counts each item by itself, twice.
    let put = |name: &str, bytes| json!({"Put": {"TableName": "maskline", "Item": item(name, bytes)}});
    let transaction = json!({"TransactItems": [put("e", 100), put("f", 1024), put("g", 1025)]});
    assert_eq!(ask("TransactWriteItems", transaction).await, write(8.0));
}

#[tokio::test]
async fn consumed_capacity_is_returned_on_request() {
    let laptop = Laptop::start().await;
    laptop.stack.traffic.watch();
    let request = json!({"TableName": "maskline", "Key": key("none"), "ReturnConsumedCapacity": "TOTAL"});
    let answer = laptop.dynamodb("GetItem", request).await.body;
    assert_eq!(answer, json!({"ConsumedCapacity": {"TableName": "maskline", "CapacityUnits": 0.5}}));
    assert_eq!(Usage::of(Service::Dynamodb, &laptop.stack.traffic.take()).read_units, 0.5);
    // Without counting the proxy does not ask for the units.
    let fresh = Laptop::start().await;
    assert_eq!(fresh.dynamodb("GetItem", json!({"TableName": "maskline", "Key": key("none")})).await.body, json!({}));
    assert_eq!(fresh.stack.traffic.take(), []);
}

#[tokio::test]
async fn proxy_keeps_length_and_checksum_of_answer() {
    let laptop = Laptop::start().await;
    laptop.stack.traffic.watch();
    let request =
        laptop.dynamodb_request("DynamoDB_20120810.GetItem", &json!({"TableName": "maskline", "Key": key("none")}));
    let response = request.send().await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let expected = ["2".to_owned(), crc32fast::hash(b"{}").to_string()];
    assert_eq!(["content-length", "x-amz-crc32"].map(header), expected);
    assert_eq!(laptop.dynamodb("DescribeTable", json!({"TableName": "maskline"})).await.status, 200);
}
