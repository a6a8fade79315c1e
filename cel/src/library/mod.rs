//! The functions that expressions can call: those of the language, and those of Kubernetes 1.36.
//!
//! Each library is a table of signatures with what they run. What calls cost is in `cost`.

mod authorizer;
mod format_text;
mod lists;
mod named_format;
mod network;
mod optional;
mod quantity;
mod regex;
mod semver;
mod signature;
mod standard;
mod strings;
mod url;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use crate::fault::{Eval, EvalError, Work};
use crate::typing::{LibraryType, Type};
use crate::value::{Text, Value};

pub use authorizer::{Authorization, Authorizer, Check, CheckTarget, Decision, Subject};
pub(crate) use format_text::{Checker as FormatChecker, Clause, check as check_format, unfit};
pub(crate) use lists::{entries as map_entries, insert_new};
pub(crate) use named_format::NamedFormat;
pub(crate) use network::Cidr;
pub(crate) use quantity::Quantity;
pub(crate) use regex::{compile as compile_pattern, with_pattern};
pub(crate) use semver::Semver;
pub(crate) use url::Url;

/// What a function runs: the receiver, if there is one, is the first argument.
pub(crate) type Native = for<'a> fn(&mut Work, &[Value<'a>]) -> Eval<Value<'a>>;

/// A line of a library's table: the identifier of an overload, its signature, and what it runs.
pub(crate) struct Row(&'static str, &'static str, Native);

/// A function and its overloads, in the order in which they are tried.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) overloads: Vec<Overload>,
    /// One implementation for all overloads, which tells the types of its arguments apart itself.
    pub(crate) is_uniform: bool,
}

/// One signature of a function.
pub(crate) struct Overload {
    pub(crate) id: &'static str,
    /// Whether it is called on a receiver, which is the first of `args`.
    pub(crate) is_member: bool,
    pub(crate) args: Vec<Type>,
    pub(crate) result: Type,
    /// How many type parameters there are; they are numbered from 0.
    pub(crate) params: u32,
    pub(crate) native: Native,
}

/// A value of a library's type.
#[derive(Debug, Clone, PartialEq)]
pub enum LibraryValue {
    /// A parsed URL.
    Url(Url),
    /// A quantity such as `1500m`.
    Quantity(Quantity),
    /// A semantic version.
    Semver(Semver),
    /// A named format of strings.
    Format(&'static NamedFormat),
    /// An IP address.
    Ip(IpAddr),
    /// A range of IP addresses.
    Cidr(Cidr),
}

/// All functions, by name.
pub(crate) fn functions() -> &'static HashMap<&'static str, Function> {
    static FUNCTIONS: OnceLock<HashMap<&'static str, Function>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let libraries: [&[Row]; 15] = [
            standard::ROWS,
            standard::COMPARISONS,
            standard::TIME_ROWS,
            url::ROWS,
            regex::ROWS,
            lists::EXTREMES,
            lists::ROWS,
            lists::SORTS,
            authorizer::ROWS,
            optional::ROWS,
            quantity::ROWS,
            strings::ROWS,
            network::ROWS,
            named_format::ROWS,
            semver::ROWS,
        ];
        let mut functions = HashMap::new();
        for row in libraries.iter().flat_map(|rows| rows.iter()) {
            let (name, overload) = signature::parse(row);
            let function =
                functions.entry(name).or_insert_with(|| Function { name, overloads: Vec::new(), is_uniform: false });
            function.overloads.push(overload);
            function.is_uniform = standard::UNIFORM.contains(&name);
        }
        functions
    })
}

/// The types that expressions can name, as values.
pub(crate) fn named_type(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "int" => Type::Int,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "optional_type" => Type::optional(Type::Dyn),
        "string" => Type::String,
        "type" => Type::Type(None),
        "uint" => Type::Uint,
        "net.IP" => Type::Library(LibraryType::Ip),
        "net.CIDR" => Type::Library(LibraryType::Cidr),
        _ => return None,
    })
}

