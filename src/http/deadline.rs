//! How long a request may take: as the client says in the query (`timeout`), and never longer than a minute.
//!
//! What goes on for as long as somebody listens (watches, logs, connections into pods) has no deadline here.

use std::future::Future;
use std::time::Duration;

use atoll_api::field::go_quote;
use atoll_api::query::Query;
use atoll_api::{ApiError, ApiResult};
use tokio::time::timeout;

use crate::request::RequestInfo;
use crate::schema::format::go_duration;

/// How long a request may take at most, as with kube-apiserver's `--request-timeout`.
const LONGEST: Duration = Duration::from_secs(60);
/// The subresources through which a connection stays open, or that are as long as what they hold.
const OPEN_ENDED: [&str; 6] = ["attach", "content", "exec", "log", "portforward", "proxy"];

/// How long a request may take; `None` for one that may take as long as it likes.
pub(super) fn of(info: &RequestInfo, query: &str) -> ApiResult<Option<Duration>> {
    if matches!(info.verb.as_str(), "watch" | "proxy") || OPEN_ENDED.contains(&info.subresource.as_str()) {
        return Ok(None);
    }
    let query = Query::parse(query);
    let asked = match query.first("timeout") {
        None | Some("") => return Ok(Some(LONGEST)),
        Some(text) => go_duration(text).ok_or_else(|| {
            let why =
                format!("invalid timeout specified in the request URL - time: invalid duration {}", go_quote(text));
            ApiError::bad_request(why)
        })?,
    };
    // Zero, and less, is a client's way to name no limit.
    Ok(Some(Duration::try_from_secs_f64(asked).unwrap_or_default()).map(|asked| match asked.is_zero() {
        true => LONGEST,
        false => asked.min(LONGEST),
    }))
}

/// Lets a request take so long and no longer.
pub(super) async fn within<T>(limit: Option<Duration>, work: impl Future<Output = ApiResult<T>>) -> ApiResult<T> {
    match limit {
        None => work.await,
        Some(limit) => timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(ApiError::timeout("request did not complete within the allotted timeout", 0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    fn limit(path: &str, query: &str) -> Result<Option<u64>, String> {
        let info = request::parse("GET", path, query).unwrap();
        of(&info, query).map(|limit| limit.map(|limit| limit.as_millis() as u64)).map_err(|error| error.status.message)
    }

    #[test]
    fn clients_say_how_long_up_to_a_minute() {
        let pods = "/api/v1/namespaces/a/pods";
        let cases = [
            ("", 60_000),
            ("timeout=1500ms", 1500),
            ("timeout=3m", 60_000),
            ("timeout=0", 60_000),
            ("timeout=-1s", 60_000),
        ];
        for (query, wanted) in cases {
            assert_eq!(limit(pods, query), Ok(Some(wanted)), "{query}");
        }
        for query in ["timeout=invalid", "timeout=5", "timeout=1x"] {
            assert!(
                limit(pods, query).unwrap_err().starts_with("invalid timeout specified in the request URL"),
                "{query}"
            );
            assert!(limit("/version", query).is_err(), "{query}");
        }
    }

    #[test]
    fn what_stays_open_has_no_limit() {
        assert_eq!(limit("/api/v1/pods", "watch=1&timeout=1s"), Ok(None));
        assert_eq!(limit("/api/v1/namespaces/a/pods/b/log", "timeout=1s"), Ok(None));
    }

    #[tokio::test]
    async fn what_takes_too_long_ends_with_a_timeout() {
        let never = within(Some(Duration::from_millis(1)), std::future::pending::<ApiResult<()>>()).await;
        assert_eq!(never.unwrap_err().status.code, 504);
        assert_eq!(within(None, async { Ok(1) }).await.unwrap(), 1);
    }
}
