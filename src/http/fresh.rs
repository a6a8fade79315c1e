//! Which requests must see what other servers over the same store wrote, and which may do with what is known here.
//!
//! As in Kubernetes: a read that names version "0", or one already reached, is answered from what there is; everything else
//! is answered from a state no older than the request. With a store of this process alone nobody waits.

use std::time::Duration;

use atoll_api::query::Query;
use atoll_api::{ApiError, ApiResult, Reason};

use super::Api;
use crate::request::RequestInfo;

/// How old an answer may be at most that need not be new: after so long without a word from the store, none is given.
const OLDEST: Duration = Duration::from_secs(30);
/// After so long without a word from the store the server calls itself not ready.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(8);

/// What a request must see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing stored.
    Nothing,
    /// A state at least as new as this revision.
    AtLeast(u64),
    /// Everything that was written before the request came.
    Newest,
}

/// Waits until the request can be answered as it must be.
pub(super) async fn catch_up(api: &Api, info: &RequestInfo, query: &str) -> ApiResult<()> {
    let store = api.registry.store();
    let caught_up = match need(info, query) {
        Need::Nothing => return Ok(()),
        Need::AtLeast(revision) if revision <= store.revision() => {
            if store.silence() < OLDEST {
                return Ok(());
            }
            store.catch_up().await
        }
        Need::AtLeast(_) | Need::Newest => store.catch_up().await,
    };
    caught_up.map_err(|behind| {
        let why = "the store cannot be reached just now, so that nothing can be said of its newest state; try again";
        ApiError::new(Reason::ServiceUnavailable, why).caused_by(behind)
    })
}

fn need(info: &RequestInfo, query: &str) -> Need {
    if !info.is_resource {
        let first = info.path.split('/').nth(1).unwrap_or_default();
        return match first {
            "healthz" | "livez" | "readyz" | "metrics" | "version" => Need::Nothing,
            _ => Need::Newest,
        };
    }
    if !matches!(info.verb.as_str(), "get" | "list" | "watch") {
        return Need::Newest;
    }
    let query = Query::parse(query);
    let named = query.first("resourceVersion").and_then(|version| version.parse().ok());
    named.map_or(Need::Newest, Need::AtLeast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    #[test]
    fn only_reads_that_name_a_version_may_be_answered_from_what_there_is() {
        for (method, path, query, expect) in [
            ("GET", "/api/v1/pods", "", Need::Newest),
            ("GET", "/api/v1/pods", "resourceVersion=", Need::Newest),
            ("GET", "/api/v1/pods", "resourceVersion=0", Need::AtLeast(0)),
            ("GET", "/api/v1/namespaces/a/pods/b", "resourceVersion=0", Need::AtLeast(0)),
            ("GET", "/api/v1/namespaces/a/pods/b", "", Need::Newest),
            ("GET", "/api/v1/pods", "watch=true&resourceVersion=7", Need::AtLeast(7)),
            ("GET", "/api/v1/pods", "watch=true", Need::Newest),
            ("GET", "/api/v1/pods", "resourceVersion=x", Need::Newest),
            ("POST", "/api/v1/namespaces/a/pods", "resourceVersion=0", Need::Newest),
            ("DELETE", "/api/v1/namespaces/a/pods", "resourceVersion=0", Need::Newest),
            ("GET", "/apis/apps/v1", "", Need::Newest),
            ("GET", "/readyz", "", Need::Nothing),
            ("GET", "/readyz/etcd", "", Need::Nothing),
        ] {
            let info = request::parse(method, path, query).expect("a path");
            assert_eq!(need(&info, query), expect, "{method} {path}?{query}");
        }
    }
}
