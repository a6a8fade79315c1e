//! Where a walk stands, and the faults it found: paths are written only for faults, and faults only up to a bound.
//!
//! A hostile schema or object could otherwise make every one of many fields cost a copy of a very long path.

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

/// How many faults are collected from one value.
const MAX_FAULTS: usize = 1000;
/// How many bytes the texts of the collected faults may take.
const MAX_BYTES: usize = 1 << 20;

/// A place in a value or schema, as the last step from the place above it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Start(&'a FieldPath),
    Child(&'a str),
    Key(&'a str),
    Index(usize),
}

/// Faults in the order in which they were found.
#[derive(Default)]
pub(crate) struct Faults {
    errors: FieldErrors,
    bytes: usize,
}

// === impl Place ===

impl<'a> Place<'a> {
    /// The place a walk begins at.
    pub(crate) fn start(path: &'a FieldPath) -> Self {
        Self { above: None, step: Step::Start(path) }
    }

    /// The field `name` of the value here.
    pub(crate) fn child(&'a self, name: &'a str) -> Self {
        Self { above: Some(self), step: Step::Child(name) }
    }

    /// The entry `key` of the map here.
    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self { above: Some(self), step: Step::Key(key) }
    }

    /// The element at `index` of the list here.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self { above: Some(self), step: Step::Index(index) }
    }

    /// The place as a path.
    pub(crate) fn path(&self) -> FieldPath {
        let mut text = String::new();
        self.write(&mut text);
        FieldPath::new(text)
    }

    fn write(&self, text: &mut String) {
        if let Some(above) = self.above {
            above.write(text);
        }
        match self.step {
            Step::Start(path) => text.push_str(path.as_str()),
            Step::Child(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Key(key) => {
                text.push('[');
                text.push_str(key);
                text.push(']');
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
}

// === impl Faults ===

impl Faults {
    /// Whether no more faults are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= MAX_FAULTS || self.bytes >= MAX_BYTES
    }

    /// Adds the fault that `make` writes for the path of `place`, unless there are too many already.
    pub(crate) fn add(&mut self, place: &Place<'_>, make: impl FnOnce(&FieldPath) -> FieldError) {
        if !self.is_full() {
            self.push(make(&place.path()));
        }
    }

    /// Adds: a value that must be there is not.
    pub(crate) fn required(&mut self, place: &Place<'_>, detail: impl Into<String>) {
        self.add(place, |path| FieldError::required(path, detail));
    }

    /// Adds: something may not be said here.
    pub(crate) fn forbidden(&mut self, place: &Place<'_>, detail: impl Into<String>) {
        self.add(place, |path| FieldError::forbidden(path, detail));
    }

    /// Adds: a malformed value.
    pub(crate) fn invalid(&mut self, place: &Place<'_>, value: &Value, detail: impl Into<String>) {
        self.add(place, |path| FieldError::invalid(path, value, detail));
    }

    /// Adds: a text that should be another, or should be there at all.
    pub(crate) fn wrong_text(&mut self, place: &Place<'_>, text: &str, detail: &str) {
        match text {
            "" => self.required(place, detail),
            text => self.invalid(place, &text.into(), detail),
        }
    }

    /// Adds: a value that is not among the accepted ones.
    pub(crate) fn not_supported(&mut self, place: &Place<'_>, value: &Value, accepted: &[&str]) {
        self.add(place, |path| FieldError::not_supported(path, value, accepted));
    }

    /// Adds faults that were found elsewhere.
    pub(crate) fn extend(&mut self, errors: impl IntoIterator<Item = FieldError>) {
        for error in errors {
            if !self.is_full() {
                self.push(error);
            }
        }
    }

    /// The faults.
    pub(crate) fn into_errors(self) -> FieldErrors {
        self.errors
    }

    fn push(&mut self, error: FieldError) {
        let shown = error.value.as_ref().map_or(0, String::len);
        self.bytes += error.path.as_str().len() + shown + error.detail.len();
        self.errors.push(error);
    }
}
