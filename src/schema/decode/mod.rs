//! Reads values as Go reads JSON into structs: checks types with Go's faults, and drops what Go would not have seen.
//!
//! Unknown fields are the work of `prune`; which empty fields are written again is known to the resources.

mod base64;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::sync::LazyLock;

use atoll_api::FieldPath;
use atoll_api::quantity::Quantity;
use atoll_api::time::{format_micro_time, format_time, parse_micro_time, parse_time};
use serde_json::{Map, Number, Value};

use super::metadata::{self, Malformed};
use super::prune::{Extent, drop_nulls, prune_reporting};
use super::{Additional, Schema, SchemaType, is_deeper_than};

/// How deep an object may nest.
const MAX_DEPTH: usize = 512;

/// What an object is read from: Go has a decoder for each, which differ in what they accept and in their faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Text: a body, or what a JSON or merge patch made.
    #[default]
    Text,
    /// Values that were read before: what a strategic merge patch or an apply made.
    Values,
}

/// Reads an object of a built-in kind: its types are checked, nulls and unknown fields dropped.
///
/// Gives the paths of unknown fields, or the fault for which Kubernetes refuses the object.
pub fn builtin(schema: &Schema, value: &mut Value, form: Form) -> Result<Vec<String>, String> {
    refuse_too_deep(value)?;
    Decoder::new(form).read(schema, value)?;
    Ok(prune_reporting(schema, value, Extent::Part))
}

/// Reads an object of a custom kind: its metadata and that of objects embedded in it are read as those of built-in
/// kinds are, unknown fields and meaningless nulls are dropped. The types of all else are left to validation.
///
/// Gives the paths of unknown fields, or the fault for which Kubernetes refuses the object.
pub fn custom(schema: &Schema, value: &mut Value, malformed: Malformed) -> Result<Vec<String>, String> {
    refuse_too_deep(value)?;
    let mut unknown = match value.as_object_mut() {
        Some(object) => metadata::coerce(object, malformed)?,
        None => Vec::new(),
    };
    unknown.extend(prune_reporting(schema, value, Extent::Object));
    drop_nulls(schema, value);
    unknown.extend(embedded(schema, value, malformed)?);
    Ok(unknown)
}

/// Reads an object of a custom kind as [`custom`] does, but keeps its nulls: what an apply leaves is not decoded again.
pub fn custom_with_nulls(schema: &Schema, value: &mut Value) -> Result<Vec<String>, String> {
    refuse_too_deep(value)?;
    let mut unknown = match value.as_object_mut() {
        Some(object) => metadata::coerce(object, Malformed::Refuse)?,
        None => Vec::new(),
    };
    unknown.extend(prune_reporting(schema, value, Extent::Object));
    unknown.extend(embedded(schema, value, Malformed::Refuse)?);
    Ok(unknown)
}

fn embedded(schema: &Schema, value: &mut Value, malformed: Malformed) -> Result<Vec<String>, String> {
    let read = metadata::coerce_embedded(schema, value, &FieldPath::root(), Extent::Part, malformed);
    read.map_err(|error| error.to_string())
}

fn refuse_too_deep(value: &Value) -> Result<(), String> {
    if is_deeper_than(value, MAX_DEPTH) { Err("exceeded max depth".to_owned()) } else { Ok(()) }
}

/// Checks that a value has the types of `schema`, as Go's decoder does, and brings it into the form Go would write:
/// null fields are dropped, times are in UTC, quantities are canonical.
///
/// The error is Go's: `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
pub fn check(schema: &Schema, value: &mut Value) -> Result<(), String> {
    Decoder::new(Form::Text).read(schema, value)
}

/// What Go decodes into.
#[derive(Clone, Copy)]
enum Target<'s> {
    /// Anything, kept as it is.
    Any,
    String,
    Boolean,
    Integer {
        bits: u32,
    },
    Float,
    Bytes,
    Quantity,
    Time,
    MicroTime,
    IntOrString,
    List(Option<&'s Schema>),
    Map(&'s Schema),
    Struct,
    /// A JSON schema or something else.
    SchemaOr(Else, &'s Schema),
}

/// What may stand for a JSON schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Else {
    /// Whether anything is allowed.
    Bool,
    /// A list of schemas; whatever else there is counts as nothing.
    List,
    /// A list of names.
    Names,
}

/// The types of what stands in bytes and in lists of names.
static BYTE: LazyLock<Schema> = LazyLock::new(|| Schema { go_type: Some("uint8".into()), ..integer() });
static TEXT: LazyLock<Schema> = LazyLock::new(|| Schema { kind: Some(SchemaType::String), ..Schema::default() });

fn integer() -> Schema {
    Schema { kind: Some(SchemaType::Integer), ..Schema::default() }
}

struct Decoder<'s> {
    form: Form,
    /// The first value of a wrong type; others are read on, because a fault of a text weighs more.
    mismatch: Option<String>,
    /// The struct fields on the way, each with its struct; keys and indices do not count.
    fields: Vec<(&'s Schema, &'s str)>,
    /// How many lists and maps down from the last of `fields`.
    below: usize,
}

