//! DELETE of a collection.

use std::sync::Arc;

use atoll_api::ApiResult;
use atoll_api::options::ListOptions;
use atoll_api::query::Query;
use axum::body::Body;
use http::Response;

use super::super::chain::Asked;
use super::super::{Api, answer, body};
use super::list;
use crate::registry::Target;

pub(super) async fn answer(api: &Arc<Api>, asked: &Asked, target: &Target, body: Body) -> ApiResult<Response<Body>> {
    answer::agree(asked, target, answer::Holds::List)?;
    let options = ListOptions::from_query(&Query::parse(&asked.query))?;
    let request = list::request(asked, target, &options)?;
    let deletion = body::delete_options(asked, body).await?;
    let page = api.registry.delete_collection(&asked.cx, target, &request, &deletion).await?;
    answer::list(asked, target, page)
}
