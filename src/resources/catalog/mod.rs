//! The built-in types of Kubernetes, from the tables in `manifests/schema`: a schema for each, made when first asked for.
//!
//! What kinds are called and what they do is not known here; see the files of the kinds.

mod descriptions;
mod facts;
mod published;
mod schema;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::value::RawValue;

pub use descriptions::Descriptions;
pub use facts::{FieldFacts, Presence, TypeFacts, TypeName};
pub use published::{publish, type_of_kind};

use crate::schema::{Catalog, Link, Schema};

/// The tables, one for each API package.
const SOURCES: &[&str] = &[
    include_str!("../../../manifests/schema/admissionregistration.json"),
    include_str!("../../../manifests/schema/apiextensions.json"),
    include_str!("../../../manifests/schema/apiregistration.json"),
    include_str!("../../../manifests/schema/apps.json"),
    include_str!("../../../manifests/schema/authentication.json"),
    include_str!("../../../manifests/schema/authorization.json"),
    include_str!("../../../manifests/schema/autoscaling.json"),
    include_str!("../../../manifests/schema/batch.json"),
    include_str!("../../../manifests/schema/certificates.json"),
    include_str!("../../../manifests/schema/coordination.json"),
    include_str!("../../../manifests/schema/core.json"),
    include_str!("../../../manifests/schema/discovery.json"),
    include_str!("../../../manifests/schema/events.json"),
    include_str!("../../../manifests/schema/flowcontrol.json"),
    include_str!("../../../manifests/schema/meta.json"),
    include_str!("../../../manifests/schema/networking.json"),
    include_str!("../../../manifests/schema/node.json"),
    include_str!("../../../manifests/schema/policy.json"),
    include_str!("../../../manifests/schema/rbac.json"),
    include_str!("../../../manifests/schema/resource.json"),
    include_str!("../../../manifests/schema/scheduling.json"),
    include_str!("../../../manifests/schema/storage.json"),
    include_str!("../../../manifests/schema/sync.json"),
    include_str!("../../../manifests/schema/tenancy.json"),
    include_str!("../../../manifests/schema/version.json"),
];

/// The built-in types. The table is constant, so one serves all servers of the process.
pub static TYPES: Types = Types { definitions: OnceLock::new() };

/// A table of types, sorted by name.
pub struct Types {
    definitions: OnceLock<Vec<Definition>>,
}

/// One type: its name, its line of the table and, once somebody asked, what that line says.
struct Definition {
    name: &'static str,
    source: &'static RawValue,
    facts: OnceLock<TypeFacts>,
    schema: OnceLock<Schema>,
}

// === impl Types ===

impl Types {
    /// The index of the type `name`, such as `core.v1.Pod`.
    pub fn index(&self, name: &str) -> Option<u16> {
        let found = self.definitions().binary_search_by(|definition| definition.name.cmp(name)).ok()?;
        u16::try_from(found).ok()
    }

    /// What the table says of the type at `index`; indices come from this table.
    pub fn facts(&self, index: u16) -> &TypeFacts {
        let definition = &self.definitions()[usize::from(index)];
        definition.facts.get_or_init(|| TypeFacts::parse(definition.name, definition.source))
    }

    /// What the table says of the type `name`.
    pub fn facts_of(&self, name: &str) -> Option<&TypeFacts> {
        self.index(name).map(|index| self.facts(index))
    }

    /// The name of the type at `index`.
    pub fn name(&self, index: u16) -> &'static str {
        self.definitions()[usize::from(index)].name
    }

    /// The names of all types, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.definitions().iter().map(|definition| definition.name)
    }

    fn definitions(&self) -> &[Definition] {
        self.definitions.get_or_init(|| {
            let mut definitions = Vec::new();
            for source in SOURCES {
                let lines: BTreeMap<&'static str, &'static RawValue> =
                    serde_json::from_str(source).expect("the tables are part of the program and tested");
                definitions.extend(lines.into_iter().map(|(name, source)| Definition {
                    name,
                    source,
                    facts: OnceLock::new(),
                    schema: OnceLock::new(),
                }));
            }
            definitions.sort_by_key(|definition| definition.name);
            definitions
        })
    }
}

impl Catalog for Types {
    fn schema(&self, index: u16) -> &Schema {
        let definition = &self.definitions()[usize::from(index)];
        definition.schema.get_or_init(|| {
            let go_fields = facts::go_fields(definition.source);
            schema::of_type(definition.name, self.facts(index), &go_fields)
        })
    }
}

/// The schema of the type `name`, such as `core.v1.Pod`; `None` if there is no such type.
pub fn link(name: &str) -> Option<Link> {
    TYPES.index(name).map(|index| Link::Named(&TYPES, index))
}

/// The name of a type in OpenAPI documents, such as `io.k8s.api.core.v1.Pod`.
pub fn openapi_name(name: &str) -> String {
    let prefix = match name.split('.').next().unwrap_or_default() {
        "apiextensions" => "io.k8s.apiextensions-apiserver.pkg.apis.",
        "apiregistration" => "io.k8s.kube-aggregator.pkg.apis.",
        "meta" => "io.k8s.apimachinery.pkg.apis.",
        "tenancy" | "logicalcluster" | "workload" => "dev.atoll.",
        "version" | "runtime" => "io.k8s.apimachinery.pkg.",
        _ => "io.k8s.api.",
    };
    format!("{prefix}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ListType, SchemaType};

    #[test]
    fn every_type_of_the_tables_parses_and_refers_to_types_that_exist() {
        let names: Vec<&str> = TYPES.names().collect();
        assert!(names.len() > 500, "{}", names.len());
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
        for name in names {
            let schema = link(name).expect("listed");
            for (field, link) in &schema.properties {
                assert!(
                    link.kind.is_some() || link.int_or_string || link.preserve_unknown || link.format.is_some(),
                    "{name}.{field}"
                );
            }
        }
    }

    #[test]
    fn schemas_know_list_keys_merge_keys_and_defaults() {
        let service = link("core.v1.Service").expect("a type");
        let ports = service.field("spec").and_then(|spec| spec.field("ports")).expect("a field");
        assert_eq!(ports.kind, Some(SchemaType::Array));
        assert_eq!(ports.list_type, Some(ListType::Map(vec!["port".into(), "protocol".into()])));
        assert!(ports.patch.merge);
        assert_eq!(ports.patch.merge_key.as_deref(), Some("port"));
        let protocol = ports.items.as_ref().and_then(|items| items.field("protocol")).expect("a field");
        assert_eq!(protocol.default, Some("TCP".into()));
    }

    #[test]
    fn types_may_contain_themselves() {
        let props = link("apiextensions.v1.JSONSchemaProps").expect("a type");
        let inner =
            props.field("properties").and_then(|map| map.field("any")).and_then(|props| props.field("properties"));
        assert!(inner.is_some());
    }

    #[test]
    fn strategies_beside_a_reference_are_kept() {
        let spec = link("apps.v1.DeploymentSpec").expect("a type");
        let strategy = spec.field("strategy").expect("a field");
        assert!(strategy.patch.retain_keys && strategy.field("rollingUpdate").is_some());
    }
}
