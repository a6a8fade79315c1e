//! Runs namespaces of logical clusters on physical clusters: their objects go down, what becomes of them comes back up.
//!
//! Works against any Kubernetes API server that a `SyncTarget` names. Never deletes downstream because something was not
//! found here: only because its deletion was seen, or because where it runs was changed by somebody.

mod connection;
mod copy;
mod down;
mod kinds;
mod marks;
mod namespaces;
mod placement;
mod targets;
mod up;
mod worker;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atoll_api::Object;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster_api::{Endpoint, Resource, Server, Shape};
use crate::frame::ObjectKey as NamespaceKey;
use crate::queue::{self, Queue};
use crate::source::{Seen, Source};
use kinds::{KINDS, SyncedKind};
use marks::Assigned;
use placement::TargetView;
use worker::{Work, Worker};

const MANAGER: &str = "atoll-sync";
const ROOT: &str = "root";
const EVENTS: Resource<'static> = Resource { api: "/api/v1", plural: "events" };
const AT_A_TIME: usize = 8;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How sync is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often a target is asked whether it is still there, and tells so in its status.
    pub heartbeat: Duration,
    /// How long a target that is unregistered is tried to be emptied before it is given up.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(30), patience: Duration::from_secs(300) }
    }
}

/// A sync target, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TargetKey(String);

impl queue::Key for TargetKey {
    fn lane(&self) -> &str {
        &self.0
    }
}

/// What is remembered of a namespace that is synced or asks to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    uid: String,
    current: Option<Assigned>,
    vacating: Vec<Assigned>,
    deleting: bool,
}

/// The state of the controller; all of it can be read again.
struct Sync {
    server: Server,
    root: Endpoint,
    settings: Settings,
    namespaces: Queue<NamespaceKey>,
    targets: Queue<TargetKey>,
    placed: Mutex<HashMap<NamespaceKey, Placed>>,
    views: Mutex<BTreeMap<String, TargetView>>,
    workers: Mutex<HashMap<String, Arc<Worker>>>,
    /// What is known to be gone downstream: uids of a namespace and of a target.
    vacated: Mutex<HashSet<(String, String)>>,
    /// Whether all namespaces have been seen, so that one that is not known is not there.
    complete: AtomicBool,
    /// Told when the first namespace is to be synced: before, no objects are followed.
    needed: Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Runs the controller until told to stop.
pub(crate) async fn run(server: Server, settings: Settings, stop: CancellationToken) {
    let sync = Arc::new(Sync {
        root: server.cluster(ROOT),
        server,
        settings,
        namespaces: Queue::new(LONGEST_PAUSE),
        targets: Queue::new(LONGEST_PAUSE),
        placed: Mutex::default(),
        views: Mutex::default(),
        workers: Mutex::default(),
        vacated: Mutex::default(),
        complete: AtomicBool::new(false),
        needed: Notify::new(),
        tasks: TaskTracker::new(),
        stop: stop.child_token(),
    });
    let namespace_work = sync.namespaces.work(AT_A_TIME, &stop, |key| sync.place(key));
    let target_work = sync.targets.work(AT_A_TIME, &stop, |key| targets::look_at(&sync, key));
    futures::join!(
        targets::follow(&sync, &stop),
        sync.follow_namespaces(&stop),
        sync.follow_objects(&stop),
        namespace_work,
        target_work
    );
    sync.stop.cancel();
    sync.tasks.close();
    sync.tasks.wait().await;
}

// === impl Sync ===

impl Sync {
    async fn follow_namespaces(&self, stop: &CancellationToken) {
        let source = self.source(crate::namespaces::NAMESPACES);
        let mut listed = HashSet::new();
        let mut listing = false;
        let follow = source.run(stop, |seen| match seen {
            Seen::Here(namespace) => {
                let key = NamespaceKey::of(&namespace);
                if namespaces::is_concerned(&namespace) || self.placed().contains_key(&key) {
                    if listing {
                        listed.insert(key.clone());
                    }
                    self.namespaces.add(key);
                }
            }
            Seen::Gone(namespace) => self.namespace_gone(&namespace),
            Seen::Listing => {
                listing = true;
                listed.clear();
            }
            Seen::Listed => {
                listing = false;
                // What was not listed went unseen: it is forgotten, and what it has downstream is left alone.
                self.placed().retain(|key, _| listed.contains(key));
                listed.clear();
                self.complete.store(true, Ordering::Relaxed);
            }
        });
        follow.await;
    }

