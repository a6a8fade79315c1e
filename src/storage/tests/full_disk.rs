//! A disk that is full: what is acknowledged is there when there is room again, and the error says what is wrong.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use crate::storage::conformance::{load, pod, value};
use crate::storage::{Backend, CommitError, Embedded, OpenError, Options, StopCause, Store, Txn};

const BLOCK: u64 = 4096;

/// A machine's disk: so many blocks, which its files take when they are first written to.
#[derive(Debug)]
struct Disk {
    room: AtomicU64,
    files: [Arc<InMemoryBackend>; 3],
    /// The blocks that files have, by the files' numbers.
    taken: Mutex<HashSet<(usize, u64)>>,
}

/// A file on it.
#[derive(Debug)]
struct File {
    disk: Arc<Disk>,
    number: usize,
}

impl Disk {
    fn new(room: u64) -> Arc<Self> {
        let files = [(); 3].map(|()| Arc::new(InMemoryBackend::new()));
        Arc::new(Self { room: AtomicU64::new(room), files, taken: Mutex::default() })
    }

    fn open(self: &Arc<Self>, options: Options) -> Result<Arc<Embedded>, OpenError> {
        let file = |number| File { disk: self.clone(), number };
        Embedded::open_on(file(0), [Box::new(file(1)), Box::new(file(2))], options)
    }
}

impl File {
    fn inner(&self) -> &InMemoryBackend {
        &self.disk.files[self.number]
    }

    /// Takes a block, if the file has it not and there is one left.
    fn take(&self, block: u64) -> bool {
        let mut taken = self.disk.taken.lock();
        if taken.contains(&(self.number, block)) {
            return true;
        }
        let left = self.disk.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(BLOCK));
        left.is_ok() && taken.insert((self.number, block))
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        self.inner().len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner().read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        // What is not written to takes no room.
        // Under one lock: another thread takes blocks for another file meanwhile.
        let mut taken = self.disk.taken.lock();
        let before = taken.len();
        taken.retain(|(number, block)| *number != self.number || *block < len.div_ceil(BLOCK));
        self.disk.room.fetch_add((before - taken.len()) as u64 * BLOCK, Ordering::Relaxed);
        drop(taken);
        self.inner().set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner().sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        let full = (offset / BLOCK..end.div_ceil(BLOCK)).find(|block| !self.take(*block));
        // What fits is written, as a disk does.
        let written = full.map_or(end, |block| (block * BLOCK).max(offset)) - offset;
        self.inner().write(offset, &data[..written as usize])?;
        if full.is_some() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn what_a_full_disk_acknowledged_is_there_when_there_is_room_again() {
    let mut stopped = 0;
    for room in (0..40).map(|step| 1_200_000 + step * 150_000) {
        let options = Options { log_bytes: 200_000, ..Options::default() };
        let disk = Disk::new(room);
        let Ok(engine) = disk.open(options.clone()) else { continue };
        let Ok(store) = Store::open(engine.clone()).await else { continue };
        let large = value(&"x".repeat(9_000));
        let mut acknowledged = 0;
        let error = loop {
            match store.commit(Txn::create(pod(&format!("a/n/{acknowledged:05}")), large.clone())).await {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
            assert!(acknowledged < 5_000, "the disk is never full");
        };
        let CommitError::Fatal { reason } = error else { panic!("{error}") };
        assert!(reason.contains("no storage space") || reason.contains("No space"), "{reason}");
        assert!(matches!(store.stopped().await, StopCause::Failed(_)));
        let again = store.commit(Txn::create(pod("a/n/again"), value("1"))).await;
        assert!(
            matches!(again, Err(CommitError::Fatal { .. })),
            "nothing is taken any more, whether there is room or not"
        );
        store.close().await;
        drop((store, engine));

        disk.room.fetch_add(100 << 20, Ordering::Relaxed);
        let engine = disk.open(options).expect("it opens when there is room");
        let (_, records) = load(&*engine).await;
        // The write that failed may be there whole, and nothing else.
        assert!(matches!(records.len() - acknowledged, 0 | 1), "{} of {acknowledged}", records.len());
        assert!(
            records
                .iter()
                .enumerate()
                .all(|(n, record)| *record.key.name == *format!("{n:05}") && record.value == large)
        );
        engine.commit(Txn::create(pod("a/n/after"), value("1"))).await.expect("writes go on");
        stopped += 1;
    }
    assert!(stopped > 10, "{stopped}");
}
