//! The columns of a custom kind's table, and their cells.

use std::sync::Arc;

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::descriptor::{Column, Description};
use crate::resources::printing::{UNKNOWN, since};
use crate::resources::read::{list, text};
use crate::schema::json_path::JsonPath;

/// The columns after the name, and where their cells come from. Without columns of its own a kind shows its age.
pub(super) fn columns(version: &Value) -> (Arc<[Column]>, Vec<JsonPath>) {
    let declared = list(&version["additionalPrinterColumns"]);
    if declared.is_empty() {
        let age = Column {
            name: "Age".into(),
            kind: "date".into(),
            format: "".into(),
            description: Description::Said("How long ago the object was created.".into()),
            priority: 0,
        };
        return (Arc::new([age]), JsonPath::parse(".metadata.creationTimestamp").into_iter().collect());
    }
    let mut columns = Vec::new();
    let mut paths = Vec::new();
    for column in declared {
        // What follows a path that cannot be read is not shown, as in Kubernetes (tableconvertor.go).
        let Ok(path) = JsonPath::parse(text(&column["jsonPath"])) else { break };
        paths.push(path);
        columns.push(read(column));
    }
    (columns.into(), paths)
}

fn read(column: &Value) -> Column {
    let description = match text(&column["description"]) {
        "" => format!("Custom resource definition column (in JSONPath format): {}", text(&column["jsonPath"])),
        told => told.to_owned(),
    };
    Column {
        name: text(&column["name"]).into(),
        kind: text(&column["type"]).into(),
        format: text(&column["format"]).into(),
        description: Description::Said(description.into()),
        priority: column["priority"].as_i64().and_then(|p| i32::try_from(p).ok()).unwrap_or(0),
    }
}

/// The cells of an object.
pub(super) fn cells(columns: &[Column], paths: &[JsonPath], object: &Object, now: Timestamp) -> Vec<Value> {
    let value = Value::Object(object.0.clone());
    let found = paths.iter().zip(columns);
    found.map(|(path, column)| path.first(&value).map_or(Value::Null, |v| cell(&column.kind, v, now))).collect()
}

/// The whole part of a number. One that is too large becomes the smallest integer, as where kube-apiserver runs on x86-64.
fn whole(number: f64) -> i64 {
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    if (-TOO_LARGE..TOO_LARGE).contains(&number) { number as i64 } else { i64::MIN }
}

/// A number as Go writes a float64: without a fraction if it has none.
fn real(number: f64) -> Value {
    const WRITTEN_OUT: f64 = 1e18;
    if number.fract() == 0.0 && number.abs() < WRITTEN_OUT { (number as i64).into() } else { number.into() }
}

/// The cell of a column for a value that was found (apiextensions' table converter).
fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        ("string", Value::Null) => "<no value>".into(),
        ("string", Value::String(text)) => text.as_str().into(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(n)) => n.as_i64().or_else(|| n.as_f64().map(whole)).into(),
        ("number", Value::Number(n)) => n.as_f64().map_or(Value::Null, real),
        ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) if text.is_empty() => UNKNOWN.into(),
        ("date", Value::String(text)) => match since(text, now).as_str() {
            UNKNOWN => "<invalid>".into(),
            ago => ago.into(),
        },
        _ => Value::Null,
    }
}
