//! What a call costs when it is evaluated.

use super::{CALL_COST, CHARACTER_COST, CHECK_COST, LIST_COST, PATTERN_COST, STRUCT_COST, scaled};
use crate::fault::{Eval, Work};
use crate::library::{LibraryValue, Overload};
use crate::value::Value;

/// How the cost of a call is worked out from its arguments and its result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Charge {
    Fixed(u64),
    /// By the size of an argument.
    Sized {
        arg: usize,
        factor: f64,
    },
    /// By the sizes of both arguments, added.
    Added,
    /// By the sizes of both arguments, multiplied.
    Multiplied,
    /// By the size of the smaller argument.
    Smaller,
    /// By the number of elements of the second argument.
    Members,
    /// By all that the first argument holds.
    Traversal,
    /// By the size of the result.
    Joined,
    /// By the sizes of a text and of a pattern.
    Pattern,
    /// By the size of a text and of the format that it is checked against.
    Format,
    /// By the length of a selector.
    Selector,
    /// By the size of a range of addresses, and perhaps of a text that is read as an address.
    ContainsIp {
        parses: bool,
    },
    ContainsCidr {
        parses: bool,
    },
    /// By the size of a list that is made.
    MadeList,
    /// By the size of a list and how deep it is flattened.
    Flattened,
    /// By the size of a list whose elements are compared with each other.
    Compared {
        arg: usize,
    },
    /// By the sizes of two lists that are compared with each other.
    Sets {
        factor: u64,
    },
}

