//! The storage floor: bytes under keys, revisions, changes, and the cache that serves every read.
//!
//! It knows no kinds, schemas, users or HTTP. This file is the contract between engines and the cache above them.

pub mod archive;
pub mod cache;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
pub mod embedded;
#[cfg(feature = "etcd")]
pub mod etcd;
mod feed;
pub mod key;
mod memory;
pub mod observe;
pub mod restoring;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(test)]
mod tests;
mod writing;

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

pub use cache::VALUE_PREFIX;
pub use cache::{
    Behind, CLOSED_LABEL, CloseReason, ClusterUsage, Cut, Entry, Event, EventKind, Labels, ListQuery, Page, ReadError,
    SharedSpec, Store, StoreOptions, WatchItem, WatchQuery, Watcher,
};
pub use embedded::Embedded;
#[cfg(feature = "etcd")]
pub use etcd::Etcd;
pub use key::{Key, KeyError, KeyRange, Position};
pub use memory::Memory;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;

/// The most bytes, keys and values together, that one transaction may carry.
pub const MAX_TXN_BYTES: usize = 4 << 20;

/// The most expectations, other than [`Expect::Any`], that one transaction may have: etcd takes no more.
pub const MAX_TXN_CHECKS: usize = 120;

/// An engine: keeps values under keys and gives every change one place in one order.
///
/// # The contract
///
/// *Revisions.* One 64-bit counter for the whole store. An empty store is at revision 1, or a little later where the engine
/// keeps notes of its own, or others keep something else in the same place. Each transaction that
/// changes something takes the next revision, or a later one: revisions of commits grow strictly, in the order in which
/// commits happen, and need not be consecutive. A value's revision is that of the transaction which last put it. One that changes nothing
/// takes no revision and answers the current one.
///
/// *Atomicity.* All of a transaction's expectations are checked against one state, and either all its actions happen, at
/// one revision, or none. Transactions behave as if they ran one after the other.
///
/// *Durability.* [`commit`](Self::commit) resolves with `Ok` only when the transaction survives a power loss (unless
/// the engine was told to be lax). After a failure to write, nothing is acknowledged any more: that commit and all later
/// ones answer [`CommitError::Fatal`], and sinks are told by [`ChangeSink::closed`]. What was not acknowledged may or may not
/// be there after a restart, but never half of it.
///
/// *Changes.* Every change reaches every sink, in the order of revisions, without gaps, all changes of one revision in
/// one batch, whoever made them, the caller's own included. An engine that lives in this process hands a
/// transaction's changes to the sinks after it is durable and before its commit resolves; a remote one may do so later, and the
/// cache waits. A commit resolves with [`CommitError::Conflict`] only after the sinks heard of what it conflicted with.
///
/// *Values* are opaque. Engines never look into them.
///
/// Engines may batch transactions, and may keep a log in front of their tables; nothing here speaks of either.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no storage engine",
    note = "implement `atoll::storage::Backend`, whose contract stands above it; `atoll::storage::conformance` (feature `test-util`) checks that it is kept"
)]
pub trait Backend: Send + Sync + 'static {
    /// Visits every live value, in any order, as of one revision, and resolves with that revision.
    ///
    /// Called once by the cache before it subscribes. The visitor may be called on another thread.
    fn load(&self, visit: LoadVisitor) -> BoxFuture<'_, Result<u64, BackendError>>;

    /// From now on hands `sink` every change after revision `after`, until the sink is dropped or the engine stops.
    ///
    /// Changes between `after` and now are handed over before this resolves. Engines remember at least what
    /// happened since the last [`load`](Self::load) unless very much happened; when they no longer reach back to `after` they say so.
    /// The sink is held weakly: dropping it ends the subscription.
    fn subscribe(&self, after: u64, sink: Weak<dyn ChangeSink>) -> BoxFuture<'_, Result<(), SubscribeError>>;

    /// Commits a transaction and resolves with its revision.
    ///
    /// Dropping the future does not undo the transaction: it may happen nevertheless.
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<u64, CommitError>>;

    /// Deletes the first `limit` keys of a range, as one transaction at one revision, if the guard is as it should be.
    ///
    /// Each deleted key is a change of its own. This is how a whole logical cluster is deleted, in steps that keep
    /// other writers' wait short. A guard that is otherwise is a conflict at index 0; where nothing would be deleted, it
    /// need not be looked at.
    fn delete_range(
        &self,
        range: KeyRange,
        limit: usize,
        guard: Option<Guard>,
    ) -> BoxFuture<'_, Result<RangeDeleted, CommitError>>;

    /// The revision of the last commit, by whomever; a remote engine asks its server, and sees to it that the sinks soon
    /// hear of everything up to that revision, if only as progress.
    fn revision(&self) -> BoxFuture<'_, Result<u64, BackendError>>;

    /// Permits the engine to forget how the state was before `revision`; live values stay.
    fn compact(&self, revision: u64) -> BoxFuture<'_, Result<(), BackendError>>;

    /// Who else may write to the same store.
    fn writers(&self) -> Writers {
        Writers::ThisProcess
    }

    /// For how long the engine has not heard of its server; nothing where there is none.
    fn silence(&self) -> Duration {
        Duration::ZERO
    }

    /// Finishes what was begun, then stops: later commits answer [`CommitError::Fatal`] and sinks are told. Idempotent.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Who writes to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// This process alone: what it was told of is all there is.
    ThisProcess,
    /// Others too: only the engine's server knows whether there is more.
    Others,
}

