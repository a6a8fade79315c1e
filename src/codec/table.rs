//! Tables as the server prints them (`meta.k8s.io` `Table`), from columns and rows.
//!
//! What the cells of a kind are is not known here.

use atoll_api::Object;
use atoll_api::options::IncludeObject;
use serde_json::{Map, Value, json};

use super::negotiate::MetaVersion;
use super::partial::{ListMeta, partial_object};

/// A column (`TableColumnDefinition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableColumn<'a> {
    /// The heading.
    pub name: &'a str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: &'a str,
    /// Such as `name`; empty for none.
    pub format: &'a str,
    /// What the column shows.
    pub description: &'a str,
    /// 0 is shown always, greater ones when much is to be shown.
    pub priority: i32,
}

/// Whether a table tells its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// It does.
    Shown,
    /// It does not, as in all events of a watch but the first.
    Omitted,
}

/// A row: one cell a column, and what of the object goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    cells: Vec<Value>,
    conditions: Vec<Value>,
    object: Value,
}

impl TableRow {
    /// The row of an object. An object that only marks the end of the initial events keeps its metadata in any case.
    pub fn new(cells: Vec<Value>, object: Object, include: IncludeObject, version: MetaVersion) -> Self {
        let marks_end = object.annotation("k8s.io/initial-events-end").is_some();
        let object = match include {
            IncludeObject::Object => Value::Object(object.0),
            IncludeObject::None if !marks_end => Value::Null,
            IncludeObject::None | IncludeObject::Metadata => partial_object(object, version),
        };
        Self { cells, conditions: Vec::new(), object }
    }

    /// Adds conditions, such as that a pod has completed (`TableRowCondition`).
    #[must_use]
    pub fn with_conditions(mut self, conditions: Vec<Value>) -> Self {
        self.conditions = conditions;
        self
    }
}

/// A whole table.
pub fn table(
    columns: &[TableColumn<'_>],
    headers: Headers,
    rows: Vec<TableRow>,
    meta: &ListMeta,
    version: MetaVersion,
) -> Value {
    let columns = match headers {
        Headers::Shown => columns.iter().map(column).collect(),
        Headers::Omitted => Value::Null,
    };
    // `json!` would copy all of this by serializing it.
    let mut table = Map::new();
    table.insert("kind".into(), "Table".into());
    table.insert("apiVersion".into(), version.api_version().into());
    table.insert("metadata".into(), meta.to_value());
    table.insert("columnDefinitions".into(), columns);
    table.insert("rows".into(), rows.into_iter().map(row).collect());
    Value::Object(table)
}

fn column(column: &TableColumn<'_>) -> Value {
    json!({
        "name": column.name, "type": column.kind, "format": column.format, "description": column.description,
        "priority": column.priority,
    })
}

fn row(row: TableRow) -> Value {
    let mut fields = Map::new();
    fields.insert("cells".into(), row.cells.into());
    if !row.conditions.is_empty() {
        fields.insert("conditions".into(), row.conditions.into());
    }
    fields.insert("object".into(), row.object);
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: TableColumn<'_> =
        TableColumn { name: "Name", kind: "string", format: "name", description: "d", priority: 0 };

    fn object(metadata: Value) -> Object {
        Object::from_value(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).expect("an object")
    }

    #[test]
    fn a_table_has_columns_rows_and_metadata() {
        let row = TableRow::new(vec!["a".into()], object(json!({"name": "a"})), IncludeObject::None, MetaVersion::V1);
        let completed = json!({"type": "Completed", "status": "True"});
        let rows = vec![row.clone(), row.with_conditions(vec![completed.clone()])];
        let meta = ListMeta { resource_version: "5".into(), ..ListMeta::default() };
        let shown = table(&[NAME], Headers::Shown, rows, &meta, MetaVersion::V1);
        let expected = json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "5"},
            "columnDefinitions": [{"name": "Name", "type": "string", "format": "name", "description": "d", "priority": 0}],
            "rows": [{"cells": ["a"], "object": null}, {"cells": ["a"], "object": null, "conditions": [completed]}],
        });
        assert_eq!(shown, expected);
        let bare = table(&[NAME], Headers::Omitted, Vec::new(), &ListMeta::default(), MetaVersion::V1beta1);
        assert_eq!((&bare["columnDefinitions"], &bare["rows"]), (&Value::Null, &json!([])));
    }

    #[test]
    fn rows_carry_as_much_of_the_object_as_wanted() {
        let whole = object(json!({"name": "a"}));
        let bookmark = object(json!({"annotations": {"k8s.io/initial-events-end": "true"}}));
        let partial =
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}});
        let cases = [
            (&whole, IncludeObject::None, Value::Null),
            (&whole, IncludeObject::Metadata, partial),
            (&whole, IncludeObject::Object, Value::Object(whole.0.clone())),
            (&bookmark, IncludeObject::None, partial_object(bookmark.clone(), MetaVersion::V1)),
        ];
        for (object, include, expected) in cases {
            assert_eq!(TableRow::new(Vec::new(), object.clone(), include, MetaVersion::V1).object, expected);
        }
    }
}
