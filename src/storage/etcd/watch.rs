//! Hands one sink what others and this process change, from a watch on etcd that is opened anew whenever it breaks.
//!
//! Where nobody writes Atoll's keys but others write to the same etcd, its revision runs ahead of Atoll's changes. Whoever waits
//! for such a revision makes this file ask etcd how far it is: by a progress request, or, where etcd is too old to
//! answer those in order, by writing a key of its own and waiting for it to come back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot, watch as latest};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::client::Client;
use super::wire::{DELETED, WatchCall, WatchCreate, WatchProgress, WatchRequest, WatchResponse};
use super::{Keys, fence};
use crate::storage::{Change, ChangeBatch, ChangeSink, StopCause, SubscribeError, key::Decoder};

/// How long what is waited for may come by itself before etcd is asked.
const GRACE: Duration = Duration::from_millis(10);
/// The same where asking means to write.
const GRACE_OF_FENCES: Duration = Duration::from_millis(100);
/// When etcd is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(250);
const REOPEN_AFTER: Duration = Duration::from_millis(100);
/// How often it is looked whether the sink is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a member may take to open a watch.
const OPENING: Duration = Duration::from_secs(3);

/// How far a subscription is, and how far it should be.
pub(super) struct Progress {
    delivered: latest::Sender<u64>,
    needed: AtomicU64,
    nudge: Notify,
}

/// A subscription's worker.
pub(super) struct Subscription {
    pub(super) client: Arc<Client>,
    pub(super) keys: Arc<Keys>,
    pub(super) sink: Weak<dyn ChangeSink>,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: CancellationToken,
    /// Told once, when everything up to a revision was handed over.
    pub(super) ready: Option<(u64, oneshot::Sender<Result<(), SubscribeError>>)>,
}

/// Why a watch ended.
enum End {
    /// It can be opened again where it was.
    Broken(String),
    /// What follows is forgotten.
    Compacted(u64),
    /// Nobody listens any more.
    SinkGone,
    /// The engine is closed.
    Stopped,
}

/// An open watch.
struct Open {
    stream: Streaming<WatchResponse>,
    requests: mpsc::Sender<WatchRequest>,
    /// Whether answers to progress requests come after the changes they speak of.
    ordered_progress: bool,
    /// Changes of an answer that comes in several parts.
    parts: Vec<Change>,
    decoder: Decoder,
}

// === impl Progress ===

impl Progress {
    pub(super) fn new(after: u64) -> Arc<Self> {
        Arc::new(Self { delivered: latest::Sender::new(after), needed: AtomicU64::new(0), nudge: Notify::new() })
    }

    /// Sees to it that the sink hears of everything up to `revision` soon.
    pub(super) fn need(&self, revision: u64) {
        self.needed.fetch_max(revision, Ordering::AcqRel);
        if *self.delivered.borrow() < revision {
            self.nudge.notify_one();
        }
    }

    /// Waits until the sink has heard of everything up to `revision`, or the subscription ends.
    pub(super) async fn reach(&self, revision: u64) {
        self.need(revision);
        // An error means that nothing will come any more.
        drop(self.delivered.subscribe().wait_for(|delivered| *delivered >= revision).await);
    }

    /// Nothing is delivered from here on; who waits for it need not.
    fn end(&self) {
        self.delivered.send_replace(u64::MAX);
    }

    fn delivered(&self) -> u64 {
        *self.delivered.borrow()
    }

    fn is_behind(&self) -> bool {
        self.delivered() < self.needed.load(Ordering::Acquire)
    }
}

// === impl Subscription ===

impl Subscription {
    /// Works until the sink is dropped, the engine is closed, or etcd has forgotten what comes next.
    pub(super) async fn run(mut self) {
        let cause = loop {
            match self.follow().await {
                End::SinkGone => {
                    self.progress.end();
                    return;
                }
                End::Stopped => break StopCause::Closed,
                End::Compacted(oldest) => {
                    if let Some((_, ready)) = self.ready.take() {
                        // Nobody who subscribes waits any more, or is told.
                        drop(ready.send(Err(SubscribeError::Compacted { oldest })));
                        self.progress.end();
                        return;
                    }
                    let at = self.progress.delivered();
                    break StopCause::Failed(
                        format!("etcd has forgotten what followed revision {at}: a restart reads everything anew")
                            .into(),
                    );
                }
                End::Broken(why) => {
                    tracing::warn!(why, at = self.progress.delivered(), "the watch on etcd broke; opening it again");
                    tokio::select! {
                        () = tokio::time::sleep(REOPEN_AFTER) => {}
                        () = self.stop.cancelled() => break StopCause::Closed,
                    }
                }
            }
        };
        self.progress.end();
        if let Some(sink) = self.sink.upgrade() {
            sink.closed(&cause);
        }
    }