/// Takes the changes of an engine: the cache, or a test.
pub trait ChangeSink: Send + Sync {
    /// Takes all changes up to `batch.revision`, in the order of their revisions. No changes means progress only.
    ///
    /// Called by one thread at a time, with no gaps and nothing twice. It must not block on anything that waits for a commit.
    fn apply(&self, batch: &ChangeBatch);

    /// There will be no more changes.
    fn closed(&self, cause: &StopCause);
}

/// What [`Backend::load`] calls for each value.
pub type LoadVisitor = Box<dyn FnMut(Record) + Send>;

/// A live value, as loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it lives.
    pub key: Key,
    /// The value.
    pub value: Bytes,
    /// The revision that put it.
    pub revision: u64,
}

/// Several operations that happen together or not at all. A key may appear once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    /// The operations.
    pub ops: Vec<Op>,
}

/// One operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// The key it is about.
    pub key: Key,
    /// How the key must be for the transaction to happen.
    pub expect: Expect,
    /// What happens to it.
    pub action: Action,
}

/// How a key must be for a transaction to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is no value.
    Absent,
    /// The value was last put by this revision.
    Revision(u64),
    /// Anything will do.
    Any,
}

/// What a transaction does to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Puts a value.
    Put(Bytes),
    /// Deletes the value; without one, nothing happens.
    Delete,
    /// Only the expectation matters.
    Check,
}

/// Changes in the order of their revisions, complete up to `revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeBatch {
    /// Everything up to this revision is in this batch or was in an earlier one.
    pub revision: u64,
    /// The changes.
    pub changes: Vec<Change>,
}

/// What happened to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub revision: u64,
    /// To which key.
    pub key: Key,
    /// The value put, or `None` when it was deleted.
    pub value: Option<Bytes>,
}

/// The key, last put by a revision, that must be there for a deletion to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The key.
    pub key: Key,
    /// The revision that put it.
    pub revision: u64,
}

/// What [`Backend::delete_range`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeDeleted {
    /// The revision of the deletion, or the current one when nothing was there.
    pub revision: u64,
    /// How many keys were deleted.
    pub deleted: usize,
    /// Whether the range held more than the limit.
    pub more: bool,
}

/// Why a transaction was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A key was not as expected; nothing happened.
    #[error("{key} is not as expected: it is at revision {current:?}")]
    Conflict {
        /// Which operation.
        index: usize,
        /// Its key.
        key: Key,
        /// The revision at which the key is, or `None` when there is no value.
        current: Option<u64>,
    },
    /// The transaction carries too many bytes; nothing happened.
    #[error("the transaction has {size} bytes; at most {limit} are accepted")]
    TooLarge {
        /// The bytes of its keys and values.
        size: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// The transaction makes no sense; nothing happened. A fault of the caller.
    #[error("operation {index} of the transaction: {why}")]
    Malformed {
        /// Which operation.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The store has no room left; nothing happened, unless it is an etcd that found so by this very transaction: it stores that one
    /// and refuses it all the same. Reads go on, and so do writes once somebody has made room.
    #[error("the store is full: {reason}")]
    Full {
        /// What happened, for the log.
        reason: Arc<str>,
    },
    /// The engine's server refuses this transaction, or this client; nothing happened.
    #[error("the store refuses: {reason}")]
    Refused {
        /// What it said, for the log.
        reason: Arc<str>,
    },
    /// The engine's server cannot be reached, or takes no writes now; nothing happened.
    #[error("the store cannot be reached: {reason}")]
    Unreachable {
        /// What happened, for the log.
        reason: Arc<str>,
    },
    /// The engine cannot be reached or did not answer in time: the transaction may or may not have happened.
    #[error("the store does not answer: {reason}")]
    Unavailable {
        /// What happened, for the log.
        reason: Arc<str>,
    },
    /// The engine has stopped for good: the transaction may or may not be found after a restart.
    #[error("the store has stopped: {reason}")]
    Fatal {
        /// What happened, for the log.
        reason: Arc<str>,
    },
}

/// Why an engine could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// What is stored is not what this program writes.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What was found.
        what: Arc<str>,
    },
    /// The engine has stopped or cannot be reached.
    #[error("the store does not answer: {reason}")]
    Unavailable {
        /// What happened.
        reason: Arc<str>,
    },
}

