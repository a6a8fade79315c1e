//! Checks of definitions, in the order in which Kubernetes tells their faults.

use std::collections::{HashMap, HashSet};

use atoll_api::validation::{dns1035_label, dns1123_subdomain};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::Value;

use super::conversion::{self, Authority};
use super::spec::{Spec, has_default, has_status};
use super::{approval, internal, version};
use crate::resources::checks::{immutable, invalid, path, required, required_one_of};
use crate::resources::read::{condition_is_true, field, flag, list, strings, text};
use crate::schema::structural::{StatusPart, unrecognized_formats};

/// The names a definition must have, in the order of their checks.
const NAMES: [&str; 4] = ["plural", "singular", "kind", "listKind"];
const SCOPES: &[&str] = &["Cluster", "Namespaced"];

/// Checks a new definition.
pub(super) fn create(definition: &Object, errors: &mut FieldErrors) {
    check_own_name(errors, definition);
    check_spec(errors, definition, Authority::Anything);
    check_status(errors, definition);
    check_stored_versions(errors, definition);
    approval::check(errors, definition, None);
    if flag(&field(definition, "spec")["preserveUnknownFields"]) {
        refuse_preserving(errors);
    }
}

/// Checks a changed definition.
pub(super) fn update(definition: &Object, old: &Object, errors: &mut FieldErrors) {
    let (spec, was) = (field(definition, "spec"), field(old, "spec"));
    let established = condition_is_true(&field(old, "status")["conditions"], "Established");
    let authority = match established && !conversion::has_unreadable_authority(was) {
        true => Authority::Readable,
        false => Authority::Anything,
    };
    check_spec(errors, definition, authority);
    if established {
        immutable(errors, &path("spec.scope"), &spec["scope"], &was["scope"]);
        immutable(errors, &path("spec.names.kind"), &spec["names"]["kind"], &was["names"]["kind"]);
    }
    immutable(errors, &path("spec.group"), &spec["group"], &was["group"]);
    immutable(errors, &path("spec.names.plural"), &spec["names"]["plural"], &was["names"]["plural"]);
    check_status(errors, definition);
    check_stored_versions(errors, definition);
    approval::check(errors, definition, Some(old));
    if flag(&spec["preserveUnknownFields"]) && !flag(&was["preserveUnknownFields"]) {
        refuse_preserving(errors);
    }
}

/// Checks the status of a definition.
pub(super) fn status_update(definition: &Object, _: &Object, errors: &mut FieldErrors) {
    check_status(errors, definition);
}

/// Warnings for a definition that is accepted; what an old one was warned of is not told again.
pub(super) fn warnings(definition: &Object, old: Option<&Object>) -> Vec<String> {
    let formats = |definition: &Object| -> Vec<String> {
        let spec = Spec::of(field(definition, "spec"));
        spec.schemas().flat_map(unrecognized_formats).collect()
    };
    let known: HashSet<String> = old.map(formats).unwrap_or_default().into_iter().collect();
    let new = formats(definition).into_iter().filter(|format| !known.contains(format));
    new.map(|format| format!("unrecognized format {}", atoll_api::field::go_quote(&format))).collect()
}

fn check_own_name(errors: &mut FieldErrors, definition: &Object) {
    let spec = field(definition, "spec");
    let wanted = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    for (at, given) in [("metadata.generateName", definition.generate_name()), ("metadata.name", definition.name())] {
        if !given.is_empty() && given != wanted {
            invalid(errors, &path(at), &given.into(), "must be spec.names.plural+\".\"+spec.group");
        }
    }
}

