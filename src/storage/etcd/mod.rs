//! The engine over etcd: any number of Atoll servers share one, and each may serve every request.
//!
//! Revisions are etcd's. Keys are Atoll's under the URL's prefix; three more, which begin with `~`, are the engine's own. Values
//! larger than etcd's `--max-request-bytes` (1.5 MiB unless set) are refused. When the etcd is full, or cannot be reached, writes
//! fail and reads go on for a while: how long is for the caller to decide, by [`Backend::silence`].

mod client;
mod compactor;
mod probe;
#[cfg(test)]
pub(super) mod testing;
mod txn;
mod url;
mod watch;
mod wire;

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::client::{Again, Client, Failure};
use self::watch::{Progress, Subscription};
use self::wire::{
    COMPACT, COMPARE_VERSION, CompactionRequest, CompactionResponse, Compare, DeleteRangeRequest, Header, PUT,
    PutRequest, PutResponse, RANGE, RangeRequest, RangeResponse, Request, RequestOp, TXN, TxnRequest, TxnResponse,
    Wanted,
};
use super::key::{self, Decoder};
use super::{
    Backend, BackendError, ChangeSink, CommitError, Guard, KeyRange, LoadVisitor, OpenError, RangeDeleted, Record,
    SubscribeError, Txn, Writers,
};

pub use url::Target;

/// How the engine's own keys begin, below the prefix: no group's name does.
const OWN: &[u8] = b"/atoll/~";
/// The version of how things are kept; a change takes the next number and knows how to read the one before.
const FORMAT: u64 = 1;
/// How many values are read at once, at first.
const PAGE: i64 = 1000;
/// How long a failed transaction waits for the changes it conflicts with.
const CONFLICT_PATIENCE: Duration = Duration::from_secs(5);
/// After so long without a word from etcd it is asked for one, so that its silence is noticed when nobody asks anything else.
const PULSE: Duration = Duration::from_secs(2);

/// The etcd engine.
pub struct Etcd {
    client: Arc<Client>,
    keys: Arc<Keys>,
    stop: CancellationToken,
    subscriptions: Mutex<Vec<(Weak<Progress>, JoinHandle<()>)>>,
    /// What goes on beside requests: compaction, and listening whether etcd is still there.
    attendants: Mutex<Vec<JoinHandle<()>>>,
}

/// Where everything is.
struct Keys {
    prefix: String,
    start: Bytes,
    end: Bytes,
}

// === impl Etcd ===

impl Etcd {
    /// Connects, and checks that what is there is Atoll's, in a format that this program reads.
    pub async fn open(target: Target) -> Result<Arc<Self>, OpenError> {
        let client = Arc::new(Client::new(&target)?);
        let keys = Arc::new(Keys::new(target.prefix.clone()));
        check_format(&client, &keys, &target).await?;
        let stop = CancellationToken::new();
        let mut attendants = vec![tokio::spawn(pulse(client.clone(), keys.clone(), stop.clone()))];
        if let Some(every) = target.compact_every {
            let compacting = compactor::run(client.clone(), keys.own("compacted"), every, stop.clone());
            attendants.push(tokio::spawn(compacting));
        }
        let (subscriptions, attendants) = (Mutex::default(), Mutex::new(attendants));
        Ok(Arc::new(Self { client, keys, stop, subscriptions, attendants }))
    }

    async fn commit_txn(&self, txn: Txn) -> Result<u64, CommitError> {
        let keys = txn.encode_keys()?;
        let size = keys.iter().map(Vec::len).sum::<usize>() + txn.size();
        self.check_open()?;
        let encoded = txn::encode(&txn, keys.iter().map(|key| self.keys.full(key)).collect());
        let called = self.client.call(TXN, encoded.request.clone(), Again::IfNotSent).await;
        let answer: TxnResponse = called.map_err(|failure| refusal(failure, size))?;
        let revision = revision_of(answer.header);
        self.progress().for_each(|progress| progress.need(revision));
        if answer.succeeded {
            return Ok(revision);
        }
        // Whoever tries again finds what was in the way.
        self.reach(revision).await;
        Err(encoded.conflict(&txn, &answer))
    }

