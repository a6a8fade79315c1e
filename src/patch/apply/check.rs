//! Whether a configuration fits the schema, as far as server-side apply must know: names, forms, and identities of list elements.
//!
//! Whether values are valid is the concern of the schema's own validation, later.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::path::{container_fault, element_of, scalar_fault};
use super::shape::{Form, ListForm, Shape};

/// How many bytes of faults are told: each shows its path, which can be long.
const MAX_SHOWN: usize = 1 << 20;

/// What does not fit: paths and sentences, in the order found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Faults(Vec<(String, String)>);

/// Faults being found.
#[derive(Default)]
struct Finding {
    faults: Faults,
    shown: usize,
}

/// Checks a configuration.
pub(super) fn check(shape: Shape<'_>, config: &Value) -> Result<(), Faults> {
    let mut finding = Finding::default();
    walk(shape, config, &mut String::new(), &mut finding);
    if finding.faults.0.is_empty() { Ok(()) } else { Err(finding.faults) }
}

/// The faults, found below the given step.
pub(super) fn at(step: &str, mut faults: Faults) -> Faults {
    for (path, _) in &mut faults.0 {
        path.insert_str(0, step);
    }
    faults
}

// === impl Faults ===

impl Faults {
    pub(super) fn one(path: &str, text: String) -> Self {
        Self(vec![(path.to_owned(), text)])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |(path, text): &(String, String)| {
            if path.is_empty() { text.clone() } else { format!("{path}: {text}") }
        };
        match self.0.as_slice() {
            [one] => f.write_str(&show(one)),
            many => {
                f.write_str("errors:")?;
                many.iter().try_for_each(|fault| write!(f, "\n  {}", show(fault)))
            }
        }
    }
}

// === impl Finding ===

impl Finding {
    fn note(&mut self, path: &str, text: String) {
        if self.shown < MAX_SHOWN {
            self.shown += path.len() + text.len();
            self.faults.0.push((path.to_owned(), text));
        }
    }
}

fn walk(shape: Shape<'_>, value: &Value, path: &mut String, faults: &mut Finding) {
    let form = shape.form(Some(value));
    let fault = match form {
        Form::Scalar(scalar) => scalar_fault(scalar, value),
        container => container_fault(container, value),
    };
    if let Some(fault) = fault {
        faults.note(path, fault);
        return;
    }
    match (form, value) {
        (Form::Map(_), Value::Object(map)) => {
            for (name, value) in map {
                match shape.field(name) {
                    Some(field) => step(path, &format!(".{name}"), |path| walk(field.shape, value, path, faults)),
                    None => {
                        // The rest of this map is not looked at (structured-merge-diff does not, either).
                        faults.note(&format!("{path}.{name}"), "field not declared in schema".to_owned());
                        return;
                    }
                }
            }
        }
        (Form::List(list), Value::Array(values)) => walk_list(shape, list, values, path, faults),
        _ => {}
    }
}

fn walk_list(shape: Shape<'_>, list: ListForm<'_>, values: &[Value], path: &mut String, faults: &mut Finding) {
    let items = shape.items();
    let mut seen = BTreeSet::new();
    for (index, value) in values.iter().enumerate() {
        if list == ListForm::Whole {
            step(path, &format!("[{index}]"), |path| walk(items, value, path, faults));
            continue;
        }
        match element_of(list, items, value) {
            Err(why) => {
                faults.note(path, format!("element {index}: {why}"));
                return;
            }
            Ok(element) => {
                let text = element.to_string();
                if !seen.insert(element) {
                    faults.note(path, format!("duplicate entries for key {text}"));
                }
                step(path, &text, |path| walk(items, value, path, faults));
            }
        }
    }
}

fn step(path: &mut String, step: &str, walk: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push_str(step);
    walk(path);
    path.truncate(length);
}
