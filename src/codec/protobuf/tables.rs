//! The messages of built-in types: which number, type and name each field has.
//!
//! Read from `manifests/schema`, where each field has its number, or a path of numbers through the messages of inlined Go structs.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

/// The tables of types, one for each API package.
const TYPES: &[&str] = &[
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
];

/// Bare metadata, which is a type of the server's own and in no schema.
const PARTIAL: &str = r#"{
    "meta.v1.PartialObjectMetadata": {"fields": {"metadata": {"t": "meta.v1.ObjectMeta", "n": 1, "p": "zero"}}},
    "meta.v1.PartialObjectMetadataList": {"fields": {
        "metadata": {"t": "meta.v1.ListMeta", "n": 1, "p": "zero"},
        "items": {"t": "[]meta.v1.PartialObjectMetadata", "n": 2, "p": "null"}
    }}
}"#;

/// How the value of a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Base64 in JSON.
    Bytes,
    Bool,
    Int32,
    Int64,
    Double,
    /// A message, by its index.
    Message(u16),
    /// `{string: 1}`.
    Quantity,
    /// `{type: 1, intVal: 2, strVal: 3}`.
    IntOrString,
    /// `{seconds: 1, nanos: 2}`.
    Time,
    MicroTime,
    /// `{raw: 1}`, the value as JSON.
    Raw,
    /// `{items: 1}`: a list of texts with a message of its own (`Verbs`, `ExtraValue`).
    Texts,
    /// `{allows: 1, schema: 2}`.
    SchemaOrBool,
    /// `{schema: 1, jSONSchemas: 2}`.
    SchemaOrArray,
    /// `{schema: 1, property: 2}`.
    SchemaOrStrings,
}

/// How often a field occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occurrence {
    Once,
    List,
    Map,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// The name in JSON; empty for a message whose fields belong to the same JSON object (an inlined Go struct).
    pub(super) name: Box<str>,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) occurrence: Occurrence,
    /// Whether JSON leaves the field out when it has its type's zero value.
    pub(super) drops_zero: bool,
}

impl Field {
    pub(super) fn is_inlined(&self) -> bool {
        self.name.is_empty()
    }
}

/// A message: its fields, by number.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) fields: Vec<Field>,
}

impl Message {
    pub(super) fn field(&self, number: u32) -> Option<&Field> {
        self.fields.binary_search_by_key(&number, |field| field.number).ok().map(|index| &self.fields[index])
    }

    pub(super) fn field_named(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| &*field.name == name)
    }
}

/// All messages.
#[derive(Default)]
pub(super) struct Tables {
    messages: Vec<Message>,
    /// The messages of kinds, by kind and then by `apiVersion`.
    kinds: HashMap<String, Vec<(String, u16)>>,
    names: HashMap<String, u16>,
    /// The schema of a custom resource, which some types of the schema refer to.
    schema: u16,
}

/// The one set of tables of the program; facts that never change.
pub(super) fn tables() -> &'static Tables {
    static TABLES: LazyLock<Tables> = LazyLock::new(Tables::read);
    &TABLES
}

#[derive(Deserialize)]
struct TypeFacts {
    #[serde(default)]
    gvk: Vec<(String, String, String)>,
    #[serde(default)]
    fields: BTreeMap<String, FieldFacts>,
}

#[derive(Deserialize)]
struct FieldFacts {
    t: String,
    #[serde(default)]
    n: Option<Numbers>,
    #[serde(default)]
    p: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(u32),
    Path(Vec<u32>),
}

impl Tables {
    /// The message of a kind.
    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<&Message> {
        let index = match kind {
            // These are of every group and version.
            "DeleteOptions" | "Status" | "WatchEvent" => self.names.get(&format!("meta.v1.{kind}")).copied()?,
            "APIGroup" | "APIGroupList" | "APIResourceList" | "APIVersions" if matches!(api_version, "" | "v1") => {
                self.names.get(&format!("meta.v1.{kind}")).copied()?
            }
            "PartialObjectMetadata" | "PartialObjectMetadataList" if api_version.starts_with("meta.k8s.io/") => {
                self.names.get(&format!("meta.v1.{kind}")).copied()?
            }
            _ => self.kinds.get(kind)?.iter().find(|(version, _)| version == api_version)?.1,
        };
        self.messages.get(usize::from(index))
    }