    async fn delete_first(
        &self,
        range: KeyRange,
        limit: usize,
        guard: Option<Guard>,
    ) -> Result<RangeDeleted, CommitError> {
        self.check_open()?;
        let (start, end) = (self.keys.full(&range.start), self.keys.full(&range.end));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX - 1);
        let request = RangeRequest {
            key: start.clone(),
            range_end: end.clone(),
            limit: limit + 1,
            keys_only: true,
            ..RangeRequest::default()
        };
        let read: RangeResponse =
            self.client.call(RANGE, request, Again::Always).await.map_err(|failure| refusal(failure, 0))?;
        let beyond = read.kvs.get(limit as usize).map(|kv| kv.key.clone());
        let more = beyond.is_some();
        if read.kvs.is_empty() {
            let revision = revision_of(read.header);
            self.progress().for_each(|progress| progress.need(revision));
            return Ok(RangeDeleted { revision, deleted: 0, more });
        }
        // Up to the first key that stays: what was created in between goes too.
        let deletion = DeleteRangeRequest { key: start, range_end: beyond.unwrap_or(end) };
        let guarding = guard.as_ref().map(|guard| (self.keys.full(&guard.key.encode()), guard.revision));
        let called = self.client.call(TXN, txn::guarded(deletion, guarding), Again::Always).await;
        let answer: TxnResponse = called.map_err(|failure| refusal(failure, 0))?;
        let revision = revision_of(answer.header);
        self.progress().for_each(|progress| progress.need(revision));
        let response = answer.responses.first();
        if let Some(guard) = guard.filter(|_| !answer.succeeded) {
            self.reach(revision).await;
            let found = response.and_then(|response| response.range.as_ref()?.kvs.first());
            let current = found.map(|kv| kv.mod_revision as u64);
            return Err(CommitError::Conflict { index: 0, key: guard.key, current });
        }
        let deleted = response.and_then(|response| response.delete_range.as_ref()).map_or(0, |done| done.deleted);
        Ok(RangeDeleted { revision, deleted: deleted as usize, more })
    }

    async fn load_all(&self, mut visit: LoadVisitor) -> Result<u64, BackendError> {
        let (mut at, mut limit, mut start) = (0, PAGE, self.keys.start.clone());
        let mut decoder = Decoder::default();
        loop {
            let request = RangeRequest {
                key: start.clone(),
                range_end: self.keys.end.clone(),
                limit,
                revision: at,
                ..RangeRequest::default()
            };
            let page: RangeResponse = match self.client.call(RANGE, request, Again::Always).await {
                Ok(page) => page,
                Err(Failure::AnswerTooLarge) if limit > 1 => {
                    limit /= 2;
                    continue;
                }
                Err(failure) => return Err(BackendError::Unavailable { reason: failure.reason() }),
            };
            if at == 0 {
                at = revision_of(page.header) as i64;
            }
            let last = page.kvs.last().map(|kv| kv.key.clone());
            for kv in page.kvs {
                let Some(encoded) = self.keys.strip(&kv.key) else { continue };
                let key = decoder
                    .decode(encoded)
                    .map_err(|error| BackendError::Damaged { what: error.to_string().into() })?;
                // The answer is one buffer for all its values, which none of them should keep alive.
                let value = Bytes::copy_from_slice(&kv.value);
                visit(Record { key, value, revision: kv.mod_revision as u64 });
            }
            match last.filter(|_| page.more) {
                // The least key after the last.
                Some(last) => start = [&last[..], &[0]].concat().into(),
                None => return Ok(at as u64),
            }
        }
    }

    async fn follow(&self, after: u64, sink: Weak<dyn ChangeSink>) -> Result<(), SubscribeError> {
        let unavailable = |reason| SubscribeError::Unavailable { reason };
        self.check_open().map_err(|error| unavailable(error.to_string().into()))?;
        let now = current_revision(&self.client, &self.keys).await.map_err(|failure| unavailable(failure.reason()))?;
        let (ready, done) = oneshot::channel();
        let progress = Progress::new(after);
        progress.need(now);
        let subscription = Subscription {
            client: self.client.clone(),
            keys: self.keys.clone(),
            sink,
            progress: progress.clone(),
            stop: self.stop.child_token(),
            ready: Some((now, ready)),
        };
        self.adopt(&progress, tokio::spawn(subscription.run()));
        done.await.unwrap_or_else(|_| Err(unavailable("the subscription ended".into())))
    }

    fn adopt(&self, progress: &Arc<Progress>, task: JoinHandle<()>) {
        let mut subscriptions = self.subscriptions.lock();
        subscriptions.retain(|(_, task)| !task.is_finished());
        subscriptions.push((Arc::downgrade(progress), task));
    }

    /// Waits until every sink has heard of everything up to a revision.
    async fn reach(&self, revision: u64) {
        let reached = futures::future::join_all(self.progress().map(|progress| async move {
            progress.reach(revision).await;
        }));
        // Who is later than that gets the conflict without its cause, and tries again.
        drop(tokio::time::timeout(CONFLICT_PATIENCE, reached).await);
    }

    fn progress(&self) -> impl Iterator<Item = Arc<Progress>> {
        let subscriptions = self.subscriptions.lock();
        let found: Vec<_> = subscriptions.iter().filter_map(|(progress, _)| progress.upgrade()).collect();
        found.into_iter()
    }

    fn check_open(&self) -> Result<(), CommitError> {
        if self.stop.is_cancelled() { Err(CommitError::Fatal { reason: "it was closed".into() }) } else { Ok(()) }
    }
}

