//! Property names as identifiers: Kubernetes' `__dot__` and the like.
//!
//! A property whose name cannot be escaped is out of the reach of expressions.

use std::borrow::Cow;

/// Words that cannot be identifiers.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether a word cannot be an identifier.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// The identifier by which an expression names the property; `None` if there is none.
pub fn escape(property: &str) -> Option<Cow<'_, str>> {
    if property.is_empty() || property.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if is_reserved(property) {
        return Some(Cow::Owned(format!("__{property}__")));
    }
    let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if !property.chars().all(|c| is_word(c) || matches!(c, '.' | '-' | '/')) {
        return None;
    }
    if property.chars().all(is_word) && !property.contains("__") {
        return Some(Cow::Borrowed(property));
    }
    let escaped = property.replace("__", "\0").replace('.', "__dot__").replace('-', "__dash__");
    Some(Cow::Owned(escaped.replace('/', "__slash__").replace('\0', "__underscores__")))
}

/// The property that an identifier names; `None` if it holds an escape that is none.
pub fn unescape(identifier: &str) -> Option<Cow<'_, str>> {
    if !identifier.contains("__") {
        return Some(Cow::Borrowed(identifier));
    }
    let mut property = String::with_capacity(identifier.len());
    let mut rest = identifier;
    while let Some(start) = rest.find("__") {
        // An escape is a run without underscores between two pairs of them.
        let inner = &rest[start + 2..];
        let length = inner.find('_').unwrap_or(inner.len());
        if length == 0 || !inner[length..].starts_with("__") {
            property.push_str(&rest[..=start]);
            rest = &rest[start + 1..];
            continue;
        }
        property.push_str(&rest[..start]);
        let name = &inner[..length];
        property.push_str(match name {
            "underscores" => "__",
            "dot" => ".",
            "dash" => "-",
            "slash" => "/",
            // A reserved word is escaped only if it is the whole name.
            _ if is_reserved(name) && identifier.len() == length + 4 => name,
            _ => return None,
        });
        rest = &inner[length + 2..];
    }
    property.push_str(rest);
    Some(Cow::Owned(property))
}
