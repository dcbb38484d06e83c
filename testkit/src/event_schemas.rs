//! The schemas of events in `docs/events`, with which tests compare every event that they see.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use local::gateway::bus::Bus;
use serde_json::{Value, json};

use crate::repository::root;
use crate::text;

/// The schemas by the detail-type of their events, as they are published.
pub static EVENT_SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let files = std::fs::read_dir(root().join("docs/events")).unwrap();
    let schemas = files.map(|file| {
        let path = file.unwrap().path();
        let schema: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let title = text(&schema, "/title").to_owned();
        assert_eq!(
            path.file_stem().unwrap(),
            &*title.to_lowercase().replace(' ', "-"),
            "a schema has its title as name"
        );
        (title, schema)
    });
    schemas.collect()
});

/// The schemas, with what they do not name forbidden. A receiver has to bear new members. Here they would be undocumented.
static STRICT: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let strict = |(title, schema): (&'static String, &Value)| {
        let mut schema = schema.clone();
        forbid_others(&mut schema);
        (title.as_str(), jsonschema::draft202012::new(&schema).unwrap())
    };
    EVENT_SCHEMAS.iter().map(strict).collect()
});

fn forbid_others(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(forbid_others);
            if members.contains_key("properties") && members["type"] == "object" {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_others),
        _ => {}
    }
}

/// Fails unless the event, with `detail-type` and `detail`, has a schema and is as it says.
pub fn check_event(event: &Value) {
    let detail_type = text(event, "/detail-type");
    let schema = STRICT.get(detail_type).unwrap_or_else(|| panic!("docs/events has no schema of this event: {event}"));
    let faults: Vec<_> =
        schema.iter_errors(&event["detail"]).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:?} in {event}");
}

/// A bus whose events are checked when the test ends.
pub(crate) struct CheckedBus(pub(crate) Bus);

impl Drop for CheckedBus {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.events().iter().for_each(check_event);
        }
    }
}