fn check_spec(errors: &mut FieldErrors, definition: &Object, authority: Authority) {
    let raw = field(definition, "spec");
    let spec = Spec::of(raw);
    let path = path("spec");
    check_group(errors, text(&raw["group"]), &path.child("group"));
    required_one_of(errors, &path.child("scope"), text(&raw["scope"]), SCOPES);
    for (index, version) in spec.versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            required(errors, &path.child("versions").index(index).child("schema").child("openAPIV3Schema"), "");
        }
    }
    if flag(&raw["preserveUnknownFields"]) && spec.schemas().any(has_default) {
        let detail = "must be false in order to use defaults in the schema";
        invalid(errors, &path.child("preserveUnknownFields"), &true.into(), detail);
    }
    check_versions(errors, &spec, &path);
    let names = &raw["names"];
    for name in NAMES {
        if text(&names[name]).is_empty() {
            required(errors, &path.child("names").child(name), "");
        }
    }
    check_names(errors, names, &path.child("names"));
    let any_status = spec.versions.iter().any(|version| has_status(&version["subresources"]));
    version::check_parts(errors, &spec.shared(&path), spec.schema(0), status_part(any_status));
    conversion::check(errors, &spec, authority, &path.child("conversion"));
}

fn check_group(errors: &mut FieldErrors, group: &str, path: &FieldPath) {
    if group.is_empty() {
        return required(errors, path, "");
    }
    let wrong = dns1123_subdomain(group);
    if !wrong.is_empty() {
        invalid(errors, path, &group.into(), wrong.join(","));
    } else if !group.contains('.') {
        invalid(errors, path, &group.into(), "should be a domain with at least one dot");
    }
}

fn check_versions(errors: &mut FieldErrors, spec: &Spec<'_>, path: &FieldPath) {
    let versions_path = path.child("versions");
    for (index, version) in spec.versions.iter().enumerate() {
        let path = versions_path.index(index);
        let name = text(&version["name"]);
        let wrong = dns1035_label(name);
        if !wrong.is_empty() {
            invalid(errors, &path.child("name"), &name.into(), wrong.join(","));
        }
        version::check_deprecation(errors, version, &path);
        let status = status_part(has_status(&version["subresources"]));
        version::check_parts(errors, &spec.own(index, &path), spec.schema(index), status);
    }
    let names: HashSet<&str> = spec.versions.iter().map(|version| text(&version["name"])).collect();
    let mut wrong = |detail| {
        let shown = internal::versions(spec);
        errors.push(FieldError::invalid_shown(&versions_path, shown, detail));
    };
    if names.len() < spec.versions.len() {
        wrong("must contain unique version names");
    }
    if spec.versions.iter().filter(|version| flag(&version["storage"])).count() != 1 {
        wrong("must have exactly one version marked as storage version");
    }
    if let Some(first) = spec.versions.first().map(|version| text(&version["name"])).filter(|name| !name.is_empty()) {
        let wrong = dns1035_label(first);
        if !wrong.is_empty() {
            invalid(errors, &path.child("version"), &first.into(), wrong.join(","));
        }
    }
}

fn status_part(is_subresource: bool) -> StatusPart {
    if is_subresource { StatusPart::Subresource } else { StatusPart::Field }
}

/// Names must be well formed wherever they stand; which of them must be there is another question.
fn check_names(errors: &mut FieldErrors, names: &Value, path: &FieldPath) {
    for name in ["plural", "singular"] {
        check_label(errors, text(&names[name]), &path.child(name));
    }
    for name in ["kind", "listKind"] {
        let given = text(&names[name]);
        let wrong = dns1035_label(&given.to_lowercase());
        if !given.is_empty() && !wrong.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            invalid(errors, &path.child(name), &given.into(), detail);
        }
    }
    check_labels(errors, &names["shortNames"], &path.child("shortNames"));
    let (kind, list_kind) = (text(&names["kind"]), text(&names["listKind"]));
    if !kind.is_empty() && kind == list_kind {
        invalid(errors, &path.child("listKind"), &list_kind.into(), "kind and listKind may not be the same");
    }
    check_labels(errors, &names["categories"], &path.child("categories"));
}

