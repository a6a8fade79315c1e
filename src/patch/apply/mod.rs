//! Server-side apply, and the record of who owns which fields (`metadata.managedFields`) that every write keeps.
//!
//! The rules are those of structured-merge-diff and of apimachinery's field managers. Decoding, defaulting and validation are the
//! caller's: it tracks a write after decoding and defaulting and before admission, as kube-apiserver does, so that nobody owns what
//! admission adds.

mod check;
mod compare;
mod conflict;
mod fields;
mod last_applied;
mod managers;
mod merge;
mod overlay;
mod owned;
mod path;
mod run;
mod scale;
mod set;
mod shape;
mod track;

use jiff::Timestamp;
use serde_json::Value;

use super::Error;
use crate::schema::Schema;
use managers::{Manager, Managers, Operation};

pub use conflict::{Conflict, Conflicts};
pub use scale::{ReplicasPaths, from_scale, to_scale};

/// One write, as far as it concerns the record of owners.
#[derive(Clone, Copy)]
pub struct Tracking<'a> {
    /// The field manager, see [`manager_name`].
    pub manager: &'a str,
    /// The subresource written to, such as `status`; empty for the object itself.
    pub subresource: &'a str,
    /// The `apiVersion` of the request, in which both objects are given.
    pub api_version: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// The object as it was before anything was said about it. For built-in kinds that is the zero value of the Go type, as Go
    /// writes it and without defaults: structs are there even when empty (so that nobody owns them by themselves), and what is
    /// always written is null or zero. For custom kinds it is `apiVersion` and `kind`.
    pub blank: &'a Value,
    /// Fields that a write to this subresource leaves as they are, as paths of field names: nobody comes to own them by it.
    pub reset: &'a [&'a [&'a str]],
    /// The versions of the kind.
    pub versions: &'a dyn Versions,
    /// The time of the write, if it is to be recorded.
    pub now: Option<Timestamp>,
}

/// The versions of a kind: of use where fields are owned in other versions than that of the request.
///
/// Implemented for built-in and for custom kinds; called for each recorded owner in another version.
pub trait Versions {
    /// The schema in `api_version`; none if it is not served (any more), which makes the fields owned in it be forgotten.
    fn schema(&self, api_version: &str) -> Option<&Schema>;

    /// The object in `api_version`, which is one that has a schema and not the object's own.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String>;
}

/// A kind with one version.
#[derive(Debug, Clone, Copy)]
pub struct OneVersion<'a> {
    /// The version.
    pub api_version: &'a str,
    /// Its schema.
    pub schema: &'a Schema,
}

/// Whether to take fields over from those who own them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Such fields are conflicts.
    No,
    /// They are taken over.
    Yes,
}

/// Records the owners of a created, updated or patched object in its `managedFields`.
///
/// `live` is the object before the write, none if it is created. `new` may carry `managedFields` of its own: those of a client are
/// honoured, an empty list or one empty entry makes the object forget its managers, and malformed ones count as absent.
/// Nothing can go wrong: where owners cannot be told, the record is dropped.
pub fn update(tracking: &Tracking<'_>, live: Option<&Value>, new: &mut Value) {
    track::update(tracking, live, new);
}

/// Applies a configuration: merges it into the live object, removes what its manager applied before and nobody else owns, and
/// records the owners. `live` is none if the object is created by this.
///
/// The result is neither defaulted nor validated, and it may hold nulls where the configuration does.
pub fn apply(tracking: &Tracking<'_>, live: Option<&Value>, config: &Value, force: Force) -> Result<Value, Error> {
    run::apply(tracking, live, config, force)
}

/// Lays part of an object over an object, lists and maps merged as the schema says, whoever owns what. Fails, in words,
/// where the part does not fit or touches what is owned whole.
pub fn overlay(schema: &Schema, live: &Value, part: &Value) -> Result<Value, String> {
    overlay::overlay(schema, live, part)
}

/// What is wrong with a list of `managedFields`, if anything: to be asked after admission, which may have changed it.
pub fn check_managed_fields(managed_fields: Option<&Value>) -> Result<(), String> {
    match managed_fields {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(entries)) => Managers::decode(entries.clone()).map(drop),
        Some(_) => Err("managedFields must be a list".to_owned()),
    }
}

/// The field manager of a request: the one it names, or else the first word of its user agent, up to a slash.
pub fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let agent = user_agent.split('/').next().unwrap_or_default();
    let mut name = String::new();
    for c in agent.chars().filter(|c| !c.is_control()) {
        if name.len() + c.len_utf8() > MAX_MANAGER_NAME {
            break;
        }
        name.push(c);
    }
    name
}

/// How many bytes the name of a field manager may have.
const MAX_MANAGER_NAME: usize = 128;

// === impl Tracking ===

impl Tracking<'_> {
    fn manager(&self, operation: Operation) -> Manager {
        let name = if self.manager.is_empty() { "unknown" } else { self.manager };
        let api_version = if operation == Operation::Apply { "" } else { self.api_version };
        Manager {
            name: name.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: self.subresource.to_owned(),
        }
    }
}

// === impl OneVersion ===

impl Versions for OneVersion<'_> {
    fn schema(&self, api_version: &str) -> Option<&Schema> {
        (api_version == self.api_version).then_some(self.schema)
    }

    fn convert(&self, object: &Value, _: &str) -> Result<Value, String> {
        Ok(object.clone())
    }
}

#[cfg(test)]
mod tests;
