//! Which parts of OpenAPI a definition may use, and where.

use serde_json::Value;

use super::node::{Extra, Items, Node};
use super::{lists, rules};
use crate::schema::place::{Faults, Place};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const MAP_TYPE: &str = "x-kubernetes-map-type";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// What holds for a place and all that stands below it.
#[derive(Clone, Copy, Default)]
struct Context {
    /// Why there may be no defaults; the text ends in `field`.
    no_defaults: Option<&'static str>,
    /// Whether this is about the metadata, `apiVersion` or `kind` of a whole object.
    inside_metadata: bool,
}

/// Collects the faults of a schema that are not about its structure.
pub(super) fn check(schema: Node<'_>, place: &Place<'_>, faults: &mut Faults) {
    check_own(schema, place, Context::default(), faults);
    check_below(
        schema,
        place,
        Context::default(),
        |name| match name {
            "metadata" => Some("in top-level metadata"),
            "kind" => Some("in top-level kind"),
            "apiVersion" => Some("in top-level apiVersion"),
            _ => None,
        },
        faults,
    );
    check_extensions(schema, place, faults);
}

fn check_node(node: Node<'_>, place: &Place<'_>, context: Context, faults: &mut Faults) {
    check_own(node, place, context, faults);
    check_below(node, place, context, |_| None, faults);
    check_extensions(node, place, faults);
}

/// What the node says of itself.
fn check_own(node: Node<'_>, place: &Place<'_>, context: Context, faults: &mut Faults) {
    let kind = node.text("type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        faults.not_supported(&place.child("type"), &kind.into(), &TYPES);
    }
    if let (Some(reason), Some(_)) = (context.no_defaults, node.value("default")) {
        faults.forbidden(&place.child("default"), format!("must not be set {reason}"));
    }
    let unsupported = [
        ("id", !node.text("id").is_empty()),
        ("additionalItems", node.value("additionalItems").is_some()),
        ("patternProperties", node.named("patternProperties").next().is_some()),
        ("definitions", node.named("definitions").next().is_some()),
        ("dependencies", node.value("dependencies").is_some()),
        ("$ref", node.value("$ref").is_some()),
    ];
    for (name, _) in unsupported.into_iter().filter(|(_, is_used)| *is_used) {
        faults.forbidden(&place.child(name), format!("{name} is not supported"));
    }
    if kind == "null" {
        faults.forbidden(&place.child("type"), "type cannot be set to null, use nullable as an alternative");
    }
    if matches!(node.items(), Items::Many(_)) {
        faults.forbidden(&place.child("items"), "items must be a schema object and not an array");
    }
    if context.inside_metadata && node.flag("x-kubernetes-embedded-resource") {
        faults.forbidden(&place.child("x-kubernetes-embedded-resource"), "must not be used inside of resource meta");
    }
    if node.flag("uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        faults.forbidden(&place.child("uniqueItems"), detail);
    }
}

/// Checks all schemas that the node holds; `no_defaults` says of a property why it may have no default.
fn check_below(
    node: Node<'_>,
    place: &Place<'_>,
    context: Context,
    no_defaults: impl Fn(&str) -> Option<&'static str>,
    faults: &mut Faults,
) {
    if let Some(extra) = node.extra() {
        check_extra(node, extra, &place.child("additionalProperties"), context, faults);
    }
    let is_embedded = node.flag("x-kubernetes-embedded-resource");
    for (name, field) in node.named("properties") {
        let no_defaults = no_defaults(name);
        let is_object_field = is_embedded && matches!(name, "metadata" | "kind" | "apiVersion");
        let below = Context {
            inside_metadata: context.inside_metadata || no_defaults.is_some() || is_object_field,
            no_defaults: no_defaults.or(context.no_defaults),
        };
        check_node(field, &place.child("properties").key(name), below, faults);
    }
    if let Some(nested) = node.schema("not") {
        check_node(nested, &place.child("not"), context, faults);
    }
    for operator in ["allOf", "oneOf", "anyOf"] {
        for (index, nested) in node.schemas(operator).enumerate() {
            check_node(nested, &place.child(operator).index(index), context, faults);
        }
    }
    let place = place.child("items");
    match node.items() {
        Items::Absent => {}
        Items::One(items) => check_node(items, &place, context, faults),
        Items::Many(list) => {
            for (index, items) in list.into_iter().enumerate() {
                check_node(items, &place.index(index), context, faults);
            }
        }
    }
}

fn check_extra(node: Node<'_>, extra: Extra<'_>, place: &Place<'_>, context: Context, faults: &mut Faults) {
    if node.has_properties() && !matches!(extra, Extra::Allowed(true)) {
        faults.forbidden(place, "additionalProperties and properties are mutual exclusive");
    }
    let Extra::Values(values) = extra else { return };
    let mut below = context;
    if context.inside_metadata {
        below.no_defaults = Some("inside additionalProperties applying to object metadata");
    }
    check_node(values, place, below, faults);
}

fn check_extensions(node: Node<'_>, place: &Place<'_>, faults: &mut Faults) {
    if let Some(value @ Value::Bool(false)) = node.value(PRESERVE) {
        faults.invalid(&place.child(PRESERVE), value, "must be true or undefined");
    }
    if let Some(map_type) = node.value(MAP_TYPE) {
        let kind = node.text("type");
        if kind != "object" {
            let detail = "must be object if x-kubernetes-map-type is specified";
            faults.wrong_text(&place.child("type"), kind, detail);
        }
        let accepted = ["atomic", "granular"];
        if !map_type.as_str().is_some_and(|text| accepted.contains(&text)) {
            faults.not_supported(&place.child(MAP_TYPE), map_type, &accepted);
        }
    }
    lists::check(node, place, faults);
    rules::check(node, place, faults);
}
