//! JSON patch (RFC 6902), as kube-apiserver applies it.
//!
//! Where its library departs from the standard, so does this: indices may be negative, `replace` adds a missing key, `copy` of a
//! missing key makes a null, and the whole document can be replaced and tested but not added, removed, moved or copied.
//! What does not fit is worded as by that library: webhooks and policies are told so, though clients are not.

use atoll_api::field::go_quote;
use serde_json::{Map, Value};

use super::{Error, MAX_DEPTH, shown};

/// How many operations one patch may have.
const MAX_OPERATIONS: usize = 10_000;
/// How many bytes of JSON the `copy` operations of one patch may add.
const MAX_COPIED_BYTES: usize = 3 << 20;
/// How many list elements one patch may push aside; with it, no patch can keep the server busy with long lists.
const MAX_SHIFTED: usize = 20_000_000;

/// A decoded JSON patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    operations: Vec<Operation>,
    /// Fields of operations that do not exist, each as strict field validation reports it.
    pub unknown_fields: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Operation {
    op: String,
    path: Option<String>,
    from: Option<String>,
    /// `None` if the operation has no value.
    value: Option<Value>,
}

// === impl Patch ===

impl Patch {
    /// Reads a patch from its JSON form.
    pub fn decode(patch: &Value) -> Result<Self, Error> {
        let items = match patch {
            Value::Array(items) => items.as_slice(),
            Value::Null => &[],
            other => return Err(cannot_unmarshal(other, "value of type []handlers.jsonPatchOp")),
        };
        let mut decoded =
            Self { operations: Vec::with_capacity(items.len().min(MAX_OPERATIONS)), unknown_fields: vec![] };
        if items.len() > MAX_OPERATIONS {
            let got = items.len();
            let text = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {got}");
            return Err(Error::TooLarge(text));
        }
        for (index, item) in items.iter().enumerate() {
            let operation = match item {
                Value::Object(fields) => decoded.decode_operation(index, fields)?,
                Value::Null => Operation::default(),
                other => return Err(cannot_unmarshal(other, "value of type handlers.jsonPatchOp")),
            };
            decoded.operations.push(operation);
        }
        Ok(decoded)
    }

    /// Applies the operations in order; if one fails, the patch fails.
    pub fn apply(&self, document: Value) -> Result<Value, Error> {
        let depth = depth(&document);
        let mut state = State { document, depth, copied: 0, shifted: 0 };
        for operation in &self.operations {
            state.apply(operation)?;
        }
        Ok(state.document)
    }

    fn decode_operation(&mut self, index: usize, fields: &Map<String, Value>) -> Result<Operation, Error> {
        let mut operation = Operation::default();
        for (name, value) in fields {
            match name.as_str() {
                "op" => operation.op = text(value, name)?.unwrap_or_default(),
                "path" => operation.path = text(value, name)?,
                "from" => operation.from = text(value, name)?,
                "value" => operation.value = Some(value.clone()),
                _ => self.unknown_fields.push(format!("json patch unknown field \"[{index}].{name}\"")),
            }
        }
        Ok(operation)
    }
}

fn text(value: &Value, field: &str) -> Result<Option<String>, Error> {
    match value {
        Value::String(text) => Ok(Some(text.clone())),
        Value::Null => Ok(None),
        other => Err(cannot_unmarshal(other, &format!("struct field jsonPatchOp.{field} of type string"))),
    }
}

fn cannot_unmarshal(value: &Value, into: &str) -> Error {
    let kind = shown::json_kind(value);
    Error::BadRequest(format!("error decoding patch: json: cannot unmarshal {kind} into Go {into}"))
}

/// A patch at work.
struct State {
    document: Value,
    /// An upper bound of how deep the document is nested.
    depth: usize,
    copied: usize,
    shifted: usize,
}

// === impl State ===

impl State {
    fn apply(&mut self, operation: &Operation) -> Result<(), Error> {
        let no_path = || unprocessable(format!("{} operation failed to decode path: missing value", operation.op));
        let no_from = || {
            let why = "operation, missing from field: missing value";
            unprocessable(format!("{} operation failed to decode from: {why}", operation.op))
        };
        let path = || operation.path.as_deref().ok_or_else(no_path);
        let from = || operation.from.as_deref().ok_or_else(no_from);
        match operation.op.as_str() {
            "add" => {
                let (path, value) = (path()?, operation.value.clone().unwrap_or(Value::Null));
                let depth = depth(&value);
                self.add(path, value, depth).map_err(|fault| {
                    let nowhere = format!("add operation does not apply: doc is missing path: \"{path}\"");
                    fault.told(&nowhere, &format!("error in add for path: '{path}'"))
                })
            }
            "remove" => {
                let path = path()?;
                self.remove(path).map(drop).map_err(|fault| {
                    let nowhere = format!("remove operation does not apply: doc is missing path: \"{path}\"");
                    fault.told(&nowhere, &format!("error in remove for path: '{path}'"))
                })
            }
            "replace" => self.replace(path()?, operation.value.as_ref()),
            "move" => self.shift(from()?, path()?),
            "copy" => self.copy(from()?, path()?),
            "test" => self.test(path()?, operation.value.as_ref()),
            other => Err(unprocessable(format!("Unexpected kind: {other}"))),
        }
    }

