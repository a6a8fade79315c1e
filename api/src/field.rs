//! Paths of fields and the faults found there, with the texts of Kubernetes' `field.ErrorList`.
//!
//! Deciding what is a fault is the work of schemas and resources, not of this module.

use std::fmt;

use serde_json::Value;

/// The path of a field, written as Kubernetes writes it: `spec.containers[0].env[1].name`, `metadata.labels[a.b/c]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FieldPath(String);

impl FieldPath {
    /// The path of the object itself; prints as `<nil>` in a fault about the whole object.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path with one field name, or several joined by dots.
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// The field `name` of the value at this path.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// The element at `index` of the list at this path.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The entry `key` of the map at this path.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as text; empty for the object itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// What sort of fault a [`FieldError`] is; decides the `reason` of its cause and how it is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldErrorKind {
    /// A value that must be there is not (`FieldValueRequired`).
    Required,
    /// A value that must be unique is there twice (`FieldValueDuplicate`).
    Duplicate,
    /// A malformed value (`FieldValueInvalid`).
    Invalid,
    /// A value that is not among the accepted ones (`FieldValueNotSupported`).
    NotSupported,
    /// A value that is well formed but not allowed here (`FieldValueForbidden`).
    Forbidden,
    /// A string with too many bytes (`FieldValueTooLong`).
    TooLong,
    /// A list or map with too many entries (`FieldValueTooMany`).
    TooMany,
    /// A value refers to something that does not exist (`FieldValueNotFound`).
    NotFound,
    /// The server could not check (`InternalError`).
    Internal,
    /// A value of the wrong JSON type (`FieldValueTypeInvalid`).
    TypeInvalid,
}

impl FieldErrorKind {
    /// The `reason` of a cause in `status.details.causes`.
    pub fn cause_reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }
}

/// One fault: where, of what sort, the value found there if it is worth showing, and a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// Where.
    pub path: FieldPath,
    /// What sort of fault.
    pub kind: FieldErrorKind,
    /// The value as it is shown, already in Go's notation, if one is shown.
    pub value: Option<String>,
    /// What was expected; may be empty.
    pub detail: String,
}

/// Faults in the order in which they were found.
pub type FieldErrors = Vec<FieldError>;

impl FieldError {
    fn make(path: &FieldPath, kind: FieldErrorKind, value: Option<String>, detail: impl Into<String>) -> Self {
        Self { path: path.clone(), kind, value, detail: detail.into() }
    }

    /// A malformed value.
    pub fn invalid(path: &FieldPath, value: &Value, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::Invalid, Some(go_value(value)), detail)
    }

    /// A malformed value, shown as the given text stands (for values that Go prints in a way of its own).
    pub fn invalid_shown(path: &FieldPath, shown: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::Invalid, Some(shown.into()), detail)
    }

    /// A value of the wrong JSON type; shown as the given text stands.
    pub fn type_invalid(path: &FieldPath, shown: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::TypeInvalid, Some(shown.into()), detail)
    }

    /// A missing value.
    pub fn required(path: &FieldPath, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::Required, None, detail)
    }

    /// A value that must be unique and is not.
    pub fn duplicate(path: &FieldPath, value: &Value) -> Self {
        Self::make(path, FieldErrorKind::Duplicate, Some(go_value(value)), "")
    }

    /// A value that is not among the accepted ones, which are listed in the message in the order given.
    pub fn not_supported(path: &FieldPath, value: &Value, accepted: &[&str]) -> Self {
        let quoted: Vec<String> = accepted.iter().map(|v| format!("{v:?}")).collect();
        let detail =
            if accepted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        Self::make(path, FieldErrorKind::NotSupported, Some(go_value(value)), detail)
    }

    /// A field that must not be set or changed here.
    pub fn forbidden(path: &FieldPath, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::Forbidden, None, detail)
    }

    /// A string with more than `limit` bytes.
    pub fn too_long(path: &FieldPath, limit: usize) -> Self {
        Self::make(path, FieldErrorKind::TooLong, None, format!("may not be more than {limit} bytes"))
    }

    /// A list or map with `actual` entries where at most `limit` are accepted.
    pub fn too_many(path: &FieldPath, actual: usize, limit: usize) -> Self {
        let detail = format!("must have at most {limit} item{}", if limit == 1 { "" } else { "s" });
        Self::make(path, FieldErrorKind::TooMany, Some(actual.to_string()), detail)
    }

    /// A reference to something that does not exist.
    pub fn not_found(path: &FieldPath, value: &Value) -> Self {
        Self::make(path, FieldErrorKind::NotFound, Some(go_value(value)), "")
    }

    /// Something that could not be checked.
    pub fn internal(path: &FieldPath, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::Internal, None, detail)
    }

    /// The message without the path, as it stands in a cause.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if let Some(value) = &self.value {
            text.push_str(": ");
            text.push_str(value);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

/// A value as Kubernetes shows it in a fault: strings quoted, scalars plain, maps and lists as JSON, null as `null`.
pub fn go_value(value: &Value) -> String {
    match value {
        Value::String(text) => go_quote(text),
        other => other.to_string(),
    }
}

/// A string quoted as Go's `%q` does.
pub fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{b}' => quoted.push_str("\\v"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
