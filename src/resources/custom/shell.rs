//! A stored definition without its schemas, which are most of it and are seldom needed: they stay text until they are.

use std::borrow::Cow;
use std::collections::BTreeMap;

use atoll_api::Object;
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::resources::read::{condition_is_true, field, list, text};
use crate::storage::{Entry, SharedSpec};

/// A definition whose versions have no schemas.
pub(super) struct Shell {
    /// The definition, as far as it was read.
    pub(super) definition: Object,
    /// The text of each version's schema, in the order of the versions.
    pub(super) schemas: Vec<Bytes>,
    /// The SHA-256 of the text of the spec.
    pub(super) spec_hash: [u8; 32],
}

/// The names that a definition was granted.
pub struct Names {
    /// Of resources: the plural, the singular, the short ones.
    pub resources: Vec<String>,
    /// Of kinds: that of objects and that of lists.
    pub kinds: Vec<String>,
    /// Whether it waits for names that others have.
    pub is_waiting: bool,
}

type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

// === impl Shell ===

impl Shell {
    /// Reads a stored definition; `None` if it is none. Its schemas are parts of the text that the cache holds.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        Self::read_with(&entry.bytes(), entry.shared_spec())
    }

    /// Reads a definition; `None` if the text is none.
    pub(super) fn read(bytes: &Bytes) -> Option<Self> {
        Self::read_with(bytes, None)
    }

    fn read_with(bytes: &Bytes, shared: Option<SharedSpec>) -> Option<Self> {
        let top: Fields<'_> = serde_json::from_slice(bytes).ok()?;
        let whole = top.get("spec")?.get().as_bytes();
        let shared =
            shared.unwrap_or_else(|| SharedSpec { text: bytes.slice_ref(whole), hash: Sha256::digest(whole).into() });
        // The same text at another place.
        let part = |raw: &RawValue| {
            let start = raw.get().as_ptr() as usize - whole.as_ptr() as usize;
            shared.text.slice(start..start + raw.get().len())
        };
        let spec: Fields<'_> = serde_json::from_str(top.get("spec")?.get()).ok()?;
        let versions: Vec<Fields<'_>> = serde_json::from_str(spec.get("versions")?.get()).ok()?;
        let mut schemas = Vec::with_capacity(versions.len());
        let mut bare = Vec::with_capacity(versions.len());
        for version in &versions {
            let schema = version.get("schema").and_then(|raw| serde_json::from_str::<Fields<'_>>(raw.get()).ok());
            schemas
                .push(schema.and_then(|schema| schema.get("openAPIV3Schema").map(|raw| part(raw))).unwrap_or_default());
            bare.push(Value::Object(without(version, "schema")?));
        }
        let mut definition = without(&top, "spec")?;
        let mut spec = without(&spec, "versions")?;
        spec.insert("versions".to_owned(), bare.into());
        definition.insert("spec".to_owned(), spec.into());
        Some(Self { definition: Object(definition), schemas, spec_hash: shared.hash })
    }
}

/// The fields of a map, but for one that is not read.
fn without(fields: &Fields<'_>, left_out: &str) -> Option<Map<String, Value>> {
    let wanted = fields.iter().filter(|(name, _)| name.as_ref() != left_out);
    wanted.map(|(name, raw)| Some((name.clone().into_owned(), serde_json::from_str(raw.get()).ok()?))).collect()
}

// === impl Names ===

impl Names {
    /// The names that the text of a definition tells; none if it is no definition.
    pub fn read(bytes: &[u8]) -> Self {
        let top: Fields<'_> = serde_json::from_slice(bytes).unwrap_or_default();
        let status = top.get("status").and_then(|raw| serde_json::from_str(raw.get()).ok());
        let status = Object(status.unwrap_or_default());
        let is_waiting = !condition_is_true(field(&status, "conditions"), "NamesAccepted");
        Self { is_waiting, ..Self::of(field(&status, "acceptedNames")) }
    }

    /// The names in a definition's `acceptedNames`.
    pub fn of(accepted: &Value) -> Self {
        let one = |name: &str| Some(text(&accepted[name])).filter(|name| !name.is_empty()).map(str::to_owned);
        let short = list(&accepted["shortNames"]).iter().map(|name| text(name).to_owned());
        Self {
            resources: one("plural").into_iter().chain(one("singular")).chain(short).collect(),
            kinds: one("kind").into_iter().chain(one("listKind")).collect(),
            is_waiting: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_stay_text_and_the_rest_is_read() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object"}}});
        let definition = json!({
            "metadata": {"name": "things.example.com"},
            "spec": {"group": "example.com", "names": {"plural": "things"}, "versions": [
                {"name": "v1", "served": true, "schema": {"openAPIV3Schema": schema}},
                {"name": "v2", "served": false},
            ]},
            "status": {"acceptedNames": {"plural": "things", "kind": "Thing", "shortNames": ["th"]}},
        });
        let bytes = Bytes::from(definition.to_string());
        let shell = Shell::read(&bytes).expect("a definition");
        assert_eq!(shell.schemas, [Bytes::from(schema.to_string()), Bytes::new()]);
        let hash: [u8; 32] = Sha256::digest(definition["spec"].to_string()).into();
        assert_eq!(shell.spec_hash, hash);
        let mut expected = definition;
        expected["spec"]["versions"][0].as_object_mut().expect("a version").remove("schema");
        assert_eq!(Value::Object(shell.definition.0), expected);
        let names = Names::read(&bytes);
        assert_eq!(
            (names.resources, names.kinds),
            (vec!["things".to_owned(), "th".to_owned()], vec!["Thing".to_owned()])
        );
        assert!(names.is_waiting);
    }

    #[test]
    fn what_is_no_definition_is_none() {
        for text in ["", "[]", "{}", r#"{"spec":{}}"#, r#"{"spec":{"versions":7}}"#] {
            assert!(Shell::read(&Bytes::from(text)).is_none(), "{text}");
            assert!(Names::read(text.as_bytes()).resources.is_empty());
        }
    }
}