    /// Adds a value that is nested no deeper than `depth`.
    fn add(&mut self, path: &str, value: Value, depth: usize) -> Result<(), Fault> {
        let (container, key) = find(&mut self.document, path).ok_or(Fault::Nowhere)?;
        match container {
            Value::Object(map) => {
                map.insert(key, value);
            }
            Value::Array(items) => {
                let improper = |why| Fault::Refused(format!("value was not a proper array index: '{key}': {why}"));
                let index = match key.as_str() {
                    "-" => items.len(),
                    _ => place(number(&key).map_err(improper)?, items.len() + 1).map_err(Fault::Refused)?,
                };
                self.shifted += items.len() - index;
                items.insert(index, value);
            }
            _ => return Err(Fault::Nowhere),
        }
        self.grow(tokens(path) + depth).and_then(|()| self.check_shifted()).map_err(Fault::Limit)
    }

    fn remove(&mut self, path: &str) -> Result<Value, Fault> {
        let (container, key) = find(&mut self.document, path).ok_or(Fault::Nowhere)?;
        let removed = match container {
            Value::Object(map) => {
                let absent = || Fault::Refused(format!("Unable to remove nonexistent key: {key}: {MISSING}"));
                map.remove(&key).ok_or_else(absent)?
            }
            Value::Array(items) => {
                let index = index(&key, items.len()).map_err(Fault::Refused)?;
                self.shifted += items.len() - index;
                items.remove(index)
            }
            _ => return Err(Fault::Nowhere),
        };
        self.check_shifted().map_err(Fault::Limit)?;
        Ok(removed)
    }

    fn replace(&mut self, path: &str, value: Option<&Value>) -> Result<(), Error> {
        let grown = tokens(path) + value.map_or(0, depth);
        let new = value.cloned().unwrap_or(Value::Null);
        if path.is_empty() {
            if !new.is_object() && !new.is_array() {
                return Err(unprocessable("replace operation value must be object or array"));
            }
            self.document = new;
            return self.grow(grown);
        }
        let refused = |what: &str| {
            unprocessable(format!("replace operation does not apply: doc is missing {what}: {path}: {MISSING}"))
        };
        let (container, key) = find(&mut self.document, path).ok_or_else(|| refused("path"))?;
        match container {
            Value::Object(map) => {
                map.insert(key, new);
            }
            Value::Array(items) => {
                let index = index(&key, items.len()).map_err(|_| refused("key"))?;
                items[index] = new;
            }
            _ => return Err(refused("path")),
        }
        self.grow(grown)
    }

    fn shift(&mut self, from: &str, path: &str) -> Result<(), Error> {
        let nowhere =
            |what: &str, path: &str| format!("move operation does not apply: doc is missing {what} path: {path}");
        let key = unescape(from.rsplit('/').next().unwrap_or_default());
        let value = self.remove(from);
        let value =
            value.map_err(|fault| fault.told(&nowhere("from", from), &format!("error in move for path: '{key}'")))?;
        let added = self.add(path, value, self.depth.saturating_sub(tokens(from)));
        added.map_err(|fault| fault.told(&nowhere("destination", path), &format!("error in move for path: '{path}'")))
    }

    fn copy(&mut self, from: &str, path: &str) -> Result<(), Error> {
        let nowhere =
            |what: &str, path: &str| format!("copy operation does not apply: doc is missing {what} path: {path}");
        let value = find(&mut self.document, from).ok_or(Fault::Nowhere);
        let value = value.and_then(|(container, key)| Ok(get(container, &key)?.cloned().unwrap_or(Value::Null)));
        let value =
            value.map_err(|fault| fault.told(&nowhere("from", from), &format!("error in copy for from: '{from}'")))?;
        self.copied += json_length(&value);
        if self.copied > MAX_COPIED_BYTES {
            return Err(unprocessable(format!(
                "the copies of a patch add {} bytes, more than the limit of {MAX_COPIED_BYTES}",
                self.copied
            )));
        }
        let depth = depth(&value);
        let added = self.add(path, value, depth);
        added.map_err(|fault| fault.told(&nowhere("destination", path), "error while adding value during copy"))
    }

