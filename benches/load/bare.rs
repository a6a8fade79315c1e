//! What an etcd takes from a client that does nothing else: the same values, each created where nothing is, and nobody watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use atoll::storage::{self, Backend, Key, Txn};
use atoll_api::{GroupResource, LogicalClusterName};
use bytes::Bytes;

use super::Failure;
use super::client::Client;
use super::load::Phase;

/// Creates values of an etcd, under a prefix of their own, by so many clients that wait for their answers. The values are those of an
/// object that a server stores.
pub(super) async fn create(url: &str, value: Bytes, clients: usize, lasts: Duration) -> Result<Phase, Failure> {
    let prefix = format!("{}/bare-{}", url.trim_end_matches('/'), std::process::id());
    let etcd: Arc<dyn Backend> = storage::open(&prefix, storage::Options::default()).await?;
    let (started, next) = (Instant::now(), AtomicUsize::new(0));
    let client = || async {
        let mut latencies = Vec::new();
        while started.elapsed() < lasts {
            let name = format!("load-{clients}-{}", next.fetch_add(1, Ordering::Relaxed));
            let key = Key::new(GroupResource::new("", "configmaps"), LogicalClusterName::root(), "default", name);
            let sent = Instant::now();
            etcd.commit(Txn::create(key, value.clone())).await?;
            latencies.push(sent.elapsed());
        }
        Ok::<_, Failure>(latencies)
    };
    let all = futures::future::try_join_all((0..clients).map(|_| client())).await?;
    let took = started.elapsed();
    etcd.close().await;
    Ok(Phase::new(took, all.into_iter().flatten().collect(), 0))
}

/// An object of the load as a server shows it, which is about as it is stored.
pub(super) async fn value(client: &Client, path: &str) -> Result<Bytes, Failure> {
    let list = client.get_json(&format!("{path}?limit=1")).await?;
    let first = list["items"].get(0).ok_or("there is no object to send to etcd")?;
    Ok(Bytes::from(first.to_string()))
}
