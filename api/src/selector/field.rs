//! Field selectors: `metadata.name=a,spec.nodeName!=b`, with `\` before a comma, an equals sign or a backslash in a value.

use std::fmt;

use super::SelectorError;
use crate::field::go_quote;

/// How a requirement compares the value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldOperator {
    /// The field has the value.
    Equals,
    /// The field has another value.
    NotEquals,
}

/// One condition on one field; an absent field counts as the empty text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    /// The field, such as `metadata.name`.
    pub field: String,
    /// How its value is compared.
    pub operator: FieldOperator,
    /// What its value is compared with.
    pub value: String,
}

impl FieldRequirement {
    /// Whether the field's value meets the condition.
    pub fn matches(&self, value: &str) -> bool {
        (self.value == value) == (self.operator == FieldOperator::Equals)
    }
}

/// How a kind words that it cannot be selected by a field; see [`FieldSelector::require_fields`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldWording {
    /// The words of kinds that leave it to the default, such as config maps and leases.
    Default,
    /// The words of kinds that list their fields themselves: pods, namespaces, secrets and others, and all custom resources.
    Own,
}

/// A set of conditions that all must be met; without conditions it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects what has the value in the field.
    pub fn exact(field: &str, value: &str) -> Self {
        let requirement =
            FieldRequirement { field: field.to_owned(), operator: FieldOperator::Equals, value: value.to_owned() };
        Self { requirements: vec![requirement] }
    }

    /// Reads the text form. Which fields there are is not checked here.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::with_capacity(terms.len());
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let Some((field, operator, value)) = split_term(term) else {
                return Err(SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            requirements.push(FieldRequirement { field: field.to_owned(), operator, value: unescape(value)? });
        }
        Ok(Self { requirements })
    }

    /// The conditions.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Adds the conditions of another selector.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.requirements.extend(other.requirements);
        self
    }

    /// Whether an object is selected; `field` gives a field's value, empty if it is absent.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> std::borrow::Cow<'a, str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(&field(&requirement.field)))
    }

    /// The one value the field must have, if the selector demands that.
    pub fn requires_exact(&self, field: &str) -> Option<&str> {
        let exact = |r: &&FieldRequirement| r.field == field && r.operator == FieldOperator::Equals;
        self.requirements.iter().find(exact).map(|requirement| requirement.value.as_str())
    }

    /// Refuses a selector by a field for which `known` is false, worded as the kind words it.
    pub fn require_fields(&self, known: impl Fn(&str) -> bool, wording: FieldWording) -> Result<(), SelectorError> {
        match (self.requirements.iter().find(|requirement| !known(&requirement.field)), wording) {
            (None, _) => Ok(()),
            (Some(requirement), FieldWording::Own) => {
                Err(SelectorError(format!("field label not supported: {}", requirement.field)))
            }
            (Some(requirement), FieldWording::Default) => Err(SelectorError(format!(
                "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                go_quote(&requirement.field)
            ))),
        }
    }

    /// Renames fields, such as `name`, an old name of `metadata.name` for some kinds.
    #[must_use]
    pub fn rename(mut self, from: &str, to: &str) -> Self {
        for requirement in self.requirements.iter_mut().filter(|requirement| requirement.field == from) {
            requirement.field = to.to_owned();
        }
        self
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if requirement.operator == FieldOperator::Equals { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}{}", requirement.field, escape(&requirement.value))?;
        }
        Ok(())
    }
}

/// Splits at commas that no backslash precedes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, FieldOperator, &str)> {
    // The first operator counts. A lone `!` is part of a field's name.
    let at =
        term.char_indices().find_map(|(index, c)| (c == '=' || term[index..].starts_with("!=")).then_some(index))?;
    let (field, rest) = term.split_at(at);
    Some(match (rest.strip_prefix("!="), rest.strip_prefix("==")) {
        (Some(value), _) => (field, FieldOperator::NotEquals, value),
        (None, Some(value)) => (field, FieldOperator::Equals, value),
        (None, None) => (field, FieldOperator::Equals, &rest[1..]),
    })
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let error = |text: String| Err(SelectorError(format!("invalid field selector: {text}")));
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => return error(format!("invalid escape sequence: \\{other}")),
                None => return error("invalid escape sequence: \\".to_owned()),
            },
            // Kubernetes prints the character as a number.
            ',' | '=' => return error(format!("unescaped character in value: {}", c as u32)),
            other => plain.push(other),
        }
    }
    Ok(plain)
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
