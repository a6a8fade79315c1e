//! The events of the YAML parser to a JSON value: aliases, merge keys, tags, duplicate keys, and a budget for all of it.
//!
//! The tree is built on a stack of its own, so depth costs no recursion; it is bounded all the same.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use serde_json::{Map, Value};

use super::YamlError;
use super::scalar::{Scalar, resolve};
use crate::codec::json::{Document, MAX_BODY, MAX_DEPTH};
use crate::codec::strict::{Faults, StrictFault};

/// The most that one document may become with its aliases expanded and its anchors kept, in bytes of text and nodes together.
const MAX_WEIGHT: usize = 4 * MAX_BODY;
/// What a node weighs besides its text.
const NODE_WEIGHT: usize = 8;

/// Reads the first document of a stream.
pub(super) fn read(text: &str) -> Result<Document, YamlError> {
    let mut options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax_error(&error, text))?;
        if let Event::DocumentEnd | Event::StreamEnd = event {
            break;
        }
        builder.line = span.start.line();
        builder.event(event)?;
    }
    Ok(Document { value: builder.root.unwrap_or(Value::Null), faults: builder.faults.into_vec() })
}

fn syntax_error(error: &ScanError, text: &str) -> YamlError {
    let (line, message) = (error.marker().line(), error.info());
    if message.contains("tab") {
        // The parser tells where the scalar began that the tab is in the way of; Kubernetes tells the line of the tab.
        let indented_by_tab = |line: &str| line[..line.len() - line.trim_start().len()].contains('\t');
        let below = text.lines().skip(line.saturating_sub(1)).position(indented_by_tab).unwrap_or_default();
        return YamlError(format!("line {}: found a tab character that violates indentation", line + below));
    }
    YamlError(format!("line {line}: {message}"))
}

/// A value that is complete.
struct Node {
    value: Value,
    /// The size of its text and the number of its nodes.
    weight: usize,
    line: usize,
}

/// A key of a mapping.
enum Key {
    Named {
        name: String,
        /// As Go prints it in an error.
        shown: String,
    },
    /// `<<`: the value's entries go into the mapping.
    Merge,
}

