//! What is there and what changes: a list followed by a watch, for as long as the controller runs.
//!
//! Goes on from the last version after a break, and lists again when that is too old. Keeps no objects.

use std::time::Duration;

use atoll_api::Object;
use futures::TryStreamExt;
use kube::core::WatchEvent;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Endpoint, Failure, Resource, Selection, Server, Shape};

/// How long one watch lasts before it is renewed.
const WATCH_LASTS: Duration = Duration::from_secs(300);
/// How long after its time a watch that has not ended is given up.
const GRACE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One collection to be followed.
pub(crate) struct Source {
    /// Where.
    pub(crate) endpoint: Endpoint,
    /// The path of the collection.
    pub(crate) path: String,
    /// How much of each object is needed.
    pub(crate) shape: Shape,
    /// Which objects.
    pub(crate) selection: Selection,
}

/// What a source tells.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A list begins: what is not shown before `Listed` is not there.
    Listing,
    /// An object is there, in this state.
    Here(Object),
    /// An object was deleted, or no longer is selected; this was its last state. Told by a watch only: an object that
    /// went in a gap is just not there in the next list.
    Gone(Object),
    /// The list is complete; changes follow.
    Listed,
}

/// Where a source stands.
enum Position {
    /// It knows nothing, and lists.
    Unknown,
    /// It has told everything up to this version, and watches.
    At(String),
}

// === impl Source ===

impl Source {
    /// All of a resource in all logical clusters.
    pub(crate) fn everywhere(server: &Server, resource: Resource<'_>, shape: Shape) -> Self {
        let (endpoint, path) = (server.all_clusters(), resource.collection(""));
        Self { endpoint, path, shape, selection: Selection::all() }
    }

    /// Some of it.
    pub(crate) fn selecting(self, selection: Selection) -> Self {
        Self { selection, ..self }
    }

    /// Tells everything until told to stop. `tell` must not block.
    pub(crate) async fn run(&self, stop: &CancellationToken, mut tell: impl FnMut(Seen)) {
        let mut position = Position::Unknown;
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let watching = matches!(position, Position::At(_));
            let step = async {
                match &mut position {
                    Position::Unknown => self.list(&mut tell).await.map(Position::At),
                    Position::At(version) => {
                        // A peer that vanished without a word would keep the watch waiting for ever.
                        let watch = tokio::time::timeout(WATCH_LASTS + GRACE, self.watch(version, &mut tell));
                        let watched = watch.await.unwrap_or(Ok(()));
                        watched.map(|()| Position::At(version.clone()))
                    }
                }
            };
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = step => done,
            };
            match done {
                Ok(next) => {
                    position = next;
                    pause = FIRST_PAUSE;
                    // A server that ends watches as soon as they begin must not keep this loop spinning.
                    if watching && begun.elapsed() < FIRST_PAUSE {
                        tokio::time::sleep(FIRST_PAUSE).await;
                    }
                }
                Err(Failure::Expired(_)) => position = Position::Unknown,
                Err(failure) => {
                    tracing::debug!(path = self.path, error = failure.chain(), "following failed; trying again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Tells all there is; gives the version to go on from.
    async fn list(&self, tell: &mut impl FnMut(Seen)) -> Answer<String> {
        let mut page = self.endpoint.page(&self.path, self.shape, &self.selection, "").await?;
        let version = page.resource_version().to_owned();
        tell(Seen::Listing);
        loop {
            for object in std::mem::take(&mut page.items) {
                tell(Seen::Here(object));
            }
            if page.next().is_empty() {
                tell(Seen::Listed);
                return Ok(version);
            }
            page = self.endpoint.page(&self.path, self.shape, &self.selection, page.next()).await?;
        }
    }

    /// Tells what changes after `version`, and moves it on, until the watch ends.
    async fn watch(&self, version: &mut String, tell: &mut impl FnMut(Seen)) -> Answer<()> {
        let events = self.endpoint.watch(&self.path, self.shape, &self.selection, version, WATCH_LASTS).await?;
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.try_next().await? {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    object.resource_version().clone_into(version);
                    tell(Seen::Here(object));
                }
                WatchEvent::Deleted(object) => {
                    object.resource_version().clone_into(version);
                    tell(Seen::Gone(object));
                }
                WatchEvent::Bookmark(bookmark) => version.clone_from(&bookmark.metadata.resource_version),
                WatchEvent::Error(status) => return Err(Failure::of_event(status)),
            }
        }
        Ok(())
    }
}
