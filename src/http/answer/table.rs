//! Tables of objects: columns and cells are the resource's, the document is the codec's.

use std::sync::Arc;

use atoll_api::Object;
use atoll_api::options::IncludeObject;
use serde_json::Value;

use super::super::chain::Asked;
use crate::codec::negotiate::MetaVersion;
use crate::codec::partial::ListMeta;
use crate::codec::table::{Headers, TableColumn, TableRow, table};
use crate::registry::Target;
use crate::registry::descriptor::Column;
use crate::registry::resource::Origin;
use crate::resources::kind::name_description;

/// The table of these objects.
pub(super) fn of(
    asked: &Asked,
    target: &Target,
    objects: Vec<Object>,
    meta: &ListMeta,
    version: MetaVersion,
    include: IncludeObject,
) -> Value {
    with(asked.cx.now, target, objects, meta, version, include, Headers::Shown)
}

/// The table of these objects, with or without its columns.
pub(super) fn with(
    now: jiff::Timestamp,
    target: &Target,
    objects: Vec<Object>,
    meta: &ListMeta,
    version: MetaVersion,
    include: IncludeObject,
    headers: Headers,
) -> Value {
    let info = target.version();
    // A custom kind may call a column of its own `Name`; it has the usual first column all the same.
    let own_name =
        target.resource.origin() == Origin::Builtin && info.columns.iter().any(|column| &*column.name == "Name");
    let descriptions: Vec<Arc<str>> = info.columns.iter().map(|column| column.description.text()).collect();
    let shown = info.columns.iter().zip(&descriptions).map(|(column, description)| TableColumn {
        name: &column.name,
        kind: &column.kind,
        format: &column.format,
        description,
        priority: column.priority,
    });
    let description = name_description();
    let name = TableColumn { name: "Name", kind: "string", format: "name", description: &description, priority: 0 };
    let columns: Vec<TableColumn<'_>> =
        if own_name { shown.collect() } else { [name].into_iter().chain(shown).collect() };
    let none = objects.is_empty();
    let rows = objects.into_iter().map(|object| {
        let mut cells = target.resource.cells(&info.version, &object, now);
        if !own_name {
            cells.insert(0, object.name().into());
        }
        let conditions = target.resource.row_conditions(&object);
        TableRow::new(cells, object, include, version).with_conditions(conditions)
    });
    let mut table = table(&columns, headers, rows.collect(), meta, version);
    // Kinds without a printer of their own gather their rows as they come, and Go writes a list nobody began as null.
    if none && target.resource.origin() == Origin::Builtin && has_no_printer(&info.columns) {
        table["rows"] = Value::Null;
    }
    table
}

/// Whether these are the columns of kinds that Kubernetes has no printer for.
fn has_no_printer(columns: &[Column]) -> bool {
    matches!(columns, [only] if &*only.name == "Created At")
}
