//! Tables as the server prints them (`meta.k8s.io` `Table`), from columns and rows.
//!
//! What the cells of a kind are is not known here.

use atoll_api::options::IncludeObject;
use atoll_api::{ApiError, ApiResult, Object};
use serde::Serialize;
use serde_json::{Value, json};

use super::negotiate::MetaVersion;
use super::partial::ListMeta;

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

/// What of its object a row carries, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// Its metadata, as a `PartialObjectMetadata`.
    Metadata,
    /// All of it.
    Whole,
}

impl Carried {
    /// What is carried of an object where this is asked for. One that only marks the end of the initial events keeps its
    /// metadata in any case.
    pub fn of(object: &Object, include: IncludeObject) -> Option<Self> {
        match include {
            IncludeObject::Object => Some(Self::Whole),
            IncludeObject::Metadata => Some(Self::Metadata),
            IncludeObject::None => object.annotation("k8s.io/initial-events-end").map(|_| Self::Metadata),
        }
    }
}

/// How a table without rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRows {
    /// As an empty list.
    Empty,
    /// As null: so does Go where nobody began the list.
    Null,
}

/// Writes a table as JSON, row by row, to wherever it is told to append.
#[derive(Debug)]
pub struct TableWriter {
    rows: usize,
}

// === impl TableWriter ===

impl TableWriter {
    /// Begins a table.
    pub fn begin(
        columns: &[TableColumn<'_>],
        headers: Headers,
        meta: &ListMeta,
        version: MetaVersion,
        out: &mut Vec<u8>,
    ) -> ApiResult<Self> {
        let columns = match headers {
            Headers::Shown => columns.iter().map(column).collect(),
            Headers::Omitted => Value::Null,
        };
        text(out, r#"{"kind":"Table","apiVersion":""#);
        text(out, version.api_version());
        text(out, r#"","metadata":"#);
        value(out, &meta.to_value())?;
        text(out, r#","columnDefinitions":"#);
        value(out, &columns)?;
        text(out, r#","rows":"#);
        Ok(Self { rows: 0 })
    }

    /// Adds a row: one cell a column, conditions such as that a pod has completed (`TableRowCondition`), and what appends
    /// the object as JSON, if the row carries it.
    pub fn row(
        &mut self,
        cells: &[Value],
        conditions: &[Value],
        object: Option<impl FnOnce(&mut Vec<u8>) -> ApiResult<()>>,
        out: &mut Vec<u8>,
    ) -> ApiResult<()> {
        text(out, if self.rows == 0 { "[" } else { "," });
        self.rows += 1;
        text(out, r#"{"cells":"#);
        value(out, &cells)?;
        if !conditions.is_empty() {
            text(out, r#","conditions":"#);
            value(out, &conditions)?;
        }
        text(out, r#","object":"#);
        match object {
            Some(object) => object(out)?,
            None => text(out, "null"),
        }
        text(out, "}");
        Ok(())
    }

    /// Ends the table.
    pub fn end(&self, no_rows: NoRows, out: &mut Vec<u8>) {
        text(
            out,
            match (self.rows, no_rows) {
                (0, NoRows::Empty) => "[]}",
                (0, NoRows::Null) => "null}",
                _ => "]}",
            },
        );
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn value(out: &mut Vec<u8>, value: &impl Serialize) -> ApiResult<()> {
    serde_json::to_writer(out, value)
        .map_err(|error| ApiError::internal("a table cannot be written as JSON").caused_by(error))
}

fn column(column: &TableColumn<'_>) -> Value {
    json!({
        "name": column.name, "type": column.kind, "format": column.format, "description": column.description,
        "priority": column.priority,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: TableColumn<'_> =
        TableColumn { name: "Name", kind: "string", format: "name", description: "d", priority: 0 };
    /// What appends an object.
    type Append = fn(&mut Vec<u8>) -> ApiResult<()>;

    fn begun(headers: Headers, meta: &ListMeta, version: MetaVersion, out: &mut Vec<u8>) -> TableWriter {
        TableWriter::begin(&[NAME], headers, meta, version, out).expect("can be written")
    }

    fn ended(table: &TableWriter, no_rows: NoRows, mut out: Vec<u8>) -> Value {
        table.end(no_rows, &mut out);
        serde_json::from_slice(&out).expect("JSON")
    }

    #[test]
    fn a_table_has_columns_rows_and_metadata() {
        let completed = json!({"type": "Completed", "status": "True"});
        let meta = ListMeta { resource_version: "5".into(), ..ListMeta::default() };
        let mut out = Vec::new();
        let mut table = begun(Headers::Shown, &meta, MetaVersion::V1, &mut out);
        table.row(&["a".into()], &[], None::<Append>, &mut out).expect("can be written");
        let object = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"{}");
            Ok(())
        };
        let conditions = std::slice::from_ref(&completed);
        table.row(&["b".into()], conditions, Some(object), &mut out).expect("can be written");
        let expected = json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "5"},
            "columnDefinitions": [{"name": "Name", "type": "string", "format": "name", "description": "d", "priority": 0}],
            "rows": [{"cells": ["a"], "object": null}, {"cells": ["b"], "object": {}, "conditions": [completed]}],
        });
        assert_eq!(ended(&table, NoRows::Null, out), expected);
    }

    #[test]
    fn no_rows_are_an_empty_list_or_null() {
        for (no_rows, expected) in [(NoRows::Empty, json!([])), (NoRows::Null, Value::Null)] {
            let mut out = Vec::new();
            let table = begun(Headers::Omitted, &ListMeta::default(), MetaVersion::V1beta1, &mut out);
            let bare = ended(&table, no_rows, out);
            assert_eq!((&bare["columnDefinitions"], &bare["rows"]), (&Value::Null, &expected));
        }
    }

    #[test]
    fn rows_carry_as_much_of_the_object_as_wanted() {
        let object = |metadata: Value| Object::from_value(json!({"metadata": metadata})).expect("an object");
        let usual = object(json!({"name": "a"}));
        let bookmark = object(json!({"annotations": {"k8s.io/initial-events-end": "true"}}));
        let cases = [
            (&usual, IncludeObject::None, None),
            (&usual, IncludeObject::Metadata, Some(Carried::Metadata)),
            (&usual, IncludeObject::Object, Some(Carried::Whole)),
            (&bookmark, IncludeObject::None, Some(Carried::Metadata)),
        ];
        for (object, include, expected) in cases {
            assert_eq!(Carried::of(object, include), expected);
        }
    }
}