/// Why a subscription was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The engine no longer knows what followed the revision.
    #[error("changes are known from revision {oldest} on only")]
    Compacted {
        /// The oldest revision after which changes are known.
        oldest: u64,
    },
    /// The engine has stopped or cannot be reached.
    #[error("the store does not answer: {reason}")]
    Unavailable {
        /// What happened.
        reason: Arc<str>,
    },
}

/// Why an engine stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopCause {
    /// It was closed.
    Closed,
    /// It failed and acknowledges nothing more.
    Failed(Arc<str>),
}

/// How an engine is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// When commits are acknowledged.
    pub durability: Durability,
    /// About how many bytes of changes the embedded engine gathers in its log before it brings them into its tables.
    pub log_bytes: usize,
}

/// When an engine acknowledges commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// After they survive a power loss.
    #[default]
    Full,
    /// At once; a power loss, or the death of the process, may take the last fraction of a second, but never half a
    /// transaction. Closing properly takes nothing.
    Relaxed,
}

/// Why a store could not be opened. The text tells what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no engine.
    #[error(
        "{url:?} is not a store: use a directory, file:///directory, sqlite:///file, etcd://host:port, or memory://"
    )]
    Url {
        /// What was given.
        url: String,
    },
    /// The URL begins as one of etcd, but goes on otherwise.
    #[error("the store's URL {why}; write etcd://HOST:PORT,HOST:PORT/PREFIX or etcd+https://…?ca-file=FILE")]
    EtcdUrl {
        /// What is wrong with it, as the rest of a sentence.
        why: String,
    },
    /// The URL names an engine that is not in this program.
    #[error("{url:?} needs an engine that this program was built without; build it with --features {feature}")]
    NotBuilt {
        /// The cargo feature that has the engine.
        feature: &'static str,
        /// What was given.
        url: String,
    },
    /// No server answered, or none that could do what it was asked; a later attempt may find one.
    #[error("the etcd at {place} cannot be used: {reason}")]
    NotReached {
        /// Its endpoints.
        place: String,
        /// What happened.
        reason: Arc<str>,
    },
    /// A server refused, or is not the one that certificates tell of; so will a later attempt be.
    #[error(
        "the etcd at {place} cannot be used: {reason}; look at ca-file, cert-file and key-file, user and password-file in the store's URL"
    )]
    Refused {
        /// Its endpoints.
        place: String,
        /// What happened.
        reason: Arc<str>,
    },
    /// Another process has the store open.
    #[error(
        "{} is in use by another process; stop that process, or give this one a data directory of its own",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The store was written by a program with another format.
    #[error(
        "the store has format {found}, and this program reads format {expected}; use the release that wrote it, or restore a backup"
    )]
    Format {
        /// The format found.
        found: u64,
        /// The format this program reads.
        expected: u64,
    },
    /// The operating system refused.
    #[error("cannot open {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The engine refused.
    #[error("cannot open the store")]
    Engine {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Opens the engine that a URL names: `memory://`, `file:///var/lib/atoll`, a plain path of a directory,
/// `sqlite:///var/lib/atoll.db`, or `etcd://host:port,host:port/prefix` (`etcd::Target` says what else such a URL may hold).
pub async fn open(url: &str, options: Options) -> Result<Arc<dyn Backend>, OpenError> {
    if matches!(url.split_once("://"), Some(("etcd" | "etcd+http" | "etcd+https", _))) {
        return open_etcd(url).await;
    }
    if url == "memory://" || url == "memory:" {
        return Ok(Memory::new());
    }
    if let Some(file) = url.strip_prefix("sqlite://").filter(|file| file.starts_with('/')) {
        return open_sqlite(url, PathBuf::from(file), options).await;
    }
    let path = match (url.strip_prefix("file://"), url.split_once("://")) {
        (Some(path), _) if path.starts_with('/') => path,
        (None, None) if !url.is_empty() => url,
        _ => return Err(OpenError::Url { url: url.to_owned() }),
    };
    let path = PathBuf::from(path);
    Ok(on_a_thread(move || Embedded::open(&path, options)).await?)
}

#[cfg(feature = "etcd")]
async fn open_etcd(url: &str) -> Result<Arc<dyn Backend>, OpenError> {
    match etcd::Target::parse(url) {
        Some(target) => Ok(Etcd::open(target?).await?),
        None => Err(OpenError::Url { url: url.to_owned() }),
    }
}

#[cfg(not(feature = "etcd"))]
async fn open_etcd(url: &str) -> Result<Arc<dyn Backend>, OpenError> {
    Err(OpenError::NotBuilt { feature: "etcd", url: url.to_owned() })
}

#[cfg(feature = "sqlite")]
async fn open_sqlite(_: &str, file: PathBuf, options: Options) -> Result<Arc<dyn Backend>, OpenError> {
    Ok(on_a_thread(move || Sqlite::open(&file, options)).await?)
}

#[cfg(not(feature = "sqlite"))]
async fn open_sqlite(url: &str, _: PathBuf, _: Options) -> Result<Arc<dyn Backend>, OpenError> {
    Err(OpenError::NotBuilt { feature: "sqlite", url: url.to_owned() })
}

/// Opens an engine where it may block.
async fn on_a_thread<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let opened = tokio::task::spawn_blocking(open).await;
    opened.unwrap_or_else(|source| Err(OpenError::Engine { source: Box::new(source) }))
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::default(), log_bytes: 16 << 20 }
    }
}

