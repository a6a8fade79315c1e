//! The work with one physical cluster: what changed there or here is looked at, a namespace or an object at a time.
//!
//! One worker for each sync target, however many namespaces run on it; one that does not answer delays no other.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atoll_api::Object;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::kinds::{KINDS, SyncedKind};
use super::marks::{Marks, OWNER_LABEL, downstream_namespace};
use super::{NamespaceKey, Placed, Sync, locked};
use crate::cluster_api::{Answer, Deletion, Endpoint, Failure, Selection, Shape, optional};
use crate::namespaces::NAMESPACES;
use crate::queue::{self, Next, Queue};
use crate::source::{Seen, Source};

const AT_A_TIME: usize = 16;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A synced kind, as part of a key.
#[derive(Clone, Copy)]
pub(super) struct KindRef(pub(super) &'static SyncedKind);

/// What is to be looked at; names are those of the logical cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// A namespace, and all objects in it.
    Namespace(NamespaceKey),
    /// An object.
    Object(NamespaceKey, KindRef, String),
    /// What is left of a namespace with this uid.
    Vacate(NamespaceKey, String),
}

/// What was applied last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    /// A fingerprint of it.
    pub(super) fingerprint: [u8; 32],
    /// The uid of the live object.
    pub(super) uid: String,
    /// The version it had then.
    pub(super) version: String,
    /// The generation it had then.
    pub(super) generation: i64,
}

/// The work with one physical cluster.
pub(super) struct Worker {
    /// The uid of the sync target.
    pub(super) target: String,
    /// What the connection was made from.
    pub(super) fingerprint: String,
    /// The physical cluster.
    pub(super) endpoint: Endpoint,
    /// What is to be looked at.
    pub(super) queue: Queue<Work>,
    /// Whether the cluster answers.
    pub(super) ready: AtomicBool,
    /// Ends the worker.
    pub(super) stop: CancellationToken,
    /// Deletions that were seen: the uids of objects that are gone here, by what they were.
    pub(super) deleted: Mutex<HashMap<Work, String>>,
    /// What was applied last.
    pub(super) sent: Mutex<HashMap<Work, Sent>>,
    /// Downstream namespaces that are known to be there and ours.
    pub(super) made: Mutex<HashSet<String>>,
    namespace_labels: Mutex<Map<String, Value>>,
}

/// Follows the physical cluster and works until the worker is stopped.
pub(super) async fn run(sync: Arc<Sync>, worker: Arc<Worker>) {
    let stop = worker.stop.clone();
    let follow = async {
        let kinds = KINDS.iter().map(|kind| worker.follow(&sync, Some(kind)));
        let mut follow: FuturesUnordered<_> = kinds.chain([worker.follow(&sync, None)]).collect();
        while follow.next().await.is_some() {}
    };
    let work = worker.queue.work(AT_A_TIME, &stop, |work| worker.look_at(&sync, work));
    futures::join!(follow, work);
}

// === impl Worker ===

impl Worker {
    /// A worker for a sync target.
    pub(super) fn new(target: &Object, fingerprint: String, endpoint: Endpoint, stop: &CancellationToken) -> Self {
        Self {
            target: target.uid().to_owned(),
            fingerprint,
            endpoint,
            queue: Queue::new(LONGEST_PAUSE),
            ready: AtomicBool::new(false),
            stop: stop.child_token(),
            deleted: Mutex::default(),
            sent: Mutex::default(),
            made: Mutex::default(),
            namespace_labels: Mutex::default(),
        }
    }

    /// Takes over the labels that the target wants on its namespaces.
    pub(super) fn set_namespace_labels(&self, target: &Object) {
        let labels = target.at(&["spec", "namespaceLabels"]).and_then(Value::as_object).cloned().unwrap_or_default();
        *locked(&self.namespace_labels) = labels;
    }

    /// The labels that the target wants on its namespaces.
    pub(super) fn namespace_labels(&self) -> Map<String, Value> {
        locked(&self.namespace_labels).clone()
    }

    /// Remembers that an object was deleted here.
    pub(super) fn record_deletion(&self, work: &Work, uid: &str) {
        locked(&self.deleted).insert(work.clone(), uid.to_owned());
    }

    /// Looks at everything that runs on this target: it answers again, or something of it was missed.
    pub(super) fn resume(&self, sync: &Sync) {
        for work in locked(&self.deleted).keys() {
            self.queue.add(work.clone());
        }
        for (key, placed) in sync.placed().iter() {
            if placed.current.as_ref().is_some_and(|current| current.uid == self.target) {
                self.queue.add(Work::Namespace(key.clone()));
            }
            if placed.vacating.iter().any(|assigned| assigned.uid == self.target) {
                sync.namespaces.add(key.clone());
            }
        }
    }

    /// Follows what is ours of a kind downstream; the namespaces, for no kind.
    async fn follow(&self, sync: &Sync, kind: Option<&'static SyncedKind>) {
        let resource = kind.map_or(NAMESPACES, |kind| kind.resource);
        let source = Source {
            endpoint: self.endpoint.clone(),
            path: resource.collection(""),
            shape: Shape::Metadata,
            selection: Selection::labels(format!("{OWNER_LABEL}={}", self.target)),
        };
        let mut listed = false;
        let follow = source.run(&self.stop, |seen| match seen {
            Seen::Here(object) => self.downstream_changed(kind, &object, Presence::Here),
            Seen::Gone(object) => self.downstream_changed(kind, &object, Presence::Gone),
            Seen::Listed if listed => self.resume(sync),
            Seen::Listed => listed = true,
            Seen::Listing => {}
        });
        follow.await;
    }