impl Charge {
    /// The charge of a function, of which one or more overloads may be called.
    pub(crate) fn of(function: &str, overloads: &[&'static Overload]) -> Self {
        // With more than one candidate it is not known which one will be called, and those have no charge of their own.
        let id = match overloads {
            [only] => only.id,
            _ => "",
        };
        Self::of_list_overload(id)
            .or_else(|| Self::of_kubernetes(function, id))
            .or_else(|| Self::of_overload(id))
            .unwrap_or(Self::Fixed(CALL_COST))
    }

    fn of_list_overload(id: &str) -> Option<Self> {
        Some(match id {
            "list_slice" | "lists_range" | "list_reverse" => Self::MadeList,
            "list_flatten" | "list_flatten_int" => Self::Flattened,
            "list_distinct" => Self::Compared { arg: 0 },
            "list_sets_contains_list" | "list_sets_intersects_list" => Self::Sets { factor: 1 },
            "list_sets_equivalent_list" => Self::Sets { factor: 2 },
            id if id.ends_with("_sort") => Self::Compared { arg: 0 },
            id if id.ends_with("_sortByAssociatedKeys") => Self::Compared { arg: 1 },
            _ => return None,
        })
    }

    fn of_kubernetes(function: &str, id: &str) -> Option<Self> {
        let text = Self::Sized { arg: 0, factor: CHARACTER_COST };
        let twice = Self::Sized { arg: 0, factor: 2.0 * CHARACTER_COST };
        Some(match function {
            "check" => Self::Fixed(CHECK_COST),
            "fieldSelector" | "labelSelector" => Self::Selector,
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => Self::Traversal,
            "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "jsonpatch.escapeKey" => text,
            "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" => text,
            "ip" if id != "cidr_ip" => text,
            "replace" | "split" | "ip.isCanonical" => twice,
            "join" => Self::Joined,
            "find" | "findAll" => Self::Pattern,
            "containsIP" => Self::ContainsIp { parses: id == "cidr_contains_ip_string" },
            "containsCIDR" => Self::ContainsCidr { parses: id == "cidr_contains_cidr_string" },
            "validate" => Self::Format,
            _ => return None,
        })
    }

    fn of_overload(id: &str) -> Option<Self> {
        Some(match id {
            "starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string" | "strings_quote"
            | "string_format" => Self::Sized { arg: 0, factor: CHARACTER_COST },
            "in_list" => Self::Members,
            "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes" => Self::Smaller,
            "add_string" | "add_bytes" => Self::Added,
            "matches_string" => Self::Pattern,
            "contains_string" => Self::Multiplied,
            _ => return None,
        })
    }

    /// What a call cost; what failed counts as one.
    pub(crate) fn cost(self, args: &[Value<'_>], result: &Eval<Value<'_>>, work: &mut Work) -> Eval<u64> {
        let size = |arg: usize| args.get(arg).map_or(1, size);
        Ok(match self {
            Self::Fixed(cost) => cost,
            Self::Sized { arg, factor } => scaled(size(arg), factor),
            Self::Added => scaled(size(0).saturating_add(size(1)), CHARACTER_COST),
            Self::Multiplied => scaled(size(0), CHARACTER_COST).saturating_mul(scaled(size(1), CHARACTER_COST)),
            Self::Smaller => match args {
                [a, b] => differs_cost(a, b),
                _ => CALL_COST,
            },
            Self::Members => size(1),
            Self::Traversal => match args.first() {
                Some(value) => traversal(value, work)?,
                None => CALL_COST,
            },
            Self::Joined => scaled(result.as_ref().map_or(1, self::size), 2.0 * CHARACTER_COST),
            Self::Pattern => pattern_cost(size(0), size(1)),
            Self::Format => match args {
                [Value::Library(format), _] => match &**format {
                    LibraryValue::Format(format) => pattern_cost(size(1), format.pattern_size as u64),
                    _ => CALL_COST,
                },
                _ => CALL_COST,
            },
            Self::Selector => selector_cost(size(1)),
            Self::ContainsIp { parses } => {
                scaled(2 * size(0), CHARACTER_COST) + if parses { scaled(size(1), CHARACTER_COST) } else { 0 }
            }
            Self::ContainsCidr { parses } => {
                let compared = scaled(2 * size(0), CHARACTER_COST) + scaled(size(0), CHARACTER_COST) + 1;
                compared + if parses { scaled(size(1), CHARACTER_COST) } else { 0 }
            }
            Self::MadeList => list_cost(result.as_ref().map_or(1, self::size), 1.0),
            Self::Flattened => {
                let depth = match args.get(1) {
                    Some(Value::Int(depth)) => *depth as f64,
                    _ => 1.0,
                };
                list_cost(size(0), depth)
            }
            Self::Compared { arg } => {
                let factor = match args.get(arg) {
                    Some(Value::List(list)) => match list.get(0) {
                        Some(Ok(Value::String(_) | Value::Bytes(_))) => 2.0 + CHARACTER_COST,
                        _ => 2.0,
                    },
                    _ => 2.0,
                };
                list_cost(size(arg).saturating_mul(size(arg)), factor)
            }
            Self::Sets { factor } => CALL_COST.saturating_add(size(0).saturating_mul(size(1)).saturating_mul(factor)),
        })
    }
}

/// What `==` costs.
pub(crate) fn equals_cost(a: &Value<'_>, b: &Value<'_>) -> u64 {
    match a {
        Value::Library(_) | Value::Authorization(_) => CALL_COST,
        _ => differs_cost(a, b),
    }
}

/// What `!=` costs.
pub(crate) fn differs_cost(a: &Value<'_>, b: &Value<'_>) -> u64 {
    let smaller = match (a, b) {
        (Value::String(a), Value::String(b)) => {
            let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
            let characters = short.chars().count();
            // No character takes more than four bytes, so a text that is much longer need not be counted.
            if characters <= long.len() / 4 { characters as u64 } else { characters.min(long.chars().count()) as u64 }
        }
        (a, b) => size(a).min(size(b)),
    };
    scaled(smaller, CHARACTER_COST)
}

fn list_cost(size: u64, factor: f64) -> u64 {
    let scaled = size as f64 * factor;
    // A negative number wraps around, as it does in Go.
    let scaled = if scaled < 0.0 { scaled as i64 as u64 } else { (scaled as u64).min(u64::MAX / 2) };
    scaled.wrapping_add(CALL_COST + LIST_COST)
}

fn pattern_cost(text: u64, pattern: u64) -> u64 {
    // One more character, so that an expensive pattern is charged even for an empty text.
    let text = ((1.0 + text as f64) * CHARACTER_COST).ceil() as u64;
    text.saturating_mul(scaled(pattern, PATTERN_COST))
}

fn selector_cost(length: u64) -> u64 {
    let requirements = scaled(scaled(length, 0.5), (LIST_COST + STRUCT_COST) as f64);
    LIST_COST.saturating_add(scaled(length, CHARACTER_COST)).saturating_add(requirements)
}

/// The size of a value that has one; one for all others.
fn size(value: &Value<'_>) -> u64 {
    match value {
        Value::Optional(Some(value)) => size(value),
        Value::Library(library) => library.size(),
        value => value.size().map_or(1, |size| size as u64),
    }
}

/// What looking at everything that a value holds costs.
fn traversal(value: &Value<'_>, work: &mut Work) -> Eval<u64> {
    work.spend(1)?;
    Ok(match value {
        Value::String(text) => (text.len() as f64 * CHARACTER_COST) as u64,
        Value::Bytes(bytes) => (bytes.len() as f64 * CHARACTER_COST) as u64,
        Value::List(list) => {
            let mut cost: u64 = 0;
            for element in list.iter() {
                cost = cost.saturating_add(element.map_or(Ok(1), |element| traversal(&element, work))?);
            }
            cost
        }
        Value::Map(map) => {
            let mut cost: u64 = 0;
            for key in map.keys() {
                let value = map.find(&key).ok().flatten();
                cost = cost.saturating_add(traversal(&key, work)?);
                cost = cost.saturating_add(value.map_or(Ok(1), |value| traversal(&value, work))?);
            }
            cost
        }
        _ => 1,
    })
}
