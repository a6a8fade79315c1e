//! How values stand in the texts of faults.

use std::fmt;

use super::{Value, float::format_double, time};

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL_VALUE"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Uint(value) => value.fmt(f),
            Self::Double(value) => f.write_str(&format_double(*value)),
            Self::String(text) | Self::Type(text) => f.write_str(text),
            Self::Bytes(bytes) => bytes.fmt_debug(f),
            Self::Duration(span) => f.write_str(&time::show_duration(*span)),
            Self::Timestamp(time) => f.write_str(&time.show()),
            Self::Optional(Some(value)) => write!(f, "optional({value})"),
            Self::Optional(None) => f.write_str("optional.none()"),
            other => f.write_str(other.type_name()),
        }
    }
}

impl Value<'_> {
    /// The name of the value's type in Go, which some faults show.
    pub(crate) fn go_name(&self) -> &'static str {
        match self {
            Self::Null => "types.Null",
            Self::Bool(_) => "types.Bool",
            Self::Int(_) => "types.Int",
            Self::Uint(_) => "types.Uint",
            Self::Double(_) => "types.Double",
            Self::String(_) => "types.String",
            Self::Bytes(_) => "types.Bytes",
            Self::Duration(_) => "types.Duration",
            Self::Timestamp(_) => "types.Timestamp",
            Self::Optional(_) => "*types.Optional",
            Self::Type(_) => "*types.Type",
            Self::List(list) if list.is_typed() => "*common.unstructuredList",
            Self::List(_) => "*types.baseList",
            Self::Map(map) if map.is_typed() => "*common.unstructuredMap",
            Self::Map(_) => "*types.baseMap",
            Self::Library(_) | Self::Authorization(_) => "cel.Object",
            Self::Object(_) => "*dynamic.ObjectVal",
            Self::Preserved(_) => "map[string]interface {}",
        }
    }
}

/// Bytes as Go prints a slice of them.
trait FmtDebug {
    fn fmt_debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl FmtDebug for [u8] {
    fn fmt_debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, byte) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{byte}")?;
        }
        f.write_str("]")
    }
}
