//! WATCH: events as a stream of frames, each encoded once for all who watch in the same way.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use atoll_api::options::ListOptions;
use atoll_api::query::Query;
use atoll_api::{ApiError, ApiResult};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::Response;
use tokio::time::{Instant, Sleep};

use super::chain::Asked;
use super::rights::Rights;
use super::verbs::list;
use super::{Api, answer};
use crate::registry::{Target, Watch, WatchRequest, WatchStep};
use crate::resources::{Recomputed, View};

/// How long a watch lasts when the client does not say: as with kube-apiserver's `--min-request-timeout`, at random
/// between once and twice this, so that watches do not all end together.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// How often a quiet watch gets a bookmark.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long before its time-out a watch gets a last bookmark.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// How often the right to a running watch is asked for again.
const RECHECK_EVERY: Duration = Duration::from_secs(10);
/// When this much is ready it is sent, even if there is more.
const BATCH_BYTES: usize = 64 * 1024;

/// Answers a watch of what is stored.
pub(super) async fn answer(api: &Arc<Api>, asked: &Asked, target: &Target) -> ApiResult<Response<Body>> {
    begin(api, asked, target, None).await
}

/// Answers a watch of what a view computes.
pub(super) async fn answer_view(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    view: &Arc<dyn View>,
) -> ApiResult<Response<Body>> {
    begin(api, asked, target, Some(view)).await
}

async fn begin(
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    view: Option<&Arc<dyn View>>,
) -> ApiResult<Response<Body>> {
    answer::agree(asked, target, answer::Holds::Watch)?;
    let options = ListOptions::from_query(&Query::parse(&asked.query))?;
    let mut list = list::request(asked, target, &options)?;
    if !asked.path_name().is_empty() {
        list.fields = list.fields.and(atoll_api::selector::FieldSelector::exact("metadata.name", asked.path_name()));
    }
    let request = WatchRequest {
        list,
        send_initial_events: options.send_initial_events,
        marks_initial_end: options.allow_bookmarks,
    };
    let frames = answer::Frames::of(asked, target)?;
    let watch = match view {
        None => api.registry.watch(&asked.cx, target, &request).await.map(|watch| Steps::Stored(Box::new(watch))),
        Some(view) => {
            let (cx, view) = (asked.cx.at(asked.cx.now), Arc::clone(view));
            let begun = Recomputed::begin(cx, &api.registry, &api.surfaces, view, target, &request).await;
            begun.map(|watch| Steps::Computed(Box::new(watch)))
        }
    };
    let watch = match watch {
        Ok(watch) => watch,
        // The stream begins all the same: clients look for this error among its events.
        Err(error) if error.reason() == atoll_api::Reason::Expired => {
            let frame = frames.error(error)?;
            return Ok(answer::stream(frames.media_type(), Body::from(frame)));
        }
        Err(error) => return Err(error),
    };
    let media_type = frames.media_type();
    let running = Running::new(api, asked, watch, frames, &options);
    let body = Body::from_stream(stream::unfold(running, |mut running| async move {
        let chunk = running.chunk().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(chunk), running))
    }));
    Ok(answer::stream(media_type, body))
}

/// Where the steps of a watch come from.
enum Steps {
    /// From the store.
    Stored(Box<Watch>),
    /// From a view, whenever its sources change.
    Computed(Box<Recomputed>),
}

impl Steps {
    async fn next(&mut self) -> WatchStep {
        match self {
            Self::Stored(watch) => watch.next().await,
            Self::Computed(watch) => watch.next().await,
        }
    }

    fn try_next(&mut self) -> Option<WatchStep> {
        match self {
            Self::Stored(watch) => watch.try_next(),
            Self::Computed(watch) => watch.try_next(),
        }
    }

    fn revision(&self) -> u64 {
        match self {
            Self::Stored(watch) => watch.revision(),
            Self::Computed(watch) => watch.revision(),
        }
    }
}

/// A watch being sent.
struct Running {
    api: Arc<Api>,
    watch: Steps,
    frames: answer::Frames,
    rights: Rights,
    bookmarks: bool,
    next_bookmark: Instant,
    /// Whether the version told last is older than what was told.
    is_behind: bool,
    next_check: Instant,
    end: Instant,
    /// Until time alone brings something; one timer for as long as the watch lasts.
    time: Pin<Box<Sleep>>,
    over: bool,
    _counted: crate::metrics::WatchGuard,
}