impl<'s> Decoder<'s> {
    fn new(form: Form) -> Self {
        Self { form, mismatch: None, fields: Vec::new(), below: 0 }
    }

    fn read(mut self, schema: &'s Schema, value: &mut Value) -> Result<(), String> {
        self.value(schema, value)?;
        self.mismatch.map_or(Ok(()), Err)
    }

    /// Reads a value that is not null. An error stops the reading.
    fn value(&mut self, schema: &'s Schema, value: &mut Value) -> Result<(), String> {
        let target = Target::of(schema);
        match (target, &mut *value) {
            (Target::Any, _) | (_, Value::Null) => {}
            (Target::String, Value::String(_)) | (Target::Boolean, Value::Bool(_)) => {}
            (Target::Float, Value::Number(_)) => {}
            (Target::Integer { bits }, Value::Number(number)) if fits(number, bits) => {}
            (Target::Integer { bits }, Value::Number(number)) => match wrapped(number, bits) {
                Some(integer) if self.form == Form::Values => *value = integer.into(),
                _ => {
                    let what = format!("number {number}");
                    self.mismatched(&what, value, schema)?;
                }
            },
            (Target::Bytes, _) => self.bytes(schema, value)?,
            (Target::Quantity, value) => {
                let quantity = Quantity::from_value(value).map_err(|error| error.to_string())?;
                *value = quantity.to_string().into();
            }
            (Target::Time | Target::MicroTime, Value::String(text)) => *text = canonical_time(target, text)?,
            (Target::Time | Target::MicroTime, other) => return Err(self.foreign(other, "string")),
            (Target::IntOrString, Value::String(_)) => {}
            (Target::IntOrString, Value::Number(number)) if fits(number, 32) => {}
            (Target::IntOrString, other) => return Err(self.foreign(other, "int32")),
            (Target::List(items), Value::Array(list)) => self.list(items, list)?,
            (Target::Map(values), Value::Object(map)) => self.map(values, map)?,
            (Target::Struct, Value::Object(map)) => self.fields(schema, map)?,
            (Target::SchemaOr(other, inner), value) => self.schema_or(other, inner, value)?,
            (_, other) => self.mismatched(describe(other), other, schema)?,
        }
        Ok(())
    }

    /// Bytes are text in base64; a list of them will do.
    fn bytes(&mut self, schema: &'s Schema, value: &mut Value) -> Result<(), String> {
        match value {
            Value::String(text) => match base64::canonical(text) {
                Ok(canonical) => *text = canonical,
                Err(fault) if self.form == Form::Text => _ = self.mismatch.get_or_insert(fault),
                Err(fault) => return Err(format!("error decoding from json: {fault}")),
            },
            Value::Array(list) => {
                let mut bytes = Vec::with_capacity(list.len());
                for byte in list {
                    match byte.as_u64().and_then(|byte| u8::try_from(byte).ok()) {
                        Some(byte) => bytes.push(byte),
                        None if byte.is_null() => bytes.push(0),
                        None => {
                            let what = match &*byte {
                                Value::Number(number) => format!("number {number}"),
                                other => describe(other).to_owned(),
                            };
                            self.mismatched(&what, byte, &BYTE)?;
                        }
                    }
                }
                *value = base64::encode(&bytes).into();
            }
            other => self.mismatched(describe(other), other, schema)?,
        }
        Ok(())
    }