enum Frame {
    Sequence { anchor: usize, line: usize, weight: usize, list: Vec<Value> },
    Mapping { anchor: usize, line: usize, weight: usize, map: Map<String, Value>, key: Option<Key> },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Value, usize)>,
    /// What anchors and aliases weigh so far, beyond the text of the document itself.
    copied: usize,
    root: Option<Value>,
    faults: Faults,
    line: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>) -> Result<(), YamlError> {
        let line = self.line;
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref()),
            Event::SequenceStart(_, anchor, _) => {
                self.push(Frame::Sequence { anchor, line, weight: NODE_WEIGHT, list: Vec::new() })
            }
            Event::MappingStart(_, anchor, _) => {
                self.push(Frame::Mapping { anchor, line, weight: NODE_WEIGHT, map: Map::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::Sequence { anchor, line, weight, list }) => {
                    self.complete(Node { value: Value::Array(list), weight, line }, anchor)
                }
                Some(Frame::Mapping { anchor, line, weight, map, .. }) => {
                    self.complete(Node { value: Value::Object(map), weight, line }, anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor),
            _ => Ok(()),
        }
    }

    fn error<T>(&self, message: impl std::fmt::Display) -> Result<T, YamlError> {
        Err(YamlError(format!("line {}: {message}", self.line)))
    }

    /// Opens a collection.
    fn push(&mut self, frame: Frame) -> Result<(), YamlError> {
        if self.expects_key() {
            return self.error("invalid map key: a collection cannot be a key in JSON");
        }
        if self.stack.len() == MAX_DEPTH {
            return self.error("exceeded max depth");
        }
        self.stack.push(frame);
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame::Mapping { key: None, .. }))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>) -> Result<(), YamlError> {
        let plain = style == ScalarStyle::Plain;
        if self.expects_key() && plain && tag.is_none() && text == "<<" {
            return self.set_key(Key::Merge);
        }
        let scalar = match tag.and_then(Tag::core_suffix) {
            None if tag.is_some() || !plain => Scalar::Text,
            None => resolve(text),
            Some("str" | "binary" | "timestamp") => Scalar::Text,
            Some(kind) => match tagged(kind, text) {
                Some(scalar) => scalar,
                None => return self.error(format!("cannot decode !!str `{}` as a !!{kind}", shorten(text))),
            },
        };
        if self.expects_key() {
            self.keep_anchor(anchor, &Value::from(text), text.len() + NODE_WEIGHT)?;
            return match scalar.into_key(text) {
                Some((name, shown)) => self.set_key(Key::Named { name, shown }),
                None => self.error("unsupported map key of type: %!s(<nil>)"),
            };
        }
        match scalar.into_value(text) {
            Ok(value) => self.complete(Node { value, weight: text.len() + NODE_WEIGHT, line: self.line }, anchor),
            Err(number) => self.error(format!("json: unsupported value: {number}")),
        }
    }

    fn alias(&mut self, anchor: usize) -> Result<(), YamlError> {
        // An anchor that is not complete yet is an alias inside of what it names.
        let Some((value, weight)) = self.anchors.get(&anchor) else {
            return self.error("anchor value contains itself");
        };
        let (value, weight) = (value.clone(), *weight);
        self.charge(weight)?;
        if !self.expects_key() {
            return self.complete(Node { value, weight, line: self.line }, 0);
        }
        match value {
            Value::String(name) => {
                let shown = atoll_api::field::go_quote(&name);
                self.set_key(Key::Named { name, shown })
            }
            Value::Bool(_) | Value::Number(_) => {
                self.set_key(Key::Named { name: value.to_string(), shown: value.to_string() })
            }
            _ => self.error("invalid map key: a collection cannot be a key in JSON"),
        }
    }

    /// Counts what anchors and aliases add to a document, so that a small one cannot become a huge one.
    fn charge(&mut self, weight: usize) -> Result<(), YamlError> {
        self.copied += weight;
        if self.copied > MAX_WEIGHT { self.error("document contains excessive aliasing") } else { Ok(()) }
    }

    fn set_key(&mut self, new: Key) -> Result<(), YamlError> {
        if let Some(Frame::Mapping { key, weight, .. }) = self.stack.last_mut() {
            *weight += match &new {
                Key::Named { name, .. } => name.len(),
                Key::Merge => 0,
            };
            *key = Some(new);
        }
        Ok(())
    }

    fn keep_anchor(&mut self, anchor: usize, value: &Value, weight: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.charge(weight)?;
            self.anchors.insert(anchor, (value.clone(), weight));
        }
        Ok(())
    }

    /// Puts a value where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        self.keep_anchor(anchor, &node.value, node.weight)?;
        match self.stack.last_mut() {
            None => self.root = Some(node.value),
            Some(Frame::Sequence { list, weight, .. }) => {
                *weight += node.weight;
                list.push(node.value);
            }
            Some(Frame::Mapping { map, key, weight, .. }) => {
                *weight += node.weight;
                match key.take() {
                    Some(Key::Named { name, shown }) => {
                        let replaced = map.insert(name, node.value);
                        if replaced.is_some() {
                            self.faults.push(StrictFault::DuplicateYamlKey(node.line, shorten(&shown)));
                        }
                    }
                    Some(Key::Merge) => {
                        let merged = merge(map, node.value);
                        if !merged {
                            return self.error("map merge requires map or sequence of maps as the value");
                        }
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }
}

/// Puts the entries of a mapping, or of each of a list of mappings, into another; of several the first one counts.
fn merge(map: &mut Map<String, Value>, value: Value) -> bool {
    match value {
        Value::Object(entries) => map.extend(entries),
        Value::Array(list) => {
            for value in list.into_iter().rev() {
                let Value::Object(entries) = value else { return false };
                map.extend(entries);
            }
        }
        _ => return false,
    }
    true
}

/// A scalar with an explicit tag of YAML's own.
fn tagged(kind: &str, text: &str) -> Option<Scalar> {
    match (kind, resolve(text)) {
        ("null", Scalar::Null) => Some(Scalar::Null),
        ("bool", Scalar::Bool(value)) => Some(Scalar::Bool(value)),
        ("int", Scalar::Integer(value)) => Some(Scalar::Integer(value)),
        ("float", Scalar::Integer(value)) => Some(Scalar::Float(value as f64)),
        ("float", Scalar::Float(value)) => Some(Scalar::Float(value)),
        _ => None,
    }
}

fn shorten(text: &str) -> String {
    text[..text.floor_char_boundary(256)].to_owned()
}