    /// Has the object looked at from which a downstream one was made.
    fn downstream_changed(&self, kind: Option<&'static SyncedKind>, object: &Object, presence: Presence) {
        let Some(marks) = Marks::read(object) else { return };
        let Some(kind) = kind else {
            let ending = presence == Presence::Gone || object.deletion_timestamp().is_some();
            if ending && locked(&self.made).remove(object.name()) {
                self.queue.add(Work::Namespace(NamespaceKey { cluster: marks.cluster, name: marks.name }));
            }
            return;
        };
        let key = NamespaceKey { cluster: marks.cluster, name: marks.namespace };
        let work = Work::Object(key, KindRef(kind), marks.name);
        let is_echo = presence == Presence::Here
            && locked(&self.sent).get(&work).is_some_and(|sent| sent.version == object.resource_version());
        if !is_echo {
            self.queue.add(work);
        }
    }

    async fn look_at(&self, sync: &Sync, work: Work) -> Answer<Next> {
        match &work {
            Work::Namespace(key) => self.look_at_namespace(sync, key).await,
            Work::Object(key, kind, name) => self.look_at_object(sync, &work, key, kind.0, name).await,
            Work::Vacate(key, uid) => self.vacate(sync, key, uid).await,
        }
    }

    /// The namespace's place here, if it is here that it runs.
    pub(super) fn placed_here(&self, sync: &Sync, key: &NamespaceKey) -> Option<Placed> {
        let placed = sync.placed().get(key).cloned()?;
        let here = placed.current.as_ref().is_some_and(|current| current.uid == self.target);
        here.then_some(placed)
    }

    /// Has all objects of a namespace looked at.
    async fn look_at_namespace(&self, sync: &Sync, key: &NamespaceKey) -> Answer<Next> {
        let Some(placed) = self.placed_here(sync, key).filter(|placed| !placed.deleting) else { return Ok(Next::Done) };
        if !self.ready.load(Ordering::Relaxed) {
            return Ok(Next::Done);
        }
        if !self.make_namespace(sync, key, &placed).await? {
            return Ok(Next::Waiting);
        }
        let cluster = sync.server.cluster(&key.cluster);
        for kind in &KINDS {
            let path = kind.resource.collection(&key.name);
            let objects = match cluster.list(&path, Shape::Metadata, &Selection::all()).await {
                Err(Failure::NotServed | Failure::NoCluster) => continue,
                other => other?,
            };
            for object in objects {
                self.queue.add(Work::Object(key.clone(), KindRef(kind), object.name().to_owned()));
            }
        }
        Ok(Next::Done)
    }

    /// Deletes what is left of a namespace that was deleted here, or runs elsewhere now.
    async fn vacate(&self, sync: &Sync, key: &NamespaceKey, uid: &str) -> Answer<Next> {
        if self.placed_here(sync, key).is_some_and(|placed| placed.uid == uid && !placed.deleting) {
            return Ok(Next::Done);
        }
        let name = downstream_namespace(&key.cluster, &key.name, uid);
        let path = NAMESPACES.object("", &name);
        let found = optional(self.endpoint.get(&path, Shape::Metadata).await)?;
        let ours = found.filter(|found| {
            Marks::read(found).is_some_and(|marks| {
                (marks.target.as_str(), marks.cluster.as_str(), marks.name.as_str(), marks.uid.as_str())
                    == (self.target.as_str(), key.cluster.as_str(), key.name.as_str(), uid)
            })
        });
        if let Some(found) = ours {
            if found.deletion_timestamp().is_none() {
                let options = Deletion::with_policy("Background").of_uid(found.uid());
                match self.endpoint.delete(&path, &options).await {
                    Ok(()) | Err(Failure::Absent) => {}
                    Err(failure) => return Err(failure),
                }
            }
            return Ok(Next::Waiting);
        }
        locked(&self.made).remove(&name);
        self.forget_namespace(key);
        if sync.placed().get(key).is_some_and(|placed| placed.uid == uid) {
            locked(&sync.vacated).insert((uid.to_owned(), self.target.clone()));
            sync.namespaces.add(key.clone());
        }
        Ok(Next::Done)
    }

    fn forget_namespace(&self, key: &NamespaceKey) {
        let of_it = |work: &Work| matches!(work, Work::Object(namespace, _, _) if namespace == key);
        locked(&self.sent).retain(|work, _| !of_it(work));
        locked(&self.deleted).retain(|work, _| !of_it(work));
    }
}

/// Whether an object that is told of is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    Gone,
}

impl queue::Key for Work {
    fn lane(&self) -> &str {
        match self {
            Self::Namespace(key) | Self::Object(key, _, _) | Self::Vacate(key, _) => &key.cluster,
        }
    }
}

impl PartialEq for KindRef {
    fn eq(&self, other: &Self) -> bool {
        self.0.resource == other.0.resource
    }
}

impl Eq for KindRef {}

impl Hash for KindRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.resource.hash(state);
    }
}

impl std::fmt::Debug for KindRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.kind)
    }
}
