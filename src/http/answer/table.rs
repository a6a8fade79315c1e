//! Tables of objects: columns and cells are the resource's, the document is the codec's.

use std::sync::Arc;

use atoll_api::options::IncludeObject;
use atoll_api::{ApiResult, Object};
use jiff::Timestamp;

use crate::codec::negotiate::MetaVersion;
use crate::codec::partial::ListMeta;
use crate::codec::table::{Carried, Headers, NoRows, TableColumn, TableWriter};
use crate::registry::Target;
use crate::registry::descriptor::Column;
use crate::registry::resource::Origin;
use crate::resources::kind::name_description;

/// How a table is written.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// The version of the table, and of metadata in it.
    pub(super) version: MetaVersion,
    /// What of each object goes with its row.
    pub(super) include: IncludeObject,
    /// Whether columns are told.
    pub(super) headers: Headers,
}

/// A table of one resource, which grows row by row where it is told to append.
pub(super) struct Table {
    target: Target,
    include: IncludeObject,
    now: Timestamp,
    own_name: bool,
    writer: TableWriter,
}

impl Table {
    /// A table without rows yet.
    pub(super) fn begin(
        target: &Target,
        form: Form,
        now: Timestamp,
        meta: &ListMeta,
        out: &mut Vec<u8>,
    ) -> ApiResult<Self> {
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
        let writer = TableWriter::begin(&columns, form.headers, meta, form.version, out)?;
        Ok(Self { target: target.clone(), include: form.include, now, own_name, writer })
    }

    /// Adds the row of an object; `write` appends the object as JSON, as much of it as is carried.
    pub(super) fn add(
        &mut self,
        object: &Object,
        write: impl FnOnce(Carried, &mut Vec<u8>) -> ApiResult<()>,
        out: &mut Vec<u8>,
    ) -> ApiResult<()> {
        let mut cells = self.target.resource.cells(&self.target.version().version, object, self.now);
        if !self.own_name {
            cells.insert(0, object.name().into());
        }
        let conditions = self.target.resource.row_conditions(object);
        let carried = Carried::of(object, self.include);
        self.writer.row(&cells, &conditions, carried.map(|carried| move |out: &mut Vec<u8>| write(carried, out)), out)
    }

    /// Ends the table.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        // Kinds without a printer of their own gather their rows as they come, and Go writes a list nobody began as null.
        let gathered =
            self.target.resource.origin() == Origin::Builtin && has_no_printer(&self.target.version().columns);
        self.writer.end(if gathered { NoRows::Null } else { NoRows::Empty }, out);
    }
}

/// Whether these are the columns of kinds that Kubernetes has no printer for.
fn has_no_printer(columns: &[Column]) -> bool {
    matches!(columns, [only] if &*only.name == "Created At")
}
