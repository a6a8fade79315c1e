//! What a write does to the record of owners: who wrote a field owns it, and others do no longer.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::{Changes, compare};
use super::managers::{Manager, Managers, Operation};
use super::owned::reconcile;
use super::set::Set;
use super::shape::Shape;
use super::{Tracking, Versions};

/// The metadata that the server keeps, which nobody owns.
const UNOWNED_METADATA: [&str; 9] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

/// What a write changed, in each version in which someone owns something.
pub(super) type ChangesByVersion = BTreeMap<String, Changes>;

/// See [`super::update`].
pub(super) fn update(tracking: &Tracking<'_>, live: Option<&Value>, new: &mut Value) {
    let given = take_managed_fields(new);
    let source = Source::of(tracking, live, given);
    // As in Kubernetes, a record that may be wrong is no record (managedfields/fieldmanager.go, 1.36).
    let managed = track(tracking, live, new, source).unwrap_or_default();
    if let Some(managed) = managed {
        set_managed_fields(new, managed);
    }
}

/// Where the record to go on from comes from.
enum Source {
    /// The live object has it; the copy that the client sent along, if it did.
    Live(Option<Value>),
    /// The client wants it to be this.
    Given(Vec<Value>),
    /// The client wants it forgotten.
    Reset,
}

/// Owners cannot be told, for example because list elements have no keys.
struct Untold;

impl From<String> for Untold {
    fn from(_: String) -> Self {
        Self
    }
}

// === impl Source ===

impl Source {
    fn of(tracking: &Tracking<'_>, live: Option<&Value>, given: Option<Value>) -> Self {
        match given {
            // A write to a subresource cannot set them.
            _ if !tracking.subresource.is_empty() => Self::Live(None),
            Some(Value::Array(entries)) if entries.is_empty() => Self::Reset,
            Some(Value::Array(entries)) if entries.len() == 1 && is_blank_entry(&entries[0]) => Self::Reset,
            Some(given) if recorded(live) == Some(&given) => Self::Live(Some(given)),
            Some(Value::Array(entries)) => Self::Given(entries),
            _ => Self::Live(None),
        }
    }

    /// The record as it is in the live object.
    fn into_record(self, live: Option<&Value>) -> Option<Value> {
        match self {
            Self::Live(Some(copy)) => Some(copy),
            _ => recorded(live).cloned(),
        }
    }

    /// The managers; a malformed record is no record.
    fn into_managers(self, live: Option<&Value>) -> Managers {
        let of_live = |record: Option<Value>| match record {
            Some(Value::Array(entries)) => Managers::decode(entries).unwrap_or_default(),
            _ => Managers::default(),
        };
        match self {
            Self::Reset => Managers::default(),
            Self::Live(_) => of_live(self.into_record(live)),
            Self::Given(entries) => match Managers::decode(entries) {
                Ok(managers) if !managers.is_empty() => managers,
                _ => of_live(recorded(live).cloned()),
            },
        }
    }
}

/// The new record, none if there is to be none.
fn track(tracking: &Tracking<'_>, live: Option<&Value>, new: &Value, source: Source) -> Result<Option<Value>, Untold> {
    let goes_on = matches!(source, Source::Live(_));
    let begins = live.is_none();
    // Only creation and the first apply begin a record.
    if !begins && (matches!(source, Source::Reset) || (goes_on && recorded(live).is_none())) {
        return Ok(None);
    }
    let old = live.unwrap_or(tracking.blank);
    let changes = changes(tracking, old, new, tracking.api_version)?;
    if goes_on && changes.is_empty() {
        return Ok(source.into_record(live));
    }
    let mut managers = source.into_managers(live);
    if managers.is_empty() && !begins {
        return Ok(None);
    }
    note_update(tracking, old, new, &mut managers, changes)?;
    managers.cap_updaters();
    Ok((!managers.is_empty()).then(|| managers.encode().into()))
}

