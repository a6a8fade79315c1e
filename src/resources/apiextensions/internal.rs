//! Versions of a definition as messages show them: as Go writes Kubernetes' internal structures, with all of their fields in
//! their order, and without what all versions agree on, which these structures keep elsewhere.

use serde_json::Value;

use super::spec::Spec;
use crate::resources::read::list;
use crate::schema::shown;

/// The most structures that are shown in full; each takes a hundred times the room of what a client wrote.
const MAX_STRUCTURES: usize = 64;

/// A field: its name in Go, its name in the API, and how it is written.
type Field = (&'static str, &'static str, Form);

/// How a field is written.
#[derive(Clone, Copy)]
enum Form {
    /// As it is, `null` if it is left out.
    Plain,
    /// A text, a truth value and a number that are not left out.
    Text,
    Flag,
    Number,
    /// A structure, several, or some by name; `null` if there are none.
    One(&'static [Field]),
    Many(&'static [Field]),
    Schema,
    Schemas,
    Named,
    /// A schema or several, a schema or a truth value, a schema or names.
    Items,
    OrFlag,
    Dependencies,
}

use Form::{Dependencies, Flag, Items, Many, Named, Number, One, OrFlag, Plain, Schema, Schemas, Text};

const VERSION: &[Field] = &[
    ("Name", "name", Text),
    ("Served", "served", Flag),
    ("Storage", "storage", Flag),
    ("Deprecated", "deprecated", Flag),
    ("DeprecationWarning", "deprecationWarning", Plain),
];
const PARTS: &[Field] = &[
    ("Schema", "schema", One(&[("OpenAPIV3Schema", "openAPIV3Schema", Schema)])),
    ("Subresources", "subresources", One(&[("Status", "status", One(&[])), ("Scale", "scale", One(SCALE))])),
    ("AdditionalPrinterColumns", "additionalPrinterColumns", Many(COLUMN)),
    ("SelectableFields", "selectableFields", Many(&[("JSONPath", "jsonPath", Text)])),
];
const SCALE: &[Field] = &[
    ("SpecReplicasPath", "specReplicasPath", Text),
    ("StatusReplicasPath", "statusReplicasPath", Text),
    ("LabelSelectorPath", "labelSelectorPath", Plain),
];
const COLUMN: &[Field] = &[
    ("Name", "name", Text),
    ("Type", "type", Text),
    ("Format", "format", Text),
    ("Description", "description", Text),
    ("Priority", "priority", Number),
    ("JSONPath", "jsonPath", Text),
];
const RULE: &[Field] = &[
    ("Rule", "rule", Text),
    ("Message", "message", Text),
    ("MessageExpression", "messageExpression", Text),
    ("Reason", "reason", Plain),
    ("FieldPath", "fieldPath", Text),
    ("OptionalOldSelf", "optionalOldSelf", Plain),
];
const SCHEMA: &[Field] = &[
    ("ID", "id", Text),
    ("Schema", "$schema", Text),
    ("Ref", "$ref", Plain),
    ("Description", "description", Text),
    ("Type", "type", Text),
    ("Nullable", "nullable", Flag),
    ("Format", "format", Text),
    ("Title", "title", Text),
    ("Default", "default", Plain),
    ("Maximum", "maximum", Plain),
    ("ExclusiveMaximum", "exclusiveMaximum", Flag),
    ("Minimum", "minimum", Plain),
    ("ExclusiveMinimum", "exclusiveMinimum", Flag),
    ("MaxLength", "maxLength", Plain),
    ("MinLength", "minLength", Plain),
    ("Pattern", "pattern", Text),
    ("MaxItems", "maxItems", Plain),
    ("MinItems", "minItems", Plain),
    ("UniqueItems", "uniqueItems", Flag),
    ("MultipleOf", "multipleOf", Plain),
    ("Enum", "enum", Plain),
    ("MaxProperties", "maxProperties", Plain),
    ("MinProperties", "minProperties", Plain),
    ("Required", "required", Plain),
    ("Items", "items", Items),
    ("AllOf", "allOf", Schemas),
    ("OneOf", "oneOf", Schemas),
    ("AnyOf", "anyOf", Schemas),
    ("Not", "not", Schema),
    ("Properties", "properties", Named),
    ("AdditionalProperties", "additionalProperties", OrFlag),
    ("PatternProperties", "patternProperties", Named),
    ("Dependencies", "dependencies", Dependencies),
    ("AdditionalItems", "additionalItems", OrFlag),
    ("Definitions", "definitions", Named),
    ("ExternalDocs", "externalDocs", One(&[("Description", "description", Text), ("URL", "url", Text)])),
    ("Example", "example", Plain),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", Plain),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", Flag),
    ("XIntOrString", "x-kubernetes-int-or-string", Flag),
    ("XListMapKeys", "x-kubernetes-list-map-keys", Plain),
    ("XListType", "x-kubernetes-list-type", Plain),
    ("XMapType", "x-kubernetes-map-type", Plain),
    ("XValidations", "x-kubernetes-validations", Many(RULE)),
];

/// The versions of a spec; as they were written if they are many or large.
pub(super) fn versions(spec: &Spec<'_>) -> String {
    let mut writer = Writer { text: String::new(), left: MAX_STRUCTURES };
    match writer.versions(spec) {
        Some(()) => writer.text,
        None => shown::json(&spec.raw["versions"]),
    }
}

struct Writer {
    text: String,
    /// How many structures may follow.
    left: usize,
}

// === impl Writer ===

/// What returns nothing has written more than is shown.
impl Writer {
    fn versions(&mut self, spec: &Spec<'_>) -> Option<()> {
        self.listed('[', ']', spec.versions.iter().enumerate(), |writer, (index, version)| {
            writer.left = writer.left.checked_sub(1)?;
            let own = spec.own(index, &atoll_api::FieldPath::root());
            let parts = [own.schema.value, own.subresources.value, own.columns.value, own.selectable.value];
            let plain = VERSION.iter().map(|field| (field, &version[field.1]));
            writer.listed('{', '}', plain.chain(PARTS.iter().zip(parts)), Self::field)
        })
    }