    /// Opens a watch after what was delivered, and hands over what comes until it ends.
    async fn follow(&mut self) -> End {
        let mut current = self.client.current();
        let member = *current.borrow_and_update();
        let stop = self.stop.clone();
        let mut open = tokio::select! {
            opened = self.open(member) => match opened {
                Ok(open) => open,
                Err(status) => {
                    self.client.leave(member);
                    return End::Broken(status.message().to_owned());
                }
            },
            () = stop.cancelled() => return End::Stopped,
        };
        let mut look = tokio::time::interval(LOOK_EVERY);
        let grace = if open.ordered_progress { GRACE } else { GRACE_OF_FENCES };
        let mut patience = grace;
        loop {
            let progress = self.progress.clone();
            let asking = async {
                while !progress.is_behind() {
                    progress.nudge.notified().await;
                }
                tokio::time::sleep(patience).await;
            };
            let end = tokio::select! {
                message = open.stream.message() => {
                    let before = self.progress.delivered();
                    let end = self.take(&mut open, message);
                    if self.progress.delivered() > before {
                        patience = grace;
                    }
                    end
                }
                () = asking => {
                    patience = ASK_AGAIN;
                    self.ask(&open).await
                }
                _ = look.tick() => (self.sink.strong_count() == 0).then_some(End::SinkGone),
                () = stop.cancelled() => Some(End::Stopped),
                // Who left the member had cause to.
                changed = current.changed() => changed.is_ok().then(|| End::Broken("its member was left".to_owned())),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    async fn open(&self, member: usize) -> Result<Open, Status> {
        let (requests, queue) = mpsc::channel(4);
        // From the last delivered revision on, which is dropped when it comes again: etcd forgets deletions at the very
        // revision of a compaction, so that only who asks for less than what is needed learns of it.
        let create = WatchCreate {
            key: self.keys.start.clone(),
            range_end: self.keys.end.clone(),
            start_revision: i64::try_from(self.progress.delivered()).unwrap_or(i64::MAX),
            progress_notify: true,
            fragment: true,
        };
        let create = WatchRequest { call: Some(WatchCall::Create(create)) };
        requests.send(create).await.map_err(|_| Status::internal("the queue is closed"))?;
        let queue =
            futures::stream::unfold(queue, |mut queue| async { queue.recv().await.map(|request| (request, queue)) });
        let opening = async {
            let version = self.client.version(member).await;
            let stream = self.client.watch(member, queue).await?;
            Ok((version, stream))
        };
        let opened = tokio::time::timeout(OPENING, opening).await;
        let (version, stream) =
            opened.unwrap_or_else(|_| Err(Status::unavailable("no watch could be opened in time")))?;
        let ordered_progress = version.is_some_and(answers_progress_in_order);
        Ok(Open { stream, requests, ordered_progress, parts: Vec::new(), decoder: Decoder::default() })
    }

    /// Hands over what an answer tells.
    fn take(&mut self, open: &mut Open, message: Result<Option<WatchResponse>, Status>) -> Option<End> {
        let answer = match message {
            Ok(Some(answer)) => answer,
            Ok(None) => return Some(End::Broken("etcd ended it".to_owned())),
            Err(status) => return Some(End::Broken(status.message().to_owned())),
        };
        self.client.heard();
        if answer.compact_revision > 0 {
            return Some(End::Compacted(answer.compact_revision as u64));
        }
        if answer.canceled {
            return Some(End::Broken(format!("etcd cancelled it: {}", answer.cancel_reason)));
        }
        let is_progress = answer.events.is_empty() && !answer.created && !answer.fragment && open.parts.is_empty();
        let after = self.progress.delivered();
        let (mut last, header) = (after, answer.header.map_or(0, |header| header.revision as u64));
        for event in answer.events {
            let Some(kv) = event.kv else { continue };
            let revision = kv.mod_revision as u64;
            if revision <= after {
                continue;
            }
            last = last.max(revision);
            if let Some(encoded) = self.keys.strip(&kv.key) {
                match open.decoder.decode(encoded) {
                    Ok(key) => {
                        let value = (event.kind != DELETED).then_some(kv.value);
                        open.parts.push(Change { revision, key, value });
                    }
                    Err(error) => tracing::error!(%error, "a key in etcd is none of Atoll's"),
                }
            }
        }
        if answer.fragment {
            return None;
        }
        if is_progress {
            last = last.max(header);
        }
        last = open.parts.last().map_or(last, |change| last.max(change.revision));
        if last == after {
            self.tell_ready();
            return None;
        }
        let batch = ChangeBatch { revision: last, changes: std::mem::take(&mut open.parts) };
        let Some(sink) = self.sink.upgrade() else { return Some(End::SinkGone) };
        sink.apply(&batch);
        self.progress.delivered.send_replace(last);
        self.tell_ready();
        None
    }

    /// Makes etcd tell how far it is.
    async fn ask(&self, open: &Open) -> Option<End> {
        if open.ordered_progress {
            let request = WatchRequest { call: Some(WatchCall::Progress(WatchProgress {})) };
            let sent = open.requests.try_send(request);
            return matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
                .then(|| End::Broken("etcd takes no requests".to_owned()));
        }
        // Not awaited here, since what comes back comes by the watch.
        let (client, keys) = (self.client.clone(), self.keys.clone());
        tokio::spawn(async move { fence(&client, &keys).await });
        None
    }

    fn tell_ready(&mut self) {
        let delivered = self.progress.delivered();
        if let Some((_, ready)) = self.ready.take_if(|(revision, _)| *revision <= delivered) {
            // Nobody who subscribes waits any more, or is told.
            drop(ready.send(Ok(())));
        }
    }
}

/// Whether a version of etcd answers a progress request after the changes it speaks of (etcd's issue 15220).
fn answers_progress_in_order(version: (u32, u32, u32)) -> bool {
    match version {
        (3, 4, patch) => patch >= 25,
        (3, 5, patch) => patch >= 8,
        newer => newer >= (3, 6, 0),
    }
}

impl super::Keys {
    /// An encoded key without the prefix; `None` for what the engine keeps for itself.
    pub(super) fn strip<'k>(&self, key: &'k Bytes) -> Option<&'k [u8]> {
        key.strip_prefix(self.prefix.as_bytes()).filter(|rest| !rest.starts_with(super::OWN))
    }
}
