//! Forgets old history in etcd: of all servers over one etcd, one does it each time.
//!
//! Each notes the revision of now and comes back after the time that history is kept. Who then finds that nobody else has been
//! faster compacts up to the revision noted, as kube-apiserver does.

use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::client::{Again, Client, Failure};
use super::wire::{
    COMPARE_VERSION, Compare, PutRequest, RangeRequest, Request, RequestOp, TXN, TxnRequest, TxnResponse, Wanted,
};
use super::{compact, revision_of};

/// Works until told to stop.
pub(super) async fn run(client: std::sync::Arc<Client>, key: Bytes, every: Duration, stop: CancellationToken) {
    let (mut version, mut revision) = (0, 0);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        match advance(&client, &key, version, revision).await {
            Ok((next_version, next_revision)) => (version, revision) = (next_version, next_revision),
            Err(failure) => tracing::warn!(reason = %failure.reason(), "etcd could not be compacted"),
        }
    }
}

/// Compacts if the key is at the version seen last time; gives the version and revision to compact by next time.
pub(super) async fn advance(client: &Client, key: &Bytes, version: i64, revision: u64) -> Result<(i64, u64), Failure> {
    let put = PutRequest { key: key.clone(), value: revision.to_string().into() };
    let range = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    let request = TxnRequest {
        compare: vec![Compare { target: COMPARE_VERSION, key: key.clone(), wanted: Some(Wanted::Version(version)) }],
        success: vec![RequestOp { request: Some(Request::Put(put)) }],
        failure: vec![RequestOp { request: Some(Request::Range(range)) }],
    };
    let answer: TxnResponse = client.call(TXN, request, Again::Always).await?;
    let now = revision_of(answer.header);
    if !answer.succeeded {
        let found = answer.responses.first().and_then(|response| response.range.as_ref()?.kvs.first());
        return Ok((found.map_or(0, |kv| kv.version), now));
    }
    if revision > 0 {
        compact(client, revision).await?;
        tracing::debug!(revision, "compacted etcd");
    }
    Ok((version + 1, now))
}