    /// What is between two brackets.
    fn listed<T>(
        &mut self,
        open: char,
        close: char,
        items: impl Iterator<Item = T>,
        write: impl Fn(&mut Self, T) -> Option<()>,
    ) -> Option<()> {
        self.text.push(open);
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            write(self, item)?;
        }
        self.text.push(close);
        Some(())
    }

    fn structure(&mut self, fields: &'static [Field], value: &Value) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        self.listed('{', '}', fields.iter().map(|field| (field, &value[field.1])), Self::field)
    }

    fn field(&mut self, ((name, _, form), value): (&Field, &Value)) -> Option<()> {
        self.name(name);
        self.value(*form, value)
    }

    fn name(&mut self, name: &str) {
        self.text.push_str(&shown::json(&name.into()));
        self.text.push(':');
    }

    fn value(&mut self, form: Form, value: &Value) -> Option<()> {
        match (form, value) {
            (Text, Value::Null) => self.text.push_str("\"\""),
            (Flag, Value::Null) => self.text.push_str("false"),
            (Number, Value::Null) => self.text.push('0'),
            (Plain | Text | Flag | Number, value) => self.text.push_str(&shown::json(value)),
            (OrFlag, Value::Bool(_)) => {
                self.text.push_str("{\"Allows\":");
                self.value(Flag, value)?;
                self.text.push_str(",\"Schema\":null}");
            }
            (Items, Value::Array(schemas)) => {
                self.text.push_str("{\"Schema\":null,\"JSONSchemas\":");
                self.listed('[', ']', schemas.iter(), |writer, schema| writer.structure(SCHEMA, schema))?;
                self.text.push('}');
            }
            (Dependencies, Value::Object(all)) => self.listed('{', '}', all.iter(), |writer, (name, value)| {
                writer.name(name);
                let (schema, names) = if value.is_array() { (&Value::Null, value) } else { (value, &Value::Null) };
                writer.text.push_str("{\"Schema\":");
                writer.value(Schema, schema)?;
                writer.text.push_str(",\"Property\":");
                writer.value(Plain, names)?;
                writer.text.push('}');
                Some(())
            })?,
            (One(fields), Value::Object(_)) => self.structure(fields, value)?,
            (Schema, Value::Object(_)) => self.structure(SCHEMA, value)?,
            (Many(fields), Value::Array(_)) => {
                self.listed('[', ']', list(value).iter(), |writer, one| writer.structure(fields, one))?;
            }
            (Schemas, Value::Array(_)) => {
                self.listed('[', ']', list(value).iter(), |writer, one| writer.structure(SCHEMA, one))?;
            }
            (Named, Value::Object(all)) => self.listed('{', '}', all.iter(), |writer, (name, schema)| {
                writer.name(name);
                writer.structure(SCHEMA, schema)
            })?,
            (Items, Value::Object(_)) => {
                self.text.push_str("{\"Schema\":");
                self.structure(SCHEMA, value)?;
                self.text.push_str(",\"JSONSchemas\":null}");
            }
            (OrFlag, Value::Object(_)) => {
                self.text.push_str("{\"Allows\":true,\"Schema\":");
                self.structure(SCHEMA, value)?;
                self.text.push('}');
            }
            _ => self.text.push_str("null"),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: Value, expected: &str) {
        assert_eq!(versions(&Spec::of(&spec)), expected);
    }

    #[test]
    fn what_all_versions_say_is_not_shown_with_each() {
        let version =
            json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}});
        let shown = r#"{"Name":"v1","Served":true,"Storage":true,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}"#;
        check(json!({"versions": [version]}), &format!("[{shown}]"));
        check(json!({"versions": [version, version]}), &format!("[{shown},{shown}]"));
        check(json!({}), "[]");
    }

    #[test]
    fn what_a_version_says_for_itself_is_shown_as_it_is_kept() {
        let first = json!({
            "name": "v1", "served": true, "storage": false, "deprecated": true, "deprecationWarning": "old <1>",
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".s", "statusReplicasPath": ".t"}},
            "additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".a", "priority": 1}],
        });
        let second = json!({"name": "v2", "served": false, "storage": true});
        check(
            json!({"versions": [first, second]}),
            concat!(
                r#"[{"Name":"v1","Served":true,"Storage":false,"Deprecated":true,"DeprecationWarning":"old \u003c1\u003e","Schema":null,"#,
                r#""Subresources":{"Status":{},"Scale":{"SpecReplicasPath":".s","StatusReplicasPath":".t","LabelSelectorPath":null}},"#,
                r#""AdditionalPrinterColumns":[{"Name":"A","Type":"string","Format":"","Description":"","Priority":1,"JSONPath":".a"}],"SelectableFields":null},"#,
                r#"{"Name":"v2","Served":false,"Storage":true,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}]"#,
            ),
        );
    }

    #[test]
    fn schemas_are_shown_with_all_fields_as_long_as_they_are_few() {
        let of = |properties: Value| {
            json!({"versions": [
                {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}}, {"name": "v2"}]})
        };
        let few = of(
            json!({"l": {"items": {}}, "m": {"additionalProperties": true}, "x": {"x-kubernetes-list-type": "set"}}),
        );
        let text = versions(&Spec::of(&few));
        for part in [
            r#""Schema":{"OpenAPIV3Schema":{"ID":"","Schema":"","Ref":null,"Description":"","Type":"object","Nullable":false,"#,
            r#""Items":{"Schema":{"ID":"","#,
            r#""JSONSchemas":null}"#,
            r#""AdditionalProperties":{"Allows":true,"Schema":null}"#,
            r#""XListMapKeys":null,"XListType":"set","XMapType":null,"XValidations":null}"#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let names = (0..MAX_STRUCTURES).map(|index| (format!("p{index}"), json!({}))).collect();
        let many = of(Value::Object(names));
        check(many.clone(), &many["versions"].to_string());
    }
}