impl Backend for Etcd {
    fn load(&self, visit: LoadVisitor) -> BoxFuture<'_, Result<u64, BackendError>> {
        self.load_all(visit).boxed()
    }

    fn subscribe(&self, after: u64, sink: Weak<dyn ChangeSink>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        self.follow(after, sink).boxed()
    }

    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.commit_txn(txn).boxed()
    }

    fn delete_range(
        &self,
        range: KeyRange,
        limit: usize,
        guard: Option<Guard>,
    ) -> BoxFuture<'_, Result<RangeDeleted, CommitError>> {
        self.delete_first(range, limit, guard).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<u64, BackendError>> {
        async move {
            let asked = current_revision(&self.client, &self.keys).await;
            let revision = asked.map_err(|failure| BackendError::Unavailable { reason: failure.reason() })?;
            self.progress().for_each(|progress| progress.need(revision));
            Ok(revision)
        }
        .boxed()
    }

    fn compact(&self, revision: u64) -> BoxFuture<'_, Result<(), BackendError>> {
        async move {
            compact(&self.client, revision)
                .await
                .map_err(|failure| BackendError::Unavailable { reason: failure.reason() })
        }
        .boxed()
    }

    fn writers(&self) -> Writers {
        Writers::Others
    }

    fn silence(&self) -> Duration {
        self.client.silence()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.stop.cancel();
            let subscriptions = std::mem::take(&mut *self.subscriptions.lock());
            let attendants = std::mem::take(&mut *self.attendants.lock());
            for task in subscriptions.into_iter().map(|(_, task)| task).chain(attendants) {
                // One that panicked has nothing more to say.
                drop(task.await);
            }
        }
        .boxed()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

// === impl Keys ===

impl Keys {
    fn new(prefix: String) -> Self {
        let mut start = prefix.clone().into_bytes();
        start.extend_from_slice(key::PREFIX.as_bytes());
        let mut end = start.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { prefix, start: start.into(), end: end.into() }
    }

    /// An encoded key below the prefix.
    fn full(&self, encoded: &[u8]) -> Bytes {
        [self.prefix.as_bytes(), encoded].concat().into()
    }

    /// One of the engine's own keys.
    fn own(&self, name: &str) -> Bytes {
        self.full(&[OWN, name.as_bytes()].concat())
    }
}

