//! Checks of what versions of a definition say: schemas, subresources, printer columns, selectable fields, deprecation.

use std::collections::HashSet;

use atoll_api::validation::is_printable;
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::spec::{Part, Parts};
use crate::resources::checks::{invalid, required};
use crate::resources::read::{flag, list, text};
use crate::schema::structural::{self, Notation, StatusPart};
use crate::schema::{SchemaType, cel};

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const MAX_SELECTABLE_FIELDS: usize = 8;
const MAX_WARNING: usize = 256;

/// Checks what is said for one version, or for all; `schema` is the schema its selectable fields are looked up in.
pub(super) fn check_parts(errors: &mut FieldErrors, parts: &Parts<'_>, schema: &Value, status: StatusPart) {
    let own = &parts.schema.value["openAPIV3Schema"];
    if own.is_object() {
        let faults = structural::validate(own, &parts.schema.path, status);
        if faults.is_empty() {
            errors.extend(cel::check_definition(own, &parts.schema.path.child("openAPIV3Schema")));
        }
        errors.extend(faults);
    }
    check_scale(errors, &parts.subresources.value["scale"], &parts.subresources.path);
    for (index, column) in list(parts.columns.value).iter().enumerate() {
        check_column(errors, column, &parts.columns.path.index(index));
    }
    check_selectable(errors, &parts.selectable, schema);
}

/// Checks the warning of a version that is deprecated, or is not.
pub(super) fn check_deprecation(errors: &mut FieldErrors, version: &Value, path: &FieldPath) {
    let Some(warning) = version["deprecationWarning"].as_str() else { return };
    let path = path.child("deprecationWarning");
    if !flag(&version["deprecated"]) {
        return invalid(errors, &path, &warning.into(), "can only be set for deprecated versions");
    }
    if warning.len() > MAX_WARNING {
        invalid(errors, &path, &warning.into(), format!("must be <= {MAX_WARNING} characters long"));
    }
    if warning.is_empty() {
        invalid(errors, &path, &warning.into(), "must not be an empty string");
    }
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| !is_printable(*c)) {
        let detail =
            format!("must only contain printable UTF-8 characters; non-printable character found at index {index}");
        invalid(errors, &path, &warning.into(), detail);
    }
}

fn check_scale(errors: &mut FieldErrors, scale: &Value, path: &FieldPath) {
    if !scale.is_object() {
        return;
    }
    for (field, below) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let path = path.child("scale").child(field);
        match text(&scale[field]) {
            "" => required(errors, &path, ""),
            given => check_path_below(errors, given, &path, &[below], below.trim_end_matches('.')),
        }
    }
    let selector = text(&scale["labelSelectorPath"]);
    if !selector.is_empty() {
        let path = path.child("scale").child("labelSelectorPath");
        check_path_below(errors, selector, &path, &[".spec.", ".status."], "either .spec or .status");
    }
}

fn check_path_below(errors: &mut FieldErrors, given: &str, path: &FieldPath, starts: &[&str], shown: &str) {
    if !given.starts_with('.') {
        invalid(errors, path, &given.into(), NOT_SIMPLE);
    } else if !starts.iter().any(|start| given.starts_with(start)) {
        invalid(errors, path, &given.into(), format!("should be a json path under {shown}"));
    }
}

const NOT_SIMPLE: &str = "must be a simple json path starting with .";

fn check_column(errors: &mut FieldErrors, column: &Value, path: &FieldPath) {
    if text(&column["name"]).is_empty() {
        required(errors, &path.child("name"), "");
    }
    let types = format!("must be one of {}", COLUMN_TYPES.join(","));
    match text(&column["type"]) {
        "" => required(errors, &path.child("type"), types),
        known if COLUMN_TYPES.contains(&known) => {}
        other => invalid(errors, &path.child("type"), &other.into(), types),
    }
    let format = text(&column["format"]);
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
        invalid(errors, &path.child("format"), &format.into(), detail);
    }
    let path = path.child("JSONPath");
    match text(&column["jsonPath"]) {
        "" => required(errors, &path, ""),
        simple if simple.starts_with('.') => {}
        other => invalid(errors, &path, &other.into(), NOT_SIMPLE),
    }
}

fn check_selectable(errors: &mut FieldErrors, part: &Part<'_>, schema: &Value) {
    let mut seen = HashSet::new();
    for (index, field) in list(part.value).iter().enumerate() {
        let path = part.path.index(index).child("jsonPath");
        let given = text(&field["jsonPath"]);
        if given.is_empty() {
            required(errors, &path, "");
            continue;
        }
        let found = match structural::field_path(schema, given, Notation::Dots) {
            Ok(found) => found,
            Err(why) => {
                invalid(errors, &path, &given.into(), format!("is an invalid path: {why}"));
                continue;
            }
        };
        if found.steps.first().is_some_and(|first| first == "metadata") {
            invalid(errors, &path, &given.into(), "must not point to fields in metadata");
        }
        if !matches!(found.kind, Some(SchemaType::String | SchemaType::Boolean | SchemaType::Integer)) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings \
                          with formats are allowed.";
            invalid(errors, &path, &given.into(), detail);
        }
        if !seen.insert(found.path.as_str().to_owned()) {
            errors.push(FieldError::duplicate(&path, &given.into()));
        }
    }
    if seen.len() > MAX_SELECTABLE_FIELDS {
        errors.push(FieldError::too_many(&part.path, seen.len(), MAX_SELECTABLE_FIELDS));
    }
}