    /// A JSON schema, or what may stand for one. These types read their own JSON, so that it is text to them.
    fn schema_or(&mut self, other: Else, inner: &'s Schema, value: &mut Value) -> Result<(), String> {
        let form = std::mem::replace(&mut self.form, Form::Text);
        match (other, &mut *value) {
            (_, Value::Object(_)) => self.value(inner, value)?,
            (Else::Bool, Value::Bool(_)) => {}
            (Else::Bool, _) => {
                self.mismatch.get_or_insert_with(|| "boolean or JSON schema expected".to_owned());
            }
            (Else::List, Value::Array(list)) => self.list(Some(inner), list)?,
            (Else::Names, Value::Array(list)) => {
                for name in list.iter().filter(|name| !name.is_string()) {
                    self.mismatched(describe(name), name, &TEXT)?;
                }
            }
            (_, other) => *other = Value::Null,
        }
        self.form = form;
        Ok(())
    }

    fn fields(&mut self, schema: &'s Schema, map: &mut Map<String, Value>) -> Result<(), String> {
        map.retain(|name, value| !value.is_null() || !schema.properties.contains_key(name.as_str()));
        let below = std::mem::take(&mut self.below);
        for (name, value) in map {
            let Some((name, field)) = schema.properties.get_key_value(name.as_str()) else { continue };
            self.fields.push((schema, name));
            self.value(field, value)?;
            self.fields.pop();
        }
        self.below = below;
        Ok(())
    }

    /// A null in a list is the zero value of its elements.
    fn list(&mut self, items: Option<&'s Schema>, list: &mut [Value]) -> Result<(), String> {
        let Some(items) = items else { return Ok(()) };
        self.below += 1;
        for value in list {
            replace_null(items, value);
            self.value(items, value)?;
        }
        self.below -= 1;
        Ok(())
    }

    /// A null in a map is the zero value of its values.
    fn map(&mut self, values: &'s Schema, map: &mut Map<String, Value>) -> Result<(), String> {
        self.below += 1;
        for value in map.values_mut() {
            replace_null(values, value);
            self.value(values, value)?;
        }
        self.below -= 1;
        Ok(())
    }

    fn mismatched(&mut self, what: &str, value: &Value, schema: &Schema) -> Result<(), String> {
        if self.mismatch.is_some() {
            return Ok(());
        }
        let kind = self.go_type(schema);
        if self.form == Form::Values {
            return Err(unrestorable(value, Target::of(schema), &kind));
        }
        self.mismatch = Some(self.unreadable(what, &kind));
        Ok(())
    }

    /// The fault of a type that reads its JSON itself.
    fn foreign(&self, value: &Value, kind: &str) -> String {
        let what = match value {
            Value::Number(number) if kind != "string" => format!("number {number}"),
            other => describe(other).to_owned(),
        };
        match self.form {
            Form::Text => self.unreadable(&what, kind),
            Form::Values => format!("json: cannot unmarshal {what} into Go value of type {kind}"),
        }
    }

    fn unreadable(&self, what: &str, kind: &str) -> String {
        let place = match self.fields.last().and_then(|(owner, _)| owner.go_type.as_ref()) {
            None => "Go value".to_owned(),
            Some(owner) => format!("Go struct field {}.{}", owner.short_name(), self.path()),
        };
        format!("json: cannot unmarshal {what} into {place} of type {kind}")
    }

    /// What Go calls the type of the value that is read.
    fn go_type(&self, schema: &Schema) -> String {
        let field = self.fields.last().and_then(|(owner, name)| Some(owner.go_type.as_ref()?.field(name)));
        match field.unwrap_or_default().type_below(self.below) {
            "" => go_type(schema),
            named => named.to_owned(),
        }
    }

    /// The fields on the way, inlined structs among them.
    fn path(&self) -> String {
        let mut path = String::new();
        for (owner, name) in &self.fields {
            let inlined = owner.go_type.as_ref().map(|owner| owner.field(name).inlined).unwrap_or_default();
            for part in [inlined, name].into_iter().filter(|part| !part.is_empty()) {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(part);
            }
        }
        path
    }
}

fn fits(number: &Number, bits: u32) -> bool {
    number.as_i64().is_some_and(|integer| bits == 64 || i32::try_from(integer).is_ok())
}

fn canonical_time(target: Target<'_>, text: &str) -> Result<String, String> {
    let canonical = match target {
        Target::MicroTime => parse_micro_time(text).map(format_micro_time),
        _ => parse_time(text).map(format_time),
    };
    canonical.map_err(|error| error.to_string())
}

/// The integer that Go makes of a number without looking whether it fits.
fn wrapped(number: &Number, bits: u32) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = number.as_f64().filter(|real| real.fract() == 0.0 && real.abs() <= EXACT);
    let integer = number.as_i64().or(whole.map(|real| real as i64))?;
    Some(if bits == 64 { integer } else { i64::from(integer as i32) })
}

