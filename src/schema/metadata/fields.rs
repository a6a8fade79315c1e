//! The schema of `metadata` (`metav1.ObjectMeta`), for objects whose own schema does not say it.

use std::sync::{Arc, LazyLock};

use crate::schema::{Additional, Link, Schema, SchemaType};

static OBJECT_META: LazyLock<Schema> = LazyLock::new(|| {
    let owner = structure(
        "v1.OwnerReference",
        [
            ("apiVersion", text("")),
            ("kind", text("")),
            ("name", text("")),
            ("uid", text("types.UID")),
            ("controller", of(SchemaType::Boolean)),
            ("blockOwnerDeletion", of(SchemaType::Boolean)),
        ],
    );
    let managed = structure(
        "v1.ManagedFieldsEntry",
        [
            ("manager", text("")),
            ("operation", text("v1.ManagedFieldsOperationType")),
            ("apiVersion", text("")),
            ("time", time()),
            ("fieldsType", text("")),
            ("fieldsV1", Schema { preserve_unknown: true, ..Schema::default() }),
            ("subresource", text("")),
        ],
    );
    structure(
        "v1.ObjectMeta",
        [
            ("name", text("")),
            ("generateName", text("")),
            ("namespace", text("")),
            ("selfLink", text("")),
            ("uid", text("types.UID")),
            ("resourceVersion", text("")),
            ("generation", of(SchemaType::Integer)),
            ("creationTimestamp", time()),
            ("deletionTimestamp", time()),
            ("deletionGracePeriodSeconds", of(SchemaType::Integer)),
            ("labels", texts_by_name()),
            ("annotations", texts_by_name()),
            ("ownerReferences", list_of(owner)),
            ("finalizers", list_of(text(""))),
            ("managedFields", list_of(managed)),
        ],
    )
});

/// The schema of `metadata`.
pub fn schema() -> &'static Schema {
    &OBJECT_META
}

fn structure<const N: usize>(go_type: &str, fields: [(&str, Schema); N]) -> Schema {
    Schema {
        kind: Some(SchemaType::Object),
        go_type: Some(go_type.into()),
        properties: fields.into_iter().map(|(name, schema)| (Arc::from(name), Link::from(schema))).collect(),
        ..Schema::default()
    }
}

fn of(kind: SchemaType) -> Schema {
    Schema { kind: Some(kind), ..Schema::default() }
}

fn text(go_type: &str) -> Schema {
    Schema { go_type: (!go_type.is_empty()).then(|| go_type.into()), ..of(SchemaType::String) }
}

fn time() -> Schema {
    Schema { format: Some("time".into()), ..of(SchemaType::String) }
}

fn texts_by_name() -> Schema {
    Schema { additional: Additional::Values(text("").into()), ..of(SchemaType::Object) }
}

fn list_of(items: Schema) -> Schema {
    Schema { items: Some(items.into()), ..of(SchemaType::Array) }
}
