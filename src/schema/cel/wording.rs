//! How rules are told about, and where: messages, values, paths.

use atoll_api::{FieldError, FieldPath};
use serde_json::Value;

use crate::schema::place::Place;
use crate::schema::{Rule, Schema, SchemaType, shown};

/// What a rule that does not hold is told with: its message, or the rule itself.
pub(super) fn message(rule: &Rule) -> String {
    if rule.message.is_empty() { format!("failed rule: {}", name(rule)) } else { rule.message.trim().to_owned() }
}

/// What a rule is called where it fails.
pub(super) fn name(rule: &Rule) -> &str {
    if rule.message.is_empty() { rule.rule.trim() } else { rule.message.trim() }
}

/// The name of the type of a value, which stands in place of the value where a rule fails.
pub(super) fn type_name(kind: Option<SchemaType>) -> Value {
    kind.map_or("", SchemaType::as_str).into()
}

/// The fault of a rule that does not hold. Objects and lists are not shown.
pub(super) fn violation(
    rule: &Rule,
    kind: Option<SchemaType>,
    value: &Value,
    path: &FieldPath,
    detail: String,
) -> FieldError {
    let is_shown = !matches!(kind, Some(SchemaType::Object | SchemaType::Array));
    let error = match rule.reason.as_str() {
        "FieldValueForbidden" => return FieldError::forbidden(path, detail),
        "FieldValueRequired" => return FieldError::required(path, detail),
        "FieldValueDuplicate" => FieldError::duplicate(path, value),
        _ => FieldError::invalid(path, value, detail),
    };
    FieldError { value: error.value.filter(|_| is_shown), ..error }
}

/// A rule as Go writes the structure it is kept in, for faults of definitions.
pub(super) fn written(rule: &Rule, optional_old_self: Option<bool>) -> String {
    let text = |text: &str| shown::json(&text.into());
    let reason = if rule.reason.is_empty() { "null".to_owned() } else { text(&rule.reason) };
    let optional = optional_old_self.map_or("null".to_owned(), |value| value.to_string());
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{reason},\"FieldPath\":{},\
         \"OptionalOldSelf\":{optional}}}",
        text(&rule.rule),
        text(&rule.message),
        text(&rule.message_expression),
        text(&rule.field_path),
    )
}

/// The path `.a['b']` of a field as field errors write it, relative to where the schema stands: `a[b]`.
///
/// Whether a name is that of a field or the key of a map depends on the schema; the path was checked with it.
pub(super) fn relative_path(path: &str, schema: &Schema) -> String {
    let root = FieldPath::root();
    let mut text = Place::start(&root).path();
    let mut schema = Some(schema);
    let mut rest = path;
    while let Some((name, after)) = next_step(rest) {
        rest = after;
        let is_field = schema.is_none_or(|schema| !schema.properties.is_empty());
        text = if is_field { text.child(&name) } else { text.key(&name) };
        schema = schema.and_then(|schema| schema.field(&name));
    }
    text.as_str().to_owned()
}

/// The first name of a path, and what follows it.
fn next_step(path: &str) -> Option<(String, &str)> {
    if let Some(rest) = path.strip_prefix("['") {
        let mut name = String::new();
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => return Some((name, rest[at + 1..].strip_prefix(']')?)),
                '\\' => name.push(match chars.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }),
                c => name.push(c),
            }
        }
        return None;
    }
    let rest = path.strip_prefix('.')?;
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    Some((rest[..end].to_owned(), &rest[end..]))
}
