//! The metadata the server itself writes: names, identities, times, generations, deletion marks.

use atoll_api::{ApiError, ApiResult, FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::resource::{GenerationPolicy, Resource};
use super::{ObjectName, Target};
use crate::request::RequestContext;

/// The letters of generated suffixes: no vowels and nothing that looks like another, as in Kubernetes.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// What may precede the suffix, so that the name stays within 63 bytes.
const MAX_GENERATED_PREFIX: usize = 63 - SUFFIX_LENGTH;

/// A time as metadata shows it: RFC 3339 in whole seconds.
pub fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A name from `generateName`.
pub(super) fn generate(prefix: &str) -> String {
    let mut end = prefix.len().min(MAX_GENERATED_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let random = uuid::Uuid::new_v4();
    let letters = random.as_bytes().iter().rev().take(SUFFIX_LENGTH);
    let suffix: String = letters.map(|b| SUFFIX_LETTERS[*b as usize % SUFFIX_LETTERS.len()] as char).collect();
    format!("{}{suffix}", &prefix[..end])
}

/// Checks that the namespace in the body is the one in the URL, and fills it in.
pub(super) fn settle_namespace(target: &Target, object: &mut Object, name: &ObjectName<'_>) -> ApiResult<()> {
    if !target.descriptor().is_namespaced() {
        // A namespace in the body is dropped, as it would have no meaning (rest/meta.go).
        object.metadata_mut().remove("namespace");
        return Ok(());
    }
    match object.namespace() {
        "" => object.set_meta("namespace", name.namespace),
        given if given == name.namespace => {}
        _ => {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    }
    Ok(())
}

/// Checks that the name in the body is the one in the URL.
pub fn check_name(object: &Object, name: &str) -> ApiResult<()> {
    match object.name() {
        "" => Err(ApiError::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        given if given == name => Ok(()),
        given => Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
    }
}

/// Gives a new object its identity. Whatever the client said of these fields is dropped.
pub(super) fn make_new(cx: &RequestContext, resource: &dyn Resource, object: &mut Object) {
    match resource.generation_policy() {
        // Nobody counts here, so what the client said stays (rest/create.go leaves it to the kinds).
        GenerationPolicy::None => {}
        GenerationPolicy::SpecChanges | GenerationPolicy::ContentChanges => object.set_generation(1),
    }
    forget_system_fields(object);
    let metadata = object.metadata_mut();
    metadata.remove("resourceVersion");
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), seconds(cx.now).into());
}

/// A new object has no past, whatever the client said.
pub(super) fn forget_system_fields(object: &mut Object) {
    const FIELDS: [&str; 5] =
        ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"];
    for field in FIELDS {
        object.metadata_mut().remove(field);
    }
}

/// Keeps in a changed object what a client cannot change or may leave out.
pub(super) fn keep_system_fields(object: &mut Object, old: &Object) {
    object.set_generation(old.generation());
    let was = |field: &str| old.metadata().and_then(|metadata| metadata.get(field)).cloned();
    let metadata = object.metadata_mut();
    for field in ["creationTimestamp", "resourceVersion"] {
        match was(field) {
            Some(value) => metadata.insert(field.into(), value),
            None => metadata.remove(field),
        };
    }
    if let Some(deleted) = was("deletionTimestamp") {
        metadata.insert("deletionTimestamp".into(), deleted);
    }
    for field in ["uid", "deletionGracePeriodSeconds"] {
        if !metadata.contains_key(field)
            && let Some(value) = was(field)
        {
            metadata.insert(field.into(), value);
        }
    }
}

/// Counts the generation up if what it speaks of has changed.
pub(super) fn count_generation(resource: &dyn Resource, object: &mut Object, old: &Object) {
    let changed = match resource.generation_policy() {
        GenerationPolicy::None => return,
        GenerationPolicy::SpecChanges => object.get("spec") != old.get("spec"),
        // Where the status is a part of its own it has been carried over already, so it is no change.
        GenerationPolicy::ContentChanges => {
            let says = |one: &Object, other: &Object| {
                one.0.iter().all(|(field, value)| field == "metadata" || other.0.get(field) == Some(value))
            };
            !(says(object, old) && says(old, object))
        }
    };
    if changed {
        object.set_generation(old.generation() + 1);
    }
}

/// Marks an object as being deleted, from `now` on with a grace period.
pub(super) fn mark_deleted(object: &mut Object, now: Timestamp, grace_seconds: i64) {
    let at = now.checked_add(jiff::SignedDuration::from_secs(grace_seconds)).unwrap_or(now);
    let metadata = object.metadata_mut();
    metadata.insert("deletionTimestamp".into(), seconds(at).into());
    metadata.insert("deletionGracePeriodSeconds".into(), grace_seconds.into());
    // A deletion is a change of what is wanted, so those that follow the generation learn of it.
    if object.generation() > 0 {
        let next = object.generation() + 1;
        object.set_generation(next);
    }
}

/// Owner references that stand twice are kept once.
pub(super) fn drop_repeated_owners(cx: &RequestContext, object: &mut Object) {
    let Some(Value::Array(owners)) = object.metadata_mut().get_mut("ownerReferences") else { return };
    let before = owners.len();
    let mut seen: Vec<Value> = Vec::with_capacity(before);
    owners.retain(|owner| {
        let new = !seen.contains(owner);
        if new {
            seen.push(owner.clone());
        }
        new
    });
    if owners.len() != before {
        cx.warn(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests",
        );
    }
}

/// A write that changes nothing but when owners last wrote changes nothing, so that it is not stored: applying a value in
/// another spelling than the stored one, for instance.
pub(super) fn keep_times_of_owners(new: &mut Object, old: &Object) {
    let (Some(ours), Some(theirs)) = (owners(new), owners(old)) else { return };
    let equal_but_for_time = |(a, b): (&Value, &Value)| match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) => {
            let rest = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key("time"));
            rest(a) == rest(b) && a.iter().all(|(name, value)| name == "time" || b.get(name) == Some(value))
        }
        _ => false,
    };
    if ours.len() != theirs.len() || !ours.iter().zip(theirs).all(equal_but_for_time) || ours == theirs {
        return;
    }
    let is_same = new.0.len() == old.0.len()
        && new.0.iter().all(|(name, value)| name == "metadata" || old.get(name) == Some(value))
        && new.metadata().zip(old.metadata()).is_some_and(|(a, b)| {
            a.len() == b.len() && a.iter().all(|(name, value)| name == "managedFields" || b.get(name) == Some(value))
        });
    if is_same {
        new.metadata_mut().insert("managedFields".into(), theirs.clone().into());
    }
}

