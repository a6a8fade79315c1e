//! The rules for `metadata`, on creation and on update (`apimachinery/pkg/api/validation`).
//!
//! What may be in metadata at all is decided when an object is decoded; values of the wrong JSON type are passed over here.

use serde_json::{Map, Value};

use super::names::{NameRule, dns1123_label, is_printable, label_value, qualified_name};
use crate::field::{FieldError, FieldErrors, FieldPath, go_quote};
use crate::names::GroupVersion;
use crate::object::{Object, OwnerReference};
use crate::time::parse_time;

/// The most bytes all annotations may have together, keys and values.
const MAX_ANNOTATIONS: usize = 256 * 1024;
/// The longest name of a field manager, in bytes.
pub(crate) const MAX_FIELD_MANAGER: usize = 128;
const MAX_SUBRESOURCE: usize = 256;

/// Whether objects of a kind live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespacing {
    /// They must name one.
    Required,
    /// They must not.
    Forbidden,
}

/// The faults in the metadata of an object to be created; its name has been generated already.
pub fn validate_object_meta(
    object: &Object,
    namespacing: Namespacing,
    rule: NameRule,
    path: &FieldPath,
) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let generate_name = object.meta("generateName");
    if !generate_name.is_empty() {
        invalid_each(&path.child("generateName"), generate_name, rule.check_prefix(generate_name), &mut errors);
    }
    match object.name() {
        "" => errors.push(FieldError::required(&path.child("name"), "name or generateName is required")),
        name => invalid_each(&path.child("name"), name, rule.check(name), &mut errors),
    }
    let namespace = (namespacing, object.meta("namespace"));
    let at = path.child("namespace");
    match namespace {
        (Namespacing::Required, "") => errors.push(FieldError::required(&at, "")),
        (Namespacing::Required, namespace) => invalid_each(&at, namespace, dns1123_label(namespace), &mut errors),
        (Namespacing::Forbidden, "") => {}
        (Namespacing::Forbidden, _) => errors.push(FieldError::forbidden(&at, "not allowed on this type")),
    }
    let generation = generation(object);
    if generation < 0 {
        let at = path.child("generation");
        errors.push(FieldError::invalid(&at, &generation.into(), "must be greater than or equal to 0"));
    }
    validate_common(object, path, &mut errors);
    validate_finalizers(object, &path.child("finalizers"), &mut errors);
    validate_managed_fields(object, &path.child("managedFields"), &mut errors);
    errors
}

/// The faults in the metadata of an object that is to take the place of `old`.
///
/// Kubernetes runs this twice on an update, before and in the kind's own validation: causes then stand twice.
pub fn validate_object_meta_update(object: &Object, old: &Object, path: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if old.metadata().is_some_and(|meta| meta.contains_key("deletionTimestamp")) {
        validate_no_new_finalizers(object, old, &path.child("finalizers"), &mut errors);
    }
    if object.meta("resourceVersion").is_empty() {
        let at = path.child("resourceVersion");
        errors.push(FieldError::invalid(&at, &"".into(), "must be specified for an update"));
    }
    if generation(object) < generation(old) {
        let at = path.child("generation");
        errors.push(FieldError::invalid(&at, &generation(object).into(), "must not be decremented"));
    }
    for field in ["name", "namespace", "uid"] {
        let text = object.meta(field);
        if text != old.meta(field) {
            errors.push(FieldError::invalid(&path.child(field), &text.into(), "field is immutable"));
        }
    }
    for field in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (new, old) = (metadata_value(object, field), metadata_value(old, field));
        if !same_value(new, old) {
            errors.push(FieldError::invalid(&path.child(field), new, "field is immutable"));
        }
    }
    validate_common(object, path, &mut errors);
    validate_managed_fields(object, &path.child("managedFields"), &mut errors);
    errors
}

