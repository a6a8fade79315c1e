//! Subresources other than `status`: `scale`, and those that handlers of their own answer.

use std::sync::Arc;

use atoll_api::options::{PatchOptions, PatchStyle, WriteOptions};
use atoll_api::query::Query;
use atoll_api::status::Details;
use atoll_api::{ApiError, ApiResult, GroupVersionKind, Reason};
use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::Value;

use super::chain::Asked;
use super::verbs::{method_not_allowed, read_patch};
use super::{Api, answer, body, provided};
use crate::patch::apply::Force;
use crate::registry::computed::{Call, Computed};
use crate::registry::connect::{Connection, Connector, Way};
use crate::registry::descriptor::Subresource;
use crate::registry::resource::Origin;
use crate::registry::scale_body::{scale_kind, unregistered};
use crate::registry::{self, Patch, PatchKind, Target};

/// Answers a request for a subresource.
pub(super) async fn answer(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    sub: &Subresource,
    body: Body,
) -> ApiResult<Response<Body>> {
    match sub {
        Subresource::Scale(_) => scale(api, asked, target, body).await,
        other => by_handler(api, asked, target, other, body).await,
    }
}

async fn scale(api: &Arc<Api>, asked: &Asked, target: &Target, body: Body) -> ApiResult<Response<Body>> {
    answer::agree(asked, target, answer::Holds::Object)?;
    let name = asked.object_name(target);
    let query = Query::parse(&asked.query);
    let scale = match asked.info.verb.as_str() {
        "get" => api.registry.get_scale(&asked.cx, target, &name)?,
        "update" => {
            let options = WriteOptions::update_from_query(&query)?;
            let body =
                body::read_kind(asked, &scale_kind(), body).await.map_err(|error| match target.resource.origin() {
                    Origin::Builtin => error,
                    Origin::Custom => unregistered(),
                })?;
            api.registry.update_scale(&asked.cx, target, &name, body, &options).await?
        }
        "patch" => {
            let kind = body::patch_kind(asked, target)?;
            let style = if kind == PatchKind::Apply { PatchStyle::Apply } else { PatchStyle::Other };
            let options = PatchOptions::from_query(&query, style)?;
            let body = read_patch(api, asked, target, kind, body).await?;
            let patch = Patch { kind, body, force: if options.force { Force::Yes } else { Force::No } };
            api.registry.patch_scale(&asked.cx, target, &name, patch, &options.write).await?
        }
        verb if target.resource.origin() == Origin::Custom => return Err(not_supported(target, verb)),
        _ => return Err(method_not_allowed()),
    };
    answer::scale(asked, target, &scale)
}

/// What the handler of custom resources says to a verb that a subresource does not have.
fn not_supported(target: &Target, verb: &str) -> ApiError {
    let resource = target.shown();
    let details =
        Details { group: resource.group.to_string(), kind: resource.resource.to_string(), ..Details::default() };
    let message = format!("{verb} is not supported on resources of kind \"{resource}\"");
    ApiError::with_details(Reason::MethodNotAllowed, message, Some(details))
}

async fn by_handler(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    sub: &Subresource,
    body: Body,
) -> ApiResult<Response<Body>> {
    let Subresource::Other { verbs, kind, .. } = sub else { return Err(method_not_allowed()) };
    if !verbs.iter().any(|verb| verb.as_str() == asked.info.verb) {
        return Err(method_not_allowed());
    }
    let mut query = Query::parse(&asked.query);
    // A plain read, such as that of a log, is not admitted.
    if kind.kind.ends_with("Options") {
        query = api.registry.admit_connection(&connection(api, asked, target, &query), &kind.kind).await?;
    }
    if let Some(provided) = provided::of(api, asked, target) {
        return provided::answer(provided, api, asked, target, query, body).await;
    }
    if let Some(connector) = api.surfaces.connector(&target.descriptor().resource, sub.name()) {
        return connect(api, asked, target, &*connector, &query);
    }
    let Some(computed) = api.surfaces.computed(&target.descriptor().resource, sub.name()) else {
        api.registry.find(&asked.cx, target, &asked.object_name(target))?;
        let (resource, sub) = (&target.descriptor().resource.resource, sub.name());
        return Err(ApiError::new(
            atoll_api::Reason::ServiceUnavailable,
            format!("nothing in this server provides {resource}/{sub}"),
        ));
    };
    let options = match asked.info.verb.as_str() {
        "create" => WriteOptions::create_from_query(&query)?,
        _ => WriteOptions::update_from_query(&query)?,
    };
    let body = match asked.info.verb.as_str() {
        "get" => registry::Body::default(),
        // A kind without a version is in the parent's, or the parent's itself.
        _ if kind.version.is_empty() && kind.kind == target.kind().kind => {
            body::read_object(asked, target, body).await?
        }
        _ if kind.version.is_empty() => {
            body::read_kind(asked, &GroupVersionKind { kind: kind.kind.clone(), ..target.kind() }, body).await?
        }
        _ => body::read_kind(asked, kind, body).await?,
    };
    compute(api, asked, target, &*computed, body, &options).await
}

/// Answers a request to be connected as far as stored objects tell; further there is no way from here.
fn connect(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    connector: &dyn Connector,
    query: &Query,
) -> ApiResult<Response<Body>> {
    match connector.find(&connection(api, asked, target, query))? {
        Way::Nowhere => Ok(answer::empty(StatusCode::NO_CONTENT)),
        Way::Node(node) => {
            let sub = format!("{}/{}", target.descriptor().resource.resource, asked.info.subresource);
            let why = format!(
                "nothing connects this server with node {node:?}, so it cannot provide {sub}; ask the physical cluster"
            );
            Err(ApiError::new(atoll_api::Reason::ServiceUnavailable, why))
        }
    }
}

fn connection<'a>(api: &'a Arc<Api>, asked: &'a Asked, target: &'a Target, query: &'a Query) -> Connection<'a> {
    Connection {
        cx: &asked.cx,
        registry: &api.registry,
        target,
        subresource: &asked.info.subresource,
        name: asked.object_name(target),
        query,
    }
}

/// Lets a handler answer.
pub(super) async fn compute(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    computed: &dyn Computed,
    body: registry::Body,
    options: &WriteOptions,
) -> ApiResult<Response<Body>> {
    let call = Call {
        cx: &asked.cx,
        registry: &api.registry,
        target,
        verb: &asked.info.verb,
        subresource: &asked.info.subresource,
        namespace: asked.namespace(target),
        name: asked.path_name(),
        body,
        options,
    };
    let created = asked.info.verb == "create";
    let object = computed.answer(call).await?;
    // A Status says by itself under which code it is given (handlers/responsewriters).
    let told = (object.kind() == "Status").then(|| object.get("code").and_then(Value::as_u64)).flatten();
    let told = told.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
    let status = told.unwrap_or(if created { StatusCode::CREATED } else { StatusCode::OK });
    answer::value(asked, status, &object)
}
