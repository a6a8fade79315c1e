//! Checks of the names, identities and marks of devices.

use std::collections::BTreeSet;

use atoll_api::validation::c_identifier;
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::lists::elements;
use crate::resources::checks::{
    invalid, invalid_each, one_of, qualified, required, required_one_of, subdomain, value_of_label,
};
use crate::resources::podspec::driver_name;
use crate::resources::read::{size, strings, text};

/// The longest name of a pool, in bytes.
const MAX_POOL_NAME: usize = 253;
/// The longest identifier of an attribute or capacity, in bytes.
const MAX_IDENTIFIER: usize = 32;
/// The most conditions of either sort that binding may wait for.
const MAX_BINDING_CONDITIONS: usize = 4;
const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "None"];

/// The name of a pool: subdomains with slashes between them.
pub(super) fn pool_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if name.is_empty() {
        return required(errors, path, "");
    }
    if name.len() > MAX_POOL_NAME {
        errors.push(FieldError::too_long(path, MAX_POOL_NAME));
    }
    for part in name.split('/') {
        subdomain(errors, path, part);
    }
}

/// The name of an attribute or capacity, with or without a domain. Names with more slashes pass, as in Kubernetes.
pub(super) fn qualified_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        [only] => identifier(errors, only, path),
        [domain, name] => {
            match *domain {
                "" => invalid(errors, path, &"".into(), "the domain must not be empty"),
                domain => driver_name(errors, domain, path),
            }
            match *name {
                "" => invalid(errors, path, &"".into(), "the name must not be empty"),
                name => identifier(errors, name, path),
            }
        }
        _ => {}
    }
}

/// The name of an attribute with its domain.
pub(super) fn fully_qualified_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    qualified_name(errors, name, path);
    if !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        invalid(errors, path, &name.into(), detail);
    }
}

fn identifier(errors: &mut FieldErrors, id: &str, path: &FieldPath) {
    if id.len() > MAX_IDENTIFIER {
        errors.push(FieldError::too_long(path, MAX_IDENTIFIER));
    }
    invalid_each(errors, path, id, c_identifier(id));
}

/// The identity of a share of a device.
pub(super) fn uid(errors: &mut FieldErrors, uid: &str, path: &FieldPath) {
    if let Err(why) = read_uid(uid) {
        invalid(errors, path, &uid.into(), format!("error validating uid: {why}"));
    } else if uid.len() != 36 || uid.chars().any(char::is_uppercase) {
        let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase \
                      hexadecimal characters";
        invalid(errors, path, &uid.into(), detail);
    }
}

/// Reads a UUID in any of its four forms; what is wrong with others is told in the words of Go's most used library.
fn read_uid(uid: &str) -> Result<(), String> {
    const PREFIX: &str = "urn:uuid:";
    let malformed = || Err("invalid UUID format".to_owned());
    let all_hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    let bytes = uid.as_bytes();
    let plain = match bytes.len() {
        32 => return if all_hex(bytes) { Ok(()) } else { malformed() },
        36 => bytes,
        45 if bytes[..9].eq_ignore_ascii_case(PREFIX.as_bytes()) => &bytes[9..],
        45 => {
            let prefix = String::from_utf8_lossy(&bytes[..9]);
            return Err(format!("invalid urn prefix: {}", atoll_api::field::go_quote(&prefix)));
        }
        38 if bytes[0] == b'{' && bytes[37] == b'}' => &bytes[1..37],
        38 => return Err("invalid bracketed UUID format".to_owned()),
        length => return Err(format!("invalid UUID length: {length}")),
    };
    let is_fine = |(index, byte): (usize, &u8)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    if plain.iter().enumerate().all(is_fine) { Ok(()) } else { malformed() }
}

/// What a claim bears with of its devices.
pub(super) fn toleration(errors: &mut FieldErrors, toleration: &Value, path: &FieldPath) {
    let (key, value, effect) = (text(&toleration["key"]), text(&toleration["value"]), text(&toleration["effect"]));
    if !key.is_empty() {
        qualified(errors, &path.child("key"), key);
    }
    match text(&toleration["operator"]) {
        "Exists" if !value.is_empty() => {
            invalid(errors, &path.child("value"), &value.into(), "must be empty for operator `Exists`");
        }
        "Exists" => {}
        "Equal" => value_of_label(errors, &path.child("value"), value),
        operator => required_one_of(errors, &path.child("operator"), operator, &["Equal", "Exists"]),
    }
    if !effect.is_empty() {
        one_of(errors, &path.child("effect"), effect, EFFECTS);
    }
}

/// What keeps claims off a device.
pub(super) fn taint(errors: &mut FieldErrors, taint: &Value, path: &FieldPath) {
    qualified(errors, &path.child("key"), text(&taint["key"]));
    value_of_label(errors, &path.child("value"), text(&taint["value"]));
    required_one_of(errors, &path.child("effect"), text(&taint["effect"]), EFFECTS);
}

