//! Tables for a terminal.

use std::fmt::Write;

use serde_json::Value;

/// Rows under a line of headings, in columns as wide as their widest cell.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headings: Vec<String> = self.headings.iter().map(|heading| heading.to_uppercase()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&headings).chain(&self.rows).collect();
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        for line in lines {
            let mut padded = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                write!(padded, "{cell:<width$}  ")?;
            }
            writeln!(f, "{}", padded.trim_end())?;
        }
        Ok(())
    }
}

/// Returns the value of a member as people read it: a text without quotes, a list with commas, nothing for null.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Returns a phone number as it is dialled, with `+`, which a deployment of before does not write.
pub(crate) fn number(value: &Value) -> String {
    let digits = cell(value);
    let is_bare = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_bare { format!("+{digits}") } else { digits }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["number", "state"]);
        table.row([number(&json!("+447451000001")), cell(&json!("ready"))]);
        table.row([number(&json!(null)), cell(&json!(["VOICE", "SMS"]))]);
        assert_eq!(table.to_string(), "NUMBER         STATE\n+447451000001  ready\n               VOICE,SMS\n");
    }
}
