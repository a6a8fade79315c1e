//! A connection that becomes another protocol, between the client and the server behind: `exec`, terminals, WebSockets.

use std::sync::Arc;

use atoll_api::ApiResult;
use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::super::Api;
use super::super::chain::Asked;
use super::backend::Backend;
use super::forward::{answer, guard, plain, unreachable};
use crate::admission::turns::Turn;

/// Asks the server behind to change the protocol. If it does, the two connections are joined; else the client is told
/// what it said.
pub(super) async fn open(
    api: &Arc<Api>,
    asked: &Asked,
    backend: &Arc<Backend>,
    turn: Turn,
    mut request: Request<Body>,
    ours: OnUpgrade,
) -> ApiResult<Response<Body>> {
    for name in [header::TRANSFER_ENCODING, header::TE, header::TRAILER] {
        request.headers_mut().remove(name);
    }
    let mut response = match backend.send_upgrade(api, request).await {
        Ok(response) => response,
        Err(why) => return Ok(unreachable(&why)),
    };
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        if status.as_u16() >= 400 {
            return Ok(answer(api, asked, backend, turn, response));
        }
        let why = format!("invalid upgrade response: status code {}", status.as_u16());
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, &why));
    }
    let theirs = hyper::upgrade::on(&mut response);
    let until = guard(api, asked, backend);
    // Lives as long as both ends do, and no longer than the right to it.
    tokio::spawn(async move {
        let _counted = turn;
        let joined = async {
            let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) else { return };
            let _ = copy_bidirectional(&mut TokioIo::new(ours), &mut TokioIo::new(theirs)).await;
        };
        tokio::select! {
            () = joined => {}
            () = until => {}
        }
    });
    let mut switched = Response::new(Body::empty());
    *switched.status_mut() = status;
    *switched.headers_mut() = std::mem::take(response.headers_mut());
    Ok(switched)
}
