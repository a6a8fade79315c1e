//! Whether a schema is structural: every value has one type, said outside of `allOf`, `anyOf`, `oneOf` and `not`.

use atoll_api::{FieldError, FieldErrors};
use serde_json::Value;

use super::node::{Extra, Node};
use crate::schema::pattern;
use crate::schema::place::{Faults, Place};

/// About how many bytes the patterns of one schema may take when they are compiled.
const MAX_PATTERNS_SIZE: usize = 32 << 20;

const RESTRICTED_METADATA: &str =
    "must not specify anything other than name and generateName, but metadata is implicitly specified";
const EMPTY_EMBEDDED: &str =
    "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";

/// Where a node stands, for the wording of faults.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The faults of a schema's structure, sorted by their texts.
pub(super) fn check(schema: Node<'_>, place: &Place<'_>) -> FieldErrors {
    let mut checker = Checker { faults: Faults::default(), patterns_size: 0 };
    checker.schema(schema, Level::Root, place);
    checker.completeness(schema, schema, place, place);
    let errors = checker.faults.into_errors();
    let mut errors: Vec<(String, FieldError)> = errors.into_iter().map(|error| (error.to_string(), error)).collect();
    errors.sort_by(|a, b| a.0.cmp(&b.0));
    errors.into_iter().map(|(_, error)| error).collect()
}

struct Checker {
    faults: Faults,
    /// Estimated size of all patterns so far, compiled.
    patterns_size: usize,
}

impl Checker {
    fn schema(&mut self, node: Node<'_>, level: Level, place: &Place<'_>) {
        if node.text("type") == "array" && node.item().is_none() {
            self.faults.required(&place.child("items"), "must be specified");
        }
        if let Some(items) = node.item() {
            self.schema(items, Level::Item, &place.child("items"));
        }
        for (name, field) in node.named("properties") {
            self.schema(field, Level::Field, &place.child("properties").key(name));
        }
        if let Some(extra) = node.extra() {
            let place = place.child("additionalProperties");
            if level == Level::Root {
                self.faults.forbidden(&place, "must not be used at the root");
            }
            if let Extra::Values(values) = extra {
                self.schema(values, Level::Field, &place);
            }
        }
        self.int_or_string(node, place);
        let any_of_is_type = is_integer_or_string(node, "anyOf");
        let all_of_is_type = node.schemas("allOf").next().is_some_and(|first| is_integer_or_string(first, "anyOf"));
        self.values(node, any_of_is_type, all_of_is_type, place);
        self.kind(node, level, place);
        self.object_fields(node, level, place);
    }

