//! Reads the signatures in which libraries declare their functions.
//!
//! `<list(A)>.indexOf(A) -> int` is called on a list; `sets.contains(list(T), list(T)) -> bool` stands alone. Single
//! capital letters are type parameters.

use super::{Overload, Row};
use crate::typing::{LibraryType, Type};

struct Reader<'t> {
    rest: &'t str,
    params: Vec<char>,
}

/// The function that a row declares, and the overload.
pub(super) fn parse(row: &Row) -> (&'static str, Overload) {
    let Row(id, text, native) = row;
    let mut reader = Reader { rest: text, params: Vec::new() };
    let mut args = Vec::new();
    let is_member = reader.skip("<");
    if is_member {
        args.push(reader.read_type());
        reader.skip(">.");
    }
    // Operators may be made of the very characters that end a name.
    let name_length = reader.rest.rfind(" ->").and_then(|end| matching_paren(&reader.rest[..end])).unwrap_or_default();
    let name: &'static str = &text[text.len() - reader.rest.len()..][..name_length];
    reader.rest = &reader.rest[name_length + 1..];
    while !reader.skip(")") {
        args.push(reader.read_type());
        reader.skip(", ");
    }
    reader.skip(" -> ");
    let result = reader.read_type();
    debug_assert!(reader.rest.is_empty(), "signature {text} has a tail");
    (name, Overload { id, is_member, args, result, params: reader.params.len() as u32, native: *native })
}

/// Where the parenthesis that the last character closes was opened.
fn matching_paren(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (index, c) in text.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

impl Reader<'_> {
    fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn read_type(&mut self) -> Type {
        let length = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        match name {
            "bool" => Type::Bool,
            "bytes" => Type::Bytes,
            "double" => Type::Double,
            "duration" => Type::Duration,
            "dyn" => Type::Dyn,
            "int" => Type::Int,
            "string" => Type::String,
            "timestamp" => Type::Timestamp,
            "uint" => Type::Uint,
            "URL" => Type::Library(LibraryType::Url),
            "Quantity" => Type::Library(LibraryType::Quantity),
            "Semver" => Type::Library(LibraryType::Semver),
            "Format" => Type::Library(LibraryType::Format),
            "IP" => Type::Library(LibraryType::Ip),
            "CIDR" => Type::Library(LibraryType::Cidr),
            "Authorizer" => Type::Library(LibraryType::Authorizer),
            "PathCheck" => Type::Library(LibraryType::PathCheck),
            "GroupCheck" => Type::Library(LibraryType::GroupCheck),
            "ResourceCheck" => Type::Library(LibraryType::ResourceCheck),
            "Decision" => Type::Library(LibraryType::Decision),
            "list" | "optional" | "type" | "map" => self.parameterized(name),
            param => self.param(param),
        }
    }

    fn parameterized(&mut self, name: &str) -> Type {
        self.skip("(");
        let first = self.read_type();
        let made = match name {
            "list" => Type::list(first),
            "optional" => Type::optional(first),
            "type" => Type::Type(Some(first.into())),
            _ => {
                self.skip(", ");
                Type::map(first, self.read_type())
            }
        };
        self.skip(")");
        made
    }

    fn param(&mut self, name: &str) -> Type {
        let letter = name.chars().next().unwrap_or('?');
        debug_assert!(name.len() == 1 && letter.is_ascii_uppercase(), "unknown type {name}");
        let index = self.params.iter().position(|param| *param == letter).unwrap_or_else(|| {
            self.params.push(letter);
            self.params.len() - 1
        });
        Type::Param(index as u32)
    }
}
