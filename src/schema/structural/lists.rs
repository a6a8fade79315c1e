//! What `x-kubernetes-list-type` and `x-kubernetes-list-map-keys` ask of a list and of its elements.

use std::collections::BTreeSet;

use serde_json::Value;

use super::node::Node;
use crate::schema::place::{Faults, Place};

const LIST_TYPE: &str = "x-kubernetes-list-type";
const MAP_TYPE: &str = "x-kubernetes-map-type";
const KEYS: &str = "x-kubernetes-list-map-keys";

pub(super) fn check(node: Node<'_>, place: &Place<'_>, faults: &mut Faults) {
    let list_type = node.value(LIST_TYPE);
    if let Some(list_type) = list_type {
        check_kind(node, list_type, place, faults);
        let accepted = ["atomic", "set", "map"];
        if !list_type.as_str().is_some_and(|text| accepted.contains(&text)) {
            faults.not_supported(&place.child(LIST_TYPE), list_type, &accepted);
        }
    }
    let is_map = node.text(LIST_TYPE) == "map";
    if node.texts(KEYS).next().is_some() && !is_map {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        faults.wrong_text(&place.child(LIST_TYPE), node.text(LIST_TYPE), detail);
    }
    if is_map {
        check_map(node, place, faults);
    }
    check_elements(node, place, faults);
}

fn check_kind(node: Node<'_>, list_type: &Value, place: &Place<'_>, faults: &mut Faults) {
    let kind = node.text("type");
    if kind != "array" {
        let detail = "must be array if x-kubernetes-list-type is specified";
        return faults.wrong_text(&place.child("type"), kind, detail);
    }
    let Some(items) = node.item().filter(|_| list_type == "set") else { return };
    let item_list_type = items.value(LIST_TYPE);
    let fault_at = match items.text("type") {
        "array" if item_list_type.is_some_and(|value| value != "atomic") => LIST_TYPE,
        "object" if items.text(MAP_TYPE) != "atomic" => MAP_TYPE,
        _ => return,
    };
    // Kubernetes shows the list type of the items in both cases.
    let shown = item_list_type.unwrap_or(&Value::Null);
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    faults.invalid(&place.child("items").child(fault_at), shown, detail);
}

fn check_map(node: Node<'_>, place: &Place<'_>, faults: &mut Faults) {
    let (at_keys, at_items) = (place.child(KEYS), place.child("items"));
    if node.texts(KEYS).next().is_none() {
        faults.required(&at_keys, "must not be empty if x-kubernetes-list-type is map");
    }
    let Some(items) = node.item() else {
        return match node.value("items") {
            None => faults.required(&at_items, "must have a schema if x-kubernetes-list-type is map"),
            Some(items) => {
                faults.invalid(&at_items, items, "must only have a single schema if x-kubernetes-list-type is map")
            }
        };
    };
    let kind = items.text("type");
    if kind != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        return faults.invalid(&at_items.child("type"), &kind.into(), detail);
    }
    let mut seen = BTreeSet::new();
    let keys = node.value(KEYS).unwrap_or(&Value::Null);
    for key in node.texts(KEYS) {
        match items.property(key) {
            None => faults.invalid(&at_keys, keys, "entries must all be names of item properties"),
            Some(field) if matches!(field.text("type"), "array" | "object") => {
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                let at = at_items.child("properties");
                faults.invalid(&at.key(key).child("type"), &kind.into(), detail);
            }
            Some(_) => {}
        }
        if !seen.insert(key) {
            faults.invalid(&at_keys, keys, "must not contain duplicate entries");
        }
    }
}

/// Elements that are told apart must be there, and so must what tells them apart.
fn check_elements(node: Node<'_>, place: &Place<'_>, faults: &mut Faults) {
    let list_type = node.text(LIST_TYPE);
    let (Some(items), "set" | "map") = (node.item(), list_type) else { return };
    let at_items = place.child("items");
    if items.flag("nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        faults.forbidden(&at_items.child("nullable"), detail);
    }
    if list_type != "map" {
        return;
    }
    let required: BTreeSet<&str> = items.texts("required").collect();
    let at_properties = at_items.child("properties");
    for key in node.texts(KEYS) {
        let Some(field) = items.property(key) else { continue };
        let at = at_properties.key(key);
        if field.value("default").is_none() && !required.contains(key) {
            let detail =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            faults.required(&at.child("default"), detail);
        }
        if field.flag("nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            faults.forbidden(&at.child("nullable"), detail);
        }
    }
}
