//! POST to a collection.

use std::sync::Arc;

use atoll_api::ApiResult;
use atoll_api::options::WriteOptions;
use atoll_api::query::Query;
use axum::body::Body;
use http::{Response, StatusCode};

use super::super::chain::Asked;
use super::super::{Api, answer, body, subresource};
use crate::registry::Target;

pub(super) async fn answer(api: &Arc<Api>, asked: &Asked, target: &Target, body: Body) -> ApiResult<Response<Body>> {
    answer::agree(asked, target, answer::Holds::Object)?;
    let options = WriteOptions::create_from_query(&Query::parse(&asked.query))?;
    let body = body::read_object(asked, target, body).await?;
    if let Some(computed) = api.surfaces.computed(&target.descriptor().resource, "") {
        return subresource::compute(api, asked, target, &*computed, body, &options).await;
    }
    let name = asked.object_name(target);
    let written = api.registry.create(&asked.cx, target, &name, body, &options).await?;
    answer::object(asked, target, StatusCode::CREATED, written.json)
}
