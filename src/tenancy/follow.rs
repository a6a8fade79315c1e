//! Looks after objects of the system cluster, one after another or side by side, whenever one of them changes or is due.
//!
//! Level-triggered: after a restart, or when history was missed, it begins with all there are.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::storage::observe::again_until_stopped;
use crate::storage::{Entry, ListQuery, Store, WatchItem, WatchQuery, Watcher};

/// What remains to be done for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, until it changes.
    Done,
    /// It is to be looked at again after a while.
    After(Duration),
}

/// Looks after the objects of a resource.
pub(super) trait Attendant: Send + Sync + 'static {
    /// Which objects are looked at.
    fn resource(&self) -> GroupResource;

    /// The names to look at because of an object that has changed, or is gone.
    fn concerned(&self, entry: &Entry) -> Vec<String>;

    /// Looks at what is under a name, which may be nothing.
    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Next>;
}

/// Names that wait, each once, and those that are due later.
#[derive(Default)]
struct Agenda {
    waiting: VecDeque<String>,
    queued: HashSet<String>,
    busy: HashSet<String>,
    later: BTreeMap<(Instant, String), ()>,
}

/// Looks after them until told to stop, so many at a time.
pub(super) async fn follow(
    store: Arc<Store>,
    attendant: Arc<dyn Attendant>,
    at_a_time: usize,
    stop: CancellationToken,
) {
    let (store, attendant) = (&store, &attendant);
    again_until_stopped(&stop, || async move {
        if let Some((agenda, watcher)) = begin(store, &**attendant) {
            attend(attendant.clone(), agenda, watcher, at_a_time).await;
        }
    })
    .await;
}

fn begin(store: &Arc<Store>, attendant: &dyn Attendant) -> Option<(Agenda, Watcher)> {
    let (resource, root) = (attendant.resource(), ClusterScope::One(LogicalClusterName::root()));
    let page = store.list(ListQuery::new(&resource, &root)).ok()?;
    let query = WatchQuery { resource: &resource, scope: &root, namespace: None, name: None };
    let watcher = store.watch(query, page.revision).ok()?;
    let mut agenda = Agenda::default();
    page.entries.iter().flat_map(|entry| attendant.concerned(entry)).for_each(|name| agenda.add(name));
    Some((agenda, watcher))
}

/// Looks at what is on the agenda and at what changes; returns when history was missed.
async fn attend(attendant: Arc<dyn Attendant>, mut agenda: Agenda, mut watcher: Watcher, at_a_time: usize) {
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < at_a_time
            && let Some(name) = agenda.take()
        {
            under_way.push(look(attendant.clone(), name));
        }
        let due = agenda.later.keys().next().map(|(at, _)| *at);
        tokio::select! {
            Some((name, next)) = under_way.next(), if !under_way.is_empty() => agenda.finish(name, next),
            () = sleep_until(due), if due.is_some() => agenda.call_up(Instant::now()),
            item = watcher.next() => match item {
                WatchItem::Event(event) => {
                    attendant.concerned(&event.entry).into_iter().for_each(|name| agenda.add(name));
                }
                WatchItem::Closed(_) => return,
            },
        }
    }
}

async fn look(attendant: Arc<dyn Attendant>, name: String) -> (String, Next) {
    let next = attendant.look(&name).await;
    (name, next)
}

async fn sleep_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}

// === impl Agenda ===

impl Agenda {
    fn add(&mut self, name: String) {
        if self.queued.insert(name.clone()) {
            self.waiting.push_back(name);
        }
    }

    /// The next name that nobody is at.
    fn take(&mut self) -> Option<String> {
        let index = self.waiting.iter().position(|name| !self.busy.contains(name))?;
        let name = self.waiting.remove(index)?;
        self.queued.remove(&name);
        self.busy.insert(name.clone());
        if self.queued.is_empty() {
            // Nothing of a great many is kept.
            self.queued.shrink_to(0);
            self.waiting.shrink_to(0);
        }
        Some(name)
    }

    fn finish(&mut self, name: String, next: Next) {
        self.busy.remove(&name);
        if let Next::After(wait) = next {
            self.later.insert((Instant::now() + wait, name), ());
        }
    }

    fn call_up(&mut self, now: Instant) {
        while let Some(first) = self.later.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, name), ()) = first.remove_entry();
            self.add(name);
        }
    }
}
