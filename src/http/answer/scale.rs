//! A Scale in the form the client accepts. It is the one object of a subresource that is shown as a table.

use atoll_api::time::{human_duration, parse_time};
use atoll_api::{ApiError, ApiResult, Object};
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use super::{Asked, Holds, ListMeta, Shape, agree, form, include, partial_bytes};
use crate::codec::negotiate::MetaVersion;
use crate::codec::table::{Carried, Headers, NoRows, TableColumn, TableWriter};
use crate::registry::Target;
use crate::registry::resource::Origin;
use crate::resources::kind::name_description;

/// Answers with a Scale.
pub(in crate::http) fn scale(asked: &Asked, target: &Target, scale: &Object) -> ApiResult<Response<Body>> {
    let agreed = agree(asked, target, Holds::Object)?;
    let json = form::json(&scale.0)?;
    let shown = match agreed.shape() {
        Shape::Plain => json,
        Shape::Partial(version) => partial_bytes(&json, version).unwrap_or_default().into(),
        Shape::Table(version) => table(asked, target, scale, &json, version)?,
        Shape::PartialList(_) => return Err(not_a_list(target)),
    };
    form::encoded(asked, &agreed, StatusCode::OK, shown)
}

fn not_a_list(target: &Target) -> ApiError {
    let package = if target.resource.origin() == Origin::Builtin { "autoscaling" } else { "v1" };
    let message = "you requested PartialObjectMetadataList, but the requested object is not a list";
    ApiError::new(atoll_api::Reason::NotAcceptable, format!("{message} (*{package}.Scale)"))
}

fn table(asked: &Asked, target: &Target, scale: &Object, json: &Bytes, version: MetaVersion) -> ApiResult<Bytes> {
    // Scales of built-in and of custom kinds have printers of their own, which differ in this.
    let (name_format, age_kind) = match target.resource.origin() {
        Origin::Builtin => ("", "string"),
        Origin::Custom => ("name", "date"),
    };
    let name = name_description();
    let column = |name, kind, format, description| TableColumn { name, kind, format, description, priority: 0 };
    let columns = [
        column("Name", "string", name_format, &*name),
        column("Desired", "integer", "", "How many replicas are wanted."),
        column("Available", "integer", "", "How many replicas there are."),
        column("Age", age_kind, "", "How long ago the object was created."),
    ];
    let meta = ListMeta { resource_version: scale.resource_version().to_owned(), ..ListMeta::default() };
    let mut out = Vec::with_capacity(1024);
    let mut table = TableWriter::begin(&columns, Headers::Shown, &meta, version, &mut out)?;
    let figure = |part: &str| scale.at(&[part, "replicas"]).cloned();
    let desired = match (figure("spec"), target.resource.origin()) {
        (Some(figure), _) => figure,
        (None, Origin::Builtin) => 0.into(),
        (None, Origin::Custom) => Value::Null,
    };
    let age = match parse_time(scale.meta("creationTimestamp")) {
        Ok(time) => human_duration(asked.cx.now.as_second() - time.as_second()),
        Err(_) => "<unknown>".to_owned(),
    };
    let cells = [scale.name().into(), desired, figure("status").unwrap_or_else(|| 0.into()), age.into()];
    let carried = Carried::of(scale, include(asked)?);
    let write = |carried| {
        move |out: &mut Vec<u8>| {
            match carried {
                Carried::Whole => out.extend_from_slice(json),
                Carried::Metadata => out.extend_from_slice(&partial_bytes(json, version).unwrap_or_default()),
            }
            Ok(())
        }
    };
    table.row(&cells, &[], carried.map(write), &mut out)?;
    table.end(NoRows::Empty, &mut out);
    Ok(out.into())
}
