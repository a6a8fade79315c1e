//! Following resources of a store, for those who keep something that is made of their objects.
//!
//! What they make of them is theirs; here is when they look.

use std::sync::Arc;
use std::time::Duration;

use atoll_api::{ClusterScope, GroupResource};
use futures::future::select_all;
use tokio_util::sync::CancellationToken;

use super::{Event, Store, WatchItem, WatchQuery, Watcher};

/// How long to wait before beginning anew.
const RETRY: Duration = Duration::from_secs(1);
/// How many changes are told at once at most.
const AT_ONCE: usize = 1000;

/// Keeps something that is made of stored objects.
pub trait Observer: Send + Sync {
    /// Looks at all there are: called at the beginning, and again when history was missed.
    fn look_at_all(&self);

    /// Looks at what changed in a resource: called after the store has it, with changes in their order. By the time of the
    /// call more may have changed.
    fn look_at(&self, resource: &GroupResource, changes: &[Arc<Event>]);
}

/// Does something, and again when it ends, a little later, until told to stop.
pub async fn again_until_stopped<F: Future<Output = ()>>(stop: &CancellationToken, mut once: impl FnMut() -> F) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = once() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

impl Store {
    /// Shows an observer what resources have in a scope, and what becomes of it, until told to stop.
    pub async fn observe<O: Observer>(
        self: &Arc<Self>,
        resources: &[GroupResource],
        scope: &ClusterScope,
        observer: &O,
        stop: &CancellationToken,
    ) {
        again_until_stopped(stop, || self.observe_once(resources, scope, observer)).await;
    }

    /// Returns when history was missed.
    async fn observe_once<O: Observer>(
        self: &Arc<Self>,
        resources: &[GroupResource],
        scope: &ClusterScope,
        observer: &O,
    ) {
        let after = self.revision();
        let watch = |resource| self.watch(WatchQuery { resource, scope, namespace: None, name: None }, after);
        let Ok(watchers) = resources.iter().map(watch).collect::<Result<Vec<_>, _>>() else { return };
        observer.look_at_all();
        let passing_on = |(watcher, resource)| Box::pin(pass_on(watcher, resource, observer));
        select_all(watchers.into_iter().zip(resources).map(passing_on)).await;
    }
}

/// Tells what a watcher sees; returns when it sees no more.
async fn pass_on<O: Observer>(mut watcher: Watcher, resource: &GroupResource, observer: &O) {
    loop {
        let mut item = Some(watcher.next().await);
        let mut changes = Vec::new();
        let mut closed = false;
        while let Some(now) = item {
            match now {
                WatchItem::Event(event) => changes.push(event),
                WatchItem::Closed(_) => closed = true,
            }
            item = if closed || changes.len() == AT_ONCE { None } else { watcher.try_next() };
        }
        if !changes.is_empty() {
            observer.look_at(resource, &changes);
        }
        if closed {
            return;
        }
    }
}