/// The fault of a value that cannot be made one of a Go type (apimachinery's runtime/converter.go).
fn unrestorable(value: &Value, target: Target<'_>, kind: &str) -> String {
    let given = match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    };
    let plain = match target {
        Target::Struct => return format!("cannot restore struct from: {given}"),
        Target::Map(_) => return format!("cannot restore map from {given}"),
        Target::List(_) | Target::Bytes => return format!("cannot restore slice from {given}"),
        Target::Boolean => "bool",
        Target::Integer { bits: 32 } => "int32",
        Target::Integer { .. } => "int64",
        Target::Float => "float64",
        _ => "string",
    };
    // Go converts between numbers, and from integers to texts; what is no number of the type it refuses then.
    match (given, target) {
        ("int64", Target::String) | ("float64", Target::Integer { .. }) => format!("cannot convert {given} to {kind}"),
        _ => format!("unrecognized type: {plain}"),
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn replace_null(schema: &Schema, value: &mut Value) {
    if value.is_null() {
        *value = match Target::of(schema) {
            Target::Any | Target::Time | Target::MicroTime | Target::SchemaOr(..) => return,
            Target::String | Target::Bytes => "".into(),
            Target::Boolean => false.into(),
            Target::Integer { .. } | Target::Float | Target::IntOrString => 0.into(),
            Target::Quantity => "0".into(),
            Target::List(_) => Value::Array(Vec::new()),
            Target::Map(_) | Target::Struct => Value::Object(Map::new()),
        };
    }
}

/// What Go calls the type of a value with this schema.
fn go_type(schema: &Schema) -> String {
    let mut text = String::new();
    write_go_type(schema, &mut text);
    text
}

fn write_go_type(schema: &Schema, text: &mut String) {
    if let Some(name) = &schema.go_type {
        return text.push_str(name.name());
    }
    match Target::of(schema) {
        Target::Any | Target::SchemaOr(..) => text.push_str("interface {}"),
        Target::String => text.push_str("string"),
        Target::Boolean => text.push_str("bool"),
        // Writing into a string cannot fail.
        Target::Integer { bits } => _ = write!(text, "int{bits}"),
        Target::Float => text.push_str("float64"),
        Target::Bytes => text.push_str("[]uint8"),
        Target::Quantity => text.push_str("resource.Quantity"),
        Target::Time => text.push_str("v1.Time"),
        Target::MicroTime => text.push_str("v1.MicroTime"),
        Target::IntOrString => text.push_str("intstr.IntOrString"),
        Target::Struct => text.push_str("struct"),
        Target::List(items) => {
            text.push_str("[]");
            if let Some(items) = items {
                write_go_type(items, text);
            }
        }
        Target::Map(values) => {
            text.push_str("map[string]");
            write_go_type(values, text);
        }
    }
}

// === impl Target ===

impl<'s> Target<'s> {
    fn of(schema: &'s Schema) -> Self {
        if schema.int_or_string {
            return Self::IntOrString;
        }
        if let (None, Some(inner)) = (schema.kind, schema.items.as_deref()) {
            match schema.format.as_deref() {
                Some("schema-or-bool") => return Self::SchemaOr(Else::Bool, inner),
                Some("schema-or-list") => return Self::SchemaOr(Else::List, inner),
                Some("schema-or-names") => return Self::SchemaOr(Else::Names, inner),
                _ => {}
            }
        }
        match (schema.kind, schema.format.as_deref()) {
            _ if schema.preserve_unknown || matches!(schema.additional, Additional::Anything) => Self::Any,
            (_, Some("quantity")) => Self::Quantity,
            (_, Some("time")) => Self::Time,
            (_, Some("micro-time")) => Self::MicroTime,
            (None, _) => Self::Any,
            (Some(SchemaType::String), Some("byte")) => Self::Bytes,
            (Some(SchemaType::String), _) => Self::String,
            (Some(SchemaType::Boolean), _) => Self::Boolean,
            (Some(SchemaType::Integer), Some("int32")) => Self::Integer { bits: 32 },
            (Some(SchemaType::Integer), _) => Self::Integer { bits: 64 },
            (Some(SchemaType::Number), _) => Self::Float,
            (Some(SchemaType::Array), _) => Self::List(schema.items.as_deref()),
            (Some(SchemaType::Object), _) => match &schema.additional {
                Additional::Values(values) if schema.properties.is_empty() => Self::Map(values),
                _ => Self::Struct,
            },
        }
    }
}