/// What creation and update check alike.
fn validate_common(object: &Object, path: &FieldPath, errors: &mut FieldErrors) {
    let empty = Map::new();
    let map = |field: &str| object.metadata().and_then(|m| m.get(field)).and_then(Value::as_object).unwrap_or(&empty);
    validate_labels(map("labels"), &path.child("labels"), errors);
    validate_annotations(map("annotations"), &path.child("annotations"), errors);
    validate_owner_references(&object.owner_references(), &path.child("ownerReferences"), errors);
}

/// The faults in a map of labels, all reported at the map itself.
pub fn validate_labels(labels: &Map<String, Value>, path: &FieldPath, errors: &mut FieldErrors) {
    for (key, value) in labels {
        let value = value.as_str().unwrap_or_default();
        invalid_each(path, key, qualified_name(key), errors);
        invalid_each(path, value, label_value(value), errors);
    }
}

/// The faults in a map of annotations: keys in any case, and the size of it all.
pub fn validate_annotations(annotations: &Map<String, Value>, path: &FieldPath, errors: &mut FieldErrors) {
    let mut size = 0;
    for (key, value) in annotations {
        invalid_each(path, key, qualified_name(&key.to_lowercase()), errors);
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS));
    }
}

/// The faults in a `metav1.LabelSelector`, given as the JSON value at `path`.
pub fn validate_label_selector(selector: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
        validate_labels(labels, &path.child("matchLabels"), errors);
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for (index, expression) in expressions.into_iter().flatten().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
        let values = expression.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        match (text("operator"), values.is_empty()) {
            ("In" | "NotIn", true) => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(&path.child("values"), detail));
            }
            ("Exists" | "DoesNotExist", false) => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(&path.child("values"), detail));
            }
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
            (operator, _) => {
                let at = path.child("operator");
                errors.push(FieldError::invalid(&at, &operator.into(), "not a valid selector operator"));
            }
        }
        invalid_each(&path.child("key"), text("key"), qualified_name(text("key")), errors);
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            invalid_each(&path.child("values").index(index), value, label_value(value), errors);
        }
    }
}

/// The faults in a list of owner references. Kubernetes 1.36 names no index in them.
pub fn validate_owner_references(owners: &[OwnerReference], path: &FieldPath, errors: &mut FieldErrors) {
    let mut controller: Option<String> = None;
    let mut several_told = false;
    for owner in owners {
        validate_owner_reference(owner, path, errors);
        if owner.controller != Some(true) {
            continue;
        }
        let name = format!("{}/{}", owner.kind, owner.name);
        match &controller {
            None => controller = Some(name),
            // Each fault shows the whole list, so telling all of them would grow with the square of its length.
            Some(_) if several_told => {}
            Some(first) => {
                let shown: Vec<String> = owners.iter().map(show_owner).collect();
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                errors.push(FieldError::invalid_shown(path, format!("[{}]", shown.join(",")), detail));
                several_told = true;
            }
        }
    }
}

fn validate_owner_reference(owner: &OwnerReference, path: &FieldPath, errors: &mut FieldErrors) {
    let version = GroupVersion::parse(&owner.api_version);
    let mut require = |field: &str, text: &str, missing: bool, detail: &str| {
        if missing {
            errors.push(FieldError::invalid(&path.child(field), &text.into(), detail));
        }
    };
    let no_version = version.as_ref().is_none_or(|version| version.version.is_empty());
    require("apiVersion", &owner.api_version, no_version, "version must not be empty");
    require("kind", &owner.kind, owner.kind.is_empty(), "must not be empty");
    require("name", &owner.name, owner.name.is_empty(), "must not be empty");
    require("uid", &owner.uid, owner.uid.is_empty(), "must not be empty");
    if owner.api_version == "v1" && owner.kind == "Event" {
        let detail = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(FieldError::invalid_shown(path, show_owner(owner), detail));
    }
}

