//! The annotation of `kubectl apply` from before server-side apply, which kubectl goes on keeping.
//!
//! Only the field manager `kubectl` is concerned: it may overwrite what it applied in the old way, and keeps the annotation up to
//! date where there is one.

use serde_json::{Map, Value};

use super::compare::compare;
use super::fields::html_safe;
use super::owned::fields_of;
use super::set::Set;
use super::shape::Shape;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The field manager that kubectl uses for server-side apply.
pub(super) const KUBECTL: &str = "kubectl";
/// How many bytes all annotations of an object may have.
const MAX_ANNOTATIONS: usize = 256 << 10;

/// The fields that were last applied in the old way and have not changed since, if that can be told.
pub(super) fn unchanged_fields(shape: Shape<'_>, live: &Value, api_version: &str) -> Option<Set> {
    let text = annotation(live)?;
    let applied: Value = serde_json::from_str(text).ok()?;
    if applied.get("apiVersion")?.as_str()? != api_version {
        return None;
    }
    super::check::check(shape, &applied).ok()?;
    let mut fields = fields_of(shape, &applied).ok()?;
    let changes = compare(shape, &applied, live).ok()?;
    for changed in [&changes.modified, &changes.added, &changes.removed] {
        fields.remove(changed);
    }
    Some(fields)
}

/// Sets the annotation to the applied configuration, if there is one already.
pub(super) fn update_annotation(object: &mut Value, config: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(annotations) = annotations_mut(&mut applied) {
        annotations.remove(ANNOTATION);
    }
    let text = html_safe(&applied.to_string()) + "\n";
    let Some(annotations) = annotations_mut(object) else { return };
    annotations.insert(ANNOTATION.to_owned(), text.into());
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATIONS {
        annotations.remove(ANNOTATION);
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

fn annotations_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()
}
