//! What a watch of a view tells: it is computed again when a source has changed, and compared with what was told before.
//!
//! Waits for the sources as any watcher waits for a resource, so that nothing happens while they do not change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use atoll_api::{ApiResult, GroupResource};
use futures::FutureExt;
use futures::future::select_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::Surfaces;
use super::view::{Reader, View};
use crate::registry::{Happened, ListRequest, Registry, Target, WatchRequest, WatchStep, parse_version, too_old};
use crate::request::RequestContext;
use crate::storage::{CloseReason, Entry, Event, ReadError, WatchItem, WatchQuery, Watcher};

/// How often at most one watch has its view computed again, however often sources change.
const PAUSE: Duration = Duration::from_millis(100);

/// A running watch of a view.
pub struct Recomputed {
    cx: RequestContext,
    registry: Arc<Registry>,
    surfaces: Arc<Surfaces>,
    view: Arc<dyn View>,
    target: Target,
    request: ListRequest,
    sources: Vec<GroupResource>,
    watchers: Vec<Watcher>,
    /// What the client knows, by namespace and name.
    told: BTreeMap<(String, String), Arc<Entry>>,
    /// The revision of that.
    revision: u64,
    steps: VecDeque<WatchStep>,
    state: State,
    computed: Instant,
}

/// Whether what the client knows is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has changed since.
    Settled,
    /// A source has changed.
    Changed,
    /// The watch is over.
    Over,
}

// === impl Recomputed ===

impl Recomputed {
    /// Starts a watch, from what there is or from the version that the client knows.
    pub(crate) async fn begin(
        cx: RequestContext,
        registry: &Arc<Registry>,
        surfaces: &Arc<Surfaces>,
        view: Arc<dyn View>,
        target: &Target,
        request: &WatchRequest,
    ) -> ApiResult<Self> {
        let asked = parse_version(&request.list.resource_version)?.0;
        let wants_initial = request.send_initial_events.unwrap_or(asked == 0);
        if asked > 0 {
            registry.check_version(&request.list.resource_version).await?;
        }
        let revision = if wants_initial || asked == 0 { registry.store().revision() } else { asked };
        let reader = Reader::new(&cx, registry, surfaces, revision);
        let mut sources = Vec::new();
        for (version, resource) in view.sources() {
            sources.push(reader.target(version, resource)?.descriptor().resource.clone());
        }
        let mut watch = Self {
            cx,
            registry: registry.clone(),
            surfaces: surfaces.clone(),
            view,
            target: target.clone(),
            request: request.list.clone(),
            sources,
            watchers: Vec::new(),
            told: BTreeMap::new(),
            revision,
            steps: VecDeque::new(),
            state: State::Settled,
            computed: Instant::now(),
        };
        watch.follow(revision).map_err(|error| too_old(error, revision))?;
        for entry in watch.compute(revision).await? {
            watch.note(entry, revision);
        }
        if !wants_initial {
            watch.steps.clear();
        } else if request.marks_initial_end && request.send_initial_events == Some(true) {
            watch.steps.push_back(WatchStep::InitialEnd(revision));
        }
        Ok(watch)
    }

    /// The next step, once there is one. May be dropped at any time without losing one.
    pub async fn next(&mut self) -> WatchStep {
        loop {
            if let Some(step) = self.try_next() {
                return step;
            }
            if self.state == State::Over {
                return WatchStep::Closed(None);
            }
            if self.state == State::Settled {
                let waiting = self.watchers.iter_mut().map(|watcher| watcher.next().boxed());
                let (item, ..) = select_all(waiting).await;
                self.seen(&item);
                continue;
            }
            // Sources that change all the time cost no more than this.
            tokio::time::sleep_until(self.computed + PAUSE).await;
            let revision = self.registry.store().revision();
            match self.compute(revision).await {
                Ok(entries) => self.tell(entries, revision),
                Err(error) => {
                    self.state = State::Over;
                    return WatchStep::Closed(Some(error));
                }
            }
        }
    }

    /// The next step, if there is one already.
    pub fn try_next(&mut self) -> Option<WatchStep> {
        self.steps.pop_front()
    }

    /// The version up to which the watch has told everything.
    pub fn revision(&self) -> u64 {
        let seen = self.watchers.iter().map(Watcher::revision).min();
        match (self.state, self.steps.is_empty()) {
            (State::Settled, true) => seen.unwrap_or(self.revision).max(self.revision),
            _ => self.revision,
        }
    }

    /// Watches the sources from a revision on.
    fn follow(&mut self, after: u64) -> Result<(), ReadError> {
        self.watchers.clear();
        for resource in &self.sources {
            let query = WatchQuery { resource, scope: &self.cx.scope, namespace: None, name: None };
            self.watchers.push(self.registry.store().watch(query, after)?);
        }
        Ok(())
    }

    fn seen(&mut self, item: &WatchItem) {
        match item {
            WatchItem::Event(event) if self.knows(event) => {}
            WatchItem::Event(_) => self.state = State::Changed,
            // Nothing is lost by missing what happened in between: it is all computed again.
            WatchItem::Closed(CloseReason::Expired) => {
                self.state = match self.follow(self.registry.store().revision()) {
                    Ok(()) => State::Changed,
                    Err(_) => State::Over,
                };
            }
            WatchItem::Closed(_) => self.state = State::Over,
        }
    }

    /// Whether an event is part of what was computed last.
    fn knows(&self, event: &Event) -> bool {
        event.revision <= self.revision
    }

    async fn compute(&self, revision: u64) -> ApiResult<Vec<Arc<Entry>>> {
        let cx = self.cx.at(Timestamp::now());
        let reader = Reader::new(&cx, &self.registry, &self.surfaces, revision);
        let objects = self.view.list(reader, &self.request.namespace).await?;
        Ok(self.registry.page(&cx, &self.target, &self.request, objects, revision)?.entries)
    }

    /// Takes an object that was there at the start.
    fn note(&mut self, entry: Arc<Entry>, revision: u64) {
        let step = WatchStep::Object { happened: Happened::Added, entry: entry.clone(), revision, event: None };
        self.steps.push_back(step);
        self.told.insert(place(&entry), entry);
    }

    /// Takes what there is now, and tells what differs from what the client knows.
    fn tell(&mut self, entries: Vec<Arc<Entry>>, revision: u64) {
        let step = |happened, entry| WatchStep::Object { happened, entry, revision, event: None };
        let mut before = std::mem::take(&mut self.told);
        for entry in entries {
            let place = place(&entry);
            match before.remove(&place) {
                None => self.steps.push_back(step(Happened::Added, entry.clone())),
                Some(known) if known.bytes() != entry.bytes() => {
                    self.steps.push_back(step(Happened::Modified, entry.clone()));
                }
                Some(_) => {}
            }
            self.told.insert(place, entry);
        }
        self.steps.extend(before.into_values().map(|gone| step(Happened::Deleted, gone)));
        self.revision = revision;
        self.computed = Instant::now();
        self.state = State::Settled;
    }
}

fn place(entry: &Entry) -> (String, String) {
    (entry.namespace().to_owned(), entry.name().to_owned())
}
