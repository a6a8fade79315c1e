//! DELETE of one object.

use std::sync::Arc;

use atoll_api::ApiResult;
use atoll_api::status::Details;
use axum::body::Body;
use http::{Response, StatusCode};

use super::super::chain::Asked;
use super::super::{Api, answer, body};
use crate::registry::{Deleted, Target};

pub(super) async fn answer(api: &Arc<Api>, asked: &Asked, target: &Target, body: Body) -> ApiResult<Response<Body>> {
    answer::agree(asked, target, answer::Holds::Object)?;
    let options = body::delete_options(asked, body).await?;
    let name = asked.object_name(target);
    match api.registry.delete(&asked.cx, target, &name, &options).await? {
        Deleted::Gone { object: Some(json), .. } => answer::object(asked, target, StatusCode::OK, json),
        Deleted::Gone { uid, object: None } => {
            let shown = target.shown();
            let details = Details {
                name: name.name.to_owned(),
                group: shown.group.to_string(),
                kind: shown.resource.to_string(),
                uid,
                ..Details::default()
            };
            answer::success(asked, Some(details))
        }
        // 202 tells a client that asked for cascading deletion in the old way that it is not done yet.
        Deleted::Pending { object } if options.orphan_dependents == Some(false) => {
            answer::object(asked, target, StatusCode::ACCEPTED, object)
        }
        Deleted::Pending { object } => answer::object(asked, target, StatusCode::OK, object),
    }
}
