//! PUT of one object or its status.

use std::sync::Arc;

use atoll_api::ApiResult;
use atoll_api::options::WriteOptions;
use atoll_api::query::Query;
use axum::body::Body;
use http::Response;

use super::super::chain::Asked;
use super::super::{Api, answer, body};
use crate::registry::Target;
use crate::registry::resource::Part;

pub(super) async fn answer(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    part: Part,
    body: Body,
) -> ApiResult<Response<Body>> {
    answer::agree(asked, target, answer::Holds::Object)?;
    let options = WriteOptions::update_from_query(&Query::parse(&asked.query))?;
    let body = body::read_object(asked, target, body).await?;
    let written = api.registry.update(&asked.cx, target, &asked.object_name(target), part, body, &options).await?;
    answer::written(asked, target, written)
}
