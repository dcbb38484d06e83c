//! The permissions of the template are exactly what the functions ask of DynamoDB in all tests: nothing is missing, and nothing
//! is unused. `just permissions` runs the tests with a log of these requests, and then this comparison.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use local::dynamodb::{Access, AccessLog};
use serde_json::Value;
use testkit::repository::template;
use testkit::{ACCESS_LOG, text};

/// A function, an action, a table and a pattern of leading keys.
type Permission = (String, String, &'static str, String);

const TABLE: &str = "table";
const JOURNAL: &str = "journal";

/// Returns what the template permits each function to do with the items of its tables.
fn permitted() -> BTreeSet<Permission> {
    let template = template();
    let functions = template["Resources"].as_object().unwrap().values();
    let functions = functions.filter(|resource| resource["Type"] == "AWS::Serverless::Function");
    let mut permitted = BTreeSet::new();
    for function in functions {
        let name = text(function, "/Properties/CodeUri").strip_prefix("functions/").unwrap();
        let policies = function["Properties"]["Policies"].as_array().into_iter().flatten();
        for statement in policies.flat_map(|policy| policy["Statement"].as_array().unwrap()) {
            let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
            let keys: Vec<&str> = match keys {
                Value::Null => vec!["*"],
                keys => keys.as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect(),
            };
            let table = if statement["Resource"].to_string().contains("JournalTable") { JOURNAL } else { TABLE };
            for action in statement["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap()) {
                let of_table = |key: &&str| (name.to_owned(), action.to_owned(), table, (*key).to_owned());
                permitted.extend(keys.iter().map(of_table).filter(|_| action.starts_with("dynamodb:")));
            }
        }
    }
    permitted
}

#[test]
#[ignore = "compares the requests of all other tests, which `just permissions` runs before"]
fn functions_use_all_permissions_and_need_no_other() {
    let log = PathBuf::from(std::env::var(ACCESS_LOG).expect("the path of the log"));
    let used = AccessLog::read(&log).unwrap().into_iter();
    let of = |name: &str| if name.ends_with(JOURNAL) { JOURNAL } else { TABLE };
    let used = used.map(|Access { function, action, table, partition }| (function, action, of(&table), partition));
    let used: BTreeSet<Permission> = used.collect();
    let permitted = permitted();
    let missing: Vec<_> = used.difference(&permitted).collect();
    let unused: Vec<_> = permitted.difference(&used).collect();
    assert!(
        missing.is_empty() && unused.is_empty(),
        "missing in the template: {missing:#?}\nused by no test: {unused:#?}"
    );
}
