//! A definition's spec as Kubernetes checks it: what all versions say alike counts as said once, for all of them.
//!
//! The internal form of apiextensions is older than versions of their own schema; its paths show in faults.

use atoll_api::FieldPath;
use serde_json::Value;

use crate::resources::read::list;

const NULL: Value = Value::Null;

/// The parts of a version that move to the spec if all versions agree on them: where they are in a version, and where
/// Kubernetes says they are in the spec.
const PARTS: [(&str, &str); 4] = [
    ("schema", "validation"),
    ("subresources", "subresources"),
    ("additionalPrinterColumns", "additionalPrinterColumns"),
    ("selectableFields", "selectableFields"),
];

/// Where schemas are in schemas: one or several, and some by name.
const WITHIN: [&str; 7] = ["items", "additionalProperties", "additionalItems", "not", "allOf", "anyOf", "oneOf"];
const NAMED: [&str; 4] = ["properties", "patternProperties", "dependencies", "definitions"];

/// The spec of a definition.
pub(super) struct Spec<'a> {
    /// The spec as it stands.
    pub raw: &'a Value,
    /// Its versions.
    pub versions: &'a [Value],
    /// Which of the parts all versions agree on.
    agreed: [bool; PARTS.len()],
}

/// What is said once for one version, or once for all.
pub(super) struct Parts<'a> {
    /// The holder of `openAPIV3Schema`.
    pub schema: Part<'a>,
    /// The subresources.
    pub subresources: Part<'a>,
    /// The printer columns.
    pub columns: Part<'a>,
    /// The selectable fields.
    pub selectable: Part<'a>,
}

/// A part, null if it is not said there, and where it is said.
pub(super) struct Part<'a> {
    /// What is said.
    pub value: &'a Value,
    /// Where.
    pub path: FieldPath,
}

impl<'a> Spec<'a> {
    /// The spec of a definition's `spec` field.
    pub(super) fn of(raw: &'a Value) -> Self {
        let versions = list(&raw["versions"]);
        let agree = |field: &str| {
            let first = versions.first();
            first.is_some_and(|first| versions.iter().all(|version| version[field] == first[field]))
        };
        let mut agreed = PARTS.map(|(field, _)| agree(field));
        // Selectable fields are fields of a schema, so they stand where it stands. (Kubernetes moves them on their own
        // and then refuses them for want of a schema.)
        agreed[3] &= agreed[0];
        Self { raw, versions, agreed }
    }

    /// What is said once for all versions; `path` is that of the spec.
    pub(super) fn shared(&self, path: &FieldPath) -> Parts<'a> {
        Parts::of(|part| {
            let (field, shown) = PARTS[part];
            let value = if self.agreed[part] { &self.versions[0][field] } else { &NULL };
            Part { value, path: path.child(shown) }
        })
    }

    /// What the version at `index` says for itself alone; `path` is that of the version.
    pub(super) fn own(&self, index: usize, path: &FieldPath) -> Parts<'a> {
        Parts::of(|part| {
            let (field, _) = PARTS[part];
            let value = if self.agreed[part] { &NULL } else { &self.versions[index][field] };
            Part { value, path: path.child(field) }
        })
    }

    /// The schema of the version at `index`, wherever it is said.
    pub(super) fn schema(&self, index: usize) -> &'a Value {
        self.versions.get(index).map_or(&NULL, |version| &version["schema"]["openAPIV3Schema"])
    }

    /// The schemas: that of all versions, or those of each.
    pub(super) fn schemas(&self) -> impl Iterator<Item = &'a Value> {
        let count = if self.agreed[0] { 1 } else { self.versions.len() };
        self.versions[..count].iter().map(|version| &version["schema"]["openAPIV3Schema"])
    }
}

impl<'a> Parts<'a> {
    /// `part` gives the part at an index of `PARTS`.
    fn of(part: impl Fn(usize) -> Part<'a>) -> Self {
        Self { schema: part(0), subresources: part(1), columns: part(2), selectable: part(3) }
    }
}

/// Whether a schema has a default, wherever; it is as deep as JSON may be.
pub(super) fn has_default(schema: &Value) -> bool {
    let within = |value: &Value| match value {
        Value::Array(schemas) => schemas.iter().any(has_default),
        other => has_default(other),
    };
    let named = |value: &Value| value.as_object().is_some_and(|all| all.values().any(has_default));
    schema.is_object()
        && (!schema["default"].is_null()
            || WITHIN.iter().any(|field| within(&schema[*field]))
            || NAMED.iter().any(|field| named(&schema[*field])))
}

/// Whether subresources have a status.
pub(super) fn has_status(subresources: &Value) -> bool {
    subresources["status"].is_object()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_versions_agree_on_is_said_in_the_spec() {
        let raw = json!({"versions": [
            {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object"}}, "subresources": {"status": {}}},
            {"name": "v2", "schema": {"openAPIV3Schema": {"type": "object"}}},
        ]});
        let spec = Spec::of(&raw);
        let path = FieldPath::new("spec");
        let (shared, own) = (spec.shared(&path), spec.own(0, &path.child("versions").index(0)));
        assert_eq!(shared.schema.path.as_str(), "spec.validation");
        assert!(shared.schema.value.is_object() && own.schema.value.is_null());
        assert!(shared.subresources.value.is_null() && has_status(own.subresources.value));
        assert_eq!(own.subresources.path.as_str(), "spec.versions[0].subresources");
    }
}
