//! The content of snapshots, as a stream of bytes: out to wherever it is to be kept, and in from another server.

use std::sync::Arc;

use atoll_api::{ApiError, ApiResult, Reason};
use axum::body::Body;
use futures::future::BoxFuture;
use futures::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};

use super::answer;
use super::provided::{Connect, Connection, Provided};
use super::verbs::method_not_allowed;
use crate::storage::{CommitError, Store};
use crate::tenancy::StoredForm;
use crate::tenancy::snapshot::{ContentError, Snapshot, snapshots};

/// The most bytes an archive may have that is sent here.
const MAX_ARCHIVE: usize = 1 << 30;
/// An archive, as `src/storage/archive.rs` describes it.
pub(super) const ARCHIVE: &str = "application/vnd.atoll.archive";

/// What answers for the content of snapshots in this store.
pub fn snapshot_content(store: Arc<Store>, stored_form: StoredForm) -> Provided {
    Provided {
        resource: snapshots(),
        subresource: "content".to_owned(),
        connect: Arc::new(Content { store, stored_form }),
    }
}

struct Content {
    store: Arc<Store>,
    stored_form: StoredForm,
}

impl Content {
    fn give(&self, snapshot: &Snapshot) -> ApiResult<Response<Body>> {
        if !snapshot.is_ready() {
            return Err(conflict(snapshot, "it is not complete; wait until its phase is Ready"));
        }
        let parts = snapshot.content(&self.store).map_err(|error| failed(snapshot, error))?;
        let length: usize = parts.iter().map(bytes::Bytes::len).sum();
        let mut response =
            Response::new(Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>))));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ARCHIVE));
        headers.insert(header::CONTENT_LENGTH, length.into());
        Ok(response)
    }

    async fn take(&self, snapshot: &Snapshot, body: Body) -> ApiResult<Response<Body>> {
        if snapshot.phase() != "Uploading" || snapshot.object.deletion_timestamp().is_some() {
            return Err(conflict(snapshot, "its content is there already, or is made by the server"));
        }
        let archive = Limited::new(body, MAX_ARCHIVE).collect().await.map_err(|error| {
            ApiError::new(Reason::RequestEntityTooLarge, format!("the archive could not be read: {error}"))
        })?;
        let archive = archive.to_bytes();
        let filled = snapshot.fill(&self.store, archive, self.stored_form).await;
        let object = filled.map_err(|error| failed(snapshot, error))?;
        let text =
            serde_json::to_vec(&object).map_err(|error| ApiError::internal("write the answer").caused_by(error))?;
        Ok(answer::bytes(StatusCode::OK, "application/json", text.into()))
    }
}

impl Connect for Content {
    fn connect<'a>(&'a self, connection: Connection<'a>) -> BoxFuture<'a, ApiResult<Response<Body>>> {
        Box::pin(async move {
            let Some(snapshot) = Snapshot::read(&self.store, connection.object.name()) else {
                return Err(ApiError::not_found(&snapshots(), connection.object.name()));
            };
            match connection.verb {
                "get" => self.give(&snapshot),
                "update" => self.take(&snapshot, connection.body).await,
                _ => Err(method_not_allowed()),
            }
        })
    }
}

fn conflict(snapshot: &Snapshot, why: &str) -> ApiError {
    ApiError::conflict(&snapshots(), snapshot.object.name(), why)
}

fn failed(snapshot: &Snapshot, error: ContentError) -> ApiError {
    match error {
        ContentError::Store(CommitError::Conflict { .. }) => conflict(snapshot, "it has just been changed; try again"),
        ContentError::Store(error) => {
            ApiError::new(Reason::ServiceUnavailable, "the store did not take it; try again").caused_by(error)
        }
        error => ApiError::bad_request(error.to_string()),
    }
}