/// etcd's revision, as a majority of its members knows it.
async fn current_revision(client: &Client, keys: &Keys) -> Result<u64, Failure> {
    let request = RangeRequest { key: keys.own("format"), count_only: true, ..RangeRequest::default() };
    let answer: RangeResponse = client.call(RANGE, request, Again::Always).await?;
    Ok(revision_of(answer.header))
}

/// Asks for a sign of life whenever there was none for a while.
async fn pulse(client: Arc<Client>, keys: Arc<Keys>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PULSE) => {}
        }
        if client.silence() >= PULSE {
            // A failure shows in the silence that goes on.
            drop(current_revision(&client, &keys).await);
        }
    }
}

/// Writes a key that every watch of the prefix sees.
async fn fence(client: &Client, keys: &Keys) {
    let request = PutRequest { key: keys.own("fence"), value: Bytes::new() };
    let written: Result<PutResponse, Failure> = client.call(PUT, request, Again::Always).await;
    if let Err(failure) = written {
        tracing::debug!(reason = %failure.reason(), "no fence could be written to etcd");
    }
}

async fn compact(client: &Client, revision: u64) -> Result<(), Failure> {
    let request = CompactionRequest { revision: i64::try_from(revision).unwrap_or(i64::MAX) };
    match client.call::<_, CompactionResponse>(COMPACT, request, Again::Always).await {
        Ok(_) | Err(Failure::Compacted) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Writes the format into an empty place, and refuses one it does not know.
async fn check_format(client: &Client, keys: &Keys, target: &Target) -> Result<(), OpenError> {
    let key = keys.own("format");
    let put = PutRequest { key: key.clone(), value: FORMAT.to_string().into() };
    let range = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    let request = TxnRequest {
        compare: vec![Compare { target: COMPARE_VERSION, key, wanted: Some(Wanted::Version(0)) }],
        success: vec![RequestOp { request: Some(Request::Put(put)) }],
        failure: vec![RequestOp { request: Some(Request::Range(range)) }],
    };
    let called = client.call(TXN, request, Again::Always).await;
    let answer: TxnResponse = match called {
        Ok(answer) => answer,
        Err(failure) => return Err(not_opened(failure, target).await),
    };
    if answer.succeeded {
        return Ok(());
    }
    let found = answer.responses.first().and_then(|response| response.range.as_ref()?.kvs.first());
    let found = found.and_then(|kv| std::str::from_utf8(&kv.value).ok()?.parse().ok()).unwrap_or(0);
    if found == FORMAT { Ok(()) } else { Err(OpenError::Format { found, expected: FORMAT }) }
}

/// Why a store cannot be opened whose first call failed.
async fn not_opened(failure: Failure, target: &Target) -> OpenError {
    let (place, reason) = (target.endpoints.join(", "), failure.reason());
    if !matches!(failure, Failure::NotDone(_) | Failure::Unknown(_)) {
        return OpenError::Refused { place, reason };
    }
    for url in &target.endpoints {
        if let Some(reason) = probe::misunderstanding(url).await {
            return OpenError::Refused { place, reason: reason.into() };
        }
    }
    OpenError::NotReached { place, reason }
}

/// What a writer is told of a failed call that carried `size` bytes.
fn refusal(failure: Failure, size: usize) -> CommitError {
    match failure {
        Failure::NotDone(reason) | Failure::Mistrusted(reason) => CommitError::Unreachable { reason },
        Failure::Unknown(reason) => CommitError::Unavailable { reason },
        Failure::TooLarge => CommitError::TooLarge { size, limit: size.saturating_sub(1).min(super::MAX_TXN_BYTES) },
        Failure::Full(reason) => CommitError::Full { reason },
        Failure::Compacted | Failure::AnswerTooLarge | Failure::Refused(_) => {
            CommitError::Refused { reason: failure.reason() }
        }
    }
}

fn revision_of(header: Option<Header>) -> u64 {
    header.map_or(0, |header| header.revision as u64)
}
