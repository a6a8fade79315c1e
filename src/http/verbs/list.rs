//! GET of a collection.

use std::sync::Arc;

use atoll_api::options::ListOptions;
use atoll_api::query::Query;
use atoll_api::selector::FieldWording;
use atoll_api::{ApiError, ApiResult};
use axum::body::Body;
use http::Response;

use super::super::chain::Asked;
use super::super::{Api, answer};
use crate::registry::resource::Origin;
use crate::registry::{ListRequest, Target};

pub(super) async fn answer(api: &Arc<Api>, asked: &Asked, target: &Target) -> ApiResult<Response<Body>> {
    answer::agree(asked, target, answer::Holds::List)?;
    let options = ListOptions::from_query(&Query::parse(&asked.query))?;
    let request = request(asked, target, &options)?;
    let page = api.registry.list(&asked.cx, target, &request).await?;
    api.registry.ready_to_read(target, &page.entries).await?;
    answer::list(asked, target, page)
}

/// What a list, watch or deletecollection asks of the registry.
pub(crate) fn request(asked: &Asked, target: &Target, options: &ListOptions) -> ApiResult<ListRequest> {
    let fields = target.version().selectable_fields.clone();
    // Kinds that list their fields themselves know a namespace only if they live in one.
    let has_namespace = fields.is_empty() || target.descriptor().is_namespaced();
    let known = |field: &str| {
        field == "metadata.name"
            || (field == "metadata.namespace" && has_namespace)
            || fields.iter().any(|known| &**known == field)
    };
    let wording = match target.resource.origin() {
        Origin::Builtin if fields.is_empty() => FieldWording::Default,
        Origin::Custom | Origin::Builtin => FieldWording::Own,
    };
    options.field_selector.require_fields(known, wording).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(ListRequest {
        namespace: asked.namespace(target).to_owned(),
        labels: options.label_selector.clone(),
        fields: options.field_selector.clone(),
        limit: usize::try_from(options.limit).ok().filter(|limit| *limit > 0),
        continue_token: options.continue_token.clone(),
        resource_version: options.resource_version.clone(),
        version_match: options.resource_version_match,
    })
}