    /// A namespace that is gone without having been held, as when its whole cluster goes: this is the record by which
    /// what it has downstream may be deleted.
    fn namespace_gone(&self, namespace: &Object) {
        let key = NamespaceKey::of(namespace);
        let Some(placed) = self.placed().remove(&key).filter(|placed| placed.uid == namespace.uid()) else { return };
        for assigned in placed.current.iter().chain(&placed.vacating) {
            if let Some(worker) = self.worker(&assigned.uid) {
                worker.queue.add(Work::Vacate(key.clone(), placed.uid.clone()));
            }
        }
    }

    /// Follows the objects of all namespaces, as soon as one of them is synced.
    async fn follow_objects(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.needed.notified() => {}
        }
        let follow = KINDS.iter().map(|kind| async move {
            let source = self.source(kind.resource);
            let follow = source.run(stop, |seen| match seen {
                Seen::Here(object) => self.object_here(kind, &object),
                Seen::Gone(object) => self.object_gone(kind, &object),
                Seen::Listing | Seen::Listed => {}
            });
            follow.await;
        });
        let mut follow: FuturesUnordered<_> = follow.collect();
        while follow.next().await.is_some() {}
    }

    fn object_here(&self, kind: &'static SyncedKind, object: &Object) {
        let key = NamespaceKey::namespace_of(object);
        match self.current_worker(&key) {
            Some(worker) => worker.queue.add(Work::Object(key, worker::KindRef(kind), object.name().to_owned())),
            None if marks::is_held(object) => self.namespaces.add(key),
            None => {}
        }
    }

    fn object_gone(&self, kind: &'static SyncedKind, object: &Object) {
        let key = NamespaceKey::namespace_of(object);
        if let Some(worker) = self.current_worker(&key) {
            let work = Work::Object(key, worker::KindRef(kind), object.name().to_owned());
            worker.record_deletion(&work, object.uid());
            worker.queue.add(work);
        }
    }

    fn source(&self, resource: Resource<'_>) -> Source {
        Source::everywhere(&self.server, resource, Shape::Metadata)
    }

    fn placed(&self) -> MutexGuard<'_, HashMap<NamespaceKey, Placed>> {
        locked(&self.placed)
    }

    fn worker(&self, target: &str) -> Option<Arc<Worker>> {
        locked(&self.workers).get(target).cloned()
    }

    fn current_worker(&self, key: &NamespaceKey) -> Option<Arc<Worker>> {
        let target = self.placed().get(key)?.current.as_ref()?.uid.clone();
        self.worker(&target)
    }

    /// Looks at every namespace for which a target matters: those on it, and those that wait for one.
    fn target_changed(&self, uid: &str) {
        let concerns = |placed: &Placed| {
            placed.current.as_ref().is_none_or(|current| current.uid == uid)
                || placed.vacating.iter().any(|assigned| assigned.uid == uid)
        };
        let keys: Vec<_> =
            self.placed().iter().filter(|(_, placed)| concerns(placed)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.namespaces.add(key);
        }
    }

    /// Tells of something worth knowing in an event beside the object it is about.
    async fn tell(&self, cluster: &Endpoint, about: &About<'_>, reason: &str, message: &str) {
        let digest = Sha256::digest(format!("{}/{reason}/{message}", about.uid));
        let suffix: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let namespace = if about.namespace.is_empty() { "default" } else { about.namespace };
        let now = atoll_api::time::format_time(jiff::Timestamp::now());
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": format!("{}.{suffix}", about.name), "namespace": namespace},
            "involvedObject": {
                "apiVersion": about.api_version, "kind": about.kind, "name": about.name,
                "namespace": about.namespace, "uid": about.uid,
            },
            "type": "Warning", "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now,
            "source": {"component": MANAGER}, "reportingComponent": MANAGER, "reportingInstance": MANAGER,
        });
        // The same message is told once; a cluster without events, or a namespace that is going, is told nothing.
        if let Err(failure) = cluster.create(&EVENTS.collection(namespace), &event, MANAGER).await {
            tracing::trace!(reason, message, error = failure.chain(), "no event");
        }
    }
}

/// What an event is about.
struct About<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
