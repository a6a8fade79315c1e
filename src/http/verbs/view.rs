//! GET, LIST and WATCH of a resource that is computed when it is read.

use std::sync::Arc;

use atoll_api::options::ListOptions;
use atoll_api::query::Query;
use atoll_api::{ApiError, ApiResult, ClusterScope};
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};

use super::super::chain::Asked;
use super::super::{Api, answer, watch};
use super::{list, method_not_allowed};
use crate::registry::Target;
use crate::resources::{Reader, View};

pub(super) async fn answer(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    view: &Arc<dyn View>,
) -> ApiResult<Response<Body>> {
    let revision = api.registry.store().revision();
    let reader = Reader::new(&asked.cx, &api.registry, &api.surfaces, revision);
    match (asked.info.verb.as_str(), asked.path_name()) {
        ("list", "") => {
            answer::agree(asked, target, answer::Holds::List)?;
            let options = ListOptions::from_query(&Query::parse(&asked.query))?;
            let request = list::request(asked, target, &options)?;
            let objects = view.list(reader, &request.namespace).await?;
            let page = api.registry.page(&asked.cx, target, &request, objects, revision)?;
            answer::list(asked, target, page)
        }
        ("get", name) if !name.is_empty() => {
            let found = view.get(reader, asked.namespace(target), name).await?;
            let mut object = found.ok_or_else(|| ApiError::not_found(&target.shown(), name))?;
            target.name_type(&mut object);
            let json = serde_json::to_vec(&object.0)
                .map_err(|error| ApiError::internal("the object cannot be written as JSON").caused_by(error))?;
            answer::object(asked, target, StatusCode::OK, Bytes::from(json))
        }
        // One cluster at a time: what a view makes of the objects of many at once is nobody's.
        ("watch", _) if !view.sources().is_empty() && asked.cx.scope != ClusterScope::All => {
            watch::answer_view(api, asked, target, view).await
        }
        _ => Err(method_not_allowed()),
    }
}
