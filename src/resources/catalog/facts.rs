//! What the tables say of a type and its fields, in the words of Go and OpenAPI.
//!
//! Schemas are made from this; canonical forms and OpenAPI documents need what a schema does not carry.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::TYPES;

/// What the table says of a type.
#[derive(Debug, Default, Deserialize)]
pub struct TypeFacts {
    /// Group, version and kind, if the type is one of a kind.
    #[serde(default)]
    pub gvk: Vec<(String, String, String)>,
    /// `atomic` if the struct is merged as a whole.
    #[serde(default, rename = "map")]
    pub map_type: Option<String>,
    /// OpenAPI's unions, as they are published.
    #[serde(default)]
    pub unions: Option<Value>,
    /// The fields by their JSON names.
    #[serde(default)]
    pub fields: BTreeMap<String, FieldFacts>,
    /// The fields that are always written, also when they were absent.
    #[serde(skip)]
    pub always: Vec<String>,
    /// The fields with a default.
    #[serde(skip)]
    pub defaulted: Vec<String>,
    /// The API package, such as `core`.
    #[serde(skip)]
    package: &'static str,
}

/// What the table says of a field.
#[derive(Debug, Deserialize)]
pub struct FieldFacts {
    /// The type.
    #[serde(rename = "t")]
    pub type_name: TypeName,
    /// The number in protobuf messages: one, or a path through inlined structs; empty if the field has none.
    #[serde(default, rename = "n", deserialize_with = "numbers")]
    pub numbers: Vec<u32>,
    /// How Go writes the field.
    #[serde(default, rename = "p")]
    pub presence: Presence,
    /// The default.
    #[serde(default, rename = "d", deserialize_with = "some_value")]
    pub default: Option<Value>,
    /// The values there are, as they are published: of the field, or of the elements of a list or map.
    #[serde(default, rename = "e")]
    pub values: Option<Value>,
    /// 1 if OpenAPI publishes the zero value as the default, though Go leaves it out.
    #[serde(default, rename = "z")]
    zero: u8,
    /// The place among the required fields (1 for all where it is that of the numbers), 0 if the field is not required.
    #[serde(default, rename = "r")]
    required: u8,
    /// The list type: `atomic` or `set` as text, or the keys of a list of type map.
    #[serde(default, rename = "l")]
    pub list: Option<Value>,
    /// The map type.
    #[serde(default, rename = "m")]
    pub map_type: Option<String>,
    /// The strategy of strategic merge patches.
    #[serde(default, rename = "s")]
    pub patch_strategy: Option<String>,
    /// The merge key of strategic merge patches.
    #[serde(default, rename = "k")]
    pub merge_key: Option<String>,
}

/// How Go writes a field of a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Just as it was set, also when empty (a pointer).
    #[default]
    AsSet,
    /// Left out when empty or zero.
    Drop,
    /// Always there, with the zero value of its type when it was absent.
    Zero,
    /// Always there, `null` when it was absent.
    Null,
}

/// A type as the tables write it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
#[allow(missing_docs)]
pub enum TypeName {
    String,
    /// Base64 in JSON.
    Bytes,
    Boolean,
    Int32,
    Int64,
    Double,
    /// `resource.Quantity`.
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// The field sets of `managedFields`.
    FieldsV1,
    /// Any JSON value, kept as it is.
    Json,
    /// An object of any kind, kept as it is.
    RawExtension,
    /// A JSON schema or a boolean.
    SchemaOrBool,
    /// A JSON schema or a list of them.
    SchemaOrArray,
    /// A JSON schema or a list of strings.
    SchemaOrStrings,
    /// A type of the table, by its index.
    Struct(u16),
    List(Box<TypeName>),
    Map(Box<TypeName>),
}

// === impl TypeFacts ===

impl TypeFacts {
    pub(super) fn parse(name: &'static str, source: &RawValue) -> Self {
        let facts: Self = serde_json::from_str(source.get()).expect("the tables are part of the program and tested");
        let names = |wanted: fn(&FieldFacts) -> bool| {
            facts.fields.iter().filter(|(_, field)| wanted(field)).map(|(name, _)| name.clone()).collect()
        };
        Self {
            always: names(|field| matches!(field.presence, Presence::Zero | Presence::Null)),
            defaulted: names(|field| field.default.is_some()),
            package: name.split('.').next().unwrap_or_default(),
            ..facts
        }
    }

    /// Whether the type is of this API package, such as `core`.
    pub fn is_of_package(&self, package: &str) -> bool {
        self.package == package
    }
}

/// What Go says of the fields of a type, in the words of [`crate::schema::GoType`]. Only the schema keeps it.
pub(super) fn go_fields(source: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Fields {
        #[serde(default)]
        go: String,
    }
    let fields: Fields = serde_json::from_str(source.get()).expect("the tables are part of the program and tested");
    fields.go
}

// === impl FieldFacts ===

impl FieldFacts {
    /// Whether OpenAPI calls the field required.
    pub fn is_required(&self) -> bool {
        self.required != 0
    }

    /// Where the field stands among those that are required: as in the Go struct.
    pub fn place(&self) -> (u8, &[u32]) {
        (self.required, &self.numbers)
    }

    /// Whether OpenAPI publishes the zero value as the default of a field that is left out when empty.
    pub fn publishes_zero(&self) -> bool {
        self.zero != 0
    }
}

// === impl TypeName ===

impl From<String> for TypeName {
    fn from(text: String) -> Self {
        if let Some(element) = text.strip_prefix("[]") {
            return Self::List(Box::new(element.to_owned().into()));
        }
        if let Some(value) = text.strip_prefix("{}") {
            return Self::Map(Box::new(value.to_owned().into()));
        }
        match text.as_str() {
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "boolean" => Self::Boolean,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "double" => Self::Double,
            "quantity" => Self::Quantity,
            "intOrString" => Self::IntOrString,
            "time" => Self::Time,
            "microTime" => Self::MicroTime,
            "fieldsV1" => Self::FieldsV1,
            "json" => Self::Json,
            "rawExtension" => Self::RawExtension,
            "schemaOrBool" => Self::SchemaOrBool,
            "schemaOrArray" => Self::SchemaOrArray,
            "schemaOrStrings" => Self::SchemaOrStrings,
            name => Self::Struct(TYPES.index(name).expect("the tables name only types they hold, which is tested")),
        }
    }
}

fn numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Numbers {
        One(u32),
        Path(Vec<u32>),
    }
    Ok(match Numbers::deserialize(deserializer)? {
        Numbers::One(number) => vec![number],
        Numbers::Path(path) => path,
    })
}

/// `null` would be a default too, so that it is told apart from none.
fn some_value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