fn check_label(errors: &mut FieldErrors, given: &str, path: &FieldPath) {
    let wrong = dns1035_label(given);
    if !given.is_empty() && !wrong.is_empty() {
        invalid(errors, path, &given.into(), wrong.join(","));
    }
}

fn check_labels(errors: &mut FieldErrors, labels: &Value, path: &FieldPath) {
    for (index, label) in list(labels).iter().enumerate() {
        let wrong = dns1035_label(text(label));
        if !wrong.is_empty() {
            invalid(errors, &path.index(index), label, wrong.join(","));
        }
    }
}

fn check_status(errors: &mut FieldErrors, definition: &Object) {
    check_names(errors, &field(definition, "status")["acceptedNames"], &path("status.acceptedNames"));
}

/// Versions that objects may be stored in must stay.
fn check_stored_versions(errors: &mut FieldErrors, definition: &Object) {
    let path = path("status.storedVersions");
    let stored = &field(definition, "status")["storedVersions"];
    let names = strings(stored);
    if names.is_empty() {
        return invalid(errors, &path, stored, "must have at least one stored version");
    }
    let mut missing: HashMap<&str, usize> = names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    for version in list(&field(definition, "spec")["versions"]) {
        let name = text(&version["name"]);
        // A second version of the name finds it gone, and is told of so (apiextensions/validation, 1.36).
        if missing.remove(name).is_none() && flag(&version["storage"]) {
            invalid(errors, &path, stored, format!("must have the storage version {name}"));
        }
    }
    let mut missing: Vec<(usize, &str)> = missing.into_iter().map(|(name, index)| (index, name)).collect();
    missing.sort_unstable();
    for (index, name) in missing {
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
        );
        invalid(errors, &path.index(index), &name.into(), detail);
    }
}

