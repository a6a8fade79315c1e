//! The types of expressions, as the checker deduces them, and how they are written in faults.
//!
//! Which types fit each other is decided in `check`; types of data come from `decl`.

use std::fmt;
use std::sync::Arc;

use crate::decl::DeclType;

/// The type of an expression.
#[derive(Debug, Clone)]
pub enum Type {
    /// Not known before evaluation.
    Dyn,
    /// Not known before evaluation, and nothing that macros can go through.
    Any,
    /// That of something faulty.
    Error,
    /// The type of `null`.
    Null,
    /// `true` and `false`.
    Bool,
    /// 64-bit integers.
    Int,
    /// 64-bit integers without sign.
    Uint,
    /// 64-bit floating point numbers.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A span of time.
    Duration,
    /// A point in time.
    Timestamp,
    /// A list of elements of one type.
    List(Arc<Type>),
    /// A map from one type to another.
    Map(Arc<(Type, Type)>),
    /// A value that may be missing.
    Optional(Arc<Type>),
    /// A type; which one, if that is known.
    Type(Option<Arc<Type>>),
    /// An object with fields.
    Object(ObjectType),
    /// A type of one of the libraries.
    Library(LibraryType),
    /// Stands for a type that is still to be found.
    Param(u32),
}

/// The type of an object: its name and where its fields are described.
#[derive(Debug, Clone)]
pub struct ObjectType {
    pub(crate) name: Arc<str>,
    pub(crate) fields: ObjectFields,
}

/// Where the fields of an object are described.
#[derive(Debug, Clone)]
pub(crate) enum ObjectFields {
    Declared(Arc<DeclType>),
    /// Any field, of any type: the objects that mutating policies make.
    Any,
    /// The fields of a JSON patch operation.
    JsonPatch,
}

/// The types that Kubernetes' libraries add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum LibraryType {
    Url,
    Quantity,
    Semver,
    Format,
    Ip,
    Cidr,
    Authorizer,
    PathCheck,
    GroupCheck,
    ResourceCheck,
    Decision,
}

// === impl Type ===

impl Type {
    /// A list of elements of this type.
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    /// A map from keys to values of these types.
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new((key, value)))
    }

    /// A value of this type that may be missing.
    pub fn optional(value: Type) -> Self {
        Self::Optional(Arc::new(value))
    }

    /// The name of the type, without those of its parameters; also that of values of the type.
    pub fn name(&self) -> &str {
        match self {
            Self::Dyn => "dyn",
            Self::Any => "google.protobuf.Any",
            Self::Error => "error",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Duration => "google.protobuf.Duration",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Object(object) => &object.name,
            Self::Library(library) => library.name(),
            Self::Param(_) => "_var",
        }
    }

    /// The parameters of the type.
    pub(crate) fn parameters(&self) -> (Option<&Type>, Option<&Type>) {
        match self {
            Self::List(element) | Self::Optional(element) | Self::Type(Some(element)) => (Some(element), None),
            Self::Map(entry) => (Some(&entry.0), Some(&entry.1)),
            _ => (None, None),
        }
    }

    /// As faults of the checker write it; the name differs from that of values for a few types.
    pub(crate) fn in_fault(&self) -> String {
        let name = match self {
            Self::Any => "any",
            Self::Null => "null",
            Self::Duration => "duration",
            Self::Timestamp => "timestamp",
            Self::Error => "!error!",
            Self::Param(number) => return format!("_var{number}"),
            _ => self.name(),
        };
        match self.parameters() {
            (None, _) => name.to_owned(),
            (Some(only), None) => format!("{name}({})", only.in_fault()),
            (Some(key), Some(value)) => format!("{name}({}, {})", key.in_fault(), value.in_fault()),
        }
    }

    /// Whether both are the same type, parameters included.
    pub fn is(&self, other: &Type) -> bool {
        match (self, other) {
            (Self::Param(a), Self::Param(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => Arc::ptr_eq(a, b) || a.is(b),
            (Self::Map(a), Self::Map(b)) => Arc::ptr_eq(a, b) || (a.0.is(&b.0) && a.1.is(&b.1)),
            (Self::Type(a), Self::Type(b)) => match (a, b) {
                (Some(a), Some(b)) => a.is(b),
                (a, b) => a.is_none() == b.is_none(),
            },
            (Self::Object(a), Self::Object(b)) => a.name == b.name,
            (Self::Library(a), Self::Library(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }

    pub(crate) fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn | Self::Any)
    }

    pub(crate) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Self::Dyn | Self::Any | Self::Error)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parameters() {
            (None, _) => f.write_str(self.name()),
            (Some(only), None) => write!(f, "{}({only})", self.name()),
            (Some(key), Some(value)) => write!(f, "{}({key}, {value})", self.name()),
        }
    }
}

// === impl LibraryType ===

impl LibraryType {
    /// Whether the checker takes the type for one with fields, although it has none.
    pub(crate) fn is_struct(self) -> bool {
        !matches!(self, Self::Ip | Self::Cidr)
    }

    /// The name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Url => "kubernetes.URL",
            Self::Quantity => "kubernetes.Quantity",
            Self::Semver => "kubernetes.Semver",
            Self::Format => "kubernetes.NamedFormat",
            Self::Ip => "net.IP",
            Self::Cidr => "net.CIDR",
            Self::Authorizer => "kubernetes.authorization.Authorizer",
            Self::PathCheck => "kubernetes.authorization.PathCheck",
            Self::GroupCheck => "kubernetes.authorization.GroupCheck",
            Self::ResourceCheck => "kubernetes.authorization.ResourceCheck",
            Self::Decision => "kubernetes.authorization.Decision",
        }
    }
}
