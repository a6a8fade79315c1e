//! The course of an apply: merge, prune, find conflicts, hand fields over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::check::check;
use super::conflict::Conflicts;
use super::last_applied;
use super::managers::{Manager, Managers, Operation, Owned};
use super::merge::{merge, remove, restore_emptied};
use super::owned::{fields_of, with_named_fields};
use super::set::Set;
use super::shape::Shape;
use super::track::{
    ChangesByVersion, adopt_schemas, changes, changes_in, conflicts, keep_ownable, note_update, set_managed_fields,
    take_managed_fields,
};
use super::{Force, Tracking};
use crate::patch::{Error, shown};

/// The manager of what was there before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// See [`super::apply`].
pub(super) fn apply(
    tracking: &Tracking<'_>,
    live: Option<&Value>,
    config: &Value,
    force: Force,
) -> Result<Value, Error> {
    let mut object = live.unwrap_or(tracking.blank).clone();
    let mut managers = match take_managed_fields(&mut object) {
        Some(Value::Array(entries)) => {
            Managers::decode(entries).map_err(|why| failed(format!("failed to decode managed fields: {why}")))?
        }
        _ => Managers::default(),
    };
    let schema = tracking.versions.schema(tracking.api_version);
    let schema = schema.ok_or_else(|| failed(format!("no corresponding type for {}", gvk(config))))?;
    check_type(tracking, config)?;
    if managers.is_empty() && live.is_some() {
        note_what_was_there(tracking, &object, &mut managers)?;
    }
    if config.get("metadata").and_then(|metadata| metadata.get("managedFields")).is_some_and(|f| !f.is_null()) {
        return Err(Error::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    let shape = Shape::of_object(schema);
    check(shape, config)
        .map_err(|faults| failed(format!("failed to create typed patch object ({}): {faults}", title(config))))?;
    let run = Run { tracking, shape, live: object, config };
    let outcome = run.apply_or_upgrade(managers, force)?;
    let applying = tracking.manager(Operation::Apply);
    let mut managers = outcome.managers;
    let mut result = match outcome.merged {
        Some(merged) => {
            if let Some(owned) = managers.0.get_mut(&applying) {
                owned.time = tracking.now;
            }
            merged
        }
        None => run.live,
    };
    if tracking.manager == last_applied::KUBECTL {
        last_applied::update_annotation(&mut result, config);
    }
    if !managers.is_empty() {
        set_managed_fields(&mut result, managers.encode().into());
    }
    Ok(result)
}

/// One configuration on its way into one object.
struct Run<'a> {
    tracking: &'a Tracking<'a>,
    shape: Shape<'a>,
    /// The live object, without its record of managers.
    live: Value,
    config: &'a Value,
}

/// What came out.
struct Outcome {
    /// None if the object did not change.
    merged: Option<Value>,
    managers: Managers,
}

/// Why nothing came out.
enum Obstacle {
    Conflicts(Vec<(Manager, Set)>),
    Failed(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<String> for Obstacle {
    fn from(why: String) -> Self {
        Self::Failed(failed(why))
    }
}

// === impl Run ===

impl<'a> Run<'a> {
    /// Applies; kubectl may overwrite what it applied before server-side apply.
    fn apply_or_upgrade(&self, managers: Managers, force: Force) -> Result<Outcome, Error> {
        let upgrade = self.tracking.manager == last_applied::KUBECTL;
        let fallback = upgrade.then(|| managers.clone());
        let mut found = match self.apply(managers, force) {
            Ok(outcome) => return Ok(outcome),
            Err(Obstacle::Failed(error)) => return Err(error),
            Err(Obstacle::Conflicts(found)) => found,
        };
        let allowed = || last_applied::unchanged_fields(self.shape, &self.live, self.tracking.api_version);
        if let Some((managers, allowed)) = fallback.and_then(|managers| Some((managers, allowed()?))) {
            for (_, fields) in &mut found {
                fields.remove(&allowed);
            }
            found.retain(|(_, fields)| !fields.is_empty());
            if found.is_empty() {
                return self.apply(managers, Force::Yes).map_err(|obstacle| match obstacle {
                    Obstacle::Failed(error) => error,
                    Obstacle::Conflicts(_) => failed("conflicts of a forced apply"),
                });
            }
        }
        Err(Error::Conflict(Conflicts::new(found.iter().map(|(manager, fields)| (manager, fields)))))
    }

    fn apply(&self, mut managers: Managers, force: Force) -> Result<Outcome, Obstacle> {
        let tracking = self.tracking;
        adopt_schemas(tracking.versions, &mut managers);
        let merged = merge(self.shape, &self.live, self.config)
            .map_err(|faults| failed(format!("failed to merge config: {faults}")))?;
        let mut fields = fields_of(self.shape, self.config)?;
        for path in tracking.reset {
            fields.prune(path);
        }
        let applying = tracking.manager(Operation::Apply);
        let mut owned = Owned::new(tracking.api_version, fields);
        let last = managers.0.remove(&applying);
        owned.time = last.as_ref().and_then(|last| last.time);
        managers.0.insert(applying.clone(), owned);
        let new = match last.filter(|last| !last.fields.is_empty()) {
            Some(last) => {
                let mut pruned = self.prune(&merged, &managers, last)?;
                restore_emptied(self.shape, &mut pruned, &merged);
                pruned
            }
            None => merged,
        };
        self.hand_over(&new, &mut managers, &applying, force)?;
        let same = super::path::same(&self.live, &new);
        Ok(Outcome { merged: (!same).then_some(new), managers })
    }

    /// Takes changed fields from the other managers, or tells that they conflict.
    fn hand_over(
        &self,
        new: &Value,
        managers: &mut Managers,
        applying: &Manager,
        force: Force,
    ) -> Result<(), Obstacle> {
        let tracking = self.tracking;
        let changed = changes(tracking, &self.live, new, tracking.api_version)?;
        let mut by_version = ChangesByVersion::from([(tracking.api_version.to_owned(), changed)]);
        if force == Force::No {
            let found = conflicts(tracking, &self.live, new, managers, applying, &mut by_version)?;
            if !found.is_empty() {
                return Err(Obstacle::Conflicts(found));
            }
        }
        for (manager, owned) in &mut managers.0 {
            if manager == applying {
                owned.change(|fields| {
                    keep_ownable(tracking, fields);
                    true
                });
                continue;
            }
            let changed = changes_in(tracking, &self.live, new, &owned.api_version, &mut by_version)?;
            owned.change(|fields| {
                let modified = fields.remove(&changed.modified);
                let added = fields.remove(&changed.added);
                let removed = fields.remove(&changed.removed);
                modified || added || removed
            });
        }
        managers.drop_empty();
        Ok(())
    }

    /// Removes what the manager applied last time and not this time, unless someone else owns it.
    fn prune(&self, merged: &Value, managers: &Managers, last: Owned) -> Result<Value, Error> {
        let Some(merged_then) = self.versioned(Cow::Borrowed(merged), &last.api_version)? else {
            return Ok(merged.clone());
        };
        let shape = merged_then.shape;
        let last_fields = with_named_fields(last.fields, shape);
        let mut pruned = merged_then.object.clone().into_owned();
        remove(shape, &mut pruned, &last_fields);
        let pruned = self.add_back_owned(&merged_then.object, pruned, &last.api_version, managers)?;
        let pruned = self.add_back_dangling(&merged_then, pruned, &last_fields, &last.api_version)?;
        let back = self.versioned(Cow::Owned(pruned), self.tracking.api_version)?;
        Ok(match back {
            Some(back) => back.object.into_owned(),
            None => merged_then.object.into_owned(),
        })
    }

    /// Adds back what others, or the new configuration, own.
    fn add_back_owned(
        &self,
        merged: &Value,
        pruned: Value,
        first_version: &str,
        managers: &Managers,
    ) -> Result<Value, Error> {
        let mut by_version = BTreeMap::<&str, Vec<Set>>::new();
        for owned in managers.0.values() {
            by_version.entry(&owned.api_version).or_default().push(owned.fields.clone());
        }
        // The version that was pruned comes first: what is missing there may be needed to convert.
        let first = by_version.remove_entry(first_version);
        let mut pruned = pruned;
        let mut merged = Cow::Borrowed(merged);
        for (version, fields) in first.into_iter().chain(by_version) {
            let Some(merged_then) = self.versioned(merged.clone(), version)? else { continue };
            let Some(pruned_then) = self.versioned(Cow::Borrowed(&pruned), version)? else { continue };
            let shape = merged_then.shape;
            let mut gone = named_fields_of(shape, &merged_then.object)?;
            gone.remove(&named_fields_of(shape, &pruned_then.object)?);
            gone.remove(&with_named_fields(Set::union_all(fields), shape));
            let mut kept = merged_then.object.clone().into_owned();
            remove(shape, &mut kept, &gone);
            pruned = kept;
            merged = Cow::Owned(merged_then.object.into_owned());
        }
        Ok(pruned)
    }

    /// Adds back what the manager did not own, though it is inside of what it owned.
    fn add_back_dangling(
        &self,
        merged: &Versioned<'_, '_>,
        pruned: Value,
        last: &Set,
        version: &str,
    ) -> Result<Value, Error> {
        let Some(pruned) = self.versioned(Cow::Owned(pruned), version)? else {
            return Ok(merged.object.clone().into_owned());
        };
        let mut gone = named_fields_of(merged.shape, &merged.object)?;
        gone.remove(&named_fields_of(merged.shape, &pruned.object)?);
        let gone = gone.common(last);
        let mut kept = merged.object.clone().into_owned();
        remove(merged.shape, &mut kept, &gone);
        Ok(kept)
    }

    /// The object in a version; none if there is no such version.
    fn versioned<'o>(&self, object: Cow<'o, Value>, version: &str) -> Result<Option<Versioned<'a, 'o>>, Error> {
        let Some(schema) = self.tracking.versions.schema(version) else { return Ok(None) };
        let same_version = object.get("apiVersion").and_then(Value::as_str) == Some(version);
        let object = if same_version {
            object
        } else {
            let converted = self.tracking.versions.convert(&object, version);
            Cow::Owned(converted.map_err(|why| failed(format!("failed to prune fields: failed to convert: {why}")))?)
        };
        Ok(Some(Versioned { object, shape: Shape::of_object(schema) }))
    }
}

/// An object in one of the versions of its kind.
struct Versioned<'a, 'o> {
    object: Cow<'o, Value>,
    shape: Shape<'a>,
}

/// Makes what nobody applied so far the property of a manager of its own.
fn note_what_was_there(tracking: &Tracking<'_>, live: &Value, managers: &mut Managers) -> Result<(), Error> {
    let before = Tracking { manager: BEFORE_FIRST_APPLY, ..*tracking };
    changes(&before, tracking.blank, live, tracking.api_version)
        .and_then(|changes| note_update(&before, tracking.blank, live, managers, changes))
        .map_err(|why| failed(format!("failed to create manager for existing fields: {why}")))
}

fn named_fields_of(shape: Shape<'_>, object: &Value) -> Result<Set, Error> {
    let fields = fields_of(shape, object).map_err(|why| failed(format!("failed to prune fields: {why}")))?;
    Ok(with_named_fields(fields, shape))
}

fn check_type(tracking: &Tracking<'_>, config: &Value) -> Result<(), Error> {
    if !config.is_object() {
        return Err(Error::BadRequest(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            shown::json_kind(config)
        )));
    }
    if text(config, "apiVersion") != tracking.api_version || text(config, "kind") != tracking.kind {
        return Err(Error::BadRequest(format!("invalid object type: {}", gvk(config))));
    }
    Ok(())
}

/// An object as faults name it: `namespace/name; group/version, Kind=kind`.
fn title(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!("{}/{}; {}", text(metadata, "namespace"), text(metadata, "name"), gvk(object))
}

fn gvk(object: &Value) -> String {
    let api_version = text(object, "apiVersion");
    let slash = if api_version.contains('/') { "" } else { "/" };
    format!("{slash}{api_version}, Kind={}", text(object, "kind"))
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn failed(text: impl Into<String>) -> Error {
    Error::Failed(text.into())
}