/// Records an update that made these changes.
pub(super) fn note_update(
    tracking: &Tracking<'_>,
    old: &Value,
    new: &Value,
    managers: &mut Managers,
    changes: Changes,
) -> Result<(), String> {
    adopt_schemas(tracking.versions, managers);
    let mut by_version = ChangesByVersion::from([(tracking.api_version.to_owned(), changes)]);
    for owned in managers.0.values_mut() {
        let changes = changes_in(tracking, old, new, &owned.api_version, &mut by_version)?;
        owned.change(|fields| {
            let modified = fields.remove(&changes.modified);
            let added = fields.remove(&changes.added);
            let removed = fields.remove(&changes.removed);
            modified || added || removed
        });
    }
    managers.drop_empty();
    let own = by_version.remove(tracking.api_version).unwrap_or_default();
    let own = own.modified.union(own.added);
    if !own.is_empty() {
        managers.take_over(tracking.manager(Operation::Update), tracking.api_version, own, tracking.now);
    }
    Ok(())
}

/// Forgets what is owned in versions that do not exist any more, and adapts the rest to what schemas say today.
pub(super) fn adopt_schemas(versions: &dyn Versions, managers: &mut Managers) {
    managers.0.retain(|_, owned| {
        let Some(schema) = versions.schema(&owned.api_version) else { return false };
        owned.change(|fields| reconcile(fields, Shape::of_object(schema)));
        true
    });
}

/// What changed between two objects, seen in `api_version`; made when first asked for.
pub(super) fn changes_in<'c>(
    tracking: &Tracking<'_>,
    old: &Value,
    new: &Value,
    api_version: &str,
    known: &'c mut ChangesByVersion,
) -> Result<&'c Changes, String> {
    if !known.contains_key(api_version) {
        let convert = |object: &Value| tracking.versions.convert(object, api_version);
        let changes = changes(tracking, &convert(old)?, &convert(new)?, api_version)?;
        known.insert(api_version.to_owned(), changes);
    }
    Ok(&known[api_version])
}

/// The changes that somebody can own.
pub(super) fn changes(tracking: &Tracking<'_>, old: &Value, new: &Value, api_version: &str) -> Result<Changes, String> {
    let schema = tracking.versions.schema(api_version).ok_or_else(|| format!("no schema for {api_version}"))?;
    let mut changes = compare(Shape::of_object(schema), old, new)?;
    if !changes.is_empty() {
        changes.each(|fields| keep_ownable(tracking, fields));
    }
    Ok(changes)
}

/// Takes out what nobody owns: what the server keeps, and what the write leaves as it was.
pub(super) fn keep_ownable(tracking: &Tracking<'_>, fields: &mut Set) {
    for name in ["apiVersion", "kind", "metadata"] {
        fields.forget_field(name);
    }
    fields.change_below("metadata", |metadata| {
        for name in UNOWNED_METADATA {
            metadata.forget_field(name);
        }
    });
    for path in tracking.reset {
        fields.prune(path);
    }
}

/// The names of managers whose fields changed among those, and the fields.
pub(super) fn conflicts(
    tracking: &Tracking<'_>,
    old: &Value,
    new: &Value,
    managers: &Managers,
    applying: &Manager,
    by_version: &mut ChangesByVersion,
) -> Result<Vec<(Manager, Set)>, String> {
    let mut conflicts = Vec::new();
    for (manager, owned) in managers.0.iter().filter(|(manager, _)| *manager != applying) {
        let changes = changes_in(tracking, old, new, &owned.api_version, by_version)?;
        let fields = owned.fields.common(&changes.modified).union(owned.fields.common(&changes.added));
        if !fields.is_empty() {
            conflicts.push((manager.clone(), fields));
        }
    }
    Ok(conflicts)
}

/// The record of an object.
pub(super) fn recorded(object: Option<&Value>) -> Option<&Value> {
    object?.get("metadata")?.get("managedFields").filter(|fields| !fields.is_null())
}

pub(super) fn take_managed_fields(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

pub(super) fn set_managed_fields(object: &mut Value, managed: Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("managedFields".to_owned(), managed);
    }
}

/// Whether an entry says nothing.
fn is_blank_entry(entry: &Value) -> bool {
    let says_nothing = |value: &Value| value.is_null() || value.as_str() == Some("");
    entry.as_object().is_some_and(|entry| entry.values().all(says_nothing))
}