fn owners(object: &Object) -> Option<&Vec<Value>> {
    object.metadata()?.get("managedFields")?.as_array()
}

/// The fault of a replacement that names no version where one must be named.
pub(super) fn version_must_be_named() -> FieldErrors {
    let path = FieldPath::new("metadata.resourceVersion");
    vec![FieldError::invalid_shown(&path, "0", "must be specified for an update")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_keep_the_prefix_and_fit_in_a_label() {
        let name = generate("web-");
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_eq!(generate(&"x".repeat(80)).len(), 63);
        assert_ne!(generate("a"), generate("a"));
    }

    #[test]
    fn a_write_that_changes_only_the_times_of_owners_changes_nothing() {
        let object = |time: &str, manager: &str, data: &str| {
            let owners = serde_json::json!([{"manager": manager, "operation": "Apply", "time": time}]);
            let metadata = serde_json::json!({"name": "a", "managedFields": owners});
            Object::from_value(serde_json::json!({"metadata": metadata, "data": data})).expect("an object")
        };
        let old = object("1", "m", "x");
        for (new, kept) in
            [(object("2", "m", "x"), true), (object("2", "n", "x"), false), (object("2", "m", "y"), false)]
        {
            let mut after = new.clone();
            keep_times_of_owners(&mut after, &old);
            assert_eq!(after, if kept { old.clone() } else { new });
        }
    }
}
