//! From a stored definition to the kind it defines.

use std::sync::Arc;

use atoll_api::{GroupResource, GroupVersion, Object};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::schemas::{LazySchema, Schemas};
use super::shell::Shell;
use super::webhook::Webhook;
use super::{Conversion, Custom, VersionParts, print};
use crate::registry::descriptor::{
    ALL_VERBS, Descriptor, ResourceVersionInfo, ScalePaths, Scope, Subresource, compare_versions,
};
use crate::registry::resource::Definition;
use crate::resources::read::{condition_is_true, field, flag, list, strings, text};
use crate::resources::surface;
use crate::schema::Link;
use crate::storage::Entry;

/// The kind, if it is served.
pub(super) fn compile(entry: &Entry, schemas: &Schemas) -> Option<Custom> {
    let shell = Shell::of(entry)?;
    let mut custom = compile_definition(&shell, entry.revision, schemas)?;
    let spec = field(&shell.definition, "spec");
    if spec["conversion"]["strategy"] == "Webhook" {
        let webhook = Webhook::read(&schemas.conversions, entry.cluster(), spec, custom.meaning);
        custom.conversion = Conversion::Webhook(Box::new(webhook));
    }
    Some(custom)
}

/// Fills in what the server fills in when a definition is stored: names that are left out, and that it is established.
pub(super) fn accept(definition: &mut Object) {
    let names = definition.map_mut("spec").entry("names").or_insert_with(|| json!({}));
    let kind = text(&names["kind"]).to_owned();
    for (field, value) in [("singular", kind.to_lowercase()), ("listKind", format!("{kind}List"))] {
        if text(&names[field]).is_empty() {
            names[field] = value.into();
        }
    }
    let status = json!({"acceptedNames": names, "conditions": [{"type": "Established", "status": "True"}]});
    definition.0.insert("status".to_owned(), status);
}

/// The kind that a definition, put by a revision, defines.
pub(super) fn compile_definition(shell: &Shell, revision: u64, schemas: &Schemas) -> Option<Custom> {
    let definition = &shell.definition;
    let status = field(definition, "status");
    if !condition_is_true(&status["conditions"], "Established") {
        return None;
    }
    let spec = field(definition, "spec");
    let names = &status["acceptedNames"];
    let group: Arc<str> = text(&spec["group"]).into();
    let mut raw: Vec<(&Value, &Bytes)> = list(&spec["versions"]).iter().zip(&shell.schemas).collect();
    raw.sort_by(|(a, _), (b, _)| compare_versions(text(&b["name"]), text(&a["name"])));
    let storage = raw.iter().position(|(version, _)| flag(&version["storage"]))?;
    let versions = raw.iter().map(|(version, _)| *version);
    let best = versions.into_iter().find(|version| flag(&version["served"]) && !flag(&version["deprecated"]));
    let best = best.map_or("", |version| text(&version["name"]));
    let mut versions = Vec::with_capacity(raw.len());
    let mut parts = Vec::with_capacity(raw.len());
    for (version, schema) in &raw {
        let schema = schemas.lazy(definition.uid(), Bytes::clone(schema));
        let (info, part) = compile_version(&group, names, version, best, schema);
        versions.push(info);
        parts.push(part);
    }
    let texts = |field: &str| strings(&names[field]).into_iter().map(Arc::from).collect();
    let descriptor = Descriptor {
        resource: GroupResource::new(group, text(&spec["names"]["plural"])),
        singular: text(&names["singular"]).into(),
        kind: text(&names["kind"]).into(),
        list_kind: text(&names["listKind"]).into(),
        short_names: texts("shortNames"),
        categories: texts("categories"),
        scope: if spec["scope"] == "Namespaced" { Scope::Namespaced } else { Scope::Cluster },
        verbs: ALL_VERBS,
        versions,
        storage,
    };
    Some(Custom {
        descriptor,
        versions: parts,
        definition: Definition { resource: surface::definitions(), name: definition.name().into(), revision },
        told: told_by(shell),
        meaning: meaning_of(shell),
        is_terminating: is_terminating(definition),
        conversion: Conversion::Rename,
    })
}

/// What documents tell of a definition: what it says, under the names that it was granted.
fn told_by(shell: &Shell) -> [u8; 32] {
    let names = field(&shell.definition, "status")["acceptedNames"].to_string();
    Sha256::new().chain_update(shell.spec_hash).chain_update(names).finalize().into()
}

/// What of a stored definition decides how objects are written and read.
pub(super) fn meaning_of(shell: &Shell) -> [u8; 32] {
    let definition = &shell.definition;
    let mut hasher = Sha256::new();
    hasher.update(definition.uid());
    hasher.update(shell.spec_hash);
    hasher.update(field(definition, "status")["acceptedNames"].to_string());
    hasher.update([u8::from(is_terminating(definition))]);
    hasher.finalize().into()
}

fn is_terminating(definition: &Object) -> bool {
    let conditions = &field(definition, "status")["conditions"];
    definition.deletion_timestamp().is_some() || condition_is_true(conditions, "Terminating")
}

fn compile_version(
    group: &Arc<str>,
    names: &Value,
    version: &Value,
    best: &str,
    schema: Arc<LazySchema>,
) -> (ResourceVersionInfo, VersionParts) {
    let (columns, paths) = print::columns(version);
    let selectable = list(&version["selectableFields"]).iter();
    let scale = scale(&version["subresources"]["scale"]);
    let mut subresources = Vec::new();
    if version["subresources"]["status"].is_object() {
        subresources.push(Subresource::Status);
    }
    subresources.extend(scale.clone().map(Subresource::Scale));
    let info = ResourceVersionInfo {
        version: GroupVersion { group: group.clone(), version: text(&version["name"]).into() },
        served: flag(&version["served"]),
        schema: Link::Made(schema.clone()),
        columns,
        subresources: subresources.into(),
        selectable_fields: selectable.map(|field| text(&field["jsonPath"]).trim_start_matches('.').into()).collect(),
        deprecation_warning: flag(&version["deprecated"]).then(|| deprecation(group, names, version, best).into()),
    };
    (info, VersionParts { schema, columns: paths, scale })
}

/// The warning of a deprecated version: its own, or one that names the best of those that are not, if it is preferred.
fn deprecation(group: &str, names: &Value, version: &Value, best: &str) -> String {
    if let Some(told) = version["deprecationWarning"].as_str() {
        return told.to_owned();
    }
    let (name, kind) = (text(&version["name"]), text(&names["kind"]));
    let told = format!("{group}/{name} {kind} is deprecated");
    match !best.is_empty() && compare_versions(best, name).is_gt() {
        true => format!("{told}; use {group}/{best} {kind}"),
        false => told,
    }
}

fn scale(scale: &Value) -> Option<ScalePaths> {
    let path = |field: &str| Arc::from(text(&scale[field]).trim_start_matches('.'));
    scale.is_object().then(|| ScalePaths {
        spec_replicas: path("specReplicasPath"),
        status_replicas: path("statusReplicasPath"),
        selector: Some(path("labelSelectorPath")).filter(|path| !path.is_empty()),
    })
}