    fn int_or_string(&mut self, node: Node<'_>, place: &Place<'_>) {
        if !node.flag("x-kubernetes-int-or-string") {
            return;
        }
        for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if node.flag(name) {
                let detail = "must be false if x-kubernetes-int-or-string is true";
                self.faults.invalid(&place.child(name), &Value::Bool(true), detail);
            }
        }
    }

    fn kind(&mut self, node: Node<'_>, level: Level, place: &Place<'_>) {
        let kind = node.text("type");
        let at = place.child("type");
        let is_embedded = node.flag("x-kubernetes-embedded-resource");
        let may_be_untyped =
            node.flag("x-kubernetes-int-or-string") || node.flag("x-kubernetes-preserve-unknown-fields");
        if is_embedded && kind != "object" {
            self.faults.wrong_text(&at, kind, "must be object if x-kubernetes-embedded-resource is true");
        } else if kind.is_empty() && !may_be_untyped {
            let where_to = match level {
                Level::Root => "at the root",
                Level::Item => "for specified array items",
                Level::Field => "for specified object fields",
            };
            self.faults.required(&at, format!("must not be empty {where_to}"));
        }
        if is_embedded && node.extra().is_some() {
            let detail = "must not be used if x-kubernetes-embedded-resource is set";
            self.faults.forbidden(&place.child("additionalProperties"), detail);
        }
        if level == Level::Root && !kind.is_empty() && kind != "object" {
            self.faults.invalid(&at, &kind.into(), "must be object at the root");
        }
    }

    /// What schemas of whole objects may say of the fields that all objects have.
    fn object_fields(&mut self, node: Node<'_>, level: Level, place: &Place<'_>) {
        let is_embedded = node.flag("x-kubernetes-embedded-resource");
        let is_object = level == Level::Root || is_embedded;
        let properties = place.child("properties");
        for name in ["kind", "apiVersion"] {
            let Some(field) = node.property(name).filter(|_| is_object) else { continue };
            let kind = field.text("type");
            if kind != "string" {
                self.faults.invalid(&properties.key(name).child("type"), &kind.into(), "must be string");
            }
        }
        if let Some(metadata) = node.property("metadata") {
            let at = properties.key("metadata");
            let kind = metadata.text("type");
            if is_object && kind != "object" {
                self.faults.invalid(&at.child("type"), &kind.into(), "must be object");
            }
            if level == Level::Root && restricts_more_than_names(metadata) {
                self.faults.forbidden(&at, RESTRICTED_METADATA);
            }
        }
        if is_embedded && !node.flag("x-kubernetes-preserve-unknown-fields") && !node.has_properties() {
            self.faults.required(&properties, EMPTY_EMBEDDED);
        }
    }

    /// What a schema says of values; `anyOf`, or that in the first of `allOf`, may say the types of an int-or-string.
    fn values(&mut self, node: Node<'_>, any_of_is_type: bool, all_of_is_type: bool, place: &Place<'_>) {
        if !any_of_is_type {
            for (index, nested) in node.schemas("anyOf").enumerate() {
                self.nested(nested, false, &place.child("anyOf").index(index));
            }
        }
        for (index, nested) in node.schemas("allOf").enumerate() {
            self.nested(nested, all_of_is_type && index == 0, &place.child("allOf").index(index));
        }
        for (index, nested) in node.schemas("oneOf").enumerate() {
            self.nested(nested, false, &place.child("oneOf").index(index));
        }
        if let Some(nested) = node.schema("not") {
            self.nested(nested, false, &place.child("not"));
        }
        self.pattern(node.text("pattern"), &place.child("pattern"));
    }

    fn pattern(&mut self, text: &str, place: &Place<'_>) {
        if text.is_empty() {
            return;
        }
        let fault = match pattern::check(text) {
            Ok(size) => {
                self.patterns_size += size;
                let is_too_much = self.patterns_size > MAX_PATTERNS_SIZE;
                is_too_much.then(|| "the patterns of this schema are too large together".to_owned())
            }
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            let detail = format!("must be a valid regular expression, but isn't: {fault}");
            self.faults.invalid(place, &text.into(), detail);
        }
    }

    /// A schema under a logical operator: it may restrict values and say nothing else.
    fn nested(&mut self, node: Node<'_>, any_of_is_type: bool, place: &Place<'_>) {
        self.values(node, any_of_is_type, false, place);
        if let Some(items) = node.item() {
            self.nested(items, false, &place.child("items"));
        }
        for (name, field) in node.named("properties") {
            self.nested(field, false, &place.child("properties").key(name));
        }
        for (name, instead) in said_of_structure(node) {
            self.faults.forbidden(&place.child(name), format!("must be {instead} to be structural"));
        }
        if node.property("metadata").is_some() {
            let at = place.child("properties");
            self.faults.forbidden(&at.key("metadata"), "must not be specified in a nested context");
        }
    }

    /// Whatever is said under logical operators of a field or of elements must be specified outside of them too.
    /// Kubernetes asks this of the operators at the root only (structural completeness, 1.36).
    fn completeness(&mut self, values: Node<'_>, shape: Node<'_>, at: &Place<'_>, said: &Place<'_>) {
        if let Some(nested) = values.schema("not") {
            self.nested_completeness(nested, Some(shape), at, &said.child("not"));
        }
        for operator in ["allOf", "anyOf", "oneOf"] {
            for (index, nested) in values.schemas(operator).enumerate() {
                self.nested_completeness(nested, Some(shape), at, &said.child(operator).index(index));
            }
        }
    }

    fn nested_completeness(&mut self, nested: Node<'_>, shape: Option<Node<'_>>, at: &Place<'_>, said: &Place<'_>) {
        let Some(shape) = shape else {
            let because = |path: &_| FieldError::required(path, format!("because it is defined in {}", said.path()));
            return self.faults.add(at, because);
        };
        self.completeness(nested, shape, at, said);
        if let Some(items) = nested.item() {
            self.nested_completeness(items, shape.item(), &at.child("items"), &said.child("items"));
        }
        for (name, field) in nested.named("properties") {
            let (at, said) = (at.child("properties"), said.child("properties"));
            self.nested_completeness(field, shape.property(name), &at.key(name), &said.key(name));
        }
    }
}

/// What a schema under a logical operator says although it must not, and how it should be instead.
fn said_of_structure(node: Node<'_>) -> impl Iterator<Item = (&'static str, &'static str)> {
    let adds = !matches!(node.extra(), None | Some(Extra::Allowed(false)));
    let is_there = move |name: &str| node.value(name).is_some();
    let says = move |name: &str| node.spoken().any(|spoken| spoken == name);
    let all = [
        ("type", says("type"), "empty"),
        ("additionalProperties", adds, "undefined"),
        ("default", is_there("default"), "undefined"),
        ("title", says("title"), "empty"),
        ("description", says("description"), "empty"),
        ("nullable", says("nullable"), "false"),
        ("x-kubernetes-preserve-unknown-fields", says("x-kubernetes-preserve-unknown-fields"), "false"),
        ("x-kubernetes-embedded-resource", says("x-kubernetes-embedded-resource"), "false"),
        ("x-kubernetes-int-or-string", says("x-kubernetes-int-or-string"), "false"),
        ("x-kubernetes-list-map-keys", says("x-kubernetes-list-map-keys"), "empty"),
        ("x-kubernetes-list-type", is_there("x-kubernetes-list-type"), "undefined"),
        ("x-kubernetes-map-type", is_there("x-kubernetes-map-type"), "undefined"),
        ("x-kubernetes-validations", says("x-kubernetes-validations"), "empty"),
    ];
    all.into_iter().filter(|(_, is_said, _)| *is_said).map(|(name, _, instead)| (name, instead))
}

/// Whether an operator lists exactly the types integer and string.
fn is_integer_or_string(node: Node<'_>, operator: &str) -> bool {
    let mut schemas = node.schemas(operator);
    match (schemas.next(), schemas.next(), schemas.next()) {
        (Some(first), Some(second), None) => first.is_only_type("integer") && second.is_only_type("string"),
        _ => false,
    }
}

fn restricts_more_than_names(metadata: Node<'_>) -> bool {
    let mut fields = metadata.named("properties").map(|(name, _)| name);
    fields.any(|name| name != "name" && name != "generateName")
        || metadata.spoken().any(|name| !matches!(name, "type" | "properties" | "default"))
}
