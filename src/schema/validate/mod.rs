//! Checks values against a schema, with the faults Kubernetes gives (kube-openapi's, turned into field errors).
//!
//! What needs more than one value is elsewhere: uniqueness in `lists`, embedded metadata in `metadata`, rules in CEL.

mod logic;
mod number;
mod outcome;
#[cfg(test)]
mod tests;
mod text;
mod walk;

use atoll_api::field::FieldErrorKind;
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::Schema;
use walk::{IntOrString, Old, Walk};

/// Checks a new value. `path` is where it stands in its object; it does not show in the sentences of faults.
pub fn create(schema: &Schema, value: &Value, path: &FieldPath) -> FieldErrors {
    Walk::new(path, IntOrString::Types).run(schema, value, None)
}

/// Checks a default. Kubernetes checks defaults by a schema in which `x-kubernetes-int-or-string` says nothing
/// (schema/kubeopenapi.go, 1.36), so that 5.5 may be the default of such a value, and every object that gets it is refused.
pub fn default(schema: &Schema, value: &Value, path: &FieldPath) -> FieldErrors {
    Walk::new(path, IntOrString::Nothing).run(schema, value, None)
}

/// Checks a changed value: faults in parts that are as they were are passed over (validation ratcheting).
pub fn update(schema: &Schema, value: &Value, old: &Value, path: &FieldPath) -> FieldErrors {
    Walk::new(path, IntOrString::Types).run(schema, value, Some(Old { value: old, schema }))
}

/// The fault that says that rules were not evaluated, if `errors` show that values are not of the types rules rely on.
pub fn unchecked_rules(errors: &[FieldError]) -> Option<FieldError> {
    let blocks = |error: &FieldError| {
        matches!(
            error.kind,
            FieldErrorKind::NotSupported
                | FieldErrorKind::Required
                | FieldErrorKind::TooLong
                | FieldErrorKind::TooMany
                | FieldErrorKind::TypeInvalid
        )
    };
    let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
    errors.iter().any(blocks).then(|| FieldError::invalid(&FieldPath::root(), &Value::Null, detail))
}