fn refuse_preserving(errors: &mut FieldErrors) {
    let detail =
        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
    errors.push(FieldError::invalid(&path("spec.preserveUnknownFields"), &true.into(), detail));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition() -> Value {
        json!({
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                              "schema": {"openAPIV3Schema": {"type": "object"}}}],
            },
            "status": {"storedVersions": ["v1"], "conditions": [{"type": "Established", "status": "True"}]},
        })
    }

    /// The paths of the faults of a definition that was changed at a place.
    fn faults(place: &str, value: Value, check: impl Fn(&Object, &mut FieldErrors)) -> Vec<String> {
        let mut changed = definition();
        *changed.pointer_mut(place).expect("a place in the definition") = value;
        let mut errors = FieldErrors::new();
        check(&Object::from_value(changed).expect("an object"), &mut errors);
        errors.into_iter().map(|error| error.path.as_str().to_owned()).collect()
    }

    fn check_new(place: &str, value: Value, expected: &[&str]) {
        assert_eq!(faults(place, value.clone(), create), expected, "{place} = {value}");
    }

    fn check_changed(place: &str, value: Value, expected: &[&str]) {
        let old = Object::from_value(definition()).expect("an object");
        assert_eq!(
            faults(place, value.clone(), |new, errors| update(new, &old, errors)),
            expected,
            "{place} = {value}"
        );
    }

    #[test]
    fn faults_of_new_definitions_are_told_where_they_are() {
        check_new("/spec/scope", "Namespaced".into(), &[]);
        check_new("/spec/scope", "Global".into(), &["spec.scope"]);
        check_new("/metadata/name", "others.example.com".into(), &["metadata.name"]);
        check_new("/spec/names/kind", "Bad_Kind".into(), &["spec.names.kind"]);
        check_new("/spec/names/listKind", "Thing".into(), &["spec.names.listKind"]);
        check_new("/spec/names/singular", "".into(), &["spec.names.singular"]);
        check_new("/spec/versions/0/storage", false.into(), &["spec.versions"]);
        check_new("/spec/versions/0/schema", json!({}), &["spec.versions[0].schema.openAPIV3Schema"]);
        check_new("/spec/versions", json!([]), &["spec.versions", "status.storedVersions[0]"]);
        let twice = json!([definition()["spec"]["versions"][0], definition()["spec"]["versions"][0]]);
        check_new("/spec/versions", twice, &["spec.versions", "spec.versions", "status.storedVersions"]);
    }

    #[test]
    fn preserving_unknown_fields_is_refused_and_does_not_go_with_defaults() {
        let preserving = |schema: Value| {
            let mut spec = definition()["spec"].clone();
            spec["preserveUnknownFields"] = true.into();
            spec["versions"][0]["schema"]["openAPIV3Schema"] = schema;
            faults("/spec", spec, create)
        };
        let at = "spec.preserveUnknownFields";
        assert_eq!(preserving(json!({"type": "object"})), [at]);
        assert_eq!(preserving(json!({"type": "object", "properties": {"default": {"type": "string"}}})), [at]);
        let items = json!({"type": "array", "items": {"type": "string", "default": "x"}});
        assert_eq!(preserving(json!({"type": "object", "properties": {"a": items}})), [at, at]);
    }

    #[test]
    fn parts_of_versions_are_checked_where_they_are_said() {
        let with = |field: &str, value: Value| {
            let mut version = definition()["spec"]["versions"][0].clone();
            version["schema"]["openAPIV3Schema"]["properties"] =
                json!({"a": {"type": "string"}, "o": {"type": "object"}});
            version[field] = value;
            version
        };
        let check = |field: &str, value: Value, expected: &[&str]| {
            check_new("/spec/versions/0", with(field, value), expected);
        };
        let scale =
            |spec: &str, status: &str| json!({"scale": {"specReplicasPath": spec, "statusReplicasPath": status}});
        check("subresources", scale(".spec.replicas", ".status.replicas"), &[]);
        let paths = ["spec.subresources.scale.specReplicasPath", "spec.subresources.scale.statusReplicasPath"];
        check("subresources", scale("spec.replicas", ".spec.replicas"), &paths);
        check("selectableFields", json!([{"jsonPath": ".a"}]), &[]);
        let wrong = json!([{"jsonPath": ".o"}, {"jsonPath": ".none"}, {"jsonPath": ".a"}, {"jsonPath": ".a"}]);
        let paths = [0, 1, 3].map(|index| format!("spec.selectableFields[{index}].jsonPath"));
        check("selectableFields", wrong, &paths.each_ref().map(String::as_str));
        check("deprecationWarning", "x".into(), &["spec.versions[0].deprecationWarning"]);
    }

    #[test]
    fn what_is_served_keeps_its_scope_kind_and_stored_versions() {
        check_changed("/spec/scope", "Cluster".into(), &["spec.scope"]);
        check_changed("/spec/names/kind", "Other".into(), &["spec.names.kind"]);
        check_changed("/spec/group", "other.com".into(), &["spec.group"]);
        let stored = ["status.storedVersions", "status.storedVersions[0]"];
        check_changed("/spec/versions/0/name", "v2".into(), &stored);
    }

    #[test]
    fn conversion_by_webhook_needs_a_webhook() {
        let conversion = |conversion: Value| {
            let mut spec = definition()["spec"].clone();
            spec["conversion"] = conversion;
            faults("/spec", spec, create)
        };
        assert!(conversion(json!({"strategy": "None"})).is_empty());
        let client = "spec.conversion.webhookClientConfig";
        let versions = "spec.conversion.conversionReviewVersions";
        assert_eq!(conversion(json!({"strategy": "Webhook"})), [client, versions]);
        let webhook = json!({"clientConfig": {"url": "https://example.com"}, "conversionReviewVersions": ["v1"]});
        assert!(conversion(json!({"strategy": "Webhook", "webhook": webhook})).is_empty());
        assert_eq!(conversion(json!({"strategy": "None", "webhook": webhook})), [client, versions]);
    }
}
