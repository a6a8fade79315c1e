//! Of several servers over one store, one runs the controllers: who holds a Lease in the system cluster.
//!
//! A server that cannot renew the Lease stops its controllers before another may take it. Whatever they still do then is
//! compared with what is stored, as every write is; so two at a time, should clocks run apart, do nothing wrong, only twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_api::{ApiError, GroupResource, LogicalClusterName, Object};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::registry::encode;
use crate::storage::{Action, CommitError, Entry, Expect, Key, Store, Txn, Writers};

const NAME: &str = "atoll-controllers";
const NAMESPACE: &str = "kube-system";
/// How long a Lease that is not renewed stays its holder's.
const LASTS: Duration = Duration::from_secs(15);
/// After so long without having renewed it, its holder lets go.
const GIVE_UP: Duration = Duration::from_secs(10);
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// What is done by who leads, until told to stop.
pub(super) type Work = Box<dyn Fn(CancellationToken) -> BoxFuture<'static, ()> + Send + Sync>;

/// One server's part in the election.
pub(super) struct Candidate {
    store: Arc<Store>,
    identity: String,
    /// The Lease's revision as last seen, and since when it is that.
    seen: (u64, Instant),
    /// When the Lease was last made or kept ours.
    renewed: Option<Instant>,
}

/// Why the Lease is not ours.
enum Lost {
    /// Somebody else has it, or was faster.
    Taken,
    /// The store does not take or tell it.
    Failed(String),
}

// === impl Candidate ===

impl Candidate {
    /// A candidate for the controllers of this store.
    pub(super) fn new(store: Arc<Store>) -> Self {
        let identity = format!("atoll-{}", uuid::Uuid::new_v4());
        Self { store, identity, seen: (0, Instant::now()), renewed: None }
    }

    /// Works whenever it leads, until told to stop; `released` is told when others may take over.
    pub(super) async fn run(mut self, work: Work, stop: CancellationToken, released: oneshot::Sender<()>) {
        if self.store.writers() == Writers::ThisProcess {
            drop(released);
            return work(stop).await;
        }
        while !stop.is_cancelled() {
            if !self.leads(&stop).await {
                continue;
            }
            tracing::info!(identity = self.identity, "runs the controllers");
            let working = stop.child_token();
            let mut under_way = work(working.clone());
            loop {
                tokio::select! {
                    () = &mut under_way => break,
                    keeps = self.leads(&stop) => if !keeps || stop.is_cancelled() { break },
                }
            }
            working.cancel();
            if stop.is_cancelled() {
                self.release().await;
                drop(released);
                return under_way.await;
            }
            tracing::warn!(identity = self.identity, "another server runs the controllers from now on");
            under_way.await;
        }
    }

    /// Renews the Lease or tries to get it, then pauses; whether it is ours.
    async fn leads(&mut self, stop: &CancellationToken) -> bool {
        match self.renew().await {
            Ok(()) => self.renewed = Some(Instant::now()),
            Err(Lost::Taken) => self.renewed = None,
            Err(Lost::Failed(why)) => tracing::warn!(why, "the controllers' Lease could not be renewed"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(RENEW_EVERY) => {}
        }
        self.renewed.is_some_and(|renewed| renewed.elapsed() < GIVE_UP)
    }

    async fn renew(&mut self) -> Result<(), Lost> {
        self.store.catch_up().await.map_err(|behind| Lost::Failed(behind.to_string()))?;
        let entry = self.store.get(&key());
        let spec = entry.as_ref().map(|entry| spec_of(entry)).unwrap_or_default();
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        if let Some(entry) = entry.as_ref().filter(|entry| entry.revision != self.seen.0) {
            self.seen = (entry.revision, Instant::now());
        }
        // By this server's clock alone: those of others may be wrong.
        let ours = holder == self.identity;
        if !ours && !holder.is_empty() && self.seen.1.elapsed() < LASTS {
            return Err(Lost::Taken);
        }
        self.put(entry.as_deref(), &self.identity, &spec).await
    }

    /// Lets others take the Lease at once.
    async fn release(&self) {
        let entry = self.store.get(&key());
        let spec = entry.as_ref().map(|entry| spec_of(entry)).unwrap_or_default();
        if spec["holderIdentity"] == self.identity.as_str()
            && let Err(Lost::Failed(why)) = self.put(entry.as_deref(), "", &spec).await
        {
            tracing::warn!(why, "the controllers' Lease could not be released");
        }
    }

    async fn put(&self, before: Option<&Entry>, holder: &str, spec: &Value) -> Result<(), Lost> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let same = spec["holderIdentity"] == holder;
        let transitions = spec["leaseTransitions"].as_i64().unwrap_or_default() + i64::from(!same);
        let acquired = if same { spec["acquireTime"].clone() } else { now.clone().into() };
        let mut lease = match before {
            Some(entry) => encode::decode(entry).map_err(|error| failed(&error))?,
            None => new_lease(),
        };
        lease.0.insert(
            "spec".to_owned(),
            json!({
                "holderIdentity": holder, "leaseDurationSeconds": LASTS.as_secs(), "acquireTime": acquired,
                "renewTime": now, "leaseTransitions": transitions,
            }),
        );
        let bytes = encode::encode(&lease).map_err(|error| failed(&error))?;
        let expect = before.map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
        match self.store.commit(Txn::one(key(), expect, Action::Put(bytes))).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { .. }) => Err(Lost::Taken),
            Err(error) => Err(Lost::Failed(error.to_string())),
        }
    }
}

fn failed(error: &ApiError) -> Lost {
    Lost::Failed(error.to_string())
}

fn key() -> Key {
    Key::new(GroupResource::new("coordination.k8s.io", "leases"), LogicalClusterName::root(), NAMESPACE, NAME)
}

fn spec_of(entry: &Entry) -> Value {
    let lease = encode::decode(entry).unwrap_or_default();
    lease.0.get("spec").cloned().unwrap_or_default()
}

fn new_lease() -> Object {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": now,
        },
    });
    Object::from_value(lease).unwrap_or_default()
}