    /// The message of an index that the tables gave.
    pub(super) fn message(&self, index: u16) -> &Message {
        &self.messages[usize::from(index)]
    }

    /// The message of a custom resource's schema.
    pub(super) fn schema(&self) -> &Message {
        self.message(self.schema)
    }

    fn read() -> Self {
        let mut types: BTreeMap<String, TypeFacts> = BTreeMap::new();
        for text in TYPES.iter().chain([&PARTIAL]) {
            types.append(
                &mut serde_json::from_str(text).expect("the tables are part of the program, and tests read them"),
            );
        }
        let mut tables = Self::default();
        for (name, facts) in &types {
            let index = tables.add(Message::default());
            tables.names.insert(name.clone(), index);
            for (group, version, kind) in &facts.gvk {
                let api_version = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
                tables.kinds.entry(kind.clone()).or_default().push((api_version, index));
            }
        }
        for (name, facts) in &types {
            let index = tables.names[name];
            for (field_name, field) in &facts.fields {
                let path = match &field.n {
                    None => continue,
                    Some(Numbers::One(number)) => vec![*number],
                    Some(Numbers::Path(path)) => path.clone(),
                };
                tables.add_field(index, name, field_name, field, &path);
            }
        }
        tables.schema = tables.names["apiextensions.v1.JSONSchemaProps"];
        for message in &mut tables.messages {
            message.fields.sort_by_key(|field| field.number);
        }
        tables
    }

    fn add(&mut self, message: Message) -> u16 {
        self.messages.push(message);
        u16::try_from(self.messages.len() - 1).expect("there are far fewer than 65,536 types")
    }

    /// Adds a field to a message, making the messages of inlined structs on the way.
    fn add_field(&mut self, mut message: u16, type_name: &str, name: &str, facts: &FieldFacts, path: &[u32]) {
        let Some((number, inlined)) = path.split_last() else { return };
        for step in inlined {
            message = self.inlined(message, *step);
        }
        let (occurrence, element) = match (facts.t.strip_prefix("[]"), facts.t.strip_prefix("{}")) {
            (Some(element), _) => (Occurrence::List, element),
            (_, Some(element)) => (Occurrence::Map, element),
            (None, None) => (Occurrence::Once, facts.t.as_str()),
        };
        let (occurrence, kind) = match (type_name, name) {
            ("meta.v1.APIResource", "verbs") => (Occurrence::Once, Kind::Texts),
            _ => (occurrence, self.kind_of(element)),
        };
        let drops_zero = facts.p == "drop";
        let field = Field { name: name.into(), number: *number, kind, occurrence, drops_zero };
        self.messages[usize::from(message)].fields.push(field);
    }

    /// The message of an inlined struct in the field `number` of another.
    fn inlined(&mut self, message: u16, number: u32) -> u16 {
        let fields = &self.messages[usize::from(message)].fields;
        if let Some(Field { kind: Kind::Message(index), .. }) =
            fields.iter().find(|field| field.number == number && field.is_inlined())
        {
            return *index;
        }
        let index = self.add(Message::default());
        let (kind, occurrence) = (Kind::Message(index), Occurrence::Once);
        let field = Field { name: "".into(), number, kind, occurrence, drops_zero: false };
        self.messages[usize::from(message)].fields.push(field);
        index
    }

    fn kind_of(&self, type_name: &str) -> Kind {
        match type_name {
            "string" => Kind::Text,
            "bytes" => Kind::Bytes,
            "boolean" => Kind::Bool,
            "int32" => Kind::Int32,
            "int64" => Kind::Int64,
            "double" => Kind::Double,
            "quantity" => Kind::Quantity,
            "intOrString" => Kind::IntOrString,
            "time" => Kind::Time,
            "microTime" => Kind::MicroTime,
            "fieldsV1" | "rawExtension" | "json" => Kind::Raw,
            "[]string" => Kind::Texts,
            "schemaOrBool" => Kind::SchemaOrBool,
            "schemaOrArray" => Kind::SchemaOrArray,
            "schemaOrStrings" => Kind::SchemaOrStrings,
            name => {
                Kind::Message(*self.names.get(name).expect("tables refer to types that they have, and tests read them"))
            }
        }
    }

    /// All kinds, for tests.
    #[cfg(test)]
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        let kinds = self.kinds.iter();
        kinds.flat_map(|(kind, versions)| versions.iter().map(move |(version, _)| (version.as_str(), kind.as_str())))
    }
}