    fn test(&mut self, path: &str, expected: Option<&Value>) -> Result<(), Error> {
        let expected = expected.unwrap_or(&Value::Null);
        let holds = if path.is_empty() {
            self.document == *expected
        } else {
            let found = find(&mut self.document, path).ok_or(Fault::Nowhere);
            let value =
                found.and_then(|(container, key)| Ok(get(container, &key)?.unwrap_or(&Value::Null) == expected));
            value.map_err(|fault| {
                let nowhere = format!("test operation does not apply: is missing path: {path}");
                fault.told(&nowhere, &format!("error in test for path: '{path}'"))
            })?
        };
        if holds { Ok(()) } else { Err(unprocessable(format!("testing value {path} failed"))) }
    }

    /// Notes that something now reaches down to `depth`, and measures the document when the bound says that it may be too deep.
    fn grow(&mut self, depth_reached: usize) -> Result<(), Error> {
        self.depth = self.depth.max(depth_reached);
        if self.depth > MAX_DEPTH {
            self.depth = depth(&self.document);
        }
        if self.depth > MAX_DEPTH { Err(unprocessable("exceeded max depth")) } else { Ok(()) }
    }

    fn check_shifted(&self) -> Result<(), Error> {
        if self.shifted > MAX_SHIFTED { Err(unprocessable("too many list elements to move")) } else { Ok(()) }
    }
}

/// Why an operation cannot do its work at a place.
enum Fault {
    /// Nothing leads there.
    Nowhere,
    /// What is there refuses, in the words of the library that Kubernetes uses (evanphx/json-patch 4).
    Refused(String),
    /// A limit is reached.
    Limit(Error),
}

/// What the library ends a sentence with that tells of something missing.
const MISSING: &str = "missing value";

// === impl Fault ===

impl Fault {
    /// The error of an operation, worded with what it says of a place that is not there, or before a refusal.
    fn told(self, nowhere: &str, refused: &str) -> Error {
        match self {
            Self::Nowhere => unprocessable(format!("{nowhere}: {MISSING}")),
            Self::Refused(why) => unprocessable(format!("{refused}: {why}")),
            Self::Limit(error) => error,
        }
    }
}

/// The container that the path's last token is about, and that token.
fn find<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    // What stands before the first slash is passed over, as the library does.
    let mut rest = path.split('/').skip(1).peekable();
    let mut container = document;
    while let Some(token) = rest.next() {
        let key = unescape(token);
        if rest.peek().is_none() {
            return Some((container, key));
        }
        container = match container {
            Value::Object(map) => map.get_mut(&key)?,
            Value::Array(items) => {
                let index = index(&key, items.len()).ok()?;
                items.get_mut(index)?
            }
            _ => return None,
        };
    }
    None
}

/// The value under a key; none if a map does not have the key.
fn get<'a>(container: &'a Value, key: &str) -> Result<Option<&'a Value>, Fault> {
    match container {
        Value::Object(map) => Ok(map.get(key)),
        Value::Array(items) => Ok(items.get(index(key, items.len()).map_err(Fault::Refused)?)),
        _ => Err(Fault::Nowhere),
    }
}

/// An index below `length`; negative ones count from the end.
fn index(key: &str, length: usize) -> Result<usize, String> {
    place(number(key)?, length)
}

fn number(key: &str) -> Result<i64, String> {
    key.parse().map_err(|_| format!("strconv.Atoi: parsing {}: invalid syntax", go_quote(key)))
}

fn place(index: i64, length: usize) -> Result<usize, String> {
    let from_start =
        if index < 0 { i64::try_from(length).ok().and_then(|length| length.checked_add(index)) } else { Some(index) };
    let place = from_start.and_then(|index| usize::try_from(index).ok()).filter(|index| *index < length);
    place.ok_or_else(|| format!("Unable to access invalid index: {index}: invalid index referenced"))
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

fn tokens(path: &str) -> usize {
    path.bytes().filter(|b| *b == b'/').count()
}

fn unprocessable(text: impl Into<String>) -> Error {
    Error::Unprocessable(text.into())
}

/// How many containers are inside each other at most.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn json_length(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("JSON values can be written, and counting does not fail");
    count.0
}

#[cfg(test)]
mod tests;
