//! The options of a request (`ListOptions`, `CreateOptions` …), from its query or body, checked as Kubernetes checks them.
//!
//! What an option does is decided where it is used.

mod delete;
mod list;
mod write;

use serde_json::Value;

use crate::field::{FieldError, FieldErrors, FieldPath, go_quote};
use crate::names::{GroupKind, ResourceVersion};
use crate::query::Query;
use crate::status::{ApiError, ApiResult};

pub use delete::{DeleteOptions, Preconditions, Propagation};
pub use list::{ListOptions, VersionMatch};
pub use write::{CreateOptions, FieldValidation, PatchOptions, PatchStyle, UpdateOptions, WriteOptions};

/// The options of get.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetOptions {
    /// The resource version the answer must not be older than; empty if none.
    pub resource_version: String,
}

impl GetOptions {
    /// Reads the options of a get.
    pub fn from_query(query: &Query) -> Self {
        Self { resource_version: text(query, "resourceVersion").to_owned() }
    }
}

/// What of an object goes with its row in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl IncludeObject {
    /// Reads and checks the option of a request for a table.
    pub fn from_query(query: &Query) -> ApiResult<Self> {
        match text(query, "includeObject") {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', 'Object', 'None', or empty",
                go_quote(other)
            ))),
        }
    }
}

/// Reads a resource version a client sent; an empty one is 0. The fault has the words of Kubernetes' storage.
pub fn parse_resource_version(text: &str) -> Result<ResourceVersion, FieldError> {
    ResourceVersion::parse(text).ok_or_else(|| {
        let detail = go_number_fault("ParseUint", text, text.bytes().all(|b| b.is_ascii_digit()));
        FieldError::invalid(&FieldPath::new("resourceVersion"), &text.into(), detail)
    })
}

fn text<'a>(query: &'a Query, name: &str) -> &'a str {
    query.first(name).unwrap_or_default()
}

fn integer(query: &Query, name: &str) -> ApiResult<Option<i64>> {
    let Some(text) = query.first(name) else { return Ok(None) };
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let out_of_range = digits.bytes().all(|b| b.is_ascii_digit());
    let fault = |_| ApiError::bad_request(go_number_fault("ParseInt", text, out_of_range));
    text.parse().map(Some).map_err(fault)
}

/// Why Go's `strconv` cannot read a number.
fn go_number_fault(function: &str, text: &str, out_of_range: bool) -> String {
    let why = if out_of_range && !text.is_empty() { "value out of range" } else { "invalid syntax" };
    format!("strconv.{function}: parsing {}: {why}", go_quote(text))
}

fn validate_dry_run(given: &[&str], errors: &mut FieldErrors) {
    if given.iter().any(|value| *value != "All") {
        errors.push(FieldError::not_supported(&FieldPath::new("dryRun"), &Value::from(given), &["All"]));
    }
}

fn invalid(kind: &str, errors: &FieldErrors) -> ApiError {
    ApiError::invalid(&GroupKind { group: "meta.k8s.io".into(), kind: kind.into() }, "", errors)
}

#[cfg(test)]
mod tests;
