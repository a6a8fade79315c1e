//! The handshake by which a connection becomes a WebSocket, for those who provide subresources such as `exec`.
//!
//! What is spoken over it afterwards is theirs; nothing here reads frames.

use atoll_api::{ApiError, ApiResult};
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use sha1::{Digest, Sha1};

use super::provided::Connection;

/// What makes an answer to a client's key one of a server that knows WebSockets (RFC 6455).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A connection that becomes a WebSocket.
pub struct WebSocket {
    /// What to answer.
    pub answer: Response<Body>,
    /// The protocol that was agreed on.
    pub protocol: String,
    /// The connection, once that has been answered.
    pub connection: OnUpgrade,
}

// === impl Connection ===

impl Connection<'_> {
    /// Agrees to a WebSocket that speaks the first of these protocols that the client offers.
    pub fn web_socket(&mut self, spoken: &[&str]) -> ApiResult<WebSocket> {
        let wants = names(self.headers, &header::UPGRADE).any(|name| name.eq_ignore_ascii_case("websocket"));
        let key = self.headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| wants);
        let (Some(key), Some(connection)) = (key, self.upgrade.take()) else {
            return Err(ApiError::bad_request("Upgrade request required: this is served as a WebSocket only"));
        };
        let offered: Vec<&str> = names(self.headers, &header::SEC_WEBSOCKET_PROTOCOL).collect();
        let Some(protocol) = spoken.iter().find(|protocol| offered.contains(*protocol)) else {
            let (offered, spoken) = (offered.join(", "), spoken.join(", "));
            return Err(ApiError::bad_request(format!("none of the protocols {offered:?} is served, only {spoken:?}")));
        };
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_PROTOCOL, *protocol),
            (header::SEC_WEBSOCKET_ACCEPT, &accept_key(key)),
        ] {
            let value =
                HeaderValue::from_str(value).map_err(|_| ApiError::internal("a protocol is no header value"))?;
            answer.headers_mut().insert(name, value);
        }
        Ok(WebSocket { answer, protocol: (*protocol).to_owned(), connection })
    }
}

/// The names in a header that lists them.
fn names<'a>(headers: &'a HeaderMap, header: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn accept_key(key: &HeaderValue) -> String {
    STANDARD.encode(Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_as_in_the_example_of_rfc_6455() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept_key(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
