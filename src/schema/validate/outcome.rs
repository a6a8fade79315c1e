//! What a check of one value found, and where in the value it stands.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use atoll_api::{FieldError, FieldPath};

/// A place in the checked value, as the last step from the place above it.
pub(super) struct Here<'a> {
    pub(super) above: Option<&'a Here<'a>>,
    pub(super) step: Step<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Root,
    /// A field the schema names.
    Field(&'a str),
    /// A field it does not name.
    Extra(&'a str),
    Index(usize),
}

impl<'a> Here<'a> {
    pub(super) const ROOT: Here<'static> = Here { above: None, step: Step::Root };

    pub(super) fn below(&'a self, step: Step<'a>) -> Self {
        Self { above: Some(self), step }
    }

    /// The name of the place in sentences. At the root, fields that the schema does not name begin with a dot.
    pub(super) fn name(&self) -> String {
        let mut name = String::new();
        self.write(&mut name);
        name
    }

    fn write(&self, name: &mut String) {
        if let Some(above) = self.above {
            above.write(name);
        }
        match self.step {
            Step::Root => {}
            Step::Index(index) => name.push_str(&format!("[{index}]")),
            Step::Field(field) => {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(field);
            }
            Step::Extra(field) => {
                name.push('.');
                name.push_str(field);
            }
        }
    }
}

/// The path that belongs to the name of a place.
pub(super) fn path_of(base: &FieldPath, name: &str) -> FieldPath {
    match name.strip_prefix('.').unwrap_or(name) {
        "" => base.clone(),
        rest => base.child(rest),
    }
}

/// A fault and its sentence; equal sentences are kept once.
struct Issue {
    sentence: u64,
    error: FieldError,
}

/// What was found.
#[derive(Default)]
pub(super) struct Outcome {
    issues: Vec<Issue>,
    sentences: HashSet<u64>,
    /// Whether the value is refused; stays even where faults are no longer collected.
    failed: bool,
    /// How many checks there were, weighted as kube-openapi does: decides which branch of an operator is told about.
    pub(super) matches: u64,
}

impl Outcome {
    pub(super) fn is_valid(&self) -> bool {
        !self.failed
    }

    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    pub(super) fn add(&mut self, sentence: &str, error: FieldError) {
        let mut hasher = DefaultHasher::new();
        sentence.hash(&mut hasher);
        self.push(Issue { sentence: hasher.finish(), error });
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.matches += other.matches;
        self.failed |= other.failed;
        for issue in other.issues {
            self.push(issue);
        }
    }

    /// Passes over all faults.
    pub(super) fn forgive(&mut self) {
        *self = Self { matches: self.matches, ..Self::default() };
    }

    pub(super) fn into_errors(self) -> impl Iterator<Item = FieldError> {
        self.issues.into_iter().map(|issue| issue.error)
    }

    fn push(&mut self, issue: Issue) {
        self.failed = true;
        if self.sentences.insert(issue.sentence) {
            self.issues.push(issue);
        }
    }
}
