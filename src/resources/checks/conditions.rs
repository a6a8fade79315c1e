//! Checks of `metav1.Condition` lists.

use std::collections::BTreeSet;

use atoll_api::validation::condition_reason;
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::{invalid, invalid_each, one_of, qualified, required};
use crate::resources::read::{int, list, text};

/// The longest reason and message, in bytes.
const MAX_REASON: usize = 1024;
const MAX_MESSAGE: usize = 32 * 1024;

/// Checks a list of conditions: each type once, and each well formed.
pub(in crate::resources) fn conditions(errors: &mut FieldErrors, path: &FieldPath, conditions: &Value) {
    let mut seen = BTreeSet::new();
    for (index, condition) in list(conditions).iter().enumerate() {
        let path = path.index(index);
        let kind = text(&condition["type"]);
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(&path.child("type"), &kind.into()));
        }
        qualified(errors, &path.child("type"), kind);
        let status = text(&condition["status"]);
        one_of(errors, &path.child("status"), status, &["False", "True", "Unknown"]);
        if int(&condition["observedGeneration"]) < 0 {
            let detail = "must be greater than or equal to zero";
            invalid(errors, &path.child("observedGeneration"), &condition["observedGeneration"], detail);
        }
        if text(&condition["lastTransitionTime"]).is_empty() {
            required(errors, &path.child("lastTransitionTime"), "");
        }
        let reason = text(&condition["reason"]);
        if reason.is_empty() {
            required(errors, &path.child("reason"), "");
        } else {
            invalid_each(errors, &path.child("reason"), reason, condition_reason(reason));
            if reason.len() > MAX_REASON {
                errors.push(FieldError::too_long(&path.child("reason"), MAX_REASON));
            }
        }
        let message = text(&condition["message"]);
        if message.len() > MAX_MESSAGE {
            errors.push(FieldError::too_long(&path.child("message"), MAX_MESSAGE));
        }
    }
}
