//! A storage engine of your own: here, a journal in a text file, one line for each transaction, behind the engine that
//! keeps everything in memory. It keeps the contract above `atoll::storage::Backend`, which the suite in
//! `atoll::storage::conformance` (feature `test-util`) checks.
//!
//! ```sh
//! cargo run --features examples --example own_storage
//! ```

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

use atoll::server::Server;
use atoll::storage::{self, Action, Backend, BackendError, ChangeBatch, ChangeSink, CommitError, Expect, Key, Txn};
use futures::future::BoxFuture;
use parking_lot::Mutex;

/// A transaction as it stands in the journal: keys, and their values unless they were deleted.
type Line = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The engine: memory, and the journal that its changes are written to.
struct Journal {
    memory: Arc<dyn Backend>,
    writer: Arc<Writer>,
}

/// Takes changes as they happen, before they are acknowledged.
struct Writer {
    file: Mutex<File>,
    failed: OnceLock<Arc<str>>,
}

impl Journal {
    /// Opens a journal, and repeats what it says.
    async fn open(path: &Path) -> Result<Arc<dyn Backend>, Box<dyn std::error::Error>> {
        let (memory, mut whole) = (storage::Memory::new(), 0);
        // Only the last line can be half written. It was never acknowledged, and is cut off.
        for line in std::fs::read_to_string(path).unwrap_or_default().split_inclusive('\n') {
            let Ok(changes) = serde_json::from_str::<Line>(line) else { break };
            let mut txn = Txn::default();
            for (key, value) in changes {
                let action = value.map_or(Action::Delete, |value| Action::Put(value.into()));
                txn = txn.and(Key::decode(&key)?, Expect::Any, action);
            }
            memory.commit(txn).await?;
            whole += line.len() as u64;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(whole)?;
        let writer = Arc::new(Writer { file: Mutex::new(file), failed: OnceLock::new() });
        let sink: Weak<Writer> = Arc::downgrade(&writer);
        memory.subscribe(memory.revision().await?, sink).await?;
        Ok(Arc::new(Self { memory, writer }))
    }

    /// Nothing is acknowledged that may not be in the file.
    fn acknowledge<T>(&self, done: T) -> Result<T, CommitError> {
        self.writer.failed.get().cloned().map_or(Ok(done), |reason| Err(CommitError::Fatal { reason }))
    }
}

impl ChangeSink for Writer {
    fn apply(&self, batch: &ChangeBatch) {
        let changes = batch.changes.iter().map(|change| (change.key.encode(), change.value.as_deref().map(Into::into)));
        let line = serde_json::to_string(&changes.collect::<Line>()).unwrap_or_default() + "\n";
        let mut file = self.file.lock();
        if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_data()) {
            self.failed.get_or_init(|| error.to_string().into());
        }
    }

    fn closed(&self, _: &storage::StopCause) {}
}

#[rustfmt::skip]
impl Backend for Journal {
    fn load(&self, visit: storage::LoadVisitor) -> BoxFuture<'_, Result<u64, BackendError>> { self.memory.load(visit) }
    fn subscribe(&self, after: u64, to: Weak<dyn ChangeSink>) -> BoxFuture<'_, Result<(), storage::SubscribeError>> { self.memory.subscribe(after, to) }
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<u64, CommitError>> { Box::pin(async move { self.acknowledge(self.memory.commit(txn).await?) }) }
    fn delete_range(&self, range: storage::KeyRange, limit: usize, guard: Option<storage::Guard>) -> BoxFuture<'_, Result<storage::RangeDeleted, CommitError>> { Box::pin(async move { self.acknowledge(self.memory.delete_range(range, limit, guard).await?) }) }
    fn revision(&self) -> BoxFuture<'_, Result<u64, BackendError>> { self.memory.revision() }
    fn compact(&self, revision: u64) -> BoxFuture<'_, Result<(), BackendError>> { self.memory.compact(revision) }
    fn close(&self) -> BoxFuture<'_, ()> { self.memory.close() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = Server::builder().engine(Journal::open(Path::new("./journal")).await?).data_dir("./.atoll");
    let running = builder.listen(([127, 0, 0, 1], 6443).into()).build().await?.start().await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig create cm a; tail -n 1 journal ({})", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/own_storage.rs"]
mod tests;
