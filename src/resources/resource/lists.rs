//! Checks of lists and maps that may hold so many entries, in Kubernetes' order: the size alone, or all entries.

use std::collections::BTreeSet;

use atoll_api::field::{FieldErrorKind, go_quote};
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use crate::resources::read::{entries, list, size, text};

/// For lists that may be of any size.
pub(super) const UNLIMITED: usize = usize::MAX;

/// Checks the elements of a list, unless there are too many; tells whether it did.
pub(super) fn elements(
    errors: &mut FieldErrors,
    values: &Value,
    max: usize,
    path: &FieldPath,
    mut check: impl FnMut(&mut FieldErrors, &Value, &FieldPath),
) -> bool {
    if size(values) > max {
        errors.push(FieldError::too_many(path, size(values), max));
        return false;
    }
    for (index, value) in list(values).iter().enumerate() {
        check(errors, value, &path.index(index));
    }
    true
}

/// Checks the elements of a list that are told apart by what `key` shows of them.
pub(super) fn unique(
    errors: &mut FieldErrors,
    values: &Value,
    max: usize,
    path: &FieldPath,
    key: impl Fn(&Value) -> String,
    check: impl FnMut(&mut FieldErrors, &Value, &FieldPath),
) {
    if !elements(errors, values, max, path, check) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, value) in list(values).iter().enumerate() {
        let shown = key(value);
        if seen.contains(&shown) {
            let path = path.index(index);
            let kind = FieldErrorKind::Duplicate;
            errors.push(FieldError { path, kind, value: Some(shown), detail: String::new() });
        } else {
            seen.insert(shown);
        }
    }
}

/// Checks the keys of a map, whose faults are reported at the map, and its values, unless there are too many.
pub(super) fn map(
    errors: &mut FieldErrors,
    values: &Value,
    (max, longest_key): (usize, usize),
    path: &FieldPath,
    check_key: impl Fn(&mut FieldErrors, &str, &FieldPath),
    mut check: impl FnMut(&mut FieldErrors, &Value, &FieldPath),
) {
    if size(values) > max {
        return errors.push(FieldError::too_many(path, size(values), max));
    }
    for (key, value) in entries(values) {
        check_key(errors, key, path);
        check(errors, value, &path.key(&shortened(key, longest_key)));
    }
}

/// The text itself as a key.
pub(super) fn by_text(value: &Value) -> String {
    go_quote(text(value))
}

/// The name as a key.
pub(super) fn by_name(value: &Value) -> String {
    by_text(&value["name"])
}

/// A key that is too long, without its middle.
fn shortened(key: &str, max: usize) -> String {
    const GAP: &str = "...";
    if key.len() <= max {
        return key.to_owned();
    }
    let kept = max - GAP.len();
    let (head, tail) = (&key.as_bytes()[..kept.div_ceil(2)], &key.as_bytes()[key.len() - kept / 2..]);
    format!("{}{GAP}{}", String::from_utf8_lossy(head), String::from_utf8_lossy(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_lose_their_middle() {
        assert_eq!(shortened("abcdefghijkl", 12), "abcdefghijkl");
        assert_eq!(shortened("abcdefghijklm", 12), "abcde...jklm");
        assert_eq!(shortened("abcdefghijklmn", 11), "abcd...klmn");
    }
}
