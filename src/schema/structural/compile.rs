//! Turns an `openAPIV3Schema` into the form that everything else works with.
//!
//! Refuses only what that form cannot say; whether a schema is acceptable is decided in `validate`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::MAX_DEPTH;
use super::node::{Extra, Items, Node};
use crate::schema::{Additional, Link, ListType, MapType, Pattern, Rule, Schema, SchemaType, ValueRules, format};

/// Reads a schema.
///
/// The error is the text Kubernetes gives when a schema cannot be structural.
pub fn compile(schema: &Value) -> Result<Schema, String> {
    if crate::schema::is_deeper_than(schema, MAX_DEPTH) {
        return Err(format!("OpenAPIV3Schema must not nest more than {MAX_DEPTH} levels deep"));
    }
    Compiler::default().schema(Node::of(schema))
}

/// What schemas of one document share.
#[derive(Default)]
struct Compiler {
    /// Equal patterns are compiled once.
    patterns: HashMap<String, Pattern>,
}

impl Compiler {
    fn schema(&mut self, node: Node<'_>) -> Result<Schema, String> {
        refuse_unsupported(node)?;
        let int_or_string = node.flag("x-kubernetes-int-or-string");
        let kind = SchemaType::parse(node.text("type"));
        let mut schema = Schema {
            kind,
            format: read_format(node.text("format"), kind.filter(|_| !int_or_string)),
            nullable: node.flag("nullable"),
            preserve_unknown: node.flag("x-kubernetes-preserve-unknown-fields"),
            embedded_resource: node.flag("x-kubernetes-embedded-resource"),
            int_or_string,
            list_type: read_list_type(node),
            map_type: read_map_type(node.text("x-kubernetes-map-type")),
            default: node.value("default").cloned(),
            rules: self.value_rules(node)?.map(Box::new),
            validations: node.schemas("x-kubernetes-validations").map(read_rule).collect(),
            ..Schema::default()
        };
        match node.items() {
            Items::Absent => {}
            Items::One(items) => schema.items = Some(self.schema(items)?.into()),
            Items::Many(_) => return Err("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned()),
        }
        for (name, field) in node.named("properties") {
            schema.properties.insert(name.into(), self.schema(field)?.into());
        }
        schema.additional = match node.extra() {
            None => Additional::Nothing,
            Some(Extra::Values(values)) => Additional::Values(self.schema(values)?.into()),
            // Keys are kept, but nothing is known below them, so that objects there are pruned empty, as in Kubernetes.
            Some(Extra::Allowed(_)) => Additional::Values(unspecified()),
        };
        Ok(schema)
    }

    fn value_rules(&mut self, node: Node<'_>) -> Result<Option<ValueRules>, String> {
        let mut all = |name| node.schemas(name).map(|node| self.schema(node)).collect::<Result<Vec<_>, _>>();
        let rules = ValueRules {
            all_of: all("allOf")?,
            any_of: all("anyOf")?,
            one_of: all("oneOf")?,
            not: node.schema("not").map(|node| self.schema(node)).transpose()?.map(Box::new),
            enumeration: node.list("enum").to_vec(),
            maximum: node.number("maximum"),
            exclusive_maximum: node.flag("exclusiveMaximum"),
            minimum: node.number("minimum"),
            exclusive_minimum: node.flag("exclusiveMinimum"),
            max_length: node.count("maxLength"),
            min_length: node.count("minLength"),
            pattern: self.pattern(node.text("pattern")),
            max_items: node.count("maxItems"),
            min_items: node.count("minItems"),
            unique_items: node.flag("uniqueItems"),
            multiple_of: node.number("multipleOf"),
            max_properties: node.count("maxProperties"),
            min_properties: node.count("minProperties"),
            required: node.texts("required").map(Arc::from).collect(),
            no_additional: matches!(node.extra(), Some(Extra::Allowed(false))),
        };
        Ok(says_anything(&rules).then_some(rules))
    }

    fn pattern(&mut self, text: &str) -> Option<Pattern> {
        if text.is_empty() {
            return None;
        }
        if let Some(pattern) = self.patterns.get(text) {
            return Some(pattern.clone());
        }
        let pattern = Pattern::new(text);
        self.patterns.insert(text.to_owned(), pattern.clone());
        Some(pattern)
    }
}

fn refuse_unsupported(node: Node<'_>) -> Result<(), String> {
    let unsupported = |name: &str| Err(format!("OpenAPIV3Schema '{name}' is not supported"));
    if !node.text("id").is_empty() {
        return unsupported("id");
    }
    if !node.text("$schema").is_empty() {
        return unsupported("schema");
    }
    if !node.text("$ref").is_empty() {
        return unsupported("$ref");
    }
    for name in ["patternProperties", "dependencies", "definitions"] {
        if node.named(name).next().is_some() {
            return unsupported(name);
        }
    }
    if node.value("additionalItems").is_some() {
        return unsupported("additionalItems");
    }
    if node.value("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        return Err("internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined".to_owned());
    }
    Ok(())
}

/// A schema that says nothing, under which even null is nothing special.
fn unspecified() -> Link {
    Schema { nullable: true, ..Schema::default() }.into()
}

/// Formats that are not known for the type are passed over; clients are warned of them when they send the definition.
fn read_format(format: &str, kind: Option<SchemaType>) -> Option<Arc<str>> {
    (!format.is_empty() && format::is_known_for(format, kind)).then(|| format.into())
}

fn read_list_type(node: Node<'_>) -> Option<ListType> {
    match node.text("x-kubernetes-list-type") {
        "atomic" => Some(ListType::Atomic),
        "set" => Some(ListType::Set),
        "map" => Some(ListType::Map(node.texts("x-kubernetes-list-map-keys").map(Arc::from).collect())),
        _ => None,
    }
}

fn read_map_type(text: &str) -> Option<MapType> {
    match text {
        "atomic" => Some(MapType::Atomic),
        "granular" => Some(MapType::Granular),
        _ => None,
    }
}

fn read_rule(node: Node<'_>) -> Rule {
    Rule {
        rule: node.text("rule").to_owned(),
        message: node.text("message").to_owned(),
        message_expression: node.text("messageExpression").to_owned(),
        reason: node.text("reason").to_owned(),
        field_path: node.text("fieldPath").to_owned(),
        optional_old_self: node.flag("optionalOldSelf"),
    }
}

fn says_anything(rules: &ValueRules) -> bool {
    let counts = [rules.max_length, rules.min_length, rules.max_items, rules.min_items];
    let numbers = [rules.maximum, rules.minimum, rules.multiple_of];
    let schemas = [&rules.all_of, &rules.any_of, &rules.one_of];
    counts.iter().any(Option::is_some)
        || numbers.iter().any(Option::is_some)
        || rules.max_properties.or(rules.min_properties).is_some()
        || schemas.iter().any(|list| !list.is_empty())
        || rules.not.is_some()
        || rules.pattern.is_some()
        || rules.unique_items
        || rules.no_additional
        || !rules.enumeration.is_empty()
        || !rules.required.is_empty()
}