impl Overload {
    /// Whether the arguments are of the kinds that the signature asks for.
    pub(crate) fn accepts(&self, args: &[Value<'_>]) -> bool {
        self.args.len() == args.len() && self.args.iter().zip(args).all(|(wanted, value)| fits(wanted, value))
    }
}

/// Whether a value is of the kind of a type. Of a list or map, cel-go looks at what it holds first.
fn fits(wanted: &Type, value: &Value<'_>) -> bool {
    match (wanted, value) {
        (Type::Dyn | Type::Param(_), _) => true,
        (Type::List(element), Value::List(list)) => match list.get(0) {
            Some(Ok(first)) => fits(element, &first),
            Some(Err(_)) => false,
            None => true,
        },
        (Type::Map(entry), Value::Map(map)) => match map.first() {
            Some((key, Ok(value))) => fits(&entry.0, &key) && fits(&entry.1, &value),
            Some((_, Err(_))) => false,
            None => true,
        },
        (Type::Type(_), Value::Type(_)) => true,
        (Type::Library(library), _) => library.name() == value.type_name(),
        (wanted, value) => wanted.name() == value.type_name(),
    }
}

/// The fault of a call that no overload fits.
pub(crate) fn no_overload_for(function: &str, args: &[Value<'_>]) -> EvalError {
    let types: Vec<&str> = args.iter().map(Value::type_name).collect();
    EvalError::new(format!("no such overload: {function}({})", types.join(", ")))
}

// === impl LibraryValue ===

impl LibraryValue {
    pub(crate) fn type_of(&self) -> LibraryType {
        match self {
            Self::Url(_) => LibraryType::Url,
            Self::Quantity(_) => LibraryType::Quantity,
            Self::Semver(_) => LibraryType::Semver,
            Self::Format(_) => LibraryType::Format,
            Self::Ip(_) => LibraryType::Ip,
            Self::Cidr(_) => LibraryType::Cidr,
        }
    }

    /// The number of bytes of an address; of anything else one.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Ip(IpAddr::V4(_)) => 4,
            Self::Ip(IpAddr::V6(_)) => 16,
            Self::Cidr(range) => u64::from(range.bits).div_ceil(8),
            _ => 1,
        }
    }

    pub(crate) fn equals(&self, other: &LibraryValue) -> Eval<bool> {
        match (self, other) {
            (Self::Semver(a), Self::Semver(b)) => Ok(a.cmp_precedence(b).is_eq()),
            (Self::Quantity(a), Self::Quantity(b)) => Ok(a.cmp(b).is_eq()),
            (a, b) if a.type_of() == b.type_of() => Ok(a == b),
            _ => Err(EvalError::no_overload()),
        }
    }

    /// The value as text, for values that can be written as such.
    pub(crate) fn to_text(&self) -> Option<String> {
        match self {
            Self::Ip(address) => Some(network::show(*address)),
            Self::Cidr(range) => Some(range.show()),
            _ => None,
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn library(value: LibraryValue) -> Self {
        Self::Library(Arc::new(value))
    }
}

/// The text of an argument.
pub(crate) fn text<'v, 'a>(args: &'v [Value<'a>], index: usize) -> Eval<&'v Text<'a>> {
    match args.get(index) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(EvalError::no_overload()),
    }
}

/// The whole number that an argument is.
pub(crate) fn int(args: &[Value<'_>], index: usize) -> Eval<i64> {
    match args.get(index) {
        Some(Value::Int(number)) => Ok(*number),
        _ => Err(EvalError::no_overload()),
    }
}

/// The list that an argument is, all of whose elements will be looked at.
pub(crate) fn whole_list<'v, 'a>(
    args: &'v [Value<'a>],
    index: usize,
    work: &mut Work,
) -> Eval<&'v crate::value::List<'a>> {
    let list = list(args, index)?;
    work.spend(list.len())?;
    Ok(list)
}

/// The list that an argument is.
pub(crate) fn list<'v, 'a>(args: &'v [Value<'a>], index: usize) -> Eval<&'v crate::value::List<'a>> {
    match args.get(index) {
        Some(Value::List(list)) => Ok(list),
        _ => Err(EvalError::no_overload()),
    }
}
