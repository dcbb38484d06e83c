//! The files of the repository that tests compare with the code.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Returns the folder that holds the whole repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Reads `template.yaml` without CloudFormation's tags: `!Ref x` is `x`.
pub fn template() -> Value {
    let text = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}