// === impl Txn ===

impl Txn {
    /// A transaction of one operation.
    pub fn one(key: Key, expect: Expect, action: Action) -> Self {
        Self { ops: vec![Op { key, expect, action }] }
    }

    /// Creates a value where none is.
    pub fn create(key: Key, value: impl Into<Bytes>) -> Self {
        Self::one(key, Expect::Absent, Action::Put(value.into()))
    }

    /// Replaces the value that `revision` put.
    pub fn update(key: Key, revision: u64, value: impl Into<Bytes>) -> Self {
        Self::one(key, Expect::Revision(revision), Action::Put(value.into()))
    }

    /// Deletes the value that `revision` put.
    pub fn delete(key: Key, revision: u64) -> Self {
        Self::one(key, Expect::Revision(revision), Action::Delete)
    }

    /// Adds an operation.
    #[must_use]
    pub fn and(mut self, key: Key, expect: Expect, action: Action) -> Self {
        self.ops.push(Op { key, expect, action });
        self
    }

    /// How many bytes of values it brings.
    fn size(&self) -> usize {
        self.ops.iter().map(|op| op.action.size()).sum()
    }

    /// The encoded keys, in the order of the operations; fails when the transaction is malformed or too large.
    fn encode_keys(&self) -> Result<Vec<Vec<u8>>, CommitError> {
        let keys: Vec<Vec<u8>> = self.ops.iter().map(|op| op.key.encode()).collect();
        let size = keys.iter().map(Vec::len).sum::<usize>() + self.size();
        if size > MAX_TXN_BYTES {
            return Err(CommitError::TooLarge { size, limit: MAX_TXN_BYTES });
        }
        let mut checks = self.ops.iter().enumerate().filter(|(_, op)| op.expect != Expect::Any);
        if let Some((index, _)) = checks.nth(MAX_TXN_CHECKS) {
            return Err(CommitError::Malformed { index, why: "too many expectations stand before it" });
        }
        if keys.len() > 1 {
            let mut seen = std::collections::HashSet::with_capacity(keys.len());
            if let Some(index) = keys.iter().position(|key| !seen.insert(key.as_slice())) {
                return Err(CommitError::Malformed { index, why: "its key appears twice" });
            }
        }
        Ok(keys)
    }
}

// === impl Guard ===

impl Guard {
    /// Fails unless the guard's key is at its revision.
    fn check(&self, current: Option<u64>) -> Result<(), CommitError> {
        match current {
            Some(current) if current == self.revision => Ok(()),
            current => Err(CommitError::Conflict { index: 0, key: self.key.clone(), current }),
        }
    }
}

// === impl Expect ===

impl Expect {
    /// Whether a key at `current` is as expected.
    pub fn holds(self, current: Option<u64>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Revision(revision) => current == Some(revision),
            Self::Any => true,
        }
    }
}

// === impl Action ===

impl Action {
    fn size(&self) -> usize {
        match self {
            Self::Put(value) => value.len(),
            Self::Delete | Self::Check => 0,
        }
    }
}