/// The conditions that binding to a device waits for, and those that make it fail.
pub(super) fn binding_conditions(errors: &mut FieldErrors, of: &Value, path: &FieldPath) {
    const GOOD: &str = "bindingConditions";
    const BAD: &str = "bindingFailureConditions";
    for part in [GOOD, BAD] {
        elements(errors, &of[part], MAX_BINDING_CONDITIONS, &path.child(part), |errors, name, path| {
            qualified(errors, path, text(name));
        });
    }
    let good = strings(&of[GOOD]);
    for part in [GOOD, BAD] {
        let mut seen = BTreeSet::new();
        for (index, name) in strings(&of[part]).into_iter().enumerate() {
            let path = path.child(part).index(index);
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(&path, &name.into()));
            }
            if part == BAD && good.contains(&name) {
                let detail = "bindingFailureConditions must not overlap with bindingConditions";
                invalid(errors, &path, &name.into(), detail);
            }
        }
    }
    for (missing, other) in [(GOOD, BAD), (BAD, GOOD)] {
        if size(&of[missing]) == 0 && size(&of[other]) > 0 {
            let detail = format!("{missing} are required to use {other}");
            invalid(errors, &path.child(missing), &of[missing], detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::checks::path;

    fn told(check: impl Fn(&mut FieldErrors, &FieldPath)) -> Vec<String> {
        let mut errors = FieldErrors::new();
        check(&mut errors, &path("p"));
        errors.iter().map(|error| format!("{}: {}", error.path, error.body())).collect()
    }

    #[test]
    fn identities_are_uuids_in_their_usual_form() {
        let why = |id: &str| told(|errors, path| uid(errors, id, path)).pop().unwrap_or_default();
        assert_eq!(why("01234567-89ab-cdef-0123-456789abcdef"), "");
        for (id, expected) in [
            ("short", "error validating uid: invalid UUID length: 5"),
            ("01234567-89ab-cdef-0123-456789abcdeg", "error validating uid: invalid UUID format"),
            ("01234567-89AB-cdef-0123-456789abcdef", "uid must be in RFC 4122 normalized form"),
            ("0123456789abcdef0123456789abcdef", "uid must be in RFC 4122 normalized form"),
            ("{01234567-89ab-cdef-0123-456789abcdef}", "uid must be in RFC 4122 normalized form"),
            ("<01234567-89ab-cdef-0123-456789abcdef>", "error validating uid: invalid bracketed UUID format"),
            (
                "urn:uuix:01234567-89ab-cdef-0123-456789abcdef",
                "error validating uid: invalid urn prefix: \"urn:uuix:\"",
            ),
        ] {
            assert!(why(id).contains(expected), "{id}: {}", why(id));
        }
    }

    #[test]
    fn names_of_attributes_have_one_domain_at_most() {
        let count = |name: &str| told(|errors, path| qualified_name(errors, name, path)).len();
        for (name, faults) in
            [("a", 0), ("d.example.com/a", 0), ("a-b", 1), ("/a", 1), ("d/", 1), ("/", 2), ("a/b/c", 0)]
        {
            assert_eq!(count(name), faults, "{name}");
        }
        assert_eq!(count(&"x".repeat(33)), 1);
        let full = |name: &str| told(|errors, path| fully_qualified_name(errors, name, path)).len();
        assert_eq!((full("d.example.com/a"), full("a")), (0, 1));
    }

    #[test]
    fn names_of_pools_are_made_of_subdomains() {
        let why = |name: &str| told(|errors, path| pool_name(errors, name, path));
        assert_eq!(why(""), ["p: Required value"]);
        assert!(why("a/b.c/d").is_empty());
        assert_eq!(why("a//b").len(), 1);
        assert_eq!(why(&"x".repeat(254)).len(), 2);
    }

    #[test]
    fn conditions_to_wait_for_come_with_conditions_to_give_up_at() {
        let why = |of: Value| told(|errors, path| binding_conditions(errors, &of, path));
        assert!(why(json!({})).is_empty());
        assert!(why(json!({"bindingConditions": ["a"], "bindingFailureConditions": ["b"]})).is_empty());
        assert_eq!(
            why(json!({"bindingConditions": ["a"]})),
            [
                "p.bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions"
            ]
        );
        assert_eq!(
            why(json!({"bindingConditions": ["a", "a"], "bindingFailureConditions": ["a"]})),
            [
                "p.bindingConditions[1]: Duplicate value: \"a\"",
                "p.bindingFailureConditions[0]: Invalid value: \"a\": bindingFailureConditions must not overlap with \
                 bindingConditions"
            ]
        );
    }
}
