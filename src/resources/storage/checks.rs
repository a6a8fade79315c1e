//! Checks that several kinds of storage share.

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use crate::resources::checks::{invalid, qualified, required};
use crate::resources::read::{entries, size, text};

/// How many parameters there may be, and how many bytes of them.
const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETER_BYTES: usize = 256 * 1024;

/// Whether there must be parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameters {
    /// There may be none.
    Optional,
    /// There must be some.
    Required,
}

/// The name of a driver, in any case.
pub(super) fn provisioner(errors: &mut FieldErrors, path: &FieldPath, value: &Value) {
    match text(value) {
        "" => required(errors, path, ""),
        name => qualified(errors, path, &name.to_lowercase()),
    }
}

/// What a driver is given: keys and values as it likes, but not too many.
pub(super) fn parameters(errors: &mut FieldErrors, path: &FieldPath, value: &Value, need: Parameters) {
    if size(value) > MAX_PARAMETERS {
        return errors.push(FieldError::too_long(path, MAX_PARAMETERS));
    }
    if entries(value).any(|(key, _)| key.is_empty()) {
        invalid(errors, path, &"".into(), "field can not be empty.");
    }
    if bytes(value) > MAX_PARAMETER_BYTES {
        errors.push(FieldError::too_long(path, MAX_PARAMETER_BYTES));
    }
    if need == Parameters::Required && size(value) == 0 {
        required(errors, path, "must contain at least one key/value pair");
    }
}

/// The bytes of the keys and values of a map of texts.
pub(super) fn bytes(map: &Value) -> usize {
    entries(map).map(|(key, value)| key.len() + text(value).len()).sum()
}
