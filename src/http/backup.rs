//! `/backup`: all that the store holds at one moment, with the server's keys, as one archive.
//!
//! Served in the system cluster to those whom its policy lets get this path: administrators. Nobody waits for it; with
//! `since`, values that are in an earlier backup are only named.

use std::sync::Arc;

use atoll_api::query::Query;
use atoll_api::time::format_time;
use atoll_api::{ApiError, ApiResult, ClusterScope, LogicalClusterName, Reason};
use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Response, header};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::Api;
use super::chain::Asked;
use super::content::ARCHIVE;
use super::verbs::method_not_allowed;
use crate::storage::archive::{Archiver, Header, Kept, Subject};
use crate::storage::{Cut, Key};

const PATH: &str = "/backup";
/// How many pieces wait for a slow client.
const WAITING: usize = 4;

/// Answers with a backup; `None` for other paths.
pub(super) fn answer(api: &Arc<Api>, asked: &Asked) -> ApiResult<Option<Response<Body>>> {
    if asked.info.path != PATH || asked.cx.scope != ClusterScope::One(LogicalClusterName::root()) {
        return Ok(None);
    }
    if asked.info.verb != "get" {
        return Err(method_not_allowed());
    }
    let query = Query::parse(&asked.query);
    let since = match query.first("since").filter(|since| !since.is_empty()) {
        None => None,
        Some(text) => {
            let since = text.parse::<u64>();
            Some(since.map_err(|_| ApiError::bad_request("since must be the revision of an earlier backup"))?)
        }
    };
    let cut = api.registry.store().cut(&ClusterScope::All);
    let cut = cut.map_err(|error| ApiError::new(Reason::ServiceUnavailable, "try again").caused_by(error))?;
    if since.is_some_and(|since| since > cut.revision) {
        return Err(ApiError::bad_request("since is later than all there is; is that backup one of this server?"));
    }
    let root = api.clusters.find(&LogicalClusterName::root());
    let header = Header {
        of: Subject::Store,
        store: root.map(|root| root.uid.to_string()).unwrap_or_default(),
        revision: cut.revision,
        since,
        taken: format_time(Timestamp::now()),
        notes: (api.kept_files)(),
        ..Header::default()
    };
    let (pieces, taken) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || write(header, &cut, &pieces));
    let body = stream::unfold(taken, |mut taken| async move {
        let piece = taken.recv().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(piece), taken))
    });
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(ARCHIVE));
    Ok(Some(response))
}

/// Sends an archive piece by piece, until it is whole or nobody takes it any more.
fn write(header: Header, cut: &Cut, pieces: &mpsc::Sender<Bytes>) {
    let since = header.since.unwrap_or(0);
    let (mut archiver, head) = Archiver::begin(header);
    if pieces.blocking_send(head.into()).is_err() {
        return;
    }
    for (resource, entry) in cut.entries() {
        let key = Key::new(resource.clone(), entry.cluster().clone(), entry.namespace(), entry.name());
        let bytes = entry.bytes();
        let value = if entry.revision > since { Kept::Here(&bytes[..]) } else { Kept::Before(&bytes[..]) };
        if let Some(piece) = archiver.add(&key.encode(), entry.revision, value)
            && pieces.blocking_send(piece.into()).is_err()
        {
            return;
        }
    }
    // Whoever has gone need not know.
    drop(pieces.blocking_send(archiver.finish().0.into()));
}
