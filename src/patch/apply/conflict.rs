//! Conflicts: fields that were applied with other values than those that their managers gave them.

use std::fmt;

use super::managers::{Manager, Operation};
use super::set::Set;
use atoll_api::field::go_quote;

/// How many bytes of paths are shown: keys of list elements can be long, and each field of such an element shows them.
const MAX_SHOWN: usize = 1 << 20;

/// Fields that others own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts {
    /// The fields by manager and then in the order of their paths, as many as can be shown; never empty.
    pub listed: Vec<Conflict>,
    /// How many fields there are.
    pub total: usize,
}

/// One such field; a cause with the reason `FieldManagerConflict`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The manager as it is shown: `"name"`, with its subresource and, if it does not apply, its version.
    pub manager: String,
    /// The path of the field: `.spec.replicas`.
    pub field: String,
}

// === impl Conflicts ===

impl Conflicts {
    pub(super) fn new<'a>(found: impl IntoIterator<Item = (&'a Manager, &'a Set)>) -> Self {
        let mut conflicts = Self { listed: Vec::new(), total: 0 };
        let mut left = MAX_SHOWN;
        for (manager, fields) in found {
            conflicts.total += fields.count();
            let manager = show(manager);
            for field in fields.paths(left) {
                left = left.saturating_sub(field.len());
                conflicts.listed.push(Conflict { manager: manager.clone(), field });
            }
        }
        conflicts
    }
}

impl Conflict {
    /// The message of the cause.
    pub fn message(&self) -> String {
        format!("conflict with {}", self.manager)
    }
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([one], 1) = (self.listed.as_slice(), self.total) {
            return write!(f, "Apply failed with 1 conflict: {}: {}", one.message(), one.field);
        }
        write!(f, "Apply failed with {} conflicts:", self.total)?;
        let mut last = None;
        for conflict in &self.listed {
            if last != Some(&conflict.manager) {
                let separator = if last.is_some() { '\n' } else { ' ' };
                write!(f, "{separator}conflicts with {}:", conflict.manager)?;
                last = Some(&conflict.manager);
            }
            write!(f, "\n- {}", conflict.field)?;
        }
        Ok(())
    }
}

fn show(manager: &Manager) -> String {
    let mut text = go_quote(&manager.name);
    if !manager.subresource.is_empty() {
        text.push_str(&format!(" with subresource {}", go_quote(&manager.subresource)));
    }
    if manager.operation == Operation::Update {
        text.push_str(&format!(" using {}", manager.api_version));
    }
    text
}
