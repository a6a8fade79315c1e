//! JSON bodies to values and back, as Go's `encoding/json` and Kubernetes' variant of it do it.
//!
//! What fits none of a kind's fields is not known here. Bodies that are plain JSON take a fast path through `serde_json`; the few
//! others (duplicate keys, malformed text, broken Unicode) are read again by a slower reader that knows Go's ways and words.

mod order;
mod print;
mod read;

use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::strict::StrictFault;

pub(crate) use order::{InOrder, Order};
pub(crate) use print::go_float;
pub use print::{to_pretty_vec, to_vec};

/// The largest body of a write, in bytes.
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// How deep values may be nested. Go allows 10,000, but what is stored is read with plain `serde_json`, which stops here.
pub const MAX_DEPTH: usize = 127;

/// Why bytes are not JSON, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(pub(crate) String);

/// What becomes of a key that an object has more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// The last value counts, as in custom resources and patches.
    Replace,
    /// The last value counts, but objects are merged, as Go does when it decodes into a built-in kind.
    Merge,
}

/// A body, and the keys it has more than once.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What the body says.
    pub value: Value,
    /// Duplicate keys, in the order of the document.
    pub faults: Vec<StrictFault>,
}

/// Reads a body. Integers that fit `i64` stay exact, all other numbers become floating-point.
pub fn parse(bytes: &[u8], duplicates: Duplicates) -> Result<Document, JsonError> {
    let mut fast = serde_json::Deserializer::from_slice(bytes);
    if let Ok(value) = Fast.deserialize(&mut fast).and_then(|value| fast.end().map(|()| value)) {
        return Ok(Document { value, faults: Vec::new() });
    }
    read::read(bytes, duplicates)
}

/// Puts faults into the order in which a JSON body has their fields; what the body does not have goes last.
pub fn sort_by_document(bytes: &[u8], faults: &mut [StrictFault]) {
    if faults.len() < 2 {
        return;
    }
    let wanted: BTreeMap<String, read::Seen> =
        faults.iter().filter_map(|fault| Some((fault.path()?.to_owned(), read::Seen::default()))).collect();
    let seen = read::positions(bytes, wanted);
    faults.sort_by_key(|fault| {
        let seen = fault.path().and_then(|path| seen.get(path)).copied().unwrap_or_default();
        match fault {
            StrictFault::Duplicate(_) => seen.second.unwrap_or(usize::MAX),
            _ => seen.first.unwrap_or(usize::MAX),
        }
    });
}

/// Reads a value and gives up where the slower reader would do anything but the obvious.
struct Fast;

impl<'de> DeserializeSeed<'de> for Fast {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fast {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| float(value as f64), Value::from))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(Self)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.insert(key, access.next_value_seed(Self)?).is_some() {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(map))
    }
}

/// A finite floating-point number; a negative zero becomes a plain one, which Go keeps only where it is written `-0.0`.
fn float(value: f64) -> Value {
    if value == 0.0 { Value::from(0) } else { Number::from_f64(value).map_or(Value::Null, Value::Number) }
}

#[cfg(test)]
mod tests;
