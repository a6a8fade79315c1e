//! WATCH: events as a stream of frames, each encoded once for all who watch in the same way.

use std::sync::Arc;
use std::time::Duration;

use atoll_api::options::ListOptions;
use atoll_api::query::Query;
use atoll_api::{ApiError, ApiResult};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::Response;
use tokio::time::Instant;

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
            over: false,
            _counted: api.metrics.watch_started(),
        }
    }

    /// The next bytes to send; `None` when the watch is over.
    async fn chunk(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        while out.is_empty() && !self.over {
            let wake = self.end.min(self.next_check).min(if self.bookmarks { self.next_bookmark } else { self.end });
            match tokio::time::timeout_at(wake, self.watch.next()).await {
                Ok(step) => {
                    self.put(step, &mut out).await;
                    while out.len() < BATCH_BYTES && !self.over {
                        match self.watch.try_next() {
                            Some(step) => self.put(step, &mut out).await,
                            None => break,
                        }
                    }
                    self.catch_up(&mut out);
                }
                Err(_) => self.tick(&mut out).await,
            }
        }
        (!out.is_empty()).then(|| out.freeze())
    }

    async fn put(&mut self, step: WatchStep, out: &mut BytesMut) {
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
                return;
            }
            WatchStep::Closed(Some(error)) => {
                self.over = true;
                self.frames.error(error)
            }
        };
        match frame {
            Ok(bytes) => out.extend_from_slice(&bytes),
            Err(error) => self.fail(error, out),
        }
    }

    /// What is told last of a cluster that opens may be older than what was told before. Whoever resumes from there would be
    /// told that again, so a bookmark says how far they are.
    fn catch_up(&mut self, out: &mut BytesMut) {
        if self.bookmarks && std::mem::take(&mut self.is_behind) && !self.over {
            self.bookmark(out);
        }
    }

    fn bookmark(&mut self, out: &mut BytesMut) {
        match self.frames.bookmark(self.watch.revision(), answer::Bookmark::Progress) {
            Ok(bytes) => out.extend_from_slice(&bytes),
            Err(error) => self.fail(error, out),
        }
    }

    fn fail(&mut self, error: ApiError, out: &mut BytesMut) {
        self.over = true;
        if let Ok(bytes) = self.frames.error(error) {
            out.extend_from_slice(&bytes);
        }
    }

    /// What time alone brings: bookmarks, a new look at the rights, the end.
    async fn tick(&mut self, out: &mut BytesMut) {
        let now = Instant::now();
        if now >= self.next_check {
            self.next_check = now + RECHECK_EVERY;
            if let Err(error) = self.rights.check(&self.api).await {
                return self.fail(error, out);
            }
        }
        if self.bookmarks && now >= self.next_bookmark {
            let last = self.end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(self.end);
            self.next_bookmark = if now >= last { self.end + BOOKMARK_EVERY } else { last.min(now + BOOKMARK_EVERY) };
            self.bookmark(out);
        }
        if now >= self.end {
            self.over = true;
        }
    }
}
