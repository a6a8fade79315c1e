//! WATCH: what is there, then what changes, seen through selectors.

use std::collections::VecDeque;
use std::sync::Arc;

use atoll_api::{ApiError, ApiResult};

use super::list::{self, ListRequest};
use super::{Registry, Target};
use crate::request::RequestContext;
use crate::storage::{CloseReason, Entry, Event, EventKind, ReadError, WatchItem, WatchQuery, Watcher};

/// What is watched.
#[derive(Debug, Clone, Default)]
pub struct WatchRequest {
    /// Namespace, selectors and version, as for a list.
    pub list: ListRequest,
    /// Whether what is there already comes first, and a bookmark after it; `None` leaves it to the version.
    pub send_initial_events: Option<bool>,
    /// Whether a bookmark tells when all that was there has been told.
    pub marks_initial_end: bool,
}

/// What happened to an object, as seen through the watch's selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happened {
    /// It appeared.
    Added,
    /// It changed.
    Modified,
    /// It disappeared.
    Deleted,
}

impl Happened {
    /// The event type clients read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One step of a watch.
pub enum WatchStep {
    /// Something happened to an object.
    Object {
        /// What.
        happened: Happened,
        /// The object to show.
        entry: Arc<Entry>,
        /// The version to show it with.
        revision: u64,
        /// The event, by which its encoded form is shared; none for what was there at the start.
        event: Option<Arc<Event>>,
    },
    /// What was there at the start has been told; it is as of this version.
    InitialEnd(u64),
    /// The watch is over; the error is told, if there is one.
    Closed(Option<ApiError>),
}

/// A running watch.
pub struct Watch {
    target: Target,
    request: ListRequest,
    initial: VecDeque<Arc<Entry>>,
    initial_end: Option<u64>,
    watcher: Watcher,
    /// Events up to this version are not told.
    not_before: u64,
}

impl Registry {
    /// Starts a watch.
    pub async fn watch(&self, cx: &RequestContext, target: &Target, request: &WatchRequest) -> ApiResult<Watch> {
        let asked = list::parse_version(&request.list.resource_version)?;
        let mut initial = VecDeque::new();
        let mut after = asked.0;
        let wants_initial = request.send_initial_events.unwrap_or(asked.0 == 0);
        if asked.0 > 0 && request.send_initial_events == Some(true) {
            self.wait_for(asked).await?;
        }
        if wants_initial {
            let now = ListRequest {
                limit: None,
                continue_token: String::new(),
                resource_version: String::new(),
                version_match: None,
                ..request.list.clone()
            };
            let answer = self.list(cx, target, &now).await?;
            after = answer.revision;
            initial = answer.entries.into();
        } else if asked.0 == 0 {
            after = self.store.revision();
        }
        let query = WatchQuery {
            resource: &target.descriptor().resource,
            scope: &cx.scope,
            namespace: Some(request.list.namespace.as_str()).filter(|ns| !ns.is_empty()),
            name: request.list.fields.requires_exact("metadata.name"),
        };
        let mut not_before = 0;
        let watcher = match self.store.watch(query, after) {
            // A version that is still to come is waited for in silence, as by Kubernetes' watch cache.
            Err(ReadError::Future { current }) => {
                not_before = after;
                self.store.watch(query, current)
            }
            watcher => watcher,
        };
        let watcher = watcher.map_err(|error| too_old(error, after))?;
        Ok(Watch {
            target: target.clone(),
            request: request.list.clone(),
            initial,
            initial_end: (request.marks_initial_end && request.send_initial_events == Some(true)).then_some(after),
            watcher,
            not_before,
        })
    }
}

/// What a watcher is told when its version is no longer (or not yet) in history.
pub fn too_old(error: ReadError, asked: u64) -> ApiError {
    match error {
        ReadError::Expired { oldest } => ApiError::expired(format!("too old resource version: {asked} ({oldest})")),
        ReadError::Future { current } => {
            ApiError::timeout(&format!("Too large resource version: {asked}, current: {current}"), 1)
        }
    }
}

// === impl Watch ===

impl Watch {
    /// The next step, once there is one.
    pub async fn next(&mut self) -> WatchStep {
        loop {
            if let Some(step) = self.initial_step() {
                return step;
            }
            let item = self.watcher.next().await;
            if let Some(step) = self.seen(item) {
                return step;
            }
        }
    }

    /// The next step, if there is one already.
    pub fn try_next(&mut self) -> Option<WatchStep> {
        if let Some(step) = self.initial_step() {
            return Some(step);
        }
        loop {
            let item = self.watcher.try_next()?;
            if let Some(step) = self.seen(item) {
                return Some(step);
            }
        }
    }

    /// The version up to which the watch has told everything.
    pub fn revision(&self) -> u64 {
        self.watcher.revision()
    }

    /// What is watched.
    pub fn target(&self) -> &Target {
        &self.target
    }

    fn initial_step(&mut self) -> Option<WatchStep> {
        if let Some(entry) = self.initial.pop_front() {
            let revision = entry.revision;
            return Some(WatchStep::Object { happened: Happened::Added, entry, revision, event: None });
        }
        self.initial_end.take().map(WatchStep::InitialEnd)
    }

    /// What an item of the store means for this watch; `None` if nothing.
    fn seen(&self, item: WatchItem) -> Option<WatchStep> {
        match item {
            WatchItem::Event(event) => self.seen_event(event),
            WatchItem::Closed(CloseReason::Expired) => {
                let seen = self.revision();
                let error = ApiError::expired(format!("too old resource version: {seen} ({})", seen + 1));
                Some(WatchStep::Closed(Some(error)))
            }
            WatchItem::Closed(_) => Some(WatchStep::Closed(None)),
        }
    }

    fn seen_event(&self, event: Arc<Event>) -> Option<WatchStep> {
        if event.revision <= self.not_before {
            return None;
        }
        let selects = |entry: &Arc<Entry>| list::matches(&self.target, &self.request, entry);
        let before = event.previous.as_ref().filter(|entry| selects(entry));
        let (happened, entry) = match event.kind {
            EventKind::Delete => {
                (Happened::Deleted, before.cloned().or_else(|| selects(&event.entry).then(|| event.entry.clone()))?)
            }
            EventKind::Put { .. } => match (selects(&event.entry), before) {
                (true, None) => (Happened::Added, event.entry.clone()),
                (true, Some(_)) => (Happened::Modified, event.entry.clone()),
                (false, Some(before)) => (Happened::Deleted, before.clone()),
                (false, None) => return None,
            },
        };
        // What was written while its cluster was closed keeps its version: that is the one that clients change it by.
        let revision = match happened {
            Happened::Deleted => event.revision,
            Happened::Added | Happened::Modified => entry.revision,
        };
        Some(WatchStep::Object { happened, entry, revision, event: Some(event) })
    }
}
