//! JSON whose fields come in an order that is told, as Go writes those of a struct. Which order that is, is not known here.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use super::print;

/// The orders in which fields are written; those that are not named follow by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// Those that come first in the document itself.
    pub(crate) of_document: &'static [&'static str],
    /// Those of the document and of all objects within.
    pub(crate) of_objects: &'static [&'static str],
}

/// A value whose fields are written in an order.
pub(crate) struct InOrder<'a> {
    value: &'a Value,
    order: &'a Order,
    depth: usize,
}

// === impl InOrder ===

impl<'a> InOrder<'a> {
    /// A whole document.
    pub(crate) fn document(value: &'a Value, order: &'a Order) -> Self {
        Self { value, order, depth: 0 }
    }

    /// The document, compact.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        print::compact(self)
    }

    /// The document, indented for people.
    pub(crate) fn to_pretty_vec(&self) -> Vec<u8> {
        print::pretty(self)
    }

    fn within(&self, value: &'a Value) -> Self {
        Self { value, order: self.order, depth: self.depth + 1 }
    }

    /// Where a field stands.
    fn place(&self, field: &str) -> (usize, usize) {
        let find = |names: &[&str]| names.iter().position(|name| *name == field).unwrap_or(usize::MAX);
        let first = if self.depth == 0 { find(self.order.of_document) } else { usize::MAX };
        (first, find(self.order.of_objects))
    }
}

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Object(fields) => {
                let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
                sorted.sort_by_cached_key(|(name, _)| self.place(name));
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                for (name, value) in sorted {
                    map.serialize_entry(name, &self.within(value))?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&self.within(item))?;
                }
                list.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_come_in_their_order_and_those_without_one_by_name() {
        let order = Order { of_document: &["kind"], of_objects: &["name", "kind"] };
        let value = json!({"b": 1, "a": [{"x": {}, "kind": 2, "name": 3}], "name": 4, "kind": 5});
        let written = InOrder::document(&value, &order).to_vec();
        assert_eq!(String::from_utf8_lossy(&written), r#"{"kind":5,"name":4,"a":[{"name":3,"kind":2,"x":{}}],"b":1}"#);
    }
}