/// An owner reference as Go writes it: fields in their declared order, absent ones left out.
fn show_owner(owner: &OwnerReference) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let mut shown = format!(
        "{{\"apiVersion\":{},\"kind\":{},\"name\":{},\"uid\":{}",
        text(&owner.api_version),
        text(&owner.kind),
        text(&owner.name),
        text(&owner.uid)
    );
    for (field, value) in [("controller", owner.controller), ("blockOwnerDeletion", owner.block_owner_deletion)] {
        if let Some(value) = value {
            shown.push_str(&format!(",\"{field}\":{value}"));
        }
    }
    shown.push('}');
    shown
}

/// The faults in the finalizers of an object.
pub fn validate_finalizers(object: &Object, path: &FieldPath, errors: &mut FieldErrors) {
    let finalizers = string_list(object, "finalizers");
    for finalizer in &finalizers {
        invalid_each(path, finalizer, qualified_name(finalizer), errors);
    }
    if finalizers.contains(&"orphan") && finalizers.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path, &finalizers.into(), detail));
    }
}

fn validate_no_new_finalizers(object: &Object, old: &Object, path: &FieldPath, errors: &mut FieldErrors) {
    let known: std::collections::BTreeSet<&str> = string_list(old, "finalizers").into_iter().collect();
    let given: std::collections::BTreeSet<&str> = string_list(object, "finalizers").into_iter().collect();
    let new: Vec<String> = given.difference(&known).map(|name| go_quote(name)).collect();
    if !new.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            new.join(", ")
        );
        errors.push(FieldError::forbidden(path, detail));
    }
}

/// The faults in the records of who manages which fields.
pub fn validate_managed_fields(object: &Object, path: &FieldPath, errors: &mut FieldErrors) {
    let entries = object.metadata().and_then(|m| m.get("managedFields")).and_then(Value::as_array);
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        let path = path.index(index);
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text("operation"), "Apply" | "Update") {
            let at = path.child("operation");
            errors.push(FieldError::invalid(&at, &text("operation").into(), "must be `Apply` or `Update`"));
        }
        if !matches!(text("fieldsType"), "" | "FieldsV1") {
            let at = path.child("fieldsType");
            errors.push(FieldError::invalid(&at, &text("fieldsType").into(), "must be `FieldsV1`"));
        }
        validate_field_manager(text("manager"), &path.child("manager"), errors);
        if text("subresource").len() > MAX_SUBRESOURCE {
            errors.push(FieldError::too_long(&path.child("subresource"), MAX_SUBRESOURCE));
        }
    }
}

/// The faults in the name of a field manager: too long, or with characters that cannot be printed.
pub(crate) fn validate_field_manager(manager: &str, path: &FieldPath, errors: &mut FieldErrors) {
    if manager.len() > MAX_FIELD_MANAGER {
        errors.push(FieldError::too_long(path, MAX_FIELD_MANAGER));
    }
    // Every fault shows the whole name, so a long one must not have one for each of its characters.
    let shown = &manager[..manager.floor_char_boundary(MAX_FIELD_MANAGER)];
    for (position, c) in shown.char_indices().filter(|(_, c)| !is_printable(*c)) {
        let detail = format!("invalid character U+{:04X} (at position {position})", c as u32);
        errors.push(FieldError::invalid(path, &shown.into(), detail));
    }
}

fn invalid_each(path: &FieldPath, value: &str, wrong: Vec<String>, errors: &mut FieldErrors) {
    errors.extend(wrong.into_iter().map(|detail| FieldError::invalid(path, &value.into(), detail)));
}

fn generation(object: &Object) -> i64 {
    metadata_value(object, "generation").as_i64().unwrap_or_default()
}

fn metadata_value<'a>(object: &'a Object, field: &str) -> &'a Value {
    object.metadata().and_then(|m| m.get(field)).unwrap_or(&Value::Null)
}

/// Whether two values of a metadata field are the same; times are compared as times.
fn same_value(a: &Value, b: &Value) -> bool {
    let time = |value: &Value| value.as_str().and_then(|text| parse_time(text).ok());
    a == b || time(a).is_some_and(|a| time(b) == Some(a))
}

fn string_list<'a>(object: &'a Object, field: &str) -> Vec<&'a str> {
    let list = metadata_value(object, field).as_array();
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}
