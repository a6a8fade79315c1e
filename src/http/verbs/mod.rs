//! From a resource request to the file of its verb.

mod create;
mod delete;
mod delete_collection;
mod get;
pub(super) mod list;
mod patch;
mod update;
mod view;

use std::sync::Arc;

use atoll_api::{ApiError, ApiResult};
use axum::body::Body;
use http::Response;

pub(super) use self::patch::read as read_patch;
use super::chain::Asked;
use super::{Api, answer, subresource, watch};
use crate::registry::descriptor::{Subresource, Verb};
use crate::registry::resource::{Origin, Part};
use crate::registry::{ObjectName, Target};

/// Handles a request for a resource the user has a right to.
pub(super) async fn handle(api: &Arc<Api>, asked: &Asked, body: Body) -> ApiResult<Response<Body>> {
    let info = &asked.info;
    let Some(target) = &asked.target else {
        let builtin = api.surfaces.is_builtin_group(&asked.cx.scope, &info.group);
        return if builtin { Err(ApiError::no_such_path()) } else { Ok(answer::page_not_found()) };
    };
    let origin = target.resource.origin();
    match check_shape(asked, target) {
        // What is no path of a custom kind is no path at all, as in Kubernetes (customresource_handler.go).
        Err(_) if origin == Origin::Custom => return Ok(answer::page_not_found()),
        checked => checked?,
    }
    if let Some(warning) = &target.version().deprecation_warning {
        asked.cx.warn(&**warning);
    }
    match info.subresource.as_str() {
        "" => main(api, asked, target, body).await,
        name => {
            let sub = target.version().subresource(name).cloned().ok_or_else(|| match origin {
                Origin::Builtin => ApiError::no_such_path(),
                Origin::Custom => ApiError::not_found(&target.shown(), asked.path_name()),
            })?;
            below(api, asked, target, &sub, body).await
        }
    }
}

/// The object or the collection itself.
async fn main(api: &Arc<Api>, asked: &Asked, target: &Target, body: Body) -> ApiResult<Response<Body>> {
    if let Some(view) = api.surfaces.view(&target.descriptor().resource) {
        return view::answer(api, asked, target, view).await;
    }
    let one = !asked.path_name().is_empty();
    match (asked.info.verb.as_str(), one) {
        ("get", true) if allows(target, Verb::Get) => get::answer(api, asked, target).await,
        ("list", false) if allows(target, Verb::List) => list::answer(api, asked, target).await,
        ("watch", _) if allows(target, Verb::Watch) => watch::answer(api, asked, target).await,
        ("create", false) if allows(target, Verb::Create) => create::answer(api, asked, target, body).await,
        ("update", true) if allows(target, Verb::Update) => update::answer(api, asked, target, Part::Main, body).await,
        ("patch", true) if allows(target, Verb::Patch) => patch::answer(api, asked, target, Part::Main, body).await,
        ("delete", true) if allows(target, Verb::Delete) => delete::answer(api, asked, target, body).await,
        ("deletecollection", false) if allows(target, Verb::DeleteCollection) => {
            delete_collection::answer(api, asked, target, body).await
        }
        _ => Err(method_not_allowed()),
    }
}

/// A subresource of one object.
async fn below(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    sub: &Subresource,
    body: Body,
) -> ApiResult<Response<Body>> {
    match (sub, asked.info.verb.as_str()) {
        (Subresource::Status, "get") => get::answer(api, asked, target).await,
        (Subresource::Status, "update") => update::answer(api, asked, target, Part::Status, body).await,
        (Subresource::Status, "patch") => patch::answer(api, asked, target, Part::Status, body).await,
        (Subresource::Part(_), "get") => get::answer(api, asked, target).await,
        (Subresource::Part(name), "update") => update::answer(api, asked, target, Part::Sub(name), body).await,
        (Subresource::Part(name), "patch") => patch::answer(api, asked, target, Part::Sub(name), body).await,
        (Subresource::Status | Subresource::Part(_), _) => Err(method_not_allowed()),
        _ => subresource::answer(api, asked, target, sub, body).await,
    }
}

fn allows(target: &Target, verb: Verb) -> bool {
    target.descriptor().verbs.contains(&verb)
}

fn only_created(target: &Target) -> bool {
    target.descriptor().verbs.iter().all(|verb| *verb == Verb::Create)
}

/// A namespace may be named only for resources that live in namespaces, and one object of those only with it.
fn check_shape(asked: &Asked, target: &Target) -> ApiResult<()> {
    let info = &asked.info;
    let is_namespaces = info.resource == "namespaces" && info.group.is_empty();
    let in_namespace = !info.namespace.is_empty() && !is_namespaces;
    match (target.descriptor().is_namespaced(), in_namespace) {
        (false, true) => Err(ApiError::no_such_path()),
        // What can only be created, such as reviews, has no paths of single objects.
        _ if !asked.path_name().is_empty() && info.subresource.is_empty() && only_created(target) => {
            Err(ApiError::no_such_path())
        }
        (true, false) if !asked.path_name().is_empty() => Err(ApiError::no_such_path()),
        // Across namespaces there is only reading; without it there is no such path.
        (true, false) if !allows(target, Verb::List) => Err(ApiError::no_such_path()),
        (true, false) if info.verb == "create" || info.verb == "deletecollection" => Err(method_not_allowed()),
        _ => Ok(()),
    }
}

/// The answer to a verb that the path does not have.
pub(super) fn method_not_allowed() -> ApiError {
    ApiError::with_details(
        atoll_api::Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
        Some(atoll_api::status::Details::default()),
    )
}

impl Asked {
    /// The name in the path. (A field selector for one name gives a list a name too, for authorization only.)
    pub(super) fn path_name(&self) -> &str {
        if self.info.name_is_selected { "" } else { &self.info.name }
    }

    /// The namespace as the registry knows it: empty for objects of the cluster.
    pub(super) fn namespace(&self, target: &Target) -> &str {
        if target.descriptor().is_namespaced() { &self.info.namespace } else { "" }
    }

    /// The object the path names.
    pub(super) fn object_name<'a>(&'a self, target: &Target) -> ObjectName<'a> {
        ObjectName { namespace: self.namespace(target), name: self.path_name() }
    }
}
