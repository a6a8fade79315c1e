//! The schema of a type, built-in or custom: one in-memory form that drives pruning, defaulting, validation, patches and CEL.
//!
//! Pure data and functions; publishing (OpenAPI) works from the documents a schema was read from, not from this form.

pub mod cel;
pub mod correlate;
pub mod decode;
pub mod default;
pub mod format;
mod go_type;
pub mod json_path;
pub mod lists;
pub mod metadata;
pub mod openapi;
pub(crate) mod place;
pub mod prune;
pub(crate) mod shown;
pub mod structural;
pub mod validate;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;

pub use atoll_cel::pattern::{self, Pattern};
pub use go_type::{GoField, GoType};

/// The JSON type a schema asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum SchemaType {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// How a list is merged and checked (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ListType {
    /// Owned and replaced as a whole.
    #[default]
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects, told apart by the values of these keys, in the declared order.
    Map(Vec<Arc<str>>),
}

/// How a map is merged (`x-kubernetes-map-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MapType {
    /// Every entry has its own owner.
    #[default]
    Granular,
    /// Owned and replaced as a whole.
    Atomic,
}

/// What a strategic merge patch does to a value (`x-kubernetes-patch-strategy`, `x-kubernetes-patch-merge-key`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatchStrategy {
    /// Lists: merge elements instead of replacing the list.
    pub merge: bool,
    /// Maps: drop keys that the patch does not name.
    pub retain_keys: bool,
    /// The key by which list elements are told apart; none for lists of scalars.
    pub merge_key: Option<Arc<str>>,
}

/// What an object may hold besides its named properties.
#[derive(Debug, Clone, Default)]
pub enum Additional {
    /// Nothing: other fields are unknown, and pruned.
    #[default]
    Nothing,
    /// Anything, down to any depth: nothing is known of the values. For raw values of built-in types; custom types say
    /// it with `preserve_unknown` (their `additionalProperties: true` are `Values` of an empty schema).
    Anything,
    /// Values of one schema: the object is a map.
    Values(Link),
}

/// One `x-kubernetes-validations` rule, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// The CEL expression.
    pub rule: String,
    /// What the client is told; empty for a text made from the rule.
    pub message: String,
    /// An expression that yields the message; empty if none.
    pub message_expression: String,
    /// The reason of the cause; empty for `FieldValueInvalid`.
    pub reason: String,
    /// The field the fault is reported at, relative to where the rule stands; empty for that place itself.
    pub field_path: String,
    /// Whether `oldSelf` is optional, so that the rule is checked on creation too.
    pub optional_old_self: bool,
}

/// The value validations of one schema (JSON schema's own words).
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct ValueRules {
    pub enumeration: Vec<Value>,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub max_length: Option<u64>,
    pub min_length: Option<u64>,
    pub pattern: Option<Pattern>,
    pub max_items: Option<u64>,
    pub min_items: Option<u64>,
    pub unique_items: bool,
    pub multiple_of: Option<f64>,
    pub max_properties: Option<u64>,
    pub min_properties: Option<u64>,
    pub required: Vec<Arc<str>>,
    /// Only the named properties are allowed (`additionalProperties: false`).
    pub no_additional: bool,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
}

/// The schema of one value.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// The JSON type; `None` accepts any (and, with `int_or_string`, integers and strings).
    pub kind: Option<SchemaType>,
    /// OpenAPI's `format`, such as `int32`, `int64`, `byte`, `date-time`; also `quantity`, `time`, `micro-time` for built-in types.
    pub format: Option<Arc<str>>,
    /// What Go calls the type of the value, for the texts of decoding faults; `None` where it follows from the schema
    /// (`string`, `int32`, `[]v1.Container`, `map[string]string`).
    pub go_type: Option<GoType>,
    /// The named fields of an object.
    pub properties: BTreeMap<Arc<str>, Link>,
    /// What else an object may hold.
    pub additional: Additional,
    /// The elements of a list.
    pub items: Option<Link>,
    /// Whether `null` is a value.
    pub nullable: bool,
    /// Unknown fields below are kept (`x-kubernetes-preserve-unknown-fields`).
    pub preserve_unknown: bool,
    /// The value is a whole object with `apiVersion`, `kind` and `metadata` (`x-kubernetes-embedded-resource`).
    pub embedded_resource: bool,
    /// An integer or a string (`x-kubernetes-int-or-string`).
    pub int_or_string: bool,
    /// How a list is merged; `None` where the schema does not say (atomic, except for what strategic merge says).
    pub list_type: Option<ListType>,
    /// How a map is merged; `None` where the schema does not say (granular).
    pub map_type: Option<MapType>,
    /// What strategic merge patch does here.
    pub patch: PatchStrategy,
    /// The default, filled in where the field is absent.
    pub default: Option<Value>,
    /// Value validations, if there are any.
    pub rules: Option<Box<ValueRules>>,
    /// CEL validations, if there are any.
    pub validations: Vec<Rule>,
}

/// A table of schemas that lives as long as the program: the built-in types, which refer to each other and to themselves.
pub trait Catalog: Send + Sync {
    /// The schema at `index`; indices come from the catalog itself, so there is always one.
    fn schema(&self, index: u16) -> &Schema;
}

/// A schema held by another: its own (custom types) or one of a catalog (built-in types).
#[derive(Clone)]
pub enum Link {
    /// A schema of one's own, shared.
    Owned(Arc<Schema>),
    /// A named one of a catalog.
    Named(&'static dyn Catalog, u16),
    /// One that is made when it is first looked at.
    Made(Arc<dyn Maker>),
}

/// Makes a schema when it is first asked for, and keeps it.
pub trait Maker: Send + Sync {
    /// The schema, always the same.
    fn schema(&self) -> &Schema;
}

impl Deref for Link {
    type Target = Schema;

    fn deref(&self) -> &Schema {
        match self {
            Self::Owned(schema) => schema,
            Self::Named(catalog, index) => catalog.schema(*index),
            Self::Made(maker) => maker.schema(),
        }
    }
}

impl From<Schema> for Link {
    fn from(schema: Schema) -> Self {
        Self::Owned(Arc::new(schema))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owned(schema) => schema.fmt(f),
            Self::Named(_, index) => write!(f, "Named({index})"),
            Self::Made(_) => f.write_str("Made"),
        }
    }
}

impl SchemaType {
    /// The type by its name in schemas.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Object, Self::Array, Self::String, Self::Integer, Self::Number, Self::Boolean]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }

    /// The name of the type in schemas.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

impl Schema {
    /// The schema of the field `name` of an object: the named property, or that of a map's values.
    pub fn field(&self, name: &str) -> Option<&Schema> {
        match (self.properties.get(name), &self.additional) {
            (Some(link), _) => Some(link),
            (None, Additional::Values(link)) => Some(link),
            (None, _) => None,
        }
    }
}

/// Whether a value nests more than `limit` levels deep. What comes from outside is checked with this before anything
/// follows it down, so that no recursion is deeper than the stack.
pub fn is_deeper_than(value: &Value, limit: usize) -> bool {
    match value {
        Value::Array(list) => limit == 0 || list.iter().any(|value| is_deeper_than(value, limit - 1)),
        Value::Object(map) => limit == 0 || map.values().any(|value| is_deeper_than(value, limit - 1)),
        _ => false,
    }
}
