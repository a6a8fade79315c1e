//! Paths of fields as definitions write them, `.spec.map['a.b']`, followed through a schema.
//!
//! Such paths have neither wildcards nor indices; the richer JSONPath of table columns is read elsewhere.

use atoll_api::FieldPath;
use serde_json::Value;

use super::node::{Extra, Node};
use crate::schema::SchemaType;

const NO_SUCH_FIELD: &str = "does not refer to a valid field";
const UNEXPECTED_END: &str = "unexpected end of JSON path";

/// How keys may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// `.a.b` only, as for selectable fields.
    Dots,
    /// `.a['b']` as well, as for the field paths of rules.
    DotsAndBrackets,
}

/// The field a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundField {
    /// The path as field errors write it: `spec.map[a.b]`.
    pub path: FieldPath,
    /// The names and keys on the way.
    pub steps: Vec<String>,
    /// The type of the field.
    pub kind: Option<SchemaType>,
}

/// Follows `path` through a raw schema.
///
/// The error is the text Kubernetes gives, such as `does not refer to a valid field`.
pub fn field_path(schema: &Value, path: &str, notation: Notation) -> Result<FoundField, String> {
    resolve(Node::of(schema), path, notation)
}

pub(super) fn resolve(schema: Node<'_>, path: &str, notation: Notation) -> Result<FoundField, String> {
    let mut found = FoundField { path: FieldPath::root(), steps: Vec::new(), kind: None };
    let mut node = Some(schema);
    let mut rest = path;
    while !rest.is_empty() {
        let (token, after) = split_token(rest);
        let name = match token {
            "." => {
                let (name, after) = split_token(after);
                rest = after;
                name.to_owned()
            }
            "[" if notation == Notation::Dots => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let (quoted, after) = split_token(after);
                let name = unquote(quoted)?;
                let (end, after) = split_token(after);
                match end {
                    "]" => rest = after,
                    "" => return Err(UNEXPECTED_END.to_owned()),
                    other => return Err(format!("expected ] but got {other}")),
                }
                name
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        if name.is_empty() {
            return Err(UNEXPECTED_END.to_owned());
        }
        let here = node.ok_or(NO_SUCH_FIELD)?;
        if here.has_properties() {
            node = Some(here.property(&name).ok_or(NO_SUCH_FIELD)?);
            found.path = found.path.child(&name);
        } else {
            node = match here.extra().ok_or(NO_SUCH_FIELD)? {
                Extra::Values(values) => Some(values),
                Extra::Allowed(_) => None,
            };
            found.path = found.path.key(&name);
        }
        found.steps.push(name);
    }
    found.kind = node.and_then(|node| SchemaType::parse(node.text("type")));
    Ok(found)
}

/// Takes a delimiter, a text in single quotes, or the text up to the next delimiter.
fn split_token(rest: &str) -> (&str, &str) {
    let end = match rest.as_bytes().first() {
        None => 0,
        Some(b'.' | b'[' | b']') => 1,
        Some(b'\'') => {
            let mut escaped = false;
            let closing = rest.char_indices().skip(1).find(|(_, c)| {
                let is_end = *c == '\'' && !escaped;
                escaped = *c == '\\';
                is_end
            });
            closing.map_or(rest.len(), |(at, _)| at + 1)
        }
        Some(_) => rest.find(['.', '[', ']']).unwrap_or(rest.len()),
    };
    rest.split_at(end)
}

fn unquote(token: &str) -> Result<String, String> {
    if token.is_empty() {
        return Err(UNEXPECTED_END.to_owned());
    }
    let inner = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let Some(inner) = inner.filter(|_| token.len() >= 2) else {
        return Err(format!("expected single quoted string but got {token}"));
    };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\'' | '"' | '\\')) => text.push(c),
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                _ => return Err("invalid string literal: invalid syntax".to_owned()),
            },
            c => text.push(c),
        }
    }
    Ok(text)
}
