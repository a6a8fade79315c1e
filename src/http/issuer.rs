//! What others need to check the tokens of a cluster's service accounts: the issuer's configuration and keys.

use atoll_api::{ApiResult, ClusterScope};
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::chain::Asked;
use super::verbs::method_not_allowed;
use super::{Api, answer};
use crate::codec::negotiate::check_route;
use crate::request::CLUSTERS_PREFIX;

const CONFIGURATION: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";

/// Answers the two paths of OpenID Connect Discovery; `None` for other paths.
pub(super) fn answer(api: &Api, asked: &Asked) -> ApiResult<Option<Response<Body>>> {
    let path = asked.info.path.trim_end_matches('/');
    if !matches!(path, CONFIGURATION | KEYS) {
        return Ok(None);
    }
    if asked.info.verb != "get" {
        return Err(method_not_allowed());
    }
    let (media_type, document) = match path {
        CONFIGURATION => {
            let media_type = "application/json";
            check_route(answer::accept(&asked.headers), &[media_type])?;
            (media_type, api.tokens.openid_configuration(&asked.cx.cluster, &keys_url(api, asked)))
        }
        _ => {
            let media_type = "application/jwk-set+json";
            // What a client can read matters only where it may ask.
            if asked.info.verb == "get" {
                check_route(answer::accept(&asked.headers), &[media_type])?;
            }
            (media_type, api.tokens.jwks())
        }
    };
    Ok(Some(cacheable(media_type, &document)))
}

/// Where the keys are: below the issuer where that is the server's own URL, else where the client has found this.
fn keys_url(api: &Api, asked: &Asked) -> String {
    if let Some(issuer) = api.tokens.own_issuer(&asked.cx.cluster) {
        return format!("{issuer}{KEYS}");
    }
    let host = asked.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match &asked.cx.scope {
        ClusterScope::One(cluster) if !cluster.is_root() => format!("https://{host}{CLUSTERS_PREFIX}{cluster}{KEYS}"),
        ClusterScope::One(_) | ClusterScope::All => format!("https://{host}{KEYS}"),
    }
}

/// Keys change rarely, so verifiers may keep them for an hour, as with kube-apiserver.
fn cacheable(media_type: &'static str, document: &Value) -> Response<Body> {
    let mut response = answer::bytes(StatusCode::OK, media_type, document.to_string().into());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}