impl Running {
    fn new(api: &Arc<Api>, asked: &Asked, watch: Steps, frames: answer::Frames, options: &ListOptions) -> Self {
        let now = Instant::now();
        let spread = uuid::Uuid::new_v4().as_bytes()[0] as u64 * DEFAULT_TIMEOUT.as_millis() as u64 / 256;
        let lasts = match options.timeout_seconds {
            Some(seconds) if seconds > 0 => Duration::from_secs(seconds as u64),
            _ => DEFAULT_TIMEOUT + Duration::from_millis(spread),
        };
        let end = now + lasts;
        let last_bookmark = end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(now);
        Self {
            api: api.clone(),
            watch,
            frames,
            rights: Rights::of(asked),
            bookmarks: options.allow_bookmarks,
            next_bookmark: last_bookmark.min(now + BOOKMARK_EVERY),
            is_behind: false,
            next_check: now + RECHECK_EVERY,
            end,
            // It rings at once, and is set then.
            time: Box::pin(tokio::time::sleep_until(now)),
            over: false,
            _counted: api.metrics.watch_started(),
        }
    }

    /// The next bytes to send; `None` when the watch is over.
    async fn chunk(&mut self) -> Option<Bytes> {
        let first = loop {
            if self.over {
                return None;
            }
            // In this order: rights are looked at again however much there is to tell, and who is told all of it hears so.
            let frame = tokio::select! {
                biased;
                () = self.time.as_mut() => self.tick().await,
                step = self.watch.next() => self.frame(step).await,
                () = std::future::ready(()), if self.is_behind => self.catch_up(),
            };
            if let Some(frame) = frame {
                break frame;
            }
        };
        let mut more = self.ready().await;
        if more.is_none() {
            // Most often one thing happens at a time: its frame is sent as it is, without a copy for each who watches.
            return Some(first);
        }
        let mut out = BytesMut::from(&*first);
        while let Some(frame) = more {
            out.extend_from_slice(&frame);
            more = if out.len() < BATCH_BYTES { self.ready().await } else { None };
        }
        Some(out.freeze())
    }

    /// The next frame, if there is one already.
    async fn ready(&mut self) -> Option<Bytes> {
        while !self.over {
            let Some(step) = self.watch.try_next() else {
                return self.catch_up();
            };
            if let Some(frame) = self.frame(step).await {
                return Some(frame);
            }
        }
        None
    }

    async fn frame(&mut self, step: WatchStep) -> Option<Bytes> {
        let frame = match step {
            WatchStep::Object { happened, entry, revision, event } => {
                self.is_behind = event.as_ref().is_some_and(|event| event.revision > revision);
                match self.api.registry.ready_to_read(self.frames.target(), std::slice::from_ref(&entry)).await {
                    Ok(()) => self.frames.event(happened, &entry, revision, event.as_deref()),
                    Err(error) => Err(error),
                }
            }
            WatchStep::InitialEnd(revision) => self.frames.bookmark(revision, answer::Bookmark::InitialEnd),
            WatchStep::Closed(None) => {
                self.over = true;
                return None;
            }
            WatchStep::Closed(Some(error)) => return self.fail(error),
        };
        frame.map_or_else(|error| self.fail(error), Some)
    }

    /// What is told last of a cluster that opens may be older than what was told before. Whoever resumes from there would be
    /// told that again, so a bookmark says how far they are.
    fn catch_up(&mut self) -> Option<Bytes> {
        let is_behind = std::mem::take(&mut self.is_behind);
        if self.bookmarks && is_behind { self.bookmark() } else { None }
    }

    fn bookmark(&mut self) -> Option<Bytes> {
        let bookmark = self.frames.bookmark(self.watch.revision(), answer::Bookmark::Progress);
        bookmark.map_or_else(|error| self.fail(error), Some)
    }

    /// Ends the watch with an error.
    fn fail(&mut self, error: ApiError) -> Option<Bytes> {
        self.over = true;
        self.frames.error(error).ok()
    }

    /// What time alone brings: bookmarks, a new look at the rights, the end.
    async fn tick(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        let mut frame = None;
        if now >= self.next_check {
            self.next_check = now + RECHECK_EVERY;
            if let Err(error) = self.rights.check(&self.api).await {
                return self.fail(error);
            }
        }
        if self.bookmarks && now >= self.next_bookmark {
            let last = self.end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(self.end);
            self.next_bookmark = if now >= last { self.end + BOOKMARK_EVERY } else { last.min(now + BOOKMARK_EVERY) };
            frame = self.bookmark();
        }
        self.over |= now >= self.end;
        let bookmark = if self.bookmarks { self.next_bookmark } else { self.end };
        self.time.as_mut().reset(self.end.min(self.next_check).min(bookmark));
        frame
    }
}
