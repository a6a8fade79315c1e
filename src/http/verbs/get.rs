//! GET of one object.

use std::sync::Arc;

use atoll_api::ApiResult;
use atoll_api::options::GetOptions;
use atoll_api::query::Query;
use axum::body::Body;
use http::{Response, StatusCode};

use super::super::chain::Asked;
use super::super::{Api, answer};
use crate::registry::Target;

pub(super) async fn answer(api: &Arc<Api>, asked: &Asked, target: &Target) -> ApiResult<Response<Body>> {
    answer::agree(asked, target, answer::Holds::Object)?;
    let options = GetOptions::from_query(&Query::parse(&asked.query));
    api.registry.check_version(&options.resource_version).await?;
    if target.resource.converter().is_some() {
        let entry = api.registry.find(&asked.cx, target, &asked.object_name(target))?;
        api.registry.ready_to_read(target, &[entry]).await?;
    }
    let json = api.registry.get(&asked.cx, target, &asked.object_name(target))?;
    answer::object(asked, target, StatusCode::OK, json)
}
