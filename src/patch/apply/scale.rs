//! The owners of the number of replicas, between an object and its `scale` subresource.
//!
//! A Scale is an object of another kind: its `spec.replicas` is the field of the object that holds the replicas, and so are its owners.

use serde_json::Value;

use super::managers::{Manager, Managers, Operation, Owned};
use super::set::Set;

const SCALE_VERSION: &str = "autoscaling/v1";
const SCALE_REPLICAS: [&str; 2] = ["spec", "replicas"];

/// Where each version of a kind holds its replicas, as a path of field names; none if a version has no such field.
/// Owners in versions that are not listed are left out.
#[derive(Debug, Clone, Copy)]
pub struct ReplicasPaths<'a>(pub &'a [(&'a str, Option<&'a [&'a str]>)]);

/// The `managedFields` of a Scale, from those of its object.
pub fn to_scale(object_fields: Option<&Value>, paths: ReplicasPaths<'_>) -> Result<Option<Value>, String> {
    let mut of_scale = Managers::default();
    for (manager, owned) in decode(object_fields)?.0 {
        if paths.of(&owned.api_version).flatten().is_some_and(|path| owned.fields.has(path)) {
            let mut replicas = Owned::new(SCALE_VERSION, Set::of_path(&SCALE_REPLICAS));
            replicas.time = owned.time;
            of_scale.0.insert(in_version(manager, SCALE_VERSION), replicas);
        }
    }
    Ok(encode(of_scale))
}

/// The `managedFields` of an object after a write to its Scale, in the object's `api_version`.
pub fn from_scale(
    object_fields: Option<&Value>,
    scale_fields: Option<&Value>,
    api_version: &str,
    paths: ReplicasPaths<'_>,
) -> Result<Option<Value>, String> {
    let mut managers = decode(object_fields)?;
    let mut of_scale = decode(scale_fields)?;
    managers.0.retain(|manager, owned| {
        let Some(path) = paths.of(&owned.api_version) else { return false };
        let Some(path) = path.filter(|path| owned.fields.has(path)) else { return true };
        if of_scale.0.remove(&in_version(manager.clone(), SCALE_VERSION)).is_none() {
            // Someone took the replicas over by way of the Scale.
            owned.change(|fields| fields.remove(&Set::of_path(path)));
        }
        !owned.fields.is_empty()
    });
    let path = paths.of(api_version).flatten().ok_or_else(|| format!("{api_version} has no field for replicas"))?;
    for (manager, scaled) in of_scale.0.into_iter().filter(|(_, scaled)| scaled.fields.has(&SCALE_REPLICAS)) {
        let owned = managers.0.entry(in_version(manager, api_version));
        let owned = owned.or_insert_with(|| Owned::new(api_version, Set::default()));
        owned.time = scaled.time;
        owned.change(|fields| {
            *fields = std::mem::take(fields).union(Set::of_path(path));
            true
        });
    }
    Ok(encode(managers))
}

/// The same manager in another version.
fn in_version(manager: Manager, api_version: &str) -> Manager {
    match manager.operation {
        Operation::Apply => manager,
        Operation::Update => Manager { api_version: api_version.to_owned(), ..manager },
    }
}

// === impl ReplicasPaths ===

impl<'a> ReplicasPaths<'a> {
    fn of(&self, api_version: &str) -> Option<Option<&'a [&'a str]>> {
        self.0.iter().find(|(version, _)| *version == api_version).map(|(_, path)| *path)
    }
}

fn decode(fields: Option<&Value>) -> Result<Managers, String> {
    match fields {
        Some(Value::Array(entries)) => Managers::decode(entries.clone()),
        _ => Ok(Managers::default()),
    }
}

fn encode(managers: Managers) -> Option<Value> {
    (!managers.is_empty()).then(|| managers.encode().into())
}
