//! PATCH of one object or its status.

use std::sync::Arc;

use atoll_api::options::{PatchOptions, PatchStyle};
use atoll_api::query::Query;
use atoll_api::{ApiResult, Reason};
use axum::body::Body;
use http::Response;

use super::super::chain::Asked;
use super::super::{Api, answer, body};
use crate::patch::apply::Force;
use crate::registry::resource::Part;
use crate::registry::{self, Patch, PatchKind, Target};

pub(super) async fn answer(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    part: Part,
    body: Body,
) -> ApiResult<Response<Body>> {
    answer::agree(asked, target, answer::Holds::Object)?;
    let kind = body::patch_kind(asked, target)?;
    let style = if kind == PatchKind::Apply { PatchStyle::Apply } else { PatchStyle::Other };
    let options = PatchOptions::from_query(&Query::parse(&asked.query), style)?;
    let name = asked.object_name(target);
    let body = read(api, asked, target, kind, body).await?;
    let patch = Patch { kind, body, force: if options.force { Force::Yes } else { Force::No } };
    let written = api.registry.patch(&asked.cx, target, &name, part, patch, &options.write).await?;
    answer::written(asked, target, written)
}

/// Reads a patch when there is something to apply it to, as Kubernetes does (handlers/patch.go).
pub(in crate::http) async fn read(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    kind: PatchKind,
    body: Body,
) -> ApiResult<registry::Body> {
    match body::read_patch(asked, target, kind, body).await {
        Err(error) if kind != PatchKind::Apply && error.reason() == Reason::BadRequest => {
            Err(api.registry.find(&asked.cx, target, &asked.object_name(target)).err().unwrap_or(error))
        }
        read => read,
    }
}
